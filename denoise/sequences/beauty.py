# SPDX-License-Identifier: Apache-2.0
"""The picture of a frame with its signals denoised, and denoised light passes that still add up to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sequence import Arrays

Image = NDArray[Any]

WANTS = ("color", "rest", "albedo", "spec_factor", "emission", "sun_unshadowed")

LOBES = {"diff": "albedo", "spec": "spec_factor"}


def on_surfaces(arrays: Mapping[str, Image], signals: Mapping[str, Image], view_z_sky: float) -> Arrays:
    """The signals in float32, and the noisy ones where the guides say sky and a denoiser has nothing to go by.

    Edges are such places: the sky in the guides, but part of a surface in the picture.
    """
    from denoise.metrics import noisy_signals, surfaces

    noisy = noisy_signals(arrays)
    surface = surfaces(arrays, view_z_sky)
    kept = {}
    for name, signal in signals.items():
        where = surface if signal.ndim == 2 else surface[..., None]
        kept[name] = np.where(where, signal, _finite(noisy[name])).astype(np.float32)
    return kept


def picture(arrays: Mapping[str, Image], signals: Mapping[str, Image], precision: float = 2**-20) -> Image:
    """The picture of a frame with these signals in place of its own, float32 (H, W, 3).

    arrays     with `color`: everything in it that the signals do not explain stays, of which `rest` is a part.
               Without: emission and what the signals bring
    precision  relative: what is left of the beauty within its rounding is nothing, lest a bright noisy pixel leaves
               its rounding error behind
    """
    from denoise.metrics import compose, noisy_signals

    lit = {name: array for name, array in arrays.items() if name != "emission" or "color" not in arrays}
    for lobe, factor in LOBES.items():
        if lobe in signals and factor not in lit:
            lit[factor] = np.ones_like(signals[lobe])
    after = compose(lit, signals)
    if "color" not in arrays:
        return after
    noisy = {name: _finite(signal) for name, signal in noisy_signals(arrays).items() if name in signals}
    beauty, before, rest = _finite(arrays["color"]), compose(lit, noisy), _finite(arrays.get("rest", np.zeros(3)))
    left = beauty - before - rest
    rounding = precision * (np.abs(beauty) + np.abs(before) + np.abs(rest))
    return np.asarray(after + rest + np.where(np.abs(left) > rounding, left, 0), np.float32)


def shares(parts: list[Image]) -> list[Image]:
    """What part of their sum each of several noisy images has, taken from the neighbourhood of each pixel; they sum to 1."""
    if len(parts) == 1:
        return [np.ones_like(parts[0])]
    sums = [_local_sum(np.maximum(_finite(part), 0)) for part in parts]
    total = np.maximum(sum(sums), np.finfo(np.float32).tiny)
    split = [some / total for some in sums[1:]]
    return [np.asarray(1 - sum(split)), *split]


def _local_sum(image: Image) -> Image:
    """Sum over the 9x9 pixels around each pixel, as far as they are in the image."""
    for axis in (0, 1):
        padding = [(4, 4) if axis == other else (0, 0) for other in range(image.ndim)]
        padded = sums = np.pad(image, padding)
        for width in (1, 2, 4):  # sums of 2, 4, 8 pixels
            sums = _cut(sums, axis, 0, -width) + _cut(sums, axis, width, None)
        image = _cut(sums, axis, 0, image.shape[axis]) + _cut(padded, axis, 8, None)
    return image


def _cut(image: Image, axis: int, first: int, last: int | None) -> Image:
    return image[first:last] if axis == 0 else image[:, first:last]


def _finite(image: Image) -> Image:
    return np.nan_to_num(np.asarray(image, np.float32), nan=0, posinf=0, neginf=0)
