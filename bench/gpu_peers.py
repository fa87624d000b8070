# SPDX-License-Identifier: Apache-2.0
"""Denoisers of others on the same GPU and the same images: Intel OIDN (pyoidn) and OptiX's, by way of Mitsuba.

Both filter single images by a network; OptiX's temporal mode would take motion, too, and is left out, as it needs the
result of the frame before. Each is made for one image, which may be run again and again.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


class Peer(Protocol):
    name: str  # with its version

    def start(self) -> None:
        """Queues a run."""

    def wait(self) -> None:
        """For all that was queued."""

    def result(self) -> Image:
        """The image, (H, W, 3), once it is there."""


class Oidn:
    """`cuda` False: on the CPU, for tests."""

    def __init__(self, colour: Image, albedo: Image, normal: Image, cuda: bool = True) -> None:
        import pyoidn

        kind = pyoidn.OIDN_DEVICE_TYPE_CUDA if cuda else pyoidn.OIDN_DEVICE_TYPE_CPU
        self._device = pyoidn.Device(kind)
        self._device.commit()
        self._check()
        number = self._device.get_int("version")
        self.name = f"OIDN {number // 10000}.{number // 100 % 100}.{number % 100}"
        self._shape = colour.shape
        height, width, _ = colour.shape
        self._filter = pyoidn.Filter(self._device, pyoidn.OIDN_FILTER_TYPE_RT)
        storage = pyoidn.OIDN_STORAGE_DEVICE if cuda else pyoidn.OIDN_STORAGE_HOST
        self._buffers = {}
        for name, image in {"color": colour, "albedo": albedo, "normal": normal, "output": colour}.items():
            values = np.ascontiguousarray(image, np.float32)
            buffer = self._buffers[name] = pyoidn.Buffer(self._device, values.nbytes, storage)
            buffer.write(0, values.nbytes, values)
            self._filter.set_image(name, buffer, pyoidn.OIDN_FORMAT_FLOAT3, width, height)
        self._filter.set_bool("hdr", True)
        self._filter.set_bool("cleanAux", True)
        self._filter.commit()
        self._check()

    def start(self) -> None:
        self._filter.execute_async()

    def wait(self) -> None:
        self._device.wait()
        self._check()

    def result(self) -> Image:
        values = np.empty(self._shape, np.float32)
        self._buffers["output"].read(0, values.nbytes, values)
        return values

    def _check(self) -> None:
        if (error := self._device.get_error()) is not None:
            raise RuntimeError(f"OIDN: {error}")


class Optix:
    def __init__(self, colour: Image, albedo: Image, normal: Image) -> None:
        import drjit
        import mitsuba

        mitsuba.set_variant("cuda_ad_rgb")
        self._drjit = drjit
        self.name = f"OptiX, Mitsuba {mitsuba.__version__}"
        height, width, _ = colour.shape
        self._denoiser = mitsuba.OptixDenoiser((width, height), albedo=True, normals=True)
        self._images = [mitsuba.TensorXf(np.ascontiguousarray(i, np.float32)) for i in (colour, albedo, normal)]
        self._result: Any = None

    def start(self) -> None:
        self._result = self._denoiser(*self._images)
        self._drjit.eval(self._result)

    def wait(self) -> None:
        self._drjit.sync_thread()

    def result(self) -> Image:
        return np.asarray(self._result, np.float32)


# What says that a peer is not installed, or does not work here.
ABSENT = (ImportError, OSError, RuntimeError, AttributeError)

PEERS: dict[str, Callable[[Image, Image, Image], Peer]] = {"OIDN": Oidn, "OptiX": Optix}


def milliseconds(peer: Peer, runs: int) -> list[float]:
    """Wall time of an image, `runs` times, after one that warms up."""
    peer.start()
    peer.wait()
    times = []
    for _ in range(runs):
        began = perf_counter()
        peer.start()
        peer.wait()
        times.append((perf_counter() - began) * 1e3)
    return times
