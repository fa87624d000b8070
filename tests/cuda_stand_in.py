# SPDX-License-Identifier: Apache-2.0
"""The library built against a stand-in for the CUDA runtime (tests/native/cuda_stand_in), as a package of its own, and
arrays that pass for those of a GPU library."""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from native_build import build, need

import denoise

NAME = "denoise_on_stand_in"
LEGACY, PER_THREAD = 1, 2  # the default streams


def load(folder: Path) -> tuple[ModuleType, StandIn]:
    """Builds it in `folder` and imports it beside the installed package; skips where it cannot be built."""
    need("cmake", "ninja", "g++")
    pybind11 = pytest.importorskip("pybind11")
    options = ("-DCMAKE_CXX_COMPILER=g++", "-DDENOISE_CUDA=STAND_IN", "-DDENOISE_BACKENDS=emulated_cuda")
    python = (f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}")
    build(folder / "build", *options, *python, "-DDENOISE_PYTHON=ON", "-DDENOISE_WERROR=ON")
    (native,) = (folder / "build").glob("_core*.so")
    package = folder / NAME
    package.mkdir()
    for file in Path(denoise.__file__).parent.iterdir():
        if file.name != native.name and file.name != "__pycache__":
            (package / file.name).symlink_to(file)
    (package / native.name).symlink_to(native)
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(NAME), StandIn(native)
    finally:
        sys.path.remove(str(folder))


class StandIn:
    """What the stand-in does, and what was asked of it."""

    def __init__(self, native: Path) -> None:
        self._library = library = ctypes.CDLL(str(native))
        for name in ("take_log", "live"):
            getattr(library, f"stand_in_{name}").restype = ctypes.c_char_p
        for name in ("stream", "stream_id", "bytes"):
            getattr(library, f"stand_in_{name}").restype = ctypes.c_size_t

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._library, f"stand_in_{name}")

        def call(*arguments: Any) -> Any:
            given = [ctypes.c_size_t(a) if isinstance(a, int) and a >= 1 << 31 else a for a in arguments]
            return function(*given)

        return call

    def log(self) -> list[str]:
        """The calls since the last time, each a name and its arguments."""
        return str(self._library.stand_in_take_log(), "ascii").splitlines()

    def calls(self) -> list[str]:
        """Their names."""
        return [line.split()[0] for line in self.log()]

    def alive(self) -> str:
        """What exists, by kind."""
        return str(self._library.stand_in_live(), "ascii")

    @contextmanager
    def failing(self, call: str, countdown: int = 1, sticky: bool = False) -> Iterator[None]:
        """The `countdown`-th call of that name (empty: any) fails, or that one and all that follow."""
        self.fail(call.encode(), countdown, int(sticky))
        try:
            yield
        finally:
            self.fail(b"", 0, 0)


# What is queued may read arrays that nobody holds any more: their memory stays, as that of libraries which pool it does.
KEPT: list[npt.NDArray[Any]] = []


class Pixels:
    """An array of a GPU library that nobody has heard of: memory of the host that says it is a GPU's."""

    def __init__(self, values: npt.NDArray[Any], device: int = 0) -> None:
        self.values, self.device = values, device
        KEPT.append(values)
        self.streams: list[int | None] = []  # that consumers asked for

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def __len__(self) -> int:
        return len(self.values)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device

    def __dlpack__(self, *, stream: int | None = None, max_version: tuple[int, int] | None = None) -> Any:
        from denoise_on_stand_in import _core

        self.streams.append(stream)
        v = self.values
        code = {"f": 2, "u": 1, "i": 0, "b": 6}[v.dtype.kind]
        strides = [step // v.itemsize for step in v.strides]
        versioned = max_version is not None
        return _core.to_dlpack(self, v.ctypes.data, v.shape, strides, code, v.itemsize * 8, self.device, versioned)


def pixels(frame: dict[str, Any]) -> dict[str, Any]:
    """The keywords of a frame, with its arrays on the pretended GPU."""

    def moved(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return Pixels(value)
        return [moved(each) for each in value] if isinstance(value, list) else value

    return {name: moved(value) for name, value in frame.items()}


class Library:
    """What bench/gpu_arrays.py asks of a library of arrays. For a stand-in that is eager."""

    name = "pretended arrays"

    def __init__(self, machine: StandIn) -> None:
        self._machine = machine

    def array(self, values: npt.NDArray[Any]) -> Pixels:
        return Pixels(values)

    def numpy(self, array: Any) -> npt.NDArray[Any]:
        return array.values.copy() if isinstance(array, Pixels) else values(array)

    def copy(self, target: Pixels, source: Pixels) -> None:
        np.copyto(target.values, source.values)

    def total(self, array: Pixels) -> float:
        return float(array.values.sum())

    def mark(self) -> float:
        return perf_counter()

    def milliseconds(self, first: float, last: float) -> float:
        return (last - first) * 1e3

    def synchronize(self) -> None:
        self._machine.drain(LEGACY)


def values(result: Any) -> npt.NDArray[Any]:
    """The pixels of a result of a frame that is through."""
    interface = result.__cuda_array_interface__
    memory = np.ctypeslib.as_array(
        ctypes.cast(interface["data"][0], ctypes.POINTER(ctypes.c_uint8)),
        (int(np.prod(interface["shape"])) * np.dtype(interface["typestr"]).itemsize,),
    )
    return memory.view(interface["typestr"]).reshape(interface["shape"]).copy()
