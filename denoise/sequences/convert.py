# SPDX-License-Identifier: Apache-2.0
"""From the numbers of a renderer to native ones, by the conventions of a mapping; and for the picture, back again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import FrameFiles
from .mapping import FileMapping
from .sequence import Arrays, SequenceError
from .view import View

Image = NDArray[Any]

SKY = 1e7  # view_z of the sky in converted arrays
_SKY_FROM = 1e6  # files have 1e10, or inf where that is too much for half floats
_DARK = 1e-4  # an albedo below this has no signal to divide
_MISS = 65504.0
_LOBES = {"diff": "albedo", "spec": "spec_factor"}
_HITS = ("diff_hit", "spec_hit")
_RADIANCE = (*_LOBES, "emission", "color", "rest", "sun_unshadowed")
_FACTORS = ("albedo", "spec_factor")
_IDS = {"material_id": np.uint8, "object_id": np.uint16}

# A lobe's hit distance over its normalized one, as NRD defines it by default [metres]: a + b z, times a factor of the
# roughness from 1 to c.
_NORMALIZED = (3.0, 0.1, 20.0, -25.0)


def sources(names: Iterable[str], mapping: FileMapping) -> set[str]:
    """The arrays that are needed to convert these."""
    needed = set(names)
    if mapping["radiance.kind"] == "modulated":
        needed |= {factor for lobe, factor in _LOBES.items() if lobe in needed}
    if needed & {*_HITS} and mapping["hit_distance.kind"] != "world":
        needed |= {"view_z", "roughness"}
    if "view_z" in needed:
        needed |= {"position", "normal"}
    return needed


def convert(
    arrays: Mapping[str, Image],
    mapping: FileMapping,
    meta: Mapping[str, Any],
    index: int,
    before: Callable[[], Mapping[str, Image]] = dict,
) -> Arrays:
    """The arrays of frame `index` in native terms.

    meta    describes the sequence: size and cameras, native already
    before  gives the unconverted arrays of the frame before, empty if there is none
    """
    camera = View(meta["cameras"][index], meta["width"], meta["height"])
    native: Arrays = dict(arrays)
    if "view_z" in native:
        native["view_z"] = _depth(native["view_z"], mapping, camera)
    elif "position" in native:
        native["view_z"] = _depth_of_position(native["position"], mapping, camera)
    if "normal" in native:
        native["normal"] = _normal(native["normal"], mapping, camera)
    if "motion" in native:
        native["motion"] = _motion(native["motion"], mapping, meta, index, before)
    if "roughness" in native:
        native["roughness"] = _roughness(native["roughness"], mapping)
    elif mapping["roughness.value"] is not None and "view_z" in native:
        native["roughness"] = np.full(native["view_z"].shape, mapping["roughness.value"], np.float32)
    for name in _HITS:
        if name in native:
            rough = 1.0 if name == "diff_hit" else native.get("roughness", 1.0)
            native[name] = _hit_distance(native[name], mapping, camera, native.get("view_z"), rough)
    for name in _FACTORS:
        if name in native and mapping["albedo.encoding"] == "srgb":
            native[name] = _from_srgb(native[name])
    for name in _RADIANCE:
        if name in native:
            native[name] = decode_radiance(native[name], mapping)
    if mapping["radiance.kind"] == "modulated":
        for name, factor in _LOBES.items():
            if name in native and factor in native:
                # What has no albedo in the files, metal or glass, is denoised as it is.
                native[factor] = np.where(native[factor] > _DARK, native[factor], 1).astype(np.float32)
                native[name] = (native[name] / native[factor]).astype(np.float32)
    for name, dtype in _IDS.items():
        if name in native:
            native[name] = np.rint(np.nan_to_num(native[name])).astype(np.int64).astype(dtype)
    return native


class ConvertedFrames(FrameFiles):
    """The frames of files in native terms; `meta` describes them, in native terms already."""

    def __init__(self, raw: FrameFiles, mapping: FileMapping, meta: Mapping[str, Any]) -> None:
        self.raw, self.mapping, self.meta = raw, mapping, meta
        self.indices = raw.indices
        self.made_with = {"mapping": mapping.as_dict()}

    @property
    def origin(self) -> FrameFiles:
        return self.raw.origin

    def path(self, index: int) -> Path:
        return self.raw.path(index)

    def read(self, index: int, names: Iterable[str] | None = None) -> Arrays:
        needed = None if names is None else sources(names, self.mapping)
        path = self.path(index)
        try:
            native = convert(
                self.raw.read(index, needed),
                self.mapping,
                self.meta,
                index,
                lambda: self.raw.read(index - 1, ["motion"]) if index - 1 in self.raw else {},
            )
        except ValueError as error:
            raise SequenceError(f"{path}: {error}") from error
        return {name: array for name, array in native.items() if names is None or name in names}

    def digest(self, index: int, names: Iterable[str]) -> str:
        return self.raw.digest(index, sources(names, self.mapping))


def native_cameras(meta: Mapping[str, Any], mapping: FileMapping) -> dict[str, Any]:
    """The same description with cameras as the native format has them."""
    return {**meta, "cameras": [_native_camera(camera, mapping) for camera in meta["cameras"]]}


def _native_camera(camera: Mapping[str, Any], mapping: FileMapping) -> dict[str, Any]:
    view: Image = np.array(camera["world_to_view"], np.float64)
    clip: Image = np.array(camera["view_to_clip"], np.float64)
    if mapping["camera.matrices"] == "row":
        view, clip = view.T, clip.T
    if mapping["camera.view"] == "to_world":
        view = np.linalg.inv(view)
    if mapping["camera.flip"] != "none":
        view["xyz".index(mapping["camera.flip"])] *= -1
    return {**camera, "world_to_view": view.tolist(), "view_to_clip": clip.tolist()}


def decode_radiance(image: Image, mapping: FileMapping) -> Image:
    """Linear radiance in scene units."""
    linear = _from_srgb(image) if mapping["radiance.encoding"] == "srgb" else image
    return linear if mapping["radiance.exposure"] == 1 else (linear / mapping["radiance.exposure"]).astype(image.dtype)


def encode_radiance(image: Image, mapping: FileMapping) -> Image:
    """The inverse of `decode_radiance`."""
    exposed = image if mapping["radiance.exposure"] == 1 else (image * mapping["radiance.exposure"]).astype(image.dtype)
    return _to_srgb(exposed) if mapping["radiance.encoding"] == "srgb" else exposed


def _depth(depth: Image, mapping: FileMapping, camera: View) -> Image:
    z: Image = depth.astype(np.float32) * np.float32(mapping["depth.sign"])
    kind = mapping["depth.kind"]
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "distance":
            z = z / camera.obliqueness()
        elif kind == "inverse":
            z = 1 / z
        elif kind == "device":
            scale, offset = camera.view_to_clip[2, 2:]
            scale *= camera.sign
            z = offset / (z - scale) if not camera.orthographic else (z - offset) / scale
    return _with_sky(z)


def _depth_of_position(position: Image, mapping: FileMapping, camera: View) -> Image:
    if mapping["position.space"] == "view":
        z = position[..., 2] * camera.sign
    else:
        z = (position @ camera.world_to_view[2, :3] + camera.world_to_view[2, 3]) * camera.sign
    return _with_sky(np.where((position == 0).all(-1), SKY, z))


def _with_sky(z: Image) -> Image:
    return np.where(np.isfinite(z) & (z > 0) & (z < _SKY_FROM), z, SKY).astype(np.float32)


def _normal(normal: Image, mapping: FileMapping, camera: View) -> Image:
    n: Image = normal.astype(np.float32)
    if mapping["normal.range"] == "unsigned":
        n = 2 * n - 1
    n = n * np.float32(mapping["normal.sign"])
    if mapping["normal.space"] == "view_z_flipped":
        n = n * np.array([1, 1, -1], np.float32)
    if mapping["normal.space"] != "world":
        n = n @ camera.world_to_view[:3, :3]  # the inverse of a rotation is its transpose
    if mapping["normal.length"] == "any":
        length = np.sqrt((n * n).sum(-1, keepdims=True))
        n = np.where(length > 1e-3, n / np.maximum(length, 1e-3), 0)
    return n.astype(normal.dtype)


def _motion(
    motion: Image,
    mapping: FileMapping,
    meta: Mapping[str, Any],
    index: int,
    before: Callable[[], Mapping[str, Image]],
) -> Image:
    step = _motion_in_pixels(motion, mapping, meta)
    if mapping["motion.frames"] == "next":
        earlier = before().get("motion")
        step = np.zeros_like(step) if earlier is None else _arriving(_motion_in_pixels(earlier, mapping, meta))
    if mapping["motion.jitter"] == "included" and index:
        now, then = (meta["cameras"][i].get("jitter", (0, 0)) for i in (index, index - 1))
        step[..., :2] += np.subtract(then, now).astype(np.float32)
    return step.astype(motion.dtype)


def _motion_in_pixels(motion: Image, mapping: FileMapping, meta: Mapping[str, Any]) -> Image:
    """Earlier - later, y down, as far as it is known without other frames."""
    step = motion.astype(np.float32) * np.float32(mapping["motion.scale"])
    frame = np.array([meta["width"], meta["height"]], np.float32)
    units: dict[str, Image] = {"pixels": np.ones(2, np.float32), "uv": frame, "ndc": frame / 2}
    step[..., :2] *= units[mapping["motion.unit"]]
    if mapping["motion.y"] == "up":
        step[..., 1] *= -1
    return -step if mapping["motion.points"] == "current" else step


def _arriving(leaving: Image) -> Image:
    """Motion of the later of two frames, from the same kept with the earlier one: where does what is here come from?

    Solved by going there and looking again; where something moves in front of something else, either may be found.
    """
    height, width = leaving.shape[:2]
    y, x = np.mgrid[:height, :width]
    step: Image = leaving
    for _ in range(4):
        xs = np.clip(np.rint(x + step[..., 0]), 0, width - 1).astype(int)
        ys = np.clip(np.rint(y + step[..., 1]), 0, height - 1).astype(int)
        step = leaving[ys, xs]
    return step.copy()


def _roughness(roughness: Image, mapping: FileMapping) -> Image:
    kind = mapping["roughness.kind"]
    if kind == "alpha":
        return np.asarray(np.sqrt(np.clip(roughness, 0, 1)))
    return 1 - roughness if kind == "glossiness" else roughness


def _hit_distance(
    hit: Image, mapping: FileMapping, camera: View, view_z: Image | None, roughness: Image | float
) -> Image:
    distance: Image = hit.astype(np.float32)
    missed = ~np.isfinite(distance) | (distance >= 0.99 * _MISS)
    kind = mapping["hit_distance.kind"]
    if kind == "total" and view_z is not None:
        distance = np.maximum(distance - view_z * camera.obliqueness(), 0)
    elif kind == "normalized" and view_z is not None:
        a, b, c, d = _NORMALIZED
        distance = distance * (a + b * view_z) * (1 + (c - 1) * np.exp2(d * np.square(roughness)))
    return np.where(missed, _MISS, np.minimum(distance * mapping["hit_distance.scale"], _MISS)).astype(hit.dtype)


def _from_srgb(image: Image) -> Image:
    x = image.astype(np.float32)
    linear = np.where(x <= 0.04045, x / 12.92, np.maximum((x + 0.055) / 1.055, 0) ** 2.4)
    return linear.astype(image.dtype)


def _to_srgb(image: Image) -> Image:
    x = image.astype(np.float32)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 0) ** (1 / 2.4) - 0.055).astype(image.dtype)
