# SPDX-License-Identifier: Apache-2.0
"""Procedural textures: the share that a material's second colour has at (u, v), averaged over a square footprint."""

from __future__ import annotations

from math import floor, sin, sqrt

import numpy as np

from .kernels import compiled

NAMES = ("plain", "checker", "stripes", "tiles", "bricks", "planks", "rings", "dots", "marble", "clouds")
PLAIN, CHECKER, STRIPES, TILES, BRICKS, PLANKS, RINGS, DOTS, MARBLE, CLOUDS = range(len(NAMES))


MEANS = (0.0, 0.5, 0.5, 0.06, 0.43, 0.5, 0.5, 0.283, 0.17, 0.5)  # of each


@compiled
def texture(kind: int, u: float, v: float, width: float) -> float:
    """Share of the second colour, in [0, 1].

    kind   one of the constants above
    u, v   position in cells of the texture
    width  side of the footprint that is averaged, in cells; patterns without a filter fade to their mean instead
    """
    if kind == CHECKER:
        a, b = pulse(0.5 * u, 0.5, 0.5 * width), pulse(0.5 * v, 0.5, 0.5 * width)
        return a + b - 2.0 * a * b
    if kind == STRIPES:
        return pulse(u, 0.5, width)
    if kind == TILES:
        return 1.0 - (1.0 - pulse(u, 0.03, width)) * (1.0 - pulse(v, 0.03, width))
    if kind == BRICKS:
        row = floor(2.0 * v)
        joint = 1.0 - (1.0 - pulse(u + 0.5 * row, 0.04, width)) * (1.0 - pulse(2.0 * v, 0.08, 2.0 * width))
        brick = 0.7 * cell(floor(u + 0.5 * row), row)
        return max(joint, brick)
    if kind == PLANKS:
        column = floor(u)
        shifted = v / 6.0 + cell(column, 0)
        gap = max(pulse(u, 0.02, width), pulse(shifted, 0.004, width / 6.0))
        board = cell(column, floor(shifted))
        grain = faded(noise(10.0 * u + 50.0 * board, 0.6 * v), 0.5, 5.0 * width)
        return max(gap, 0.55 * board + 0.45 * grain)
    if kind == RINGS:
        return pulse(sqrt(u * u + v * v), 0.5, width)
    if kind == DOTS:
        x, y = u - floor(u) - 0.5, v - floor(v) - 0.5
        inside = 0.5 + (0.3 - sqrt(x * x + y * y)) / max(width, 1e-3)
        return faded(min(max(inside, 0.0), 1.0), MEANS[DOTS], 0.5 * width)
    if kind == MARBLE:
        vein = 1.0 - abs(sin(3.0 * (u + 0.6 * v) + 5.0 * clouds(1.7 * u, 1.7 * v)))
        return faded(vein * vein * vein, MEANS[MARBLE], width)
    if kind == CLOUDS:
        return faded(clouds(u, v), MEANS[CLOUDS], width)
    return 0.0


@compiled
def pulse(x: float, duty: float, width: float) -> float:
    """A train of pulses, 1 for the first `duty` of each unit and 0 for the rest, averaged over [x ± width / 2]."""
    w = max(width, 1e-4)
    a, b = x - 0.5 * w, x + 0.5 * w
    before = floor(a) * duty + min(a - floor(a), duty)
    after = floor(b) * duty + min(b - floor(b), duty)
    return (after - before) / w


@compiled
def faded(value: float, mean: float, width: float) -> float:
    """The value for a small footprint, the mean for one of a cell or more."""
    return value + (mean - value) * min(width, 1.0)


@compiled
def cell(i: int, j: int) -> float:
    """A random number in [0, 1) for each point of the integer lattice."""
    h = np.uint32(i) * np.uint32(0x8DA6B343) ^ np.uint32(j) * np.uint32(0xD8163841)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    h = (h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39)
    return np.float64((h ^ (h >> np.uint32(15))) & np.uint32(0xFFFFFF)) * 2.0**-24


@compiled
def noise(x: float, y: float) -> float:
    """Value noise in [0, 1): random numbers on the lattice, smoothly interpolated."""
    i, j = floor(x), floor(y)
    s, t = x - i, y - j
    s, t = s * s * (3.0 - 2.0 * s), t * t * (3.0 - 2.0 * t)
    low = cell(i, j) + (cell(i + 1, j) - cell(i, j)) * s
    high = cell(i, j + 1) + (cell(i + 1, j + 1) - cell(i, j + 1)) * s
    return low + (high - low) * t


@compiled
def clouds(x: float, y: float) -> float:
    """Three octaves of noise, in [0, 1)."""
    return (4.0 * noise(x, y) + 2.0 * noise(2.0 * x + 7.1, 2.0 * y) + noise(4.0 * x, 4.0 * y + 3.7)) / 7.0
