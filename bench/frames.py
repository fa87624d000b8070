# SPDX-License-Identifier: Apache-2.0
"""Frames to measure speed with: a furnished room without sky, its G-buffer exact, its noise made up, quick at any size.

What a denoiser costs depends on depth edges, normals, roughness, motion and hit distances, not on what the light does:
rays of the camera are intersected with boxes and spheres, what they would have met after that is made up. Distances
that a mirror sees change smoothly from pixel to pixel, as they must for its history to be found again.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import cos, pi, radians, sin, tan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from denoise import Camera, Light

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Motion = Literal["static", "moving"]
Inputs = dict[str, Any]  # keywords of denoise.Frame

MOTIONS: tuple[Motion, ...] = ("moving", "static")
LOBES = ("diffuse", "specular")
SIGNALS = (*LOBES, "shadow")
ANYTHING = ("signal",)  # that is averaged by a Reference: by itself, for it takes no frame
FRAMES = 4
SOFT = 0.25  # of the tiles

_STEP = 0.02  # metres from frame to frame: about 4 pixels of 1080 lines at 5 m
_TURN = radians(0.15)  # the camera turns that far to either side
_FIELD_OF_VIEW = radians(60)  # vertical
_PENUMBRA = 64 / 1440  # of the lines
_TANGENT = 0.02  # of the angular radius of lights
_TILE = 16  # pixels
_BAND = 16  # rows a thread takes at a time: they fit the cache

_ROOM = ((-4.0, 0.0, -2.0), (4.0, 3.0, 9.0))
_BOXES = (
    ((-3.2, 0.0, 5.0), (-1.6, 1.1, 7.0)),
    ((-2.8, 1.1, 5.4), (-2.2, 2.2, 6.2)),
    ((0.6, 0.0, 3.4), (2.2, 0.8, 4.2)),
    ((1.1, 0.8, 3.6), (1.3, 1.6, 4.0)),
    ((1.7, 0.8, 3.5), (1.74, 2.4, 3.9)),  # thin, as seen from the front
    ((2.6, 0.0, 6.5), (3.6, 2.6, 7.5)),
    ((-0.3, 0.0, 7.6), (0.5, 1.9, 8.3)),
)
_SPHERES = (((-1.0, 0.6, 3.6), 0.6), ((0.2, 0.35, 2.6), 0.35), ((1.5, 1.1, 5.6), 1.1), ((-3.2, 0.5, 3.9), 0.5))


def make_frames(
    width: int,
    height: int,
    motion: Motion = "moving",
    signals: tuple[str, ...] = LOBES,
    count: int = FRAMES,
    seed: int = 0,
    *,
    lights: int = 1,
    soft: float = SOFT,
) -> list[Inputs]:
    """`count` consecutive frames that may be repeated for ever: the frame before the first is the last.

    width, height  pixels
    motion         "moving": the camera goes round a small circle; "static": it stands still, and only the noise changes
    signals        which of "diffuse", "specular" and "shadow"; or ANYTHING
    seed           chooses the noise; nothing else does
    lights         how many lights have a shadow
    soft           about how many of the tiles of 16 x 16 pixels hold a part of a penumbra, 0 to 1, of each light

    Each frame is a dict of the keywords of `denoise.Frame`: radiance, hit distances, normal, roughness (0.05 to 0.9)
    and motion as float16, view_z as float32. About a quarter of the samples found no light, a tenth of the rays left
    the scene, and up to a fifth of the specular ones, on rough surfaces, went below it (distance 0, no light). Shadows
    are stripes on the screen, half of it lit, with penumbrae of 64 pixels at 1440 lines. Of ANYTHING it is the arguments
    of a `denoise.Reference` that come back, with the radiance.
    """
    turns = [2 * pi * index / count if motion == "moving" else 0.0 for index in range(-1, count)]
    cameras = [_camera(turn, count, width, height) for turn in turns]
    return [
        _frame(previous, current, width, height, signals, (lights, soft), np.random.default_rng([seed, index]))
        for index, (previous, current) in enumerate(pairwise(cameras))
    ]


def _camera(turn: float, count: int, width: int, height: int) -> Camera:
    """On a circle of `count` steps in x and z, at eye height, looking along +z and slightly down."""
    radius = _STEP / (2 * sin(pi / max(count, 2)))
    eye = np.array([radius * cos(turn), 1.6, radius * sin(turn)])
    yaw, pitch = _TURN * sin(turn), radians(8)
    around_y = np.array([[cos(yaw), 0, -sin(yaw)], [0, 1, 0], [sin(yaw), 0, cos(yaw)]])
    around_x = np.array([[1, 0, 0], [0, cos(pitch), sin(pitch)], [0, -sin(pitch), cos(pitch)]])
    view = np.eye(4)
    view[:3, :3] = around_x @ around_y
    view[:3, 3] = -view[:3, :3] @ eye
    focal = 1 / tan(_FIELD_OF_VIEW / 2)
    clip = np.array([[focal * height / width, 0, 0, 0], [0, focal, 0, 0], [0, 0, 1, -0.1], [0, 0, 1, 0]])
    return Camera(world_to_view=view, view_to_clip=clip)


def _frame(
    previous: Camera,
    current: Camera,
    width: int,
    height: int,
    signals: tuple[str, ...],
    shadows: tuple[int, float],
    random: np.random.Generator,
) -> Inputs:
    size = (height, width)
    frame: Inputs = {
        "camera": current,
        "view_z": np.empty(size, np.float32),
        "normal": np.empty((*size, 3), np.float16),
        "motion": np.empty((*size, 3), np.float16),
    }
    roughness, distance, light = (np.empty((*size, *more), np.float16) for more in ((), (), (3,)))

    def band(top: int) -> None:
        rows = slice(top, min(top + _BAND, height))
        x, y = np.meshgrid(
            np.arange(width, dtype=np.float32) + 0.5, np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5
        )
        ray = _rays(current, x / width, y / height)
        eye = -current.world_to_view[:3, :3].T @ current.world_to_view[:3, 3]
        depth, normal = _intersect(eye.astype(np.float32), ray)
        point = eye.astype(np.float32)[:, None, None] + depth * ray
        bumped, rough, far, colour = _materials(point, normal)
        was_x, was_y, was_z = _project(previous, point, width, height)
        frame["view_z"][rows] = depth
        frame["normal"][rows] = np.moveaxis(bumped, 0, -1)
        frame["motion"][rows] = np.stack([was_x - x, was_y - y, was_z - depth], axis=-1)
        roughness[rows], distance[rows] = rough, far
        light[rows] = np.moveaxis(colour, 0, -1)

    with ThreadPoolExecutor() as pool:
        list(pool.map(band, range(0, height, _BAND)))
    if signals == ANYTHING:
        return {"camera": current, "signal": _noise(light, distance, np.float16(1), "diffuse", random)[0]}
    for lobe in (lobe for lobe in LOBES if lobe in signals):
        spread = roughness if lobe == "specular" else np.float16(1)
        frame |= dict(zip((lobe, f"{lobe}_hit_distance"), _noise(light, distance, spread, lobe, random), strict=True))
    if "specular" in signals:
        frame["roughness"] = roughness
    if "shadow" in signals:
        lights, soft = shadows
        frame["light"] = [Light.directional((0.3, 1, -0.2), _TANGENT, key=str(index)) for index in range(lights)]
        frame["occluder_distance"] = [_occluders(frame["view_z"], soft, index, random) for index in range(lights)]
    return frame


def _occluders(view_z: Floats, soft: float, light: int, random: np.random.Generator) -> Halves:
    """What one ray a pixel met on its way to a light, through stripes that are as far away as their penumbra is wide."""
    height, width = view_z.shape
    penumbra = _PENUMBRA * height
    # A ramp touches all tiles that it reaches into: 15 pixels more than it is wide, on average.
    period = 2 * max(penumbra, (penumbra + _TILE - 1) / soft)
    place = np.abs((np.arange(width, dtype=np.float32) / period + 0.37 * light) % 1 - 0.5) * period  # 0 to period / 2
    visible = np.clip((place - period / 4) / penumbra + 0.5, 0, 1)
    pixel = view_z * np.float32(2 * tan(_FIELD_OF_VIEW / 2) / height)
    distance = penumbra * pixel / (2 * _TANGENT) * (0.9 + 0.2 * random.random(view_z.shape, np.float32))
    return np.where(random.random(view_z.shape, np.float32) < visible, np.inf, distance).astype(np.float16)


def _noise(
    light: Halves, distance: Halves, spread: Halves | np.float16, lobe: str, random: np.random.Generator
) -> tuple[Halves, Halves]:
    """Radiance and hit distance of one sample a pixel; distances scatter with the spread of the lobe, 0 to 1."""
    size = light.shape[:2]
    chance = random.random(size, np.float32)
    brightness = random.standard_exponential(size, np.float32)
    scattered = distance * (1 + spread * (2 * random.random(size, np.float32) - 1))
    if lobe == "specular":
        missed = chance < 0.2 * spread
        brightness[missed] = scattered[missed] = 0
    brightness[chance > 0.75] = 0
    scattered[(chance > 0.65) & (chance <= 0.65 + 0.1 * spread)] = np.inf
    return (light * brightness[..., None]).astype(np.float16), scattered.astype(np.float16)


def _rays(camera: Camera, u: Floats, v: Floats) -> Floats:
    """Directions in the world, (3, rows, columns), with a length that makes the ray parameter the view depth."""
    clip = camera.view_to_clip
    view = np.stack([(2 * u - 1) / clip[0, 0], (1 - 2 * v) / clip[1, 1], np.ones_like(u)]).astype(np.float32)
    turned = np.tensordot(camera.world_to_view[:3, :3].T.astype(np.float32), view, 1)
    return np.where(np.abs(turned) < 1e-6, np.float32(1e-6), turned)  # the slabs divide by it


def _project(camera: Camera, point: Floats, width: int, height: int) -> tuple[Floats, Floats, Floats]:
    matrix, clip = camera.world_to_view.astype(np.float32), camera.view_to_clip
    x, y, z = np.tensordot(matrix[:3, :3], point, 1) + matrix[:3, 3][:, None, None]
    return (clip[0, 0] * x / z + 1) * (width / 2), (1 - clip[1, 1] * y / z) * (height / 2), z


def _intersect(eye: Floats, ray: Floats) -> tuple[Floats, Floats]:
    """Depth and normal of what each ray hits first; the room is closed, so that there always is something."""
    inverse = 1 / ray

    def slabs(corners: Any) -> tuple[Floats, Floats]:
        low, high = ((np.array(corner, np.float32) - eye)[:, None, None] * inverse for corner in corners)
        return np.minimum(low, high), np.maximum(low, high)

    def facing(axis: NDArray[np.intp]) -> Floats:
        """The unit vector of an axis that points against the ray."""
        return np.where(np.arange(3)[:, None, None] == axis, -np.sign(ray), 0).astype(np.float32)

    _, far = slabs(_ROOM)
    depth, normal = far.min(axis=0), facing(far.argmin(axis=0))
    for box in _BOXES:
        near, far = slabs(box)
        t = near.max(axis=0)
        hit = (t < far.min(axis=0)) & (t > 0) & (t < depth)
        if hit.any():
            depth, normal = np.where(hit, t, depth), np.where(hit, facing(near.argmax(axis=0)), normal)
    for centre, radius in _SPHERES:
        offset = (eye - np.array(centre, np.float32))[:, None, None]
        a, b = (ray * ray).sum(axis=0), (ray * offset).sum(axis=0)
        discriminant = b * b - a * ((offset * offset).sum(axis=0) - radius**2)
        t = (-b - np.sqrt(np.maximum(discriminant, 0))) / a
        hit = (discriminant > 0) & (t > 0) & (t < depth)
        if hit.any():
            depth, normal = np.where(hit, t, depth), np.where(hit, (offset + t * ray) / radius, normal)
    return depth, normal


def _materials(point: Floats, normal: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Bumped normal, roughness in patches from 0.05 to 0.9, mean hit distance, and the light that is sent on."""
    waves = np.sin(point * np.array([5, 7, 4], np.float32)[:, None, None])
    bumped = normal + 0.02 * np.sin(point[[1, 2, 0]] * 23 + waves)
    bumped /= np.sqrt((bumped * bumped).sum(axis=0))
    patches = np.floor(point * 2.5 + 0.01).sum(axis=0)
    roughness = 0.05 + 0.85 * (0.5 + 0.5 * np.sin(patches * 1.7)) ** 1.5
    return bumped, roughness.astype(np.float32), 1.5 + 0.4 * np.sin(point).sum(axis=0), 1 + 0.7 * waves
