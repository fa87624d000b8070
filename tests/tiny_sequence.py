# SPDX-License-Identifier: Apache-2.0
"""A sequence of 32 x 18 pixels for tests: a noisy wall under the sky, seen by a camera that moves sideways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from denoise.sequences import Arrays, write_sequence

WIDTH, HEIGHT, FRAMES = 32, 18, 4
STEP = 0.125  # metres sideways from frame to frame: 0.5 pixels at depth 4


def meta(**changes: Any) -> dict[str, Any]:
    cameras = []
    for index in range(FRAMES):
        view = np.eye(4)
        view[0, 3] = -STEP * index
        clip = np.array([[1, 0, 0, 0], [0, WIDTH / HEIGHT, 0, 0], [0, 0, 1, -0.1], [0, 0, 1, 0]])
        cameras.append({"world_to_view": view.tolist(), "view_to_clip": clip.tolist(), "jitter": [0, 0]})
    described = {"name": "tiny", "width": WIDTH, "height": HEIGHT, "num_frames": FRAMES, "fps": 30, "cameras": cameras}
    return {**described, "reference_frames": [2, 3], "view_z_sky": 1e7, **changes}


def frame(index: int) -> Arrays:
    random = np.random.default_rng(index)
    x = np.arange(WIDTH) + 0.5 + index * STEP * WIDTH / 8
    surface = np.ones((HEIGHT, WIDTH), bool)
    surface[:4] = False
    rgb = surface[..., None] * np.ones(3)
    pattern = 0.5 + 0.3 * np.sin(x / 4)[None, :, None] * rgb
    noise = random.exponential(size=(2, HEIGHT, WIDTH, 1))
    arrays = {
        "normal": rgb * (0, 0, -1),
        "roughness": np.full((HEIGHT, WIDTH), 0.5),
        "motion": surface[..., None] * np.array([STEP * WIDTH / 8, 0, 0]),
        "albedo": 0.5 * rgb,
        "spec_factor": 0.1 * rgb,
        "emission": ~surface[..., None] * np.array([0.2, 0.3, 0.5]),
        "diff": pattern * noise[0] * rgb,
        "diff_hit": random.uniform(0.5, 2, (HEIGHT, WIDTH)) * surface,
        "spec": 2 * pattern * noise[1] * rgb,
        "spec_hit": np.full((HEIGHT, WIDTH), 65504.0),
    }
    if index in (2, 3):
        arrays |= {"ref_diff": pattern * rgb, "ref_spec": 2 * pattern * rgb}
        arrays |= {"se_diff": np.full((HEIGHT, WIDTH), 0.01), "se_spec": np.full((HEIGHT, WIDTH), 0.02)}
    return {
        "view_z": np.where(surface, 4, 1e7).astype(np.float32),
        **{name: np.asfortranarray(array, np.float16) for name, array in arrays.items()},
        "object_id": surface.astype(np.uint16),
        "material_id": surface.astype(np.uint8),
    }


SUN = {"direction_to_light": [0.3, 1, -1], "tan_angular_radius": 0.05}
LAMP = {"positions": [[0, 1, 2 + 0.1 * index] for index in range(FRAMES)], "radius": 0.2}


def shaded(index: int) -> Arrays:
    """The same frame with the noisy shadows of a sun, and of a lamp behind coloured glass that is there from frame 1 on."""
    random = np.random.default_rng([index, 1])
    lit = np.clip(np.arange(WIDTH) / 8 - 1, 0, 1) * np.ones((HEIGHT, 1))
    arrays = {
        "shadow_hit": np.where(random.random(lit.shape) < lit, 65504, 2),
        "sun_unshadowed": np.full((HEIGHT, WIDTH, 3), 0.5),
    }
    if index:
        arrays["shadow_hit_lamp"] = np.where(random.random(lit.shape) < lit[:, ::-1], 65504, 0.5)
        lamp = (arrays["shadow_hit_lamp"] > 1)[..., None]
        arrays |= {
            "translucency_lamp": np.where(lamp, 1, [0.8, 0.2, 0]),
            "unshadowed_lamp": np.full((*lit.shape, 3), 0.3),
        }
    if index in (2, 3):
        glass = lit[:, ::-1, None] * (1 - np.array([0.8, 0.2, 0])) + [0.8, 0.2, 0]
        arrays |= {"ref_shadow": lit, "ref_shadow_lamp": glass}
    return {**frame(index), **{name: array.astype(np.float16) for name, array in arrays.items()}}


def write_shaded(folder: Path) -> Path:
    write_sequence(folder, meta(sun=SUN, lights={"lamp": LAMP}), map(shaded, range(FRAMES)))
    return folder


def write(folder: Path, **changes: Any) -> Path:
    write_sequence(folder, meta(**changes), (frame(index) for index in range(FRAMES)))
    return folder
