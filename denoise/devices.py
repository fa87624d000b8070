# SPDX-License-Identifier: Apache-2.0
"""What frames can be denoised on here, and for what cannot be used, the sentence why."""

from __future__ import annotations

import dataclasses

from . import _core
from .errors import DeviceError

_NO_CUDA = "not in this build: it has no CUDA runtime yet"


@dataclasses.dataclass(frozen=True)
class Device:
    """A device, or the reason why it cannot be used. `str()` is "cpu: AMD EPYC, avx2, 2 threads"."""

    name: str  # "cpu", "cuda"
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


def devices() -> list[Device]:
    """All devices, the one that "auto" picks first. Raises DeviceError when DENOISE_ISA names an unusable backend."""
    return [_default_cpu(), Device("cuda", False, _NO_CUDA)]


def find_device(name: str) -> Device:
    """The device called "auto", "cpu", "cpu:BACKEND" (avx2, scalar, emulated_cuda, ...) or "cuda[:N]".

    Raises TypeError when `name` is no string, DeviceError when it is unknown or cannot be used here."""
    if not isinstance(name, str):
        raise TypeError(f"device: expected a string, got {name!r}")
    kind, _, backend = name.partition(":")
    if name in ("auto", "cpu"):
        return _default_cpu()
    if kind == "cpu":
        reasons = _core.backends()
        if not reasons.get(backend, "unknown"):
            return _cpu(backend)
        usable = ", ".join(b for b, reason in reasons.items() if not reason)
        raise DeviceError(f"device: no backend '{backend}' here ({reasons.get(backend, 'unknown')}); usable: {usable}")
    if kind == "cuda":
        raise DeviceError(f"device: cannot use '{name}': {_NO_CUDA}")
    raise DeviceError(f"device: expected 'auto', 'cpu', 'cpu:BACKEND' or 'cuda[:N]', got {name!r}")
