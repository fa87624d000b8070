# SPDX-License-Identifier: Apache-2.0
"""What the camera sees without light: the guides of a frame, the way of each surface point since the last frame."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import geometry as g
from .geometry import World, nearest, off_surface, surface, world_normal
from .kernels import Vec, along, compiled, dot, kernel, length, luminance, normalized, put, scale, sub
from .tracer import Surfaces, material, radiance, sky, unshadowed

SKY_Z = 1e7


class Eye(NamedTuple):
    """A camera as numbers: where it is, its axes, and how pixels lie in its view."""

    position: Vec
    right: Vec
    up: Vec
    forward: Vec
    tangent: Vec  # half the view's width and height at depth 1; size of a pixel there
    size: tuple[float, float]  # of the image in pixels: width, height


class Guides(NamedTuple):
    """Arrays of one frame; (H, W[, 3]), for each light where it says so."""

    view_z: NDArray[np.float64]
    normal: NDArray[np.float64]
    motion: NDArray[np.float64]
    emission: NDArray[np.float64]
    unshadowed: NDArray[np.float64]  # (lights, H, W, 3)
    object_id: NDArray[np.int64]
    material_id: NDArray[np.int64]
    disoccluded: NDArray[np.bool_]


@kernel
def primary(
    world: World,
    previous: World,
    eye: Eye,
    previous_eye: Eye,
    jitter: tuple[float, float],
    find_disoccluded: bool,
    hits: Surfaces,
    out: Guides,
    y0: int,
    y1: int,
) -> None:
    """Fill `hits` and `out` for the rows y0 <= y < y1, but for the factors of `hits`.

    previous, previous_eye  the frame that motion refers to; its shapes are the same, in other places
    jitter                  where in a pixel its ray goes, from the centre; pixels, x right, y down
    find_disoccluded        whether to trace back which points were hidden or off screen then
    """
    for y in range(y0, y1):
        for x in range(out.view_z.shape[1]):
            px, py = x + 0.5 + jitter[0], y + 0.5 + jitter[1]
            direction = ray(eye, px, py)
            s, _ = nearest(world, eye.position, direction)
            if s < 0:
                put(out.emission, y, x, sky(world, direction))
                out.view_z[y, x] = SKY_Z
                hits.shape[y, x], hits.roughness[y, x] = -1, 1.0
                old_x, old_y, depth = projected(previous_eye, direction)
                put(out.motion, y, x, (old_x - px, old_y - py, 0.0))
                if find_disoccluded:
                    out.disoccluded[y, x] = (
                        not on_screen(previous_eye, old_x, old_y, depth)
                        or nearest(previous, previous_eye.position, direction)[0] >= 0
                    )
                continue

            t, p_local, n_local = surface(world, s, eye.position, direction)
            position = along(eye.position, direction, t)
            n = world_normal(world, s, n_local)
            to_eye = scale(direction, -1.0)
            view_z = t * dot(direction, eye.forward)
            out.view_z[y, x] = view_z
            put(out.normal, y, x, n)
            out.object_id[y, x] = np.int64(world.shapes[s, g.OBJECT])
            out.material_id[y, x] = np.int64(world.shapes[s, g.MATERIAL]) + 1

            old_position = g.point(previous.shapes, s, g.TO_WORLD, p_local)
            old_x, old_y, depth = projected(previous_eye, sub(old_position, previous_eye.position))
            put(out.motion, y, x, (old_x - px, old_y - py, depth - view_z))
            if find_disoccluded:
                out.disoccluded[y, x] = not on_screen(previous_eye, old_x, old_y, depth) or hidden(
                    previous, previous_eye.position, old_position
                )

            emitted = radiance(world, s, n_local)
            put(out.emission, y, x, emitted)
            if luminance(emitted) > 0.0:
                hits.shape[y, x], hits.roughness[y, x] = -1, 1.0
                continue
            footprint = view_z * eye.tangent[2] / sqrt(max(dot(n, to_eye), 0.05))
            albedo, f0, roughness = material(world, s, p_local, n_local, footprint)
            hits.shape[y, x] = s
            put(hits.position, y, x, position)
            put(hits.normal, y, x, n)
            put(hits.to_eye, y, x, to_eye)
            put(hits.albedo, y, x, albedo)
            put(hits.f0, y, x, f0)
            hits.roughness[y, x] = roughness if luminance(f0) > 0.0 else 1.0
            origin = off_surface(position, n)
            for k in range(world.light_count):
                put(out.unshadowed[k], y, x, unshadowed(world, k, origin, n, to_eye, albedo, f0, roughness))


@compiled
def ray(eye: Eye, px: float, py: float) -> Vec:
    """Direction through a point of the image, in pixels."""
    x = (2.0 * px / eye.size[0] - 1.0) * eye.tangent[0]
    y = (1.0 - 2.0 * py / eye.size[1]) * eye.tangent[1]
    return normalized(along(along(eye.forward, eye.right, x), eye.up, y))


@compiled
def projected(eye: Eye, path: Vec) -> Vec:
    """Where in the image a path from the eye ends, in pixels, and its depth; far outside if that is not positive."""
    depth = dot(path, eye.forward)
    z = max(depth, 1e-3)
    x = dot(path, eye.right) / (z * eye.tangent[0])
    y = dot(path, eye.up) / (z * eye.tangent[1])
    return (0.5 + 0.5 * x) * eye.size[0], (0.5 - 0.5 * y) * eye.size[1], depth


@compiled
def on_screen(eye: Eye, px: float, py: float, depth: float) -> bool:
    return depth > 0.0 and 0.0 <= px < eye.size[0] and 0.0 <= py < eye.size[1]


@compiled
def hidden(world: World, origin: Vec, target: Vec) -> bool:
    """Whether something stands before a surface point, its own shape included."""
    path = sub(target, origin)
    distance = length(path)
    direction = scale(path, 1.0 / distance)
    s, _ = nearest(world, origin, direction)
    return s >= 0 and surface(world, s, origin, direction)[0] < distance * (1.0 - 1e-5) - 1e-5
