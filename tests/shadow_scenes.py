# SPDX-License-Identifier: Apache-2.0
"""Shadows on walls for the tests of SIGMA: one ray a pixel and light, drawn from a visibility that is known.

The standard wall is seen straight on by an orthographic camera whose pixels are 1 world unit, so that lengths are pixels. A
penumbra of width w, as in the specification, is a ramp of full width 4 w.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import scenes
from scenes import View, guides

import denoise as dn

Array = npt.NDArray[Any]

DEPTH = 100.0  # of the standard wall
TANGENT = 0.2  # of the standard sun's angular radius
SUN = dn.Light.directional((0, 0, -1), TANGENT)  # shines along the view


def occluder(width: float, tangent: float = TANGENT) -> float:
    """Distance of the occluder that casts a penumbra of this width under a directional light."""
    return 2 * width / tangent


def ortho(width: int, height: int, **view: Any) -> View:
    """A camera whose pixels are 1 world unit."""
    return View(width, height, lens=scenes.orthographic(width, height, span=height), **view)


def wall(width: int, height: int, before: View | None = None, **view: Any) -> dict[str, Any]:
    """Guides of the standard wall, as keywords of a denoiser."""
    camera = ortho(width, height, **view)
    return {**guides(camera, camera.plane((0, 0, DEPTH)), before), "light": SUN}


def positions(width: int, height: int, angle: float = 0.0) -> Array:
    """Distance (H, W) of each pixel's centre from the line through the picture's middle whose normal has this angle with
    the x axis, radians."""
    x, y = np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2
    result: Array = x * np.cos(angle) + y[:, None] * np.sin(angle)
    return result


def ramp(position: Array, width: float) -> Array:
    """Visibility across a straight edge."""
    return np.clip(0.5 + position / (4 * width), 0, 1)


def rays(visibility: Any, distance: Any, rng: np.random.Generator) -> Array:
    """Occluder distances (H, W) of one ray a pixel."""
    lit = rng.random(np.shape(visibility)) < visibility
    return np.where(lit, np.inf, distance).astype(np.float32)


def noisy(
    guides: dict[str, Any], width: float, frames: int, angle: float = 0.3, seed: int = 1
) -> tuple[list[dict[str, Any]], Array]:
    """Frames of the standard wall with a straight edge through the middle, and its visibility (H, W)."""
    height, across = guides["view_z"].shape
    visibility = ramp(positions(across, height, angle), width)
    rng = np.random.default_rng(seed)
    return [{**guides, "occluder_distance": rays(visibility, occluder(width), rng)} for _ in range(frames)], visibility


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def run(
    frames: Iterable[dict[str, Any]],
    settings: dn.SigmaSettings | None = None,
    *,
    outputs: tuple[str, ...] = (),
    device: str = "auto",
) -> Iterator[dn.Result]:
    """Denoises frames of one size with a new instance."""
    denoiser = None
    for frame in frames:
        if denoiser is None:
            height, width = frame["view_z"].shape
            denoiser = dn.Sigma(width, height, device=device, settings=settings, outputs=outputs)
        yield denoiser(**frame)


def shadows(*args: Any, **kwargs: Any) -> Array:
    """All shadows of `run` (frames, H, W[, 3])."""
    return np.stack([result.shadow for result in run(*args, **kwargs)])


def profile(picture: Array, position: Array) -> tuple[Array, Array]:
    """Mean of a picture's pixels by position, in bins of half a pixel: where, and how much."""
    bins = np.round(2 * position).astype(int)
    first = bins.min()
    count = np.bincount((bins - first).ravel())
    total = np.bincount((bins - first).ravel(), picture.ravel())
    full = count >= 20  # those with less hold more noise than bias
    return (np.flatnonzero(full) + first) / 2, total[full] / count[full]
