# SPDX-License-Identifier: Apache-2.0
"""What all compiled code of the testbed shares: the compiler's settings, vectors as tuples, random numbers."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Int = int | np.integer[Any]
Vec = tuple[float, float, float]
Function = TypeVar("Function", bound=Callable[..., object])

# Sums in any order, division by 0 unchecked.
ARITHMETIC: dict[str, Any] = {"fastmath": True, "error_model": "numpy"}
# What only calls from Python need is left out, which saves a third of the time that compilation takes.
INTERNAL: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def kernel(function: Function) -> Function:
    """Compile with numba for calls from Python: kept on disk, without the GIL."""
    return cast(Function, njit(cache=True, nogil=True, **ARITHMETIC)(function))


def compiled(function: Function) -> Function:
    """Compile with numba for calls from kernels."""
    return cast(Function, njit(**ARITHMETIC, **INTERNAL)(function))


@compiled
def add(a: Vec, b: Vec) -> Vec:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@compiled
def sub(a: Vec, b: Vec) -> Vec:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@compiled
def mul(a: Vec, b: Vec) -> Vec:
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


@compiled
def scale(a: Vec, s: float) -> Vec:
    return a[0] * s, a[1] * s, a[2] * s


@compiled
def along(origin: Vec, direction: Vec, t: float) -> Vec:
    return origin[0] + t * direction[0], origin[1] + t * direction[1], origin[2] + t * direction[2]


@compiled
def mix(a: Vec, b: Vec, t: float) -> Vec:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t


@compiled
def dot(a: Vec, b: Vec) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@compiled
def length(a: Vec) -> float:
    return sqrt(dot(a, a))


@compiled
def normalized(a: Vec) -> Vec:
    return scale(a, 1.0 / sqrt(dot(a, a)))


@compiled
def at(image: NDArray[np.float64], y: int, x: int) -> Vec:
    return image[y, x, 0], image[y, x, 1], image[y, x, 2]


@compiled
def put(image: NDArray[np.float64], y: int, x: int, value: Vec) -> None:
    image[y, x, 0], image[y, x, 1], image[y, x, 2] = value


@compiled
def luminance(c: Vec) -> float:
    """Of linear RGB with Rec. 709 primaries."""
    return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]


@compiled
def to_world(local: Vec, n: Vec) -> Vec:
    """A vector given in a frame whose z axis is the unit vector n.

    The frame is the one of Duff et al., "Building an Orthonormal Basis, Revisited", JCGT 6(1), 2017.
    """
    sign = 1.0 if n[2] >= 0 else -1.0
    a = -1.0 / (sign + n[2])
    b = n[0] * n[1] * a
    tangent = (1.0 + sign * n[0] * n[0] * a, sign * b, -sign * n[0])
    bitangent = (b, sign + n[1] * n[1] * a, -n[1])
    return (
        local[0] * tangent[0] + local[1] * bitangent[0] + local[2] * n[0],
        local[0] * tangent[1] + local[1] * bitangent[1] + local[2] * n[1],
        local[0] * tangent[2] + local[1] * bitangent[2] + local[2] * n[2],
    )


@compiled
def to_local(world: Vec, n: Vec) -> Vec:
    """The inverse of `to_world`."""
    sign = 1.0 if n[2] >= 0 else -1.0
    a = -1.0 / (sign + n[2])
    b = n[0] * n[1] * a
    tangent = (1.0 + sign * n[0] * n[0] * a, sign * b, -sign * n[0])
    bitangent = (b, sign + n[1] * n[1] * a, -n[1])
    return dot(world, tangent), dot(world, bitangent), dot(world, n)


@compiled
def hashed(key: Int, value: Int) -> np.uint64:
    """A new 64-bit key out of a key and a number: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    x = np.uint64(key) + (np.uint64(value) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled
def uniform(key: Int, choice: Int) -> float:
    """Random number in [0, 1): each choice that a path makes has a number of its own, so nothing depends on order."""
    return np.float64(np.int64(hashed(key, choice) >> np.uint64(11))) * 2.0**-53
