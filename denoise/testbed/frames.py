# SPDX-License-Identifier: Apache-2.0
"""Frames and sequences of a scene as arrays, named and typed as `denoise.sequences.npz` documents them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.metrics import compose, reference_signals
from denoise.sequences import Arrays, Sequence, light_array

from . import scenes as _scenes
from .brdf import directional_albedo
from .gbuffer import SKY_Z, Eye, Guides, primary
from .geometry import World, light_names, material_names, pack
from .scene import BLACK, Camera, Scene, View
from .tracer import CLAMP, MISS, Signals, Surfaces, lobes

ALBEDO_FLOOR = 0.02
SPEC_FACTOR_FLOOR = 0.01
FPS = 30
ROWS = 8  # that a thread takes at a time


def scenes() -> list[str]:
    """Names of the built-in scenes."""
    return list(_scenes.SCENES)


def get_scene(scene: str | Scene) -> Scene:
    """The built-in scene of a name; a scene is returned as it is. ValueError for an unknown name."""
    if isinstance(scene, Scene):
        return scene
    if scene not in _scenes.SCENES:
        raise ValueError(f"scene: expected one of {', '.join(_scenes.SCENES)}, got {scene!r}")
    return _scenes.SCENES[scene]


def render(
    scene: str | Scene,
    frame: int,
    width: int,
    height: int,
    *,
    seed: int = 0,
    reference_samples: int = 0,
    jitter: bool | None = None,
    threads: int | None = None,
) -> Arrays:
    """One frame at one sample per pixel and lobe: every array of the sequence format, with its dtype and shape.

    frame              number in the animation, from 0; frames past its end continue it
    width, height      pixels
    seed               chooses the noise; nothing else does, the number of threads included
    reference_samples  samples per pixel and lobe of the `ref_*` and `se_*` arrays; 0 leaves these out
    jitter             overrides the scene's choice whether rays leave pixel centres
    threads            default: all usable cores

    `sun_unshadowed`, `shadow_hit` and `ref_shadow` are there if the scene has a sun, those with its name for each lamp;
    `translucency` of all lights, and three channels in `ref_shadow`, if something in the scene lets their light through.
    """
    scene = get_scene(scene)
    world, hits, found = _primary(scene, frame, width, height, jitter, False, threads)
    arrays = _guide_arrays(found, hits)
    _set_factors(arrays, hits)
    view = scene.at(frame)
    lights = light_names(view)
    translucent = any(shape.material.transmission != BLACK for shape in view.shapes)

    noisy = _signals(world, hits, len(lights), seed, frame, 0, threads)
    arrays["diff"], arrays["spec"] = _half(noisy.diff), _half(noisy.spec)
    arrays["diff_hit"], arrays["spec_hit"] = _half(noisy.diff_hit), _half(noisy.spec_hit)
    for k, light in enumerate(lights):
        arrays[light_array("unshadowed", light)] = _half(found.unshadowed[k])
        arrays[light_array("shadow_hit", light)] = _half(noisy.shadow_hit[k])
        if translucent:
            arrays[light_array("translucency", light)] = _half(noisy.shadow[k])

    if reference_samples:
        n = reference_samples
        sums = _signals(world, hits, len(lights), seed, frame, n, threads)
        arrays["ref_diff"], arrays["ref_spec"] = _half(sums.diff / n), _half(sums.spec / n)
        arrays["se_diff"] = _half(_standard_error(sums.diff, sums.diff_squared, n))
        arrays["se_spec"] = _half(_standard_error(sums.spec, sums.spec_squared, n))
        for k, light in enumerate(lights):
            shadow = sums.shadow[k] if translucent else sums.shadow[k, ..., 0]
            arrays[light_array("ref_shadow", light)] = _half(shadow / n)
        arrays["ref_color"] = _half(compose(arrays, reference_signals(arrays)))
    return arrays


def guides(
    scene: str | Scene,
    frame: int,
    width: int,
    height: int,
    *,
    jitter: bool | None = None,
    threads: int | None = None,
) -> Arrays:
    """The noise-free arrays of a frame (`view_z`, `normal`, `roughness`, `motion`, ids, ...), and `disoccluded`.

    disoccluded  bool (H, W): the surface point was off screen or hidden in the previous frame, exactly: shapes are
                 intersected, pixels play no part. Frame 0 has a previous frame too, number -1.
    """
    _, hits, found = _primary(get_scene(scene), frame, width, height, jitter, True, threads)
    arrays = _guide_arrays(found, hits)
    _set_factors(arrays, hits)
    return {**arrays, "disoccluded": found.disoccluded}


def sequence(
    scene: str | Scene,
    width: int = 480,
    height: int = 270,
    *,
    frames: int | None = None,
    reference_frames: Iterable[int] = (),
    reference_samples: int = 64,
    seed: int = 0,
    jitter: bool | None = None,
    threads: int | None = None,
) -> Sequence:
    """A scene's first frames (default: all of its animation), each rendered when, and as often as, it is asked for.

    To write it: `denoise.sequences.write_sequence(folder, s.meta, s.frames.values())`.
    """
    scene = get_scene(scene)
    count = scene.num_frames if frames is None else frames
    wanted = sorted(set(reference_frames))
    meta = metadata(scene, width, height, frames=count, reference_frames=wanted, jitter=jitter)
    meta["reference_spp"] = dict.fromkeys(("diff", "spec", "shadow"), reference_samples)
    meta["seed"] = seed

    def frame(index: int) -> Arrays:
        n = reference_samples if index in wanted else 0
        return render(scene, index, width, height, seed=seed, reference_samples=n, jitter=jitter, threads=threads)

    return Sequence(meta, _Frames(count, frame))


def metadata(
    scene: str | Scene,
    width: int,
    height: int,
    *,
    frames: int | None = None,
    reference_frames: Iterable[int] = (),
    jitter: bool | None = None,
) -> dict[str, Any]:
    """Contents of sequence.json."""
    scene = get_scene(scene)
    count = scene.num_frames if frames is None else frames
    views = [scene.at(f) for f in range(count)]
    view = scene.at(0)
    meta: dict[str, Any] = {
        "name": scene.name,
        "description": scene.description,
        "width": width,
        "height": height,
        "num_frames": count,
        "fps": FPS,
        "reference_frames": list(reference_frames),
        "lighting_changes": [f for f in scene.lighting_changes if f < count],
        "renderer": "denoise.testbed",
        "handedness": "world right-handed, y up; view x right, y up, z forward; pixel y down; clip depth 0..1",
        "cameras": [
            {**_camera(shown.camera, width, height), "jitter": list(_jitter(scene, f, jitter))}
            for f, shown in enumerate(views)
        ],
        "camera_before_first": _camera(scene.at(-1).camera, width, height),
        "view_z_sky": SKY_Z,
        "hit_miss": MISS,
        "albedo_floor": ALBEDO_FLOOR,
        "spec_factor_floor": SPEC_FACTOR_FLOOR,
        "radiance_clamp_luminance": CLAMP,
        "bounces_after_primary": scene.bounces,
        "exposure": scene.exposure,
        "materials": [{"id": i, "name": name} for i, name in enumerate(material_names(view), 1)],
    }
    if view.sun:
        meta["sun"] = {
            "direction_to_light": list(view.sun.direction_to_light),
            "tan_angular_radius": view.sun.tan_angular_radius,
            "irradiance": list(view.sun.irradiance),
        }
        directions = [list(shown.sun.direction_to_light) for shown in views if shown.sun]
        if any(direction != directions[0] for direction in directions):
            meta["sun"]["directions_to_light"] = directions
    if view.lamps:
        meta["lights"] = {
            lamp.name: {
                "positions": [list(shown.lamps[i].position) for shown in views],
                "radius": lamp.radius,
                "intensity": list(lamp.intensity),
            }
            for i, lamp in enumerate(view.lamps)
        }
    return meta


class _Frames(Mapping[int, Arrays]):
    """Frame number -> arrays, made when asked for."""

    def __init__(self, count: int, make: Callable[[int], Arrays]) -> None:
        self._indices = range(count)
        self._make = make

    def __getitem__(self, index: int) -> Arrays:
        if index not in self._indices:
            raise KeyError(index)
        return self._make(index)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)


def _primary(
    scene: Scene,
    frame: int,
    width: int,
    height: int,
    jitter: bool | None,
    find_disoccluded: bool,
    threads: int | None,
) -> tuple[World, Surfaces, Guides]:
    """Trace the rays of the camera; `Surfaces` lacks its factors."""
    if width < 1 or height < 1:
        raise ValueError(f"width, height: expected positive numbers of pixels, got {width} x {height}")
    view, before = scene.at(frame), scene.at(frame - 1)
    if [s.kind for s in view.shapes] != [s.kind for s in before.shapes]:
        raise ValueError(f"scene {scene.name}: frames {frame - 1} and {frame} differ in their shapes")
    if light_names(view) != light_names(scene.at(0)):
        raise ValueError(f"scene {scene.name}: frames 0 and {frame} differ in their lights")
    world, previous = pack(scene, view), pack(scene, before)
    eye, previous_eye = _eye(view, width, height), _eye(before, width, height)
    offset = _jitter(scene, frame, jitter)

    def numbers(*channels: int) -> NDArray[np.float64]:
        return np.zeros((height, width, *channels))

    def integers() -> NDArray[np.int64]:
        return np.zeros((height, width), np.int64)

    hits = Surfaces(
        shape=integers(),
        position=numbers(3),
        normal=numbers(3),
        to_eye=numbers(3),
        roughness=numbers(),
        albedo=numbers(3),
        f0=numbers(3),
        albedo_factor=numbers(3),
        spec_factor=numbers(3),
    )
    found = Guides(
        view_z=numbers(),
        normal=numbers(3),
        motion=numbers(3),
        emission=numbers(3),
        unshadowed=np.zeros((len(light_names(view)), height, width, 3)),
        object_id=integers(),
        material_id=integers(),
        disoccluded=np.zeros((height, width), np.bool_),
    )

    def trace(y0: int, y1: int) -> None:
        primary(world, previous, eye, previous_eye, offset, find_disoccluded, hits, found, y0, y1)

    _in_threads(trace, height, threads)
    return world, hits, found


def _signals(
    world: World, hits: Surfaces, lights: int, seed: int, frame: int, reference_samples: int, threads: int | None
) -> Signals:
    height, width = hits.shape.shape
    colour, number = np.zeros((2, height, width, 3)), np.zeros((4, height, width))
    out = Signals(*colour, *number, *(np.zeros((lights, height, width, *channels)) for channels in ((3,), ())))
    _in_threads(lambda y0, y1: lobes(world, hits, seed, frame, reference_samples, out, y0, y1), height, threads)
    return out


def _in_threads(work: Callable[[int, int], None], rows: int, threads: int | None) -> None:
    """Call work(first, end) for all rows, a few at a time. Which thread takes which has no influence on the result."""
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        starts = range(0, rows, ROWS)
        list(pool.map(work, starts, (min(y + ROWS, rows) for y in starts)))


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _guide_arrays(found: Guides, hits: Surfaces) -> Arrays:
    return {
        "view_z": found.view_z.astype(np.float32),
        "normal": _half(found.normal),
        "roughness": _half(hits.roughness),
        "motion": found.motion.astype(np.float32),
        "f0": _half(hits.f0),
        "emission": _half(found.emission),
        "object_id": found.object_id.astype(np.uint16),
        "material_id": found.material_id.astype(np.uint8),
    }


def _set_factors(arrays: Arrays, hits: Surfaces) -> None:
    """Demodulation factors, in `arrays` and `hits`; what `hits` is lit with is rounded to what `arrays` stores."""
    for exact in (hits.albedo, hits.f0, hits.roughness):
        exact[:] = exact.astype(np.float16)
    n_dot_v = (hits.normal * hits.to_eye).sum(-1)
    there = (arrays["material_id"] > 0)[..., None]
    reflected = directional_albedo(hits.f0, hits.roughness, n_dot_v)
    arrays["albedo"] = _half(np.maximum(hits.albedo, ALBEDO_FLOOR) * there)
    arrays["spec_factor"] = _half(np.maximum(reflected, SPEC_FACTOR_FLOOR) * there)
    hits.albedo_factor[:] = arrays["albedo"]
    hits.spec_factor[:] = arrays["spec_factor"]


def _standard_error(total: NDArray[np.float64], squares: NDArray[np.float64], samples: int) -> NDArray[np.float64]:
    """Of the mean luminance, from the sums of colours and of squared luminances, as if samples were independent."""
    mean = total @ (0.2126, 0.7152, 0.0722) / samples
    variance = np.maximum(squares / samples - mean * mean, 0) / max(samples - 1, 1)
    return np.asarray(np.sqrt(variance))


def _half(values: NDArray[Any]) -> NDArray[np.float16]:
    return np.asarray(np.minimum(values, MISS), np.float16)


def _camera(camera: Camera, width: int, height: int) -> dict[str, Any]:
    return {
        "world_to_view": camera.world_to_view().tolist(),
        "view_to_clip": camera.view_to_clip(width, height).tolist(),
    }


def _eye(view: View, width: int, height: int) -> Eye:
    matrix = view.camera.world_to_view()
    clip = view.camera.view_to_clip(width, height)
    x, y, z = view.camera.eye
    right, up, forward = ((float(row[0]), float(row[1]), float(row[2])) for row in matrix[:3])
    tangent = float(1 / clip[0, 0]), float(1 / clip[1, 1]), float(2 / clip[1, 1] / height)
    return Eye((float(x), float(y), float(z)), right, up, forward, tangent, (float(width), float(height)))


def _jitter(scene: Scene, frame: int, override: bool | None) -> tuple[float, float]:
    """Where in their pixels the rays of a frame go, from the centre: a Halton sequence of 16 points, or (0, 0)."""
    if not (scene.jitter if override is None else override):
        return 0.0, 0.0
    index = frame % 16 + 1
    return _radical_inverse(index, 2) - 0.5, _radical_inverse(index, 3) - 0.5


def _radical_inverse(index: int, base: int) -> float:
    value, weight = 0.0, 1.0
    while index:
        weight /= base
        value += weight * (index % base)
        index //= base
    return value
