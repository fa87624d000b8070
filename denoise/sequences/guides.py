# SPDX-License-Identifier: Apache-2.0
"""What to do when a renderer's files lack an input: each is made from those that are there.

    array             is made from
    view_z            `position`
    normal            view_z: the plane through each pixel and its nearer neighbours
    roughness         a constant
    motion            view_z and the two cameras: right for what stands still; with `object_id`, things that moved as a whole
                      are followed as well (`object_motion`)
    third of motion   the depth that the previous frame has where motion points
    spec, spec_factor `color` by `albedo`: all light as one signal
    diff_hit,         rays through the depth buffer
    spec_hit

Two arrays are read here that no denoiser takes: `position`, (H, W, 3), the world position of each pixel's surface, and
`color`, (H, W, 3), the picture with everything in it. Cameras come from `position` or from motion, see `cameras`.

What each costs in quality: `python -m bench guides`. Everything is numpy, a frame at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from denoise.settings import did_you_mean

from .object_motion import object_motion
from .screen_rays import screen_hit_distances
from .sequence import Arrays, Sequence, frame_settings
from .view import Array, Mask, View, bilinear, inside

HitDistance = Literal["screen", "constant", "none"]

CONSTANT_HIT = 0.5  # times View.span
DEFAULT_ROUGHNESS = 0.3
ALBEDO_FLOOR = 0.02  # what is darker is not divided by: it would be noise

_MOVED = 0.25  # pixels between a motion and that of a still scene, from which on something moves


@dataclass(frozen=True)
class Substitutes:
    """What to do without some inputs, where there is a choice.

    hit_distance  "screen": rays through the depth buffer; "constant": half of what the picture shows at that depth, which
                  is quick; "none": the denoiser does without
    roughness     linear, of every surface
    """

    hit_distance: HitDistance = "screen"
    roughness: float = DEFAULT_ROUGHNESS

    def __post_init__(self) -> None:
        known = get_args(HitDistance)
        if self.hit_distance not in known:
            hint = did_you_mean(str(self.hit_distance), known)
            raise ValueError(f"hit_distance.mode: expected {', '.join(known)}, got {self.hit_distance!r}{hint}")
        if not 0 <= self.roughness <= 1:  # written so that NaN fails
            raise ValueError(f"roughness.value: expected 0 to 1, got {self.roughness!r}")


def missing(names: Iterable[str], how: Substitutes = Substitutes()) -> dict[str, str]:
    """Array -> what `complete` puts in its place, in words, for frames that have the arrays `names`.

    ValueError where nothing can: without any signal, and without view_z and position.
    """
    given, found = {*names}, {}
    if not given & {"diff", "spec", "color"} and not any(name.startswith("shadow_hit") for name in given):
        raise ValueError("nothing to denoise: expected diff, spec, color, or the shadow_hit of a light")
    if "view_z" not in given:
        if "position" not in given:
            raise ValueError("view_z: missing, and so is position, from which it could be made")
        found["view_z"] = "from position"
    if "normal" not in given:
        found["normal"] = "from view_z: flat facets without bumps"
    if not given & {"diff", "spec"} and "color" in given:
        given.add("spec")
        divided = "color by albedo" if "albedo" in given else "color as it is, so textures blur (no albedo)"
        found["spec"] = f"{divided}, all light as one signal: shadows and reflections blur, less so with relax"
    if "spec" in given and "roughness" not in given:
        found["roughness"] = f"{how.roughness:g} everywhere"
    if "motion" not in given:
        followed = "moving objects fitted as rigid" if "object_id" in given else "moving things leave trails"
        found["motion"] = f"from view_z and cameras: {followed}"
    for lobe in ("diff", "spec"):
        if lobe in given and f"{lobe}_hit" not in given:
            words = {"screen": "rays through the depth buffer", "constant": "half of what the picture shows there"}
            found[f"{lobe}_hit"] = words.get(how.hit_distance, "done without")
    return found


def completed(sequence: Sequence, how: Substitutes = Substitutes()) -> Sequence:
    """The sequence with what its frames lack; each frame is completed when it is asked for, and reads the one before."""
    return Sequence(sequence.meta, _Completed(sequence, how))


class _Completed(Mapping[int, Arrays]):
    """Frames in order cost one reading each: the last one that was read is kept."""

    def __init__(self, sequence: Sequence, how: Substitutes) -> None:
        self.sequence, self.how = sequence, how
        self._last: tuple[int, Arrays] | None = None

    def __getitem__(self, index: int) -> Arrays:
        frames, meta = self.sequence.frames, self.sequence.meta
        arrays = frames[index]
        last, self._last = self._last, (index, arrays)
        previous = None
        if index - 1 in frames and _reads_previous(arrays):
            previous = last[1] if last and last[0] == index - 1 else frames[index - 1]
        return complete(arrays, meta, index, previous, self.how)

    def __contains__(self, index: object) -> bool:
        return index in self.sequence.frames

    def __iter__(self) -> Iterator[int]:
        return iter(self.sequence.frames)

    def __len__(self) -> int:
        return len(self.sequence.frames)


def _reads_previous(arrays: Arrays) -> bool:
    return "motion" not in arrays or arrays["motion"].shape[2] == 2


def complete(
    arrays: Arrays,
    meta: Mapping[str, Any],
    index: int,
    previous: Arrays | None = None,
    how: Substitutes = Substitutes(),
) -> Arrays:
    """The arrays of frame `index` with those that are missing.

    meta      contents of sequence.json: size and cameras
    previous  the arrays of the frame before, as they were read; None in the first frame, whose motion is not looked at
    """
    found = dict(arrays)
    view = _view(meta, index)
    if "view_z" not in found and "position" in found:
        found["view_z"] = view_z_from_position(found["position"], view)
    view_z = found["view_z"]
    if "normal" not in found:
        found["normal"] = normals_from_depth(view_z, view)
    if _reads_previous(found):
        found["motion"] = _motion(found, view, previous, _view(meta, max(index - 1, 0)))
    if "diff" not in found and "spec" not in found and "color" in found:
        found |= one_signal(found, view)
        found.pop("albedo", None)  # it is in the factor: the picture is put together without it
    if "spec" in found and "roughness" not in found:
        found["roughness"] = np.full(view_z.shape, how.roughness, np.float16)
    for lobe in ("diff", "spec"):
        if lobe in found and f"{lobe}_hit" not in found and how.hit_distance != "none":
            roughness = found["roughness"] if lobe == "spec" else None
            if how.hit_distance == "screen":
                distance = screen_hit_distances(view_z, found["normal"], view, roughness)
            else:
                distance = constant_hit_distances(view_z, view)
            found[f"{lobe}_hit"] = distance
    return found


def _view(meta: Mapping[str, Any], index: int) -> View:
    sky_distance = frame_settings(meta)["sky_distance"]
    return View(meta["cameras"][index], meta["width"], meta["height"], sky_distance)


# Depth, normals, lobes, distances


def view_z_from_position(position: Array, view: View) -> Array:
    """Depth (H, W) float32 of world positions (H, W, 3). What lies at the origin to the bit, is not finite or behind the
    camera is sky, inf: renderers write 0 there."""
    position = np.asarray(position, np.float64)
    with np.errstate(invalid="ignore"):
        _, depth = view.project(view.to_view(position))
        surface = np.isfinite(depth) & (depth > 0) & position.any(axis=2)
    return np.where(surface, depth, np.inf).astype(np.float32)


def normals_from_depth(view_z: Array, view: View) -> Array:
    """World normals (H, W, 3) float32 of the plane through each pixel and, in x and in y, the neighbour that is nearer to
    it along the line of sight; 0 for sky. Facing the camera."""
    surface = view.is_surface(view_z)
    points = view.points(np.where(surface, view_z, 1))
    inverse = np.where(surface, 1 / np.maximum(np.abs(np.asarray(view_z, np.float64)), 1e-12), 0)
    if view.orthographic:
        inverse = np.where(surface, view_z, -1e9)
    along_x, along_y = _slope(points, inverse, 1), _slope(points, inverse, 0)
    normal = np.cross(along_y, along_x)
    to_eye = np.broadcast_to([0.0, 0, -view.sign], points.shape) if view.orthographic else -points
    length = np.linalg.norm(normal, axis=2, keepdims=True)
    facing = np.sign((normal * to_eye).sum(axis=2, keepdims=True))
    alone = length[..., 0] < 1e-12 * np.abs(points).max()  # neither a neighbour in x nor one in y
    normal = np.where(alone[..., None], to_eye, normal * facing)
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-30)
    world = normal @ view.world_to_view[:3, :3]
    return np.where(surface[..., None], world, 0).astype(np.float32)


def _slope(points: Array, inverse: Array, axis: int) -> Array:
    """Step of the points to the better of the two neighbours along an axis: the one where 1 / depth, which is linear on a
    plane, goes on from there as it came."""
    size = points.shape[axis]
    if size == 1:
        return np.zeros_like(points)

    def moved(values: Array, step: int) -> Array:
        return np.take(values, np.clip(np.arange(size) + step, 0, size - 1), axis)

    def bend(step: int) -> Array:
        """How far the neighbour is from the plane that its own side suggests, beside the jump to it."""
        one, two = moved(inverse, step), moved(inverse, 2 * step)
        return np.asarray(np.abs(inverse - 2 * one + two) + 1e-3 * np.abs(inverse - one))

    position = np.arange(size).reshape([-1 if k == axis else 1 for k in range(2)])
    forward = (bend(1) <= bend(-1)) | (position == 0)
    forward &= position < size - 1
    return np.where(forward[..., None], moved(points, 1) - points, points - moved(points, -1))


def one_signal(arrays: Mapping[str, Array], view: View) -> Arrays:
    """All light of a picture as one signal: spec, spec_factor and emission, (H, W, 3) float32 each, with the picture
    emission + spec * spec_factor.

    arrays  view_z, color; and, if known, albedo (with that of the specular lobe in it, if the renderer has such a one) and
            emission, the light that surfaces send out themselves

    As a specular signal reflections and shadows stay sharper than as a diffuse one, and where the roughness is high there
    is no difference. What is almost black is not divided: there the factor is 1. The sky is emission.
    """
    color = np.asarray(arrays["color"], np.float32)
    surface = view.is_surface(arrays["view_z"])[..., None]
    emission = np.asarray(arrays.get("emission", np.zeros_like(color)), np.float32)
    factor = np.asarray(arrays.get("albedo", np.ones_like(color)), np.float32)
    factor = np.where(factor.max(axis=2, keepdims=True) > ALBEDO_FLOOR, np.maximum(factor, ALBEDO_FLOOR), 1)
    return {
        "spec": np.where(surface, np.maximum(color - emission, 0) / factor, 0),
        "spec_factor": np.where(surface, factor, 0),
        "emission": np.where(surface, emission, color),
    }


def constant_hit_distances(view_z: Array, view: View) -> Array:
    """Half of what the picture shows at the depth of each pixel, (H, W) float32; 0 for sky."""
    surface = view.is_surface(view_z)
    return np.where(surface, CONSTANT_HIT * view.span(np.where(surface, np.abs(view_z), 1)), 0).astype(np.float32)


# Motion


def _motion(arrays: Arrays, view: View, previous: Arrays | None, before: View) -> Array:
    view_z = arrays["view_z"]
    still = static_motion(view_z, view, before)
    if previous is None:
        return still if "motion" not in arrays else _with_third(arrays["motion"], still[..., 2])
    past = dict(previous)
    if "view_z" not in past:
        past["view_z"] = view_z_from_position(past["position"], before)
    if "motion" in arrays:
        return _with_third(arrays["motion"], depth_motion(arrays, past, view, before))
    if "object_id" not in arrays or "object_id" not in past:
        return still
    if "normal" not in past:
        past["normal"] = normals_from_depth(past["view_z"], before)
    return object_motion(arrays, past, view, before, still)


def _with_third(motion: Array, dz: Array) -> Array:
    return np.concatenate([np.asarray(motion, np.float32), dz[..., None].astype(np.float32)], 2)


def static_motion(view_z: Array, view: View, before: View) -> Array:
    """Motion (H, W, 3) float32 of a scene that stands still: dx, dy in pixels, the difference of view_z. The sky turns
    with the camera; what was behind it did not move."""
    surface = view.is_surface(view_z)
    points = view.points(np.where(surface, np.abs(view_z), 1))
    world = view.to_world(points)
    then = before.to_view(np.where(surface[..., None], world, world - view.eye + before.eye))
    pixels, depth = before.project(then)
    motion = np.dstack([pixels - view.pixels, np.where(surface, depth - np.abs(view_z), 0)])
    return np.where(np.isfinite(motion), motion, 0).astype(np.float32)


def depth_motion(arrays: Mapping[str, Array], previous: Mapping[str, Array], view: View, before: View) -> Array:
    """The third component of motion, view_z of the previous frame minus view_z, (H, W) float32, from the other two.

    arrays, previous  view_z, and motion of this frame; normal and object_id if they are there

    What moves as a still scene would keeps that scene's: exact, and where a thing appears from behind another the depth
    there is that other's. What moves by itself has the depth that is found where its motion points, if that can be the
    same surface; else that of a still scene.
    """
    motion = np.asarray(arrays["motion"], np.float64)[..., :2]
    view_z = np.abs(np.asarray(arrays["view_z"], np.float64))
    still = static_motion(view_z, view, before)
    moving = view.is_surface(view_z) & (np.linalg.norm(motion - still[..., :2], axis=2) > _MOVED)
    if "object_id" in arrays:
        moving |= _of_moving_objects(np.asarray(arrays["object_id"]), moving) & view.is_surface(view_z)
    if not moving.any():
        return still[..., 2]
    # Only where something moves: elsewhere nothing has to be looked up.
    place = (view.pixels + motion - before.jitter)[moving]
    then, found = _previous_depth(place, arrays, previous, moving, before)
    step = then - view_z[moving]
    # A surface goes no farther in depth than some times what it is seen to go sideways, and a little.
    sideways = np.linalg.norm((motion - still[..., :2])[moving], axis=1) * view.span(view_z[moving]) / view.height
    found &= np.abs(step - still[..., 2][moving]) < 8 * sideways + 0.02 * view_z[moving]
    dz = still[..., 2].copy()
    dz[moving] = np.where(found, step, dz[moving])
    return dz


def _of_moving_objects(ids: Array, moving: Mask) -> Mask:
    """The pixels of objects of which a good part moves: some of it may go straight at the camera, where motion is 0."""
    _, each = np.unique(ids, return_inverse=True)
    each = each.reshape(ids.shape)
    share = np.bincount(each.ravel(), moving.ravel()) / np.bincount(each.ravel())
    return np.asarray((share > 0.3)[each])


def _previous_depth(
    place: Array, arrays: Mapping[str, Array], previous: Mapping[str, Array], moving: Mask, before: View
) -> tuple[Array, Mask]:
    """The depth of the previous frame at places (N, 2), for the moving pixels, and whether their surface is seen there."""
    height, width = moving.shape
    column, row, seen = inside(place, width, height)
    depths = np.abs(np.asarray(previous["view_z"], np.float64))
    same = before.is_surface(depths)
    depths = np.where(same, depths, 0)
    nearest = depths[row, column]
    between = bilinear(depths, place)
    with np.errstate(invalid="ignore"):  # between pixels only where all four are one surface
        then = np.where(np.abs(between - nearest) < 0.02 * nearest, between, nearest)
    seen &= same[row, column]
    if "object_id" in arrays and "object_id" in previous:
        seen &= previous["object_id"][row, column] == arrays["object_id"][moving]
    if "normal" in arrays and "normal" in previous:
        now, past = (np.asarray(a["normal"], np.float32) for a in (arrays, previous))
        seen &= (now[moving] * past[row, column]).sum(axis=1) > 0.8
    return then, seen
