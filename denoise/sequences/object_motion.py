# SPDX-License-Identifier: Apache-2.0
"""Motion of rigid objects from two frames that say nothing about it: by their ids, depths, normals and albedo.

For each object, the rigid motion is fitted that takes its points of this frame onto the surface that the previous frame
saw: damped Gauss-Newton steps over the distance to the plane there, the normals, the colours, and the silhouette, which
a thing that slides along its own plane has alone. What cannot be seen, such as the turning of a plain ball, stays 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .view import Array, Mask, View, bilinear, inside, turn

_LEAST_PIXELS = 24  # of an object in both frames; smaller ones count as still
_OUTLINE_REACH = 3  # pixels over which the silhouette is blurred, twice
_SAMPLES = 1500  # pixels of an object that are fitted
_ITERATIONS = 12
_TURNS = (-8, -4, 4, 8)  # pixels that the rim of an object is turned by, for a start
_TRIED = 3  # of these starts
_ROBUST = 3.0  # a residual beyond it counts as that much: silhouettes hide a part
_STILL, _STILL_OUTLINE = 0.1, 0.4  # median differences in position and colour, mean square of the outline's
_GAIN = 0.85  # the share of the still scene's residual that a fit must get below, to be believed

# How large a difference is as bad as a distance of one pixel.
_NORMAL_SCALE, _ALBEDO_SCALE, _OUTLINE_SCALE = 0.1, 0.05, 0.2


def object_motion(
    arrays: Mapping[str, Array], previous: Mapping[str, Array], view: View, before: View, still: Array
) -> Array:
    """Motion (H, W, 3) float32, as the format has it, where objects may have moved as rigid bodies.

    arrays, previous  view_z, normal, object_id of both frames; albedo if both have it
    still             the motion of a scene that stands still: of what is too small, new, or did not move
    """
    ids, past_ids = np.asarray(arrays["object_id"]), np.asarray(previous["object_id"])
    surface, past_surface = view.is_surface(arrays["view_z"]), before.is_surface(previous["view_z"])
    past = _Past(previous, past_surface, before)
    motion = np.array(still)
    numbers, counts = np.unique(ids[surface], return_counts=True)
    for number in numbers[counts >= _LEAST_PIXELS]:
        mask = surface & (ids == number)
        past_mask = past_surface & (past_ids == number)
        if past_mask.sum() < _LEAST_PIXELS:
            continue
        fit = _Fit(arrays, mask, past, past_mask, view)
        pose = fit.solve()
        if pose is None:
            continue
        points = fit.moved(view.to_world(view.points(arrays["view_z"][mask], view.pixels[mask])), pose)
        place, depth = before.project(before.to_view(points))
        found = np.column_stack([place - view.pixels[mask], depth - np.abs(arrays["view_z"][mask])])
        motion[mask] = np.where(np.isfinite(found), found, motion[mask])
    return motion


class _Past:
    """What the previous frame saw: world points, and features that are looked up between pixels."""

    def __init__(self, previous: Mapping[str, Array], surface: Mask, before: View) -> None:
        self.before = before
        depth = np.where(surface, np.abs(previous["view_z"]), 1)
        self.points = before.to_world(before.points(depth))
        self.normal = np.asarray(previous["normal"], np.float32)
        self.albedo = np.asarray(previous["albedo"], np.float32) if "albedo" in previous else None


class _Fit:
    """The rigid motion of one object: 6 numbers, a turn around the middle (by its radius) and a step, in world units."""

    def __init__(self, arrays: Mapping[str, Array], mask: Mask, past: _Past, past_mask: Mask, view: View) -> None:
        self.past, self.past_mask = past, past_mask
        rows, columns = np.nonzero(mask)
        chosen = np.linspace(0, len(rows) - 1, min(len(rows), _SAMPLES)).astype(int)
        at = rows[chosen], columns[chosen]
        self.points = view.to_world(view.points(arrays["view_z"][at], view.pixels[at]))
        self.middle = self.points.mean(axis=0)
        self.radius = max(float(np.sqrt(((self.points - self.middle) ** 2).sum(axis=1).mean())), 1e-9)
        self.pixel = float(np.median(view.span(np.abs(np.asarray(arrays["view_z"][at], np.float64))))) / view.height
        self.normal = np.asarray(arrays["normal"], np.float32)[at]
        both = "albedo" in arrays and past.albedo is not None
        self.albedo = np.asarray(arrays["albedo"], np.float32)[at] if both else None
        self.outline = _blurred(mask)[at]
        self.past_outline = _blurred(past_mask)

    def solve(self) -> Array | None:
        """The motion, or None for an object that stands still or that nothing fits better than that."""
        still = self._cost(np.zeros(6))
        if not np.isfinite(still) or self._stands_still():
            return None
        past_middle = self.past.points[self.past_mask].mean(axis=0)
        starts = [np.zeros(6), np.concatenate([np.zeros(3), past_middle - self.middle])]
        best = min((self._descend(start) for start in starts), key=lambda found: found[0])
        # Texture that rolls by farther than its own size is not found downhill.
        turned = [best[1] + size * self.pixel * axis for axis in np.eye(6)[:3] for size in _TURNS]
        nearest = sorted(turned, key=self._cost)[:_TRIED]
        best = min([best, *(self._descend(start) for start in nearest)], key=lambda found: found[0])
        return best[1] if best[0] < _GAIN * still else None

    def _stands_still(self) -> bool:
        """Whether most points are where a still scene has them: a part may be hidden, and texture may flicker."""
        residuals, valid = self._residuals(np.zeros(6))
        seen = np.abs(residuals[valid[:, -1]])
        typical = np.median(seen, axis=0)
        return bool(max(typical[0], *typical[4:-1], 0) < _STILL and (seen[:, -1] ** 2).mean() < _STILL_OUTLINE)

    def moved(self, points: Array, pose: Array) -> Array:
        return np.asarray((points - self.middle) @ turn(pose[:3] / self.radius).T + self.middle + pose[3:])

    def _descend(self, pose: Array) -> tuple[float, Array]:
        damping, cost = 1e-2, self._cost(pose)
        for _ in range(_ITERATIONS):
            residuals, valid = self._residuals(pose)
            weights = valid / (1 + (residuals / _ROBUST) ** 2)
            step = 0.25 * self.pixel
            slopes = np.stack([(self._residuals(pose + step * axis)[0] - residuals) / step for axis in np.eye(6)], -1)
            slopes = np.nan_to_num(slopes).reshape(-1, 6)
            weighted = slopes * weights.reshape(-1, 1)
            matrix, vector = weighted.T @ slopes, weighted.T @ residuals.ravel()
            matrix[np.diag_indices(6)] += damping * (matrix.trace() / 6 + 1e-30)
            trial = pose - np.linalg.solve(matrix, vector)
            trial_cost = self._cost(trial)
            if trial_cost >= cost:
                damping *= 8
                continue
            settled = trial_cost > 0.999 * cost
            pose, cost, damping = trial, trial_cost, damping / 4
            if settled:
                break
        return cost, pose

    def _cost(self, pose: Array) -> float:
        """Mean square of the bounded residuals of the points that stay in the picture, infinite if fewer than half do."""
        residuals, valid = self._residuals(pose)
        seen = valid[:, -1]
        if seen.mean() < 0.5:
            return np.inf
        bounded = np.where(valid, np.minimum(residuals**2, _ROBUST**2), _ROBUST**2)[seen]
        return float(bounded[:, :1].mean() + bounded[:, 1:].mean())

    def _residuals(self, pose: Array) -> tuple[Array, Mask]:
        """Differences (N, K) of the moved points to what the previous frame saw, and which say anything."""
        points = self.moved(self.points, pose)
        before = self.past.before
        place, _ = before.project(before.to_view(points))
        there = place - before.jitter
        column, row, seen = inside(there, before.width, before.height)
        met = seen & self.past_mask[row, column]
        distance = (self.past.normal[row, column] * (points - self.past.points[row, column])).sum(axis=1)
        normal = (bilinear(self.past.normal, there) - self.normal @ turn(pose[:3] / self.radius).T) / _NORMAL_SCALE
        columns = [distance[:, None] / self.pixel, normal]
        if self.albedo is not None and self.past.albedo is not None:
            columns.append((bilinear(self.past.albedo, there) - self.albedo) / _ALBEDO_SCALE)
        outline = (bilinear(self.past_outline, there) - self.outline) / _OUTLINE_SCALE
        residuals = np.column_stack([*columns, outline])
        valid = np.repeat(met[:, None], residuals.shape[1], 1)
        valid[:, -1] = seen
        return residuals, valid


def _blurred(mask: Mask) -> Array:
    """A mask whose edge is a ramp of some pixels, so that it has a slope to follow."""
    blurred = np.zeros(mask.shape, np.float32)
    box = tuple(_extent(np.asarray(mask.any(axis=1 - axis)), 2 * _OUTLINE_REACH) for axis in (0, 1))
    image = mask[box].astype(np.float32)
    width = 2 * _OUTLINE_REACH + 1
    for axis in (0, 1, 0, 1):
        padding = [(_OUTLINE_REACH, _OUTLINE_REACH) if k == axis else (0, 0) for k in range(2)]
        sums = np.cumsum(np.insert(np.pad(image, padding, mode="edge"), 0, 0, axis), axis, dtype=np.float64)
        first = np.arange(image.shape[axis])
        image = ((np.take(sums, first + width, axis) - np.take(sums, first, axis)) / width).astype(np.float32)
    blurred[box] = image
    return blurred


def _extent(any_of: Mask, margin: int) -> slice:
    """The part of a line from the first to the last that is true, with a margin."""
    places = np.flatnonzero(any_of)
    return slice(max(int(places[0]) - margin, 0), int(places[-1]) + margin + 1)
