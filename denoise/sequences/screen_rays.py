# SPDX-License-Identifier: Apache-2.0
"""Hit distances where a renderer gives none: rays through the depth buffer.

What a ray would meet is often on screen. From each pixel, rays are followed through the picture until they are behind the
depth there, but not so far behind that they pass at the back. Diffuse: the mean of a few rays around the normal, of
which those that find nothing count as half of what the picture shows at that depth. Specular: the ray in the lobe's main
direction; where it finds nothing, the same length. Lengths follow the picture, whatever the unit of the scene.
"""

from __future__ import annotations

import numpy as np

from .view import Array, View

RAYS = 8  # of the diffuse lobe
STEPS = 32
NOTHING = 0.5  # what a ray that finds nothing counts as, times View.span

_FIRST, _LAST = 0.005, 5.0  # distances of the first and the last step, times span
_ABOVE = 0.0025  # where rays start above the surface, times span: depth buffers have steps
_THICKNESS = 0.1  # of things, times span: a ray that far behind one passes at its back
_FAR = np.float32(1e30)  # the depth of the sky
_PIXELS = 300_000  # rays of a lobe are followed for so many pixels at most; the others take the distance of a neighbour


def screen_hit_distances(view_z: Array, normal: Array, view: View, roughness: Array | None = None) -> Array:
    """Estimated lengths (H, W) float32 of the first rays of a lobe, in world units; 0 for sky.

    view_z     (H, W)
    normal     (H, W, 3) world space
    roughness  (H, W) linear, for the specular lobe; None for the diffuse one
    """
    depth = np.abs(np.asarray(view_z, np.float32))
    step = max(1, int(np.ceil(np.sqrt(depth.size / _PIXELS))))
    coarse = (slice(step // 2, None, step),) * 2 if step > 1 and min(depth.shape) > 2 * step else (slice(None),) * 2
    pixels = view.pixels[coarse]
    surface = view.is_surface(depth)[coarse]
    found = np.zeros(surface.shape, np.float32)
    if surface.any():
        points = view.points(depth[coarse][surface], pixels[surface]).astype(np.float32)
        normals = view.rotate(np.asarray(normal, np.float32)[coarse][surface]).astype(np.float32)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
        rough = None if roughness is None else np.asarray(roughness, np.float32)[coarse][surface]
        found[surface] = _lobe(points, normals, rough, depth, view)
    if found.shape == depth.shape:
        return found
    return _spread(found, depth, depth[coarse], step, view)


def _lobe(points: Array, normals: Array, roughness: Array | None, depth: Array, view: View) -> Array:
    span = view.span(np.float32(view.sign) * points[:, 2]).astype(np.float32)
    start = points + normals * (np.float32(_ABOVE) * span)[:, None]
    if roughness is not None:
        lengths = _follow(start, main_direction(points, normals, roughness, view), span, depth, view)
        return np.where(lengths > 0, lengths, np.float32(NOTHING) * span)
    total = np.zeros(len(points), np.float32)
    tangents = _tangents(normals)
    for x, y, z in _cosine_directions(RAYS):
        lengths = _follow(start, tangents[0] * x + tangents[1] * y + normals * z, span, depth, view)
        total += np.where(lengths > 0, np.minimum(lengths, span), np.float32(NOTHING) * span)
    return total / np.float32(RAYS)


def _follow(start: Array, direction: Array, span: Array, depth: Array, view: View) -> Array:
    """Distances (N,) at which rays from view-space points first pass behind the depth buffer; 0 where none is found."""
    height, width = depth.shape
    surface_depth = np.where(view.is_surface(depth), depth, _FAR).ravel()
    found = np.zeros(len(start), np.float32)
    alive = np.arange(len(start))
    ratio = np.float32((_LAST / _FIRST) ** (1 / (STEPS - 1)))
    length, before = np.float32(_FIRST) * span, np.zeros_like(span)
    gap_before = np.float32(-_ABOVE) * span
    clip = view.view_to_clip.astype(np.float32)
    for _ in range(STEPS):
        x, y, z = (start[:, k] + direction[:, k] * length for k in range(3))
        ray_depth = np.float32(view.sign) * z
        w = clip[3, 2] * z + clip[3, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            column = ((clip[0, 0] * x + clip[0, 2] * z + clip[0, 3]) / w + 1) * np.float32(width / 2)
            row = (1 - (clip[1, 1] * y + clip[1, 2] * z + clip[1, 3]) / w) * np.float32(height / 2)
            kept = (ray_depth > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
        place = np.where(kept, row, 0).astype(np.int32) * width + np.where(kept, column, 0).astype(np.int32)
        gap = ray_depth - surface_depth[place]
        least = np.float32(_ABOVE) * span
        most = np.maximum(np.float32(_THICKNESS) * span, 1.5 * (length - before) * np.abs(direction[:, 2]))
        hit = kept & (gap > least) & (gap < most) & (gap_before <= least)
        share = np.clip(-gap_before[hit] / (gap - gap_before)[hit], 0, 1)  # of the step, where the ray goes under
        found[alive[hit]] = before[hit] + share * (length - before)[hit]
        kept &= ~hit
        if not kept.any():
            break
        alive, start, direction, span = alive[kept], start[kept], direction[kept], span[kept]
        gap_before, before, length = gap[kept], length[kept], length[kept] * ratio
    return found


def main_direction(points: Array, normals: Array, roughness: Array, view: View) -> Array:
    """The direction (N, 3) around which the specular lobe's rays go: the mirrored one for a mirror, towards the normal
    with the roughness. The fit of S. Lagarde and C. de Rousiers, "Moving Frostbite to PBR", 2014, listing 22."""
    if view.orthographic:
        to_eye = np.broadcast_to(np.array([0, 0, -view.sign], np.float32), points.shape)
    else:
        to_eye = -points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    mirrored = 2 * (normals * to_eye).sum(axis=1, keepdims=True) * normals - to_eye
    smooth = np.clip(1 - roughness, 0, 1)[:, None]
    share = smooth * (np.sqrt(smooth) + 1 - smooth)
    direction = normals + (mirrored - normals) * share
    return np.asarray(direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6), np.float32)


def _cosine_directions(count: int) -> Array:
    """Directions (count, 3) around +z with the density of the cosine, spread evenly."""
    u = (np.arange(count) + 0.5) / count
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    return np.stack([np.sqrt(u) * np.cos(angle), np.sqrt(u) * np.sin(angle), np.sqrt(1 - u)], 1).astype(np.float32)


def _tangents(normals: Array) -> tuple[Array, Array]:
    """Two vectors at right angles to each normal and to each other: T. Duff et al., "Building an Orthonormal Basis,
    Revisited", JCGT 2017."""
    x, y, z = normals.T
    sign = np.where(z >= 0, np.float32(1), np.float32(-1))
    a = -1 / (sign + z)
    b = x * y * a
    return np.stack([1 + sign * x * x * a, sign * b, -sign * x], 1), np.stack([b, sign + y * y * a, -y], 1)


def _spread(found: Array, depth: Array, coarse_depth: Array, step: int, view: View) -> Array:
    """Coarse distances at all pixels: of the four around, that of the one at the most alike depth."""
    height, width = depth.shape
    surface = view.is_surface(depth)
    y, x = ((np.arange(size) - step // 2) // step for size in (height, width))
    best, result = np.full(depth.shape, np.inf, np.float32), np.zeros(depth.shape, np.float32)
    for dy in (0, 1):
        for dx in (0, 1):
            rows, columns = np.clip(y + dy, 0, len(found) - 1), np.clip(x + dx, 0, found.shape[1] - 1)
            near = np.ix_(rows, columns)
            with np.errstate(invalid="ignore"):
                apart = np.abs(coarse_depth[near] - depth) + np.where(found[near] > 0, 0, depth)
            closer = apart < best
            best, result = np.where(closer, apart, best), np.where(closer, found[near], result)
    lost = surface & (result <= 0)
    result[lost] = NOTHING * view.span(depth[lost])
    return np.where(surface, result, 0).astype(np.float32)
