# SPDX-License-Identifier: Apache-2.0
"""A small noisy scene in plain NumPy: a bumpy floor, a wall of several materials and a ball under the sky, seen by a
camera that moves and turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import denoise as dn

Array = npt.NDArray[Any]

RADIUS = 1.2  # of the ball, metres
GUIDES = ("view_z", "normal", "motion", "material_id", "disocclusion_threshold_mix", "camera")


def camera(index: int, width: int, height: int) -> dn.Camera:
    """Moves sideways and forward, turns, and is jittered; 73 degrees wide."""
    angle = 0.02 * index
    turn = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    view = np.eye(4)
    view[:3, :3] = turn
    view[:3, 3] = -turn @ np.array([0.11 * index, 0.3, 0.05 * index])
    clip = np.array([[1.35, 0, 0, 0], [0, 1.35 * width / height, 0, 0], [0, 0, 1, -0.1], [0, 0, 1, 0]])
    jitter = ((index * 0.618 + 0.5) % 1 - 0.5, (index * 0.382 + 0.5) % 1 - 0.5)
    return dn.Camera(world_to_view=view, view_to_clip=clip, jitter=jitter)


def ball(index: int) -> Array:
    return np.array([-0.8 + 0.06 * index, -0.1, 5.0])


def inputs(index: int, width: int = 83, height: int = 45, dtype: Any = np.float16) -> dict[str, Any]:
    """The keywords of frame `index`: every input that ReBLUR takes."""
    random = np.random.default_rng(index)
    cam, previous = camera(index, width, height), camera(max(index - 1, 0), width, height)
    view, clip = np.asarray(cam.world_to_view), np.asarray(cam.view_to_clip)
    u, v = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    rays = np.stack(np.broadcast_arrays((2 * u - 1)[None, :] / clip[0, 0], (1 - 2 * v)[:, None] / clip[1, 1], 1.0), -1)
    rays = rays @ view[:3, :3]  # world space, z of the view space is 1
    eye = -view[:3, :3].T @ view[:3, 3]

    depth = np.full((height, width), np.inf)
    normal, step = np.zeros((height, width, 3)), np.zeros((height, width, 3))
    material = np.zeros((height, width), np.uint8)
    roughness = np.ones((height, width))

    def hit(t: Array, where: Array, n: Array, m: Any, r: Any, moved: Any = 0.0) -> None:
        closer = where & (t > 0.1) & (t < depth)
        depth[closer] = t[closer]
        for target, value in ((normal, n), (material, m), (roughness, r), (step, moved)):
            target[closer] = np.broadcast_to(value, target.shape)[closer]

    with np.errstate(divide="ignore", invalid="ignore"):
        t = (-1.3 - eye[1]) / rays[..., 1]
        at = eye + t[..., None] * rays
        bumps = np.stack([0.1 * np.sin(5 * at[..., 0]), np.ones_like(t), 0.1 * np.sin(4 * at[..., 2])], -1)
        bumps /= np.linalg.norm(bumps, axis=-1, keepdims=True)
        hit(t, t > 0, bumps, 1, 0.15 + 0.1 * np.sin(at[..., 0]))
        t = (8.0 - eye[2]) / rays[..., 2]
        at = eye + t[..., None] * rays
        hit(t, at[..., 1] < 1.4, np.array([0, 0, -1]), 2 + (np.floor(at[..., 0]) % 3), 0.4 + 0.3 * np.sin(at[..., 1]))
        center = ball(index)
        a, b = np.sum(rays**2, -1), np.sum(rays * (eye - center), -1)
        disc = b * b - a * (np.sum((eye - center) ** 2) - RADIUS**2)
        t = (-b - np.sqrt(disc)) / a
        at = eye + t[..., None] * rays
        hit(t, disc > 0, (at - center) / RADIUS, 7, 0.02 + 0.1 * (at[..., 1] > 0), ball(max(index - 1, 0)) - center)

    surface = np.isfinite(depth)
    world = eye + np.where(surface, depth, 1.0)[..., None] * rays + step
    before = world @ np.asarray(previous.world_to_view)[:3, :3].T + np.asarray(previous.world_to_view)[:3, 3]
    ndc = before[..., :2] / before[..., 2:] * np.diag(np.asarray(previous.view_to_clip))[:2]
    pixel = np.stack([(ndc[..., 0] + 1) / 2 * width, (1 - ndc[..., 1]) / 2 * height], -1)
    here = np.stack(np.broadcast_arrays((u * width)[None, :], (v * height)[:, None]), -1)
    motion = np.concatenate([pixel - here, before[..., 2:] - np.where(surface, depth, 1.0)[..., None]], -1)

    light = 0.6 + 0.4 * np.sin(world[..., :1] * np.array([2.0, 2.3, 2.6])) * np.cos(world[..., 2:])
    arrays = {
        "diffuse": light * random.exponential(size=(height, width, 1)),
        "diffuse_hit_distance": random.gamma(2, 0.8, (height, width)),
        "specular": 2 * light * random.exponential(size=(height, width, 1)) * (random.random((height, width, 1)) < 0.8),
        "specular_hit_distance": random.gamma(2, 1.5, (height, width)),
        "normal": normal,
        "roughness": roughness,
        "motion": motion * surface[..., None],
        "diffuse_confidence": 1 - 0.3 * random.random((height, width)),
        "specular_confidence": 1 - 0.3 * random.random((height, width)),
        "disocclusion_threshold_mix": random.random((height, width)),
    }
    for name, missing, far in (("diffuse_hit_distance", 0.03, 0.1), ("specular_hit_distance", 0.12, 0.2)):
        chance = random.random((height, width))
        arrays[name][chance < missing] = 0
        arrays[name][chance > 1 - far] = np.inf
    frame: dict[str, Any] = {name: array.astype(dtype) for name, array in arrays.items()}
    frame["view_z"] = np.where(surface, depth, 1e7).astype(np.float32)
    frame["material_id"] = material
    frame["camera"] = cam
    return frame


def shadows(index: int, width: int = 83, height: int = 45, dtype: Any = np.float16) -> dict[str, Any]:
    """The keywords of frame `index` for SIGMA: the guides, and made-up shadows of a sun, a lamp and a lamp behind glass.

    The shadow of the sun has soft borders that move; the lamp is there from frame 1 on, the other up to frame 2."""
    frame = {name: value for name, value in inputs(index, width, height, dtype).items() if name in GUIDES}
    random = np.random.default_rng([index, 1])
    x, y = np.meshgrid(np.arange(width) / width, np.arange(height) / height)

    def distances(visible: Array, far: float) -> Array:
        blocked = random.random((height, width)) > visible
        return np.where(blocked, far * (0.5 + x), np.inf).astype(dtype)

    sun = distances(np.clip(10 * (x - 0.4 - 0.02 * index) + 0.5, 0, 1), 3)
    sun[: height // 8] = 0  # faces away
    ring, step = 1.0 * (np.hypot(x - 0.5, y - 0.5) < 0.3), np.clip(8 * (y - 0.5), 0, 1)
    colour = (random.random((height, width, 3)) * [1, 0.5, 0.1]).astype(dtype)
    lights: list[tuple[dn.Light, Array, Array | None]] = [
        (dn.Light.directional((0.3, 1, -0.2), 0.05, key="sun"), sun, None)
    ]
    if index >= 1:
        lights.append((dn.Light.local((0.5, 1.5, 4), 0.3, key="lamp"), distances(ring, 1), None))
    if index <= 2:
        lights.append((dn.Light.local((-1, 1, 6), 0.1, key="glass"), distances(step, 0.5), colour))
    keywords = ("light", "occluder_distance", "translucency")
    return {**frame, **{name: [light[k] for light in lights] for k, name in enumerate(keywords)}}


def signal(index: int, width: int = 83, height: int = 45, channels: int = 5) -> dict[str, Any]:
    """The arguments of frame `index` for a Reference: noise with samples that are no numbers, and a mask. The camera
    moves at frame 3."""
    random = np.random.default_rng([index, 2])
    noise = random.exponential(size=(height, width, channels)).astype(np.float32)
    noise[random.random((height, width)) < 0.1, index % channels] = np.nan
    mask = random.random((height, width)) < 0.1
    return {"signal": noise, "mask": mask, "camera": camera(int(index >= 3), width, height)}


def native(denoiser: Any, keywords: dict[str, Any]) -> Any:
    """A frame as the native module takes it, with the settings of the denoiser and new arrays for the results."""
    if isinstance(denoiser, dn.Reference):
        return denoiser._prepare(**keywords)[-1]
    return denoiser._prepare(dn.Frame(**keywords))[-1]
