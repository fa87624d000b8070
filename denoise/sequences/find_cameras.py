# SPDX-License-Identifier: Apache-2.0
"""Cameras where a renderer's files say nothing of them: from world positions, or from motion and the field of view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import radians, tan
from typing import Any

import numpy as np

from denoise.settings import FrameSettings

from .view import Array, View, turn

Camera = dict[str, Any]

_SAMPLES = 4000  # pixels of a frame that are looked at
_PASSES = 12  # of the robust fit
_NEAR = 0.1  # of the projections made here; nothing but x, y and w of clip space is ever used


def camera_from_position(position: Array, view_z: Array | None = None) -> Camera:
    """The camera of a frame, as an entry of `cameras` in sequence.json, from its world positions (H, W, 3).

    position  what is 0 or not finite is sky
    view_z    (H, W): needed where all that is seen is one plane, which many cameras see alike

    Exact: a projection has 11 numbers, which points and their pixels determine. Of a plane, the camera's picture is taken
    to be centred, and the world to be right-handed.

    ValueError where fewer than 24 pixels show a surface, for a plane without view_z, and where no pinhole camera sees the
    points at their pixels. R. Hartley and A. Zisserman, "Multiple View Geometry", 2nd ed., ch. 6 and 7.
    """
    position = np.asarray(position, np.float64)
    height, width = position.shape[:2]
    with np.errstate(invalid="ignore"):
        surface = np.asarray(np.isfinite(position).all(axis=2) & position.any(axis=2))
    rows, columns = _some(surface)
    if len(rows) < 24:
        raise ValueError(f"camera: {len(rows)} pixels have a position, too few to find it from")
    points = position[rows, columns]
    ndc = np.stack([(2 * columns + 1) / width - 1, 1 - (2 * rows + 1) / height], 1)
    middle = points.mean(axis=0)
    _, spread, axes = np.linalg.svd(points - middle, full_matrices=False)
    if spread[2] > 1e-4 * spread[0]:
        matrix, offset = _projection(points - middle, ndc)
    elif view_z is not None:
        matrix, offset = _projection_of_plane((points - middle) @ axes[:2].T, axes, ndc, view_z[rows, columns])
    else:
        raise ValueError("camera: all positions lie in one plane, which many cameras see alike; give view_z as well")
    # Rows 1 and 2 are mixtures of the axes, and row 3 is the direction of view.
    forward = matrix[2]
    shift_x, shift_y = (float(matrix[k] @ forward) for k in (0, 1))
    right, up = matrix[0] - shift_x * forward, matrix[1] - shift_y * forward
    scale_x, scale_y = float(np.linalg.norm(right)), float(np.linalg.norm(up))
    rotation = np.stack([right / scale_x, up / scale_y, forward])
    mixture = np.array([[scale_x, 0, shift_x], [0, scale_y, shift_y], [0, 0, 1]])
    move = np.linalg.solve(mixture, offset - matrix @ middle)
    camera = _camera(np.column_stack([rotation, move]), scale_x, scale_y, shift_x, shift_y)
    view = View(camera, width, height)
    seen, _ = view.project(view.to_view(points))
    error = np.abs(seen - np.stack([columns + 0.5, rows + 0.5], 1))
    if not np.median(error) < 0.6 or abs(float(right @ up)) > 0.01 * scale_x * scale_y:  # written so that NaN fails
        raise ValueError("camera: no pinhole camera sees these positions at their pixels; are they in world space?")
    return camera


def _projection(points: Array, ndc: Array) -> tuple[Array, Array]:
    """The 3x3 matrix and the offset that take points to (ndc.x, ndc.y, 1) times their depth."""
    size = float(np.sqrt((points**2).sum(axis=1).mean()))
    normed = np.column_stack([points / size, np.ones(len(points))])
    zero = np.zeros_like(normed)
    by_x = np.hstack([normed, zero, -ndc[:, :1] * normed])
    by_y = np.hstack([zero, normed, -ndc[:, 1:] * normed])
    equations = np.vstack([by_x, by_y])
    # The eigenvector of least squares: the matrix is 12 x 12, however many pixels there are.
    projection = np.linalg.eigh(equations.T @ equations)[1][:, 0].reshape(3, 4)
    scale = float(np.linalg.norm(projection[2, :3])) / size
    if np.mean(normed @ projection[2] < 0) > 0.5:  # behind the camera
        scale = -scale
    return projection[:, :3] / (size * scale), projection[:, 3] / scale


def _projection_of_plane(points: Array, axes: Array, ndc: Array, view_z: Array) -> tuple[Array, Array]:
    """The same of points (N, 2) in a plane, in its axes (the third is its normal), and their depths."""
    depth = np.abs(np.asarray(view_z, np.float64))
    wanted = np.column_stack([ndc * depth[:, None], depth])
    solved = np.linalg.lstsq(np.column_stack([points, np.ones(len(points))]), wanted, rcond=None)[0].T
    along = solved[:, :2]
    # What is left is each row's part along the normal: row 3 has the length 1, the others are at right angles to it.
    across = np.sqrt(max(1 - float(along[2] @ along[2]), 1e-12))
    parts = np.append(-(along[:2] @ along[2]) / across, across)
    matrix = along @ axes[:2] + parts[:, None] * axes[2]
    if np.linalg.det(matrix) > 0:  # a mirror image, which sees the same: x right, y up, z away is left-handed
        matrix = along @ axes[:2] - parts[:, None] * axes[2]
    return matrix, solved[:, 2]


def cameras_from_motion(
    frames: Iterable[Mapping[str, Array]],
    field_of_view: float,
    sky_distance: float = FrameSettings.sky_distance,
) -> Iterator[Camera]:
    """The cameras of frames, from their view_z, motion and normal; as good as the larger part of the picture stands still.

    frames         in order; normal may be absent
    field_of_view  from the lower to the upper border of the picture, in degrees

    Each camera is placed before the last one so that points of this frame land where their motion says. The first is in the
    world's origin, turned so that the normals fit the depths; without normals, the world is turned like it.
    """
    pose = np.eye(4)
    for number, frame in enumerate(frames):
        height, width = frame["view_z"].shape
        scale_y = 1 / tan(radians(field_of_view) / 2)
        scale_x = scale_y * height / width
        lens = View(_camera(np.eye(4)[:3], scale_x, scale_y), width, height, sky_distance)
        if number == 0 and "normal" in frame:
            pose[:3, :3] = _orientation(frame, lens)
        elif number:
            step = _step(frame, lens)
            pose = np.linalg.inv(step) @ pose
        yield _camera(pose[:3], scale_x, scale_y)


def _camera(pose: Array, scale_x: float, scale_y: float, shift_x: float = 0, shift_y: float = 0) -> Camera:
    clip = [[scale_x, 0, shift_x, 0], [0, scale_y, shift_y, 0], [0, 0, 1, -_NEAR], [0, 0, 1, 0]]
    return {"world_to_view": [*pose.tolist(), [0.0, 0.0, 0.0, 1.0]], "view_to_clip": clip, "jitter": [0, 0]}


def _some(surface: Array) -> tuple[Array, Array]:
    """Rows and columns of at most _SAMPLES pixels of a mask, spread evenly."""
    rows, columns = np.nonzero(surface)
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLES)).astype(int)
    return rows[chosen], columns[chosen]


def _orientation(frame: Mapping[str, Array], lens: View) -> Array:
    """The rotation, with a reflection where the world is right-handed, from world normals to those of the depths."""
    from .guides import normals_from_depth

    at = _some(lens.is_surface(frame["view_z"]))
    seen = normals_from_depth(frame["view_z"], lens)[at].astype(np.float64)
    world = np.asarray(frame["normal"], np.float64)[at]
    weights = np.ones(len(seen))
    rotation = np.eye(3)
    for _ in range(_PASSES):
        # The nearest orthogonal matrix: P. Schönemann, 1966. Handedness is free, for nobody told it.
        u, _, v = np.linalg.svd((seen * weights[:, None]).T @ world)
        rotation = u @ v
        apart = 1 - (seen * (world @ rotation.T)).sum(axis=1)
        weights = 1 / (1 + (apart / 0.01) ** 2)  # bumps and edges count little
    return rotation


def _step(frame: Mapping[str, Array], lens: View) -> Array:
    """The 4x4 motion of the world before the camera, from this frame's view space to the previous one's, that most of the
    picture follows."""
    surface = lens.is_surface(frame["view_z"])
    rows, columns = _some(surface)
    points = lens.points(frame["view_z"][rows, columns], lens.pixels[rows, columns])
    wanted = lens.pixels[rows, columns] + np.asarray(frame["motion"], np.float64)[rows, columns, :2]
    step = np.eye(4)
    if len(rows) < 24:
        return step
    scale = np.array([lens.width / 2 * lens.view_to_clip[0, 0], -lens.height / 2 * lens.view_to_clip[1, 1]])
    tolerance = np.inf
    for _ in range(_PASSES):
        moved = points @ step[:3, :3].T + step[:3, 3]
        place, _ = lens.project(moved)
        error = np.nan_to_num(place - wanted, nan=0.0)
        size = np.linalg.norm(error, axis=1)
        # The scale of the errors shrinks as the fit gets better, so that moving things drop out.
        tolerance = max(0.02, min(tolerance, 2 * float(np.median(size))))
        weights = (moved[:, 2] > 0) / (1 + (size / tolerance) ** 2) ** 2
        x, y, z = moved.T
        z = np.maximum(z, 1e-9)
        zero = np.zeros_like(x)
        # Of the projection by a small turn and step in the space of the moved points.
        by_x = np.stack([scale[0] / z, zero, -scale[0] * x / z**2], 1)
        by_y = np.stack([zero, scale[1] / z, -scale[1] * y / z**2], 1)
        by_point = np.stack([by_x, by_y], 1)
        by_turn = np.stack([np.cross(np.eye(3)[k], moved) for k in range(3)], 2)
        slopes = np.concatenate([by_point @ by_turn, by_point], 2)
        depth = float(np.median(z))
        slopes[..., 3:] *= depth  # turns and steps of one size
        weighted = slopes * weights[:, None, None]
        matrix = np.einsum("nki,nkj->ij", weighted, slopes)
        matrix[np.diag_indices(6)] += 1e-9 * (matrix.trace() + 1e-30)
        change = -np.linalg.solve(matrix, np.einsum("nki,nk->i", weighted, error))
        small = np.eye(4)
        small[:3, :3] = turn(change[:3])
        small[:3, 3] = change[3:] * depth
        step = small @ step
    return step
