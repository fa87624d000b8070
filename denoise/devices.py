# SPDX-License-Identifier: Apache-2.0
"""What frames can be denoised on here, and for what cannot be used, the sentence why."""

from __future__ import annotations

import dataclasses
import os

from . import _core
from .errors import DeviceError


@dataclasses.dataclass(frozen=True)
class Device:
    """A device, or the reason why it cannot be used. `str()` is "cpu: AMD EPYC, avx2, 2 threads"."""

    name: str  # "cpu", "cuda:0"; "cuda" where there is none
    available: bool
    detail: str
    backend: str = ""  # the variant of the passes that runs on it

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}"


def _cpu(backend: str) -> Device:
    threads = _core.threads()
    return Device("cpu", True, f"{_core.cpu_name()}, {backend}, {threads} thread{'s' if threads > 1 else ''}", backend)


def _default_cpu() -> Device:
    try:
        return _cpu(_core.default_backend())
    except ValueError as error:  # DENOISE_ISA names what this machine cannot run
        raise DeviceError(str(error)) from None


def _gpus() -> list[Device]:
    found, why_none = _core.cuda_devices()
    if not found:
        return [Device("cuda", False, why_none)]
    names = [f"cuda:{index}" for index in range(len(found))]
    return [Device(n, not why, why or detail, n) for n, (detail, why) in zip(names, found, strict=True)]


def devices() -> list[Device]:
    """All devices, the one that "auto" picks first. Raises DeviceError when DENOISE_ISA names an unusable backend."""
    gpus = _gpus()
    usable = [gpu for gpu in gpus if gpu.available]
    return [*usable, _default_cpu(), *(gpu for gpu in gpus if not gpu.available)]


def find_device(name: str) -> Device:
    """The device called "auto", "cpu", "cpu:BACKEND" (avx2, scalar, emulated_cuda, ...) or "cuda[:N]".

    "auto" is what DENOISE_DEVICE says, else the first usable GPU, else the CPU. Raises TypeError when `name` is no string,
    DeviceError when it is unknown or cannot be used here."""
    if not isinstance(name, str):
        raise TypeError(f"device: expected a string, got {name!r}")
    if name == "auto":
        name = os.environ.get("DENOISE_DEVICE") or next((gpu.name for gpu in _gpus() if gpu.available), "cpu")
    kind, _, which = name.partition(":")
    if name == "cpu":
        return _default_cpu()
    if kind == "cpu":
        reasons = _core.backends()
        if not reasons.get(which, "unknown"):
            return _cpu(which)
        usable = ", ".join(b for b, reason in reasons.items() if not reason)
        raise DeviceError(f"device: no backend '{which}' here ({reasons.get(which, 'unknown')}); usable: {usable}")
    if kind == "cuda":
        return _gpu(name)
    raise DeviceError(f"device: expected 'auto', 'cpu', 'cpu:BACKEND' or 'cuda[:N]', got {name!r}")


def _gpu(name: str) -> Device:
    gpus = _gpus()
    wanted = "cuda:0" if name == "cuda" else name
    for gpu in gpus:
        if gpu.name in (wanted, "cuda"):
            if not gpu.available:
                raise DeviceError(f"device: cannot use '{name}': {gpu.detail}")
            return gpu
    raise DeviceError(f"device: no '{name}' here; there are: {', '.join(gpu.name for gpu in gpus)}")
