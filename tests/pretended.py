# SPDX-License-Identifier: Apache-2.0
"""Libraries of arrays, pretended: as much of cupy, torch and numba as the package looks at, and as the README's render
loops use, over NumPy. Their arrays say that they are on the stand-in for a GPU; torch has some on the CPU, too."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from cuda_stand_in import KEPT, StandIn

Array = npt.NDArray[Any]


class Interface:
    """An array that offers __cuda_array_interface__ alone."""

    def __init__(self, values: Array, stream: int | None = None, read_only: bool = False) -> None:
        self.values = values
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": values.shape,
            "typestr": values.dtype.str,
            "data": (values.ctypes.data, read_only),
            "strides": None if values.flags.c_contiguous else values.strides,
            "stream": stream,
        }


class _Streams:
    """The current stream, which a `with` changes, and streams that are made."""

    def __init__(self, machine: StandIn, current: int) -> None:
        self._machine, self.current = machine, current

    def made(self, attribute: str) -> Any:
        """A stream as an object with its handle, which is a `with` statement by itself as cupy's."""
        outer, handle = self, self._machine.stream()

        class Stream:
            def __enter__(self) -> Any:
                self._before, outer.current = outer.current, handle
                return self

            def __exit__(self, *_: object) -> None:
                outer.current = self._before

            def synchronize(self) -> None:
                outer._machine.drain(handle)

            def __del__(self) -> None:
                outer._machine.destroy_stream(handle)

        setattr(Stream, attribute, handle)
        return Stream()


def _arrays(make: Callable[[Array], Any], random: np.random.Generator) -> dict[str, Any]:
    """What makes arrays, by NumPy's names."""

    def made(values: Any, dtype: Any) -> Any:
        array = np.asarray(values, dtype)
        KEPT.append(array)  # what is queued may read it yet
        return make(array)

    return {
        "full": lambda shape, value, dtype=np.float32: made(np.broadcast_to(value, shape).copy(), dtype),
        "zeros": lambda shape, dtype=np.float32: made(np.zeros(shape), dtype),
        "exponential": lambda scale, size, dtype=np.float32: made(random.exponential(scale, size), dtype),
        "array": make,
        "asarray": lambda values, dtype=np.float32: made(values, dtype),
    }


def cupy(machine: StandIn, current: int) -> Any:
    module, streams = types.ModuleType("cupy"), _Streams(machine, current)

    class ndarray:
        def __init__(self, values: Array) -> None:
            self.values, self.device = values, types.SimpleNamespace(id=0)
            self.shape, self.dtype = values.shape, values.dtype
            self.__cuda_array_interface__ = Interface(values).__cuda_array_interface__

    ndarray.__module__ = "cupy"

    class Device:
        def __init__(self, index: int) -> None:
            assert index == 0

        def __enter__(self) -> None: ...
        def __exit__(self, *_: object) -> None: ...

    arrays = _arrays(ndarray, np.random.default_rng(0))
    random = types.SimpleNamespace(exponential=arrays.pop("exponential"))
    cuda = types.SimpleNamespace(
        get_current_stream=lambda: types.SimpleNamespace(ptr=streams.current),
        Device=Device,
        Stream=lambda non_blocking=False: streams.made("ptr"),
    )
    module.__dict__.update(arrays, float32=np.float32, float16=np.float16, random=random, cuda=cuda)
    module.__dict__.update(empty=lambda shape, dtype: ndarray(np.empty(shape, dtype)), asnumpy=lambda a: a.values)
    module.array = ndarray  # type: ignore[attr-defined]
    return module


def torch(machine: StandIn | None = None, current: int = 0) -> Any:
    """Without a machine: on the CPU alone."""
    module = types.ModuleType("torch")

    class Tensor:
        requires_grad = False

        def __init__(self, values: Array, kind: str = "cuda" if machine else "cpu") -> None:
            self.values, self.shape, self.is_cuda = values, values.shape, kind == "cuda"
            self.dtype = f"torch.{values.dtype}"
            self.device = types.SimpleNamespace(type=kind, index=0 if kind == "cuda" else None)

        def stride(self) -> tuple[int, ...]:
            return tuple(step // self.values.itemsize for step in self.values.strides)

        def data_ptr(self) -> int:
            return self.values.ctypes.data

        def numpy(self) -> Array:
            assert not self.is_cuda
            assert not self.requires_grad
            return self.values

        def cpu(self) -> Tensor:
            return Tensor(self.values, "cpu")

        def exponential_(self, rate: float) -> Tensor:
            self.values[:] = np.random.default_rng(0).exponential(1 / rate, self.shape)
            return self

        def __dlpack_device__(self) -> tuple[int, int]:
            return (2, 0) if self.is_cuda else (1, 0)

    Tensor.__module__ = "torch"

    def on(device: str, values: Any) -> Tensor:
        array = np.asarray(values, np.float32)
        KEPT.append(array)  # what is queued may read it yet
        return Tensor(array, device)

    module.__dict__.update(
        array=Tensor,
        float16=np.float16,
        float32=np.float32,
        from_numpy=lambda values: Tensor(values, "cpu"),
        full=lambda size, value, device="cpu": on(device, np.full(size, value)),
        zeros=lambda size, device="cpu": on(device, np.zeros(size)),
        tensor=lambda values, device="cpu": on(device, values),
        empty=lambda shape, dtype=np.float32, device="cpu": Tensor(
            np.empty(shape, dtype), getattr(device, "type", device)
        ),
    )
    if machine:
        streams = _Streams(machine, current)
        module.cuda = types.SimpleNamespace(  # type: ignore[attr-defined]
            current_stream=lambda index: types.SimpleNamespace(cuda_stream=streams.current),
            Stream=lambda: streams.made("cuda_stream"),
            stream=_entered,
        )
    return module


@contextlib.contextmanager
def _entered(stream: Any) -> Iterator[Any]:
    with stream:
        yield stream


def numba(current: int) -> Any:
    """It has no current stream; its arrays name the one that they were made on."""
    module, cuda = types.ModuleType("numba"), types.ModuleType("numba.cuda")

    class DeviceNDArray:
        def __init__(self, values: Array) -> None:
            self.values, self.shape = values, values.shape
            self.__cuda_array_interface__ = Interface(values, current).__cuda_array_interface__

    DeviceNDArray.__module__ = "numba.cuda.cudadrv.devicearray"

    class Gpus:
        def __getitem__(self, index: int) -> Any:
            assert index == 0
            return contextlib.nullcontext()

    module.array = DeviceNDArray  # type: ignore[attr-defined]
    module.cuda = cuda  # type: ignore[attr-defined]
    cuda.gpus = Gpus()  # type: ignore[attr-defined]
    cuda.device_array = lambda shape, dtype: DeviceNDArray(np.empty(shape, dtype))  # type: ignore[attr-defined]
    return module
