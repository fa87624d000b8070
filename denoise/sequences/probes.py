# SPDX-License-Identifier: Apache-2.0
"""What `validate` looks at: a few frames of a sequence with their neighbours, on a grid of pixels, and reprojection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.frame import Camera
from denoise.overlay import projected, world_points

from .sequence import Arrays, Sequence

Array = NDArray[Any]

SAMPLES = 20_000  # pixels of a frame that are looked at
BLOCKS = 16  # of the shorter side: pixels of one block are no independent witnesses
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])

# By how much a guide may differ between frames before it counts as another surface's.
_FEATURES = {"albedo": 0.1, "normal": 0.3, "roughness": 0.1, "f0": 0.1}


@dataclass
class Shot:
    """One frame. Checks mend its arrays and camera as they go, so that later ones judge what is right."""

    index: int
    arrays: Arrays
    camera: Camera | None
    sky: float

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.arrays["view_z"].shape
        return height, width

    @property
    def jitter(self) -> Array:
        return np.array(self.camera.jitter if self.camera else (0.0, 0.0))

    def depth(self, rows: Array, columns: Array) -> Array:
        """Of these pixels, float64, without sign; inf where there is sky."""
        z = np.abs(self.arrays["view_z"][rows, columns].astype(np.float64))
        return np.where(z < self.sky, z, np.inf)


@dataclass
class Probe:
    """A frame with those before and after it (if there are), and the pixels of it that are looked at, all flat.

    rows, columns  indices
    block          number of the block that a pixel is in
    step           pixels between the pixels looked at
    """

    now: Shot
    before: Shot | None
    after: Shot | None
    rows: Array = field(init=False)
    columns: Array = field(init=False)
    block: Array = field(init=False)
    step: int = field(init=False)

    def __post_init__(self) -> None:
        height, width = self.now.shape
        self.step = step = max(1, round((height * width / SAMPLES) ** 0.5))
        rows, columns = np.mgrid[step // 2 : height : step, step // 2 : width : step]
        size = max(4 * step, min(height, width) // BLOCKS)
        self.rows, self.columns = rows.ravel(), columns.ravel()
        self.block = self.rows // size * (width // size + 1) + self.columns // size

    def of(self, name: str, down: int = 0, right: int = 0) -> Array:
        """An array at the pixels, or that many pixels beside them (clamped to the picture); float64."""
        return np.asarray(self.now.arrays[name][self.pixels(down, right)], np.float64)

    def pixels(self, down: int = 0, right: int = 0) -> tuple[Array, Array]:
        """Rows and columns of the pixels, or of those beside them, clamped to the picture."""
        height, width = self.now.shape
        return (self.rows + down).clip(0, height - 1), (self.columns + right).clip(0, width - 1)

    def only(self, wanted: Array) -> Probe:
        """The same frames, at some of the pixels."""
        probe = copy(self)
        probe.rows, probe.columns, probe.block = (a[wanted] for a in (self.rows, self.columns, self.block))
        return probe

    @property
    def surface(self) -> Array:
        """Whether there is a surface, not sky."""
        return np.isfinite(self.depth())

    def depth(self, down: int = 0, right: int = 0) -> Array:
        return self.now.depth(*self.pixels(down, right))

    def places(self, down: int = 0, right: int = 0) -> tuple[Array, Array]:
        """x and y of what a pixel shows, in pixels from the corner of the picture, without jitter."""
        jitter = self.now.jitter
        return self.columns + right + 0.5 + jitter[0], self.rows + down + 0.5 + jitter[1]

    def points(self, down: int = 0, right: int = 0) -> Array:
        """(N, 3) world space; nan at the sky."""
        assert self.now.camera is not None
        depth = self.depth(down, right)
        x, y = self.places(down, right)
        known = np.where(depth < np.inf, depth, np.nan)
        return np.asarray(world_points(self.now.camera, known, x, y, self.now.shape))

    def neighbour(self, frames: str) -> Shot | None:
        """The frame that motion leads to: of "current" motion the one before, of "next" the one after."""
        return self.before if frames == "current" else self.after


def choose(sequence: Sequence, frames: Iterable[int] | None = None, count: int = 3) -> list[Probe]:
    """`count` frames spread over those asked for (default all), each with its neighbours. All but the first have one
    before: their motion refers to it."""
    wanted = [i for i in (frames if frames is not None else range(sequence.num_frames)) if i < sequence.num_frames]
    inner = [i for i in wanted if 0 < i < sequence.num_frames - 1] or [i for i in wanted if i] or wanted
    picked = {inner[round((k + 0.5) / count * len(inner) - 0.5)] for k in range(count)}
    references = [i for i in sequence.reference_frames if i in inner]
    if references and not picked.intersection(references):  # one of them with a reference
        middle = references[len(references) // 2]
        picked = picked - {min(picked, key=lambda i: abs(i - middle))} | {middle}
    loaded: dict[int, Shot] = {}

    def shot(index: int) -> Shot | None:
        if not 0 <= index < sequence.num_frames:
            return None
        if index not in loaded:
            loaded[index] = Shot(index, dict(sequence.frames[index]), None, sequence.view_z_sky)
        return loaded[index]

    probes = []
    for index in sorted(picked):
        now = shot(index)
        assert now is not None
        probes.append(Probe(now, shot(index - 1), shot(index + 1)))
    return probes


def shots(probes: Iterable[Probe]) -> list[Shot]:
    """Every frame of the probes, once."""
    found = {shot.index: shot for probe in probes for shot in (probe.before, probe.now, probe.after) if shot}
    return [found[index] for index in sorted(found)]


def looked_up(array: Array, x: Array, y: Array) -> Array:
    """An array at places in pixels, bilinear; clamped to the picture."""
    height, width = array.shape[:2]
    u, v = np.clip(x - 0.5, 0, width - 1), np.clip(y - 0.5, 0, height - 1)
    left, top = u.astype(int), v.astype(int)
    right, low = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    extra = (1,) * (array.ndim - 2)
    s, t = (u - left).reshape(-1, *extra), (v - top).reshape(-1, *extra)
    taps = [array[row, column].astype(np.float64) for row in (top, low) for column in (left, right)]
    return np.asarray((taps[0] * (1 - s) + taps[1] * s) * (1 - t) + (taps[2] * (1 - s) + taps[3] * s) * t)


def camera_motion(probe: Probe, target: Shot) -> Array:
    """(N, 3) motion that still things have between two frames by their cameras: x, y [pixels], depth."""
    assert target.camera is not None
    x, y = probe.places()
    there = projected(target.camera, probe.points(), probe.now.shape)
    return np.stack([there[0] - x, there[1] - y, there[2] - probe.depth()], -1)


def mismatch(probe: Probe, target: Shot, motion: Array) -> Array:
    """(N,) how much the guides of another frame differ where motion (N, 2 or 3) leads, from 0 to 1; nan off-screen.

    Guides that belong to a surface itself tell whether it is the same: its numbers, texture, normal, and depth."""
    height, width = probe.now.shape
    x, y = (place + motion[:, k] - target.jitter[k] for k, place in enumerate(probe.places()))
    with np.errstate(invalid="ignore"):
        on_screen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = np.where(on_screen, x, 0), np.where(on_screen, y, 0)
    nearest = y.astype(int), x.astype(int)
    costs = []
    for name, scale in _FEATURES.items():
        if name in probe.now.arrays and name in target.arrays:
            difference = np.abs(looked_up(target.arrays[name], x, y) - probe.of(name))
            costs.append(np.minimum(difference.reshape(len(x), -1).max(-1) / scale, 1))
    for name in ("object_id", "material_id"):
        if name in probe.now.arrays and name in target.arrays:
            costs.append((target.arrays[name][nearest] != probe.of(name)).astype(np.float64))
    depth = probe.depth() + (motion[:, 2] if motion.shape[1] > 2 else 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(target.depth(*nearest) / depth - 1)
    costs.append(np.minimum(np.where(np.isnan(ratio), 1, ratio) / 0.05, 1))
    return np.where(on_screen & probe.surface, np.mean(costs, axis=0), np.nan)


def pooled(probes: Iterable[Probe], look: Callable[[Probe], Array | None]) -> tuple[Array, Array]:
    """What `look` finds at the pixels of all probes, in one array, and their blocks, numbered through."""
    values, blocks, first = [], [], 0
    for probe in probes:
        found = look(probe)
        if found is not None:
            values.append(found)
            blocks.append(probe.block + first)
            first = int(blocks[-1].max(initial=first)) + 1
    if not values:
        return np.zeros(0), np.zeros(0, int)
    return np.concatenate(values), np.concatenate(blocks)


def significance(gain: Array, blocks: Array) -> float:
    """By how many of its standard errors a mean is above 0, when only blocks are independent of each other."""
    if not len(gain):
        return 0.0
    _, number = np.unique(blocks, return_inverse=True)
    sums = np.bincount(number, gain)
    return float(sums.sum() / max(np.sqrt((sums * sums).sum()), 1e-30))
