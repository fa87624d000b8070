# SPDX-License-Identifier: Apache-2.0
"""Cameras of frames that come from elsewhere: from the headers of EXR files, from JSON, TOML or USD, or made up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import radians, tan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .exr_file import Part, Window, window_size
from .sequence import SequenceError, check_camera

Camera = dict[str, Any]  # an entry of `cameras` in sequence.json

_NEAR = 0.1
_OTHERS = ("fps", "sun", "lights", "lighting_changes", "exposure")


def described(path: Path, numbers: Sequence[int], size: tuple[int, int]) -> dict[str, Any]:
    """Entries of sequence.json from a file: `cameras`, one for each of the frames, and of JSON and TOML those of _OTHERS.

    path     JSON or TOML: `cameras` as in sequence.json, a list, or a table by frame numbers, or `camera` for all frames;
             instead of view_to_clip, one may have field_of_view, the horizontal angle in degrees.
             USD (needs the package usd-core): the first camera, by frame numbers as time codes
    size     width and height of the display window
    """
    try:
        if path.suffix in (".usd", ".usda", ".usdc", ".usdz"):
            return {"cameras": _from_usd(path, numbers)}
        meta = _load(path)
        cameras = meta.pop("cameras", meta.pop("camera", None))
        if isinstance(cameras, dict) and "world_to_view" not in cameras:
            cameras = [cameras[str(number)] for number in numbers]
        elif isinstance(cameras, dict):
            cameras = [cameras] * len(numbers)
        if not isinstance(cameras, list) or len(cameras) != len(numbers):
            found = len(cameras) if isinstance(cameras, list) else "none"
            raise ValueError(f"cameras: expected one for each of {len(numbers)} frames, got {found}")
        cameras = [_with_projection(camera, size) for camera in cameras]
        for number, camera in zip(numbers, cameras, strict=True):
            check_camera(camera, f"camera of frame {number}")
        return {"cameras": cameras, **{key: value for key, value in meta.items() if key in _OTHERS}}
    except KeyError as error:
        raise SequenceError(f"{path}: cameras: {error} is not there") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SequenceError(f"{path}: {error}") from None


def from_header(part: Part) -> Camera | None:
    """The camera of the attributes worldToCamera and worldToNDC; None if the file lacks them.

    Both are kept for row vectors. NDC is -1..1 or 0..1 across the display window, with y up or down: told apart by where
    the middle of the picture is, since the optical axis is near it.
    """
    view, ndc = part.matrix("worldToCamera"), part.matrix("worldToNDC")
    if view is None or ndc is None or abs(np.linalg.det(view)) < 1e-12:
        return None
    clip = (np.linalg.inv(view) @ ndc).T
    view = view.T
    scale = 1 / np.cbrt(abs(np.linalg.det(view[:3, :3])))  # some renderers scale the camera
    view[:3] *= scale
    clip[:, :3] /= scale
    perspective = abs(clip[3, 2]) > 1e-6
    clip /= abs(clip[3, 2]) if perspective else clip[3, 3]
    column = 2 if perspective else 3
    middle = clip[:2, column] / clip[3, column]
    for axis in (0, 1):
        if abs(middle[axis]) > 0.25:  # 0..1, or -1..0
            clip[axis] = 2 * clip[axis] - np.sign(middle[axis]) * clip[3]
    if clip[1, 1] < 0:
        clip[1] *= -1
    clip[np.abs(clip) < 1e-6] = 0
    return {"world_to_view": view.tolist(), "view_to_clip": clip.tolist(), "jitter": [0, 0]}


def made_up(size: tuple[int, int]) -> Camera:
    """A camera that stands still, at the origin, looking along -z, 40 degrees wide."""
    return _with_projection({"world_to_view": np.eye(4).tolist(), "field_of_view": 40.0}, size)


def cropped(camera: Camera, display: Window, frame: Window) -> Camera:
    """The camera of a frame that is larger than the display window for which the camera is."""
    if display == frame:
        return camera
    clip = np.array(camera["view_to_clip"], np.float64)
    (width, height), (wide, high) = window_size(display), window_size(frame)
    across = (2 * display[0] + width - 2 * frame[0] - wide) / wide
    up = -(2 * display[1] + height - 2 * frame[1] - high) / high
    clip[0] = clip[0] * width / wide + clip[3] * across
    clip[1] = clip[1] * height / high + clip[3] * up
    return {**camera, "view_to_clip": clip.tolist()}


def _with_projection(camera: Camera, size: tuple[int, int]) -> Camera:
    if "field_of_view" not in camera:
        return camera
    angle = camera["field_of_view"]
    if not 0 < angle < 180:
        raise ValueError(f"field_of_view: expected degrees between 0 and 180, got {angle!r}")
    x = 1 / tan(radians(angle) / 2)
    y = x * size[0] / size[1]
    clip = [[x, 0, 0, 0], [0, y, 0, 0], [0, 0, -1, -2 * _NEAR], [0, 0, -1, 0]]
    return {"view_to_clip": clip, **{key: value for key, value in camera.items() if key != "field_of_view"}}


def _load(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        loaded = json.loads(text)
    else:
        from .mapping import toml

        loaded = toml().loads(text)
    if not isinstance(loaded, dict):
        raise ValueError("expected an object with cameras")
    return loaded


def _from_usd(path: Path, numbers: Sequence[int]) -> list[Camera]:
    try:
        from pxr import Usd, UsdGeom
    except ModuleNotFoundError:
        raise ValueError('USD needs a package that is not installed: pip install "usd-core"') from None
    stage = Usd.Stage.Open(str(path))
    prims = [prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Camera)]
    if not prims:
        raise ValueError("there is no camera in it")
    found = []
    for number in numbers:
        frustum = UsdGeom.Camera(prims[0]).GetCamera(number).frustum
        view: NDArray[np.float64] = np.array(frustum.ComputeViewMatrix()).T  # USD has row vectors
        clip = np.array(frustum.ComputeProjectionMatrix()).T
        found.append({"world_to_view": view.tolist(), "view_to_clip": clip.tolist(), "jitter": [0, 0]})
    return found
