# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks ask of a library with arrays on a GPU, and cupy and torch as such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Library(Protocol):
    """Arrays on one GPU, and the queue of work on it: everything is queued on the library's current stream."""

    name: str  # with its version

    def array(self, values: NDArray[Any]) -> Any:
        """The values on the GPU."""

    def numpy(self, array: Any) -> NDArray[Any]:
        """The values on the host, once all that was queued is done."""

    def copy(self, target: Any, source: Any) -> None:
        """Queues a copy of an array into another."""

    def total(self, array: Any) -> Any:
        """Queues the sum of an array: as fast as the library reads memory."""

    def mark(self) -> Any:
        """Queues an event, for `milliseconds`."""

    def milliseconds(self, first: Any, last: Any) -> float:
        """Time on the GPU between two marks; waits for the last."""

    def synchronize(self) -> None:
        """Waits for all that was queued."""


class Cupy:
    def __init__(self, device: int) -> None:
        import cupy

        self._cupy = cupy
        self.name = f"cupy {cupy.__version__}"
        cupy.cuda.Device(device).use()

    def array(self, values: NDArray[Any]) -> Any:
        return self._cupy.asarray(values)

    def numpy(self, array: Any) -> NDArray[Any]:
        result: NDArray[Any] = self._cupy.asnumpy(array)
        return result

    def copy(self, target: Any, source: Any) -> None:
        self._cupy.copyto(target, source)

    def total(self, array: Any) -> Any:
        return array.sum()

    def mark(self) -> Any:
        event = self._cupy.cuda.Event()
        event.record()
        return event

    def milliseconds(self, first: Any, last: Any) -> float:
        last.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(first, last))

    def synchronize(self) -> None:
        self._cupy.cuda.get_current_stream().synchronize()


class Torch:
    def __init__(self, device: int) -> None:
        import torch

        self._torch = torch
        self.name = f"torch {torch.__version__}"
        self._device = torch.device("cuda", device)
        torch.cuda.set_device(device)

    def array(self, values: NDArray[Any]) -> Any:
        return self._torch.from_numpy(np.ascontiguousarray(values)).to(self._device)

    def numpy(self, array: Any) -> NDArray[Any]:
        result: NDArray[Any] = array.cpu().numpy()
        return result

    def copy(self, target: Any, source: Any) -> None:
        target.copy_(source)

    def total(self, array: Any) -> Any:
        return array.sum()

    def mark(self) -> Any:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def milliseconds(self, first: Any, last: Any) -> float:
        last.synchronize()
        return float(first.elapsed_time(last))

    def synchronize(self) -> None:
        self._torch.cuda.current_stream().synchronize()


LIBRARIES: dict[str, Callable[[int], Library]] = {"cupy": Cupy, "torch": Torch}


def library(device: int, name: str | None = None) -> Library:
    """cupy or torch, or the one of that name. ImportError says what to install where there is none."""
    for kind in [LIBRARIES[name]] if name else LIBRARIES.values():
        try:
            return kind(device)
        except ImportError:
            continue
    missing = f"{name} is not" if name else "neither cupy nor torch is"
    raise ImportError(f"{missing} installed, which would hold the arrays on the GPU")


def moved(library: Library, inputs: dict[str, Any]) -> dict[str, Any]:
    """The keywords of a frame with its arrays, and those of its lights, on the GPU."""

    def there(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [there(each) for each in value]
        return library.array(value) if isinstance(value, np.ndarray) else value

    return {name: there(value) for name, value in inputs.items()}
