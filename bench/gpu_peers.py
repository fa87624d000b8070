# SPDX-License-Identifier: Apache-2.0
"""Denoisers of others on the same GPU and the same images: Intel OIDN (pyoidn) and OptiX's, by way of Mitsuba.

Both filter single images by a network; OptiX's temporal mode would take motion, too, and is left out, as it needs the
result of the frame before. Each is made for one image, which may be run again and again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from denoise.sequences import Arrays, Sequence

Image = NDArray[np.float32]


class Peer(Protocol):
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


Make = Callable[[Image, Image, Image], Peer]
PEERS: dict[str, Make] = {"OIDN": Oidn, "OptiX": Optix}


PACKAGES = ("pyoidn", "mitsuba", "numba")  # that these, and the yardstick, come from


def versions() -> dict[str, str]:
    """Of the packages that are installed."""
    found = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def timed(make: Make, images: tuple[Image, Image, Image], runs: int) -> list[float]:
    """Milliseconds of wall time that an image takes, after one that warms up."""
    peer = make(*images)
    peer.start()
    peer.wait()
    times = []
    for _ in range(runs):
        began = perf_counter()
        peer.start()
        peer.wait()
        times.append((perf_counter() - began) * 1e3)
    return times


def denoised(make: Make, sequence: Sequence) -> dict[int, Arrays]:
    """The reference frames of a sequence, each lobe as an image of its own: demodulated as it is, with white albedo."""
    outputs: dict[int, Arrays] = {}
    for index in sequence.reference_frames:
        frame = sequence.frames[index]
        surface = (frame["view_z"] < sequence.view_z_sky)[..., None]
        normal = np.where(surface, frame["normal"], 0).astype(np.float32)
        outputs[index] = {}
        for lobe in {"diff", "spec"} & frame.keys():
            colour = np.nan_to_num(np.asarray(frame[lobe], np.float32))
            peer = make(colour, np.ones_like(colour), normal)
            peer.start()
            peer.wait()
            outputs[index][lobe] = peer.result()
    return outputs
