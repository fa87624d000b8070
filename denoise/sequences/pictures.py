# SPDX-License-Identifier: Apache-2.0
"""Pictures of results: new EXR files, PFM files, and PNG files for a look."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from . import beauty
from .exr import Encoding, layer_channels
from .exr_file import Pixels, encode, new_part, write
from .files import Results, atomic, write_picture
from .patterns import Pattern
from .sequence import Arrays, Sequence

ENDINGS = (".exr", ".pfm", ".png")


class PictureResults(Results):
    """The denoised picture of each frame, and nothing else: .exr (with layers if they are asked for), .pfm, or .png,
    which is exposed and tone-mapped."""

    wants = beauty.WANTS

    def __init__(self, pattern: Pattern, sequence: Sequence, encoding: Encoding) -> None:
        self.pattern, self.sequence, self.encoding = pattern, sequence, encoding
        self.journal = pattern.journal
        self.made_with: Mapping[str, Any] = {"encoding": vars(encoding)}
        self._exposure: float | None = sequence.meta.get("exposure")

    def path(self, index: int) -> Path:
        return self.pattern.path(self.sequence.numbers[index])

    def overlay_path(self, index: int) -> Path:
        return self.pattern.overlay(self.sequence.numbers[index])

    def write(self, index: int, signals: Arrays, arrays: Arrays) -> None:
        signals = beauty.on_surfaces(arrays, signals, self.sequence.view_z_sky)
        picture = beauty.picture(arrays, signals)
        path = self.path(index)
        ending = path.suffix.lower()
        if ending == ".png":
            write_picture(path, self._tonemapped(picture))
            return
        with atomic(path) as file:
            if ending == ".pfm":
                write_pfm(file, picture)
            else:
                channels = dict(zip("RGB", np.moveaxis(picture, -1, 0), strict=True))
                write_exr(file, channels | (layer_channels(signals) if self.encoding.layers else {}), self.encoding)

    def _tonemapped(self, picture: NDArray[np.float32]) -> NDArray[np.uint8]:
        from denoise.metrics import auto_exposure, noisy_signals, tonemap

        if self._exposure is None:
            # Of the first frame, denoised or not, so that all frames have the same and a resumed run has it, too.
            first = self.sequence.frames[0]
            self._exposure = auto_exposure(beauty.picture(first, noisy_signals(first)))
        levels = 255 * np.clip(tonemap(picture, self._exposure), 0, 1)
        return np.asarray(np.rint(levels), np.uint8)


def write_pfm(file: IO[bytes], picture: NDArray[np.float32]) -> None:
    """Portable float map of (H, W, 3): little endian, the lowest row first."""
    height, width = picture.shape[:2]
    file.write(f"PF\n{width} {height}\n-1.0\n".encode())
    file.write(np.ascontiguousarray(picture[::-1], "<f4").tobytes())


def write_exr(file: IO[bytes], channels: Pixels, encoding: Encoding) -> None:
    """A new EXR file of these channels, float unless the encoding says half."""
    height, width = next(iter(channels.values())).shape
    window = (0, 0, width - 1, height - 1)
    part = new_part(window, window, encoding.compression or "zip", {})
    write(file, [encode(part, {name: encoding.stored(pixels) for name, pixels in channels.items()})])
