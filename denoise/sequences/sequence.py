# SPDX-License-Identifier: Apache-2.0
"""One sequence of frames in memory or on disk, and the one place that says what its arrays are called in the API.

The arrays and the description are documented in `denoise.sequences.npz`, which also reads and writes them.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from denoise.errors import DenoiseError
from denoise.frame import INPUTS as FRAME_INPUTS
from denoise.frame import SIGNALS, Camera, Light
from denoise.settings import FrameSettings

Arrays = dict[str, NDArray[Any]]

FORMAT_VERSION = 1

# Array of the format -> keyword of `denoise.Frame`. Signals come demodulated, so `albedo` and `spec_factor` stay here.
INPUTS = {
    "diff": "diffuse",
    "diff_hit": "diffuse_hit_distance",
    "spec": "specular",
    "spec_hit": "specular_hit_distance",
    "view_z": "view_z",
    "normal": "normal",
    "roughness": "roughness",
    "motion": "motion",
    "material_id": "material_id",
}

# The same for the arrays of a light: `shadow_hit` of the sun, `shadow_hit_NAME` of a lamp.
LIGHT_INPUTS = {"shadow_hit": "occluder_distance", "translucency": "translucency"}

SUN = "sun"  # the name of the light whose arrays carry none

_SCALARS = "view_z roughness diff_hit spec_hit object_id material_id se_diff se_spec"
_COLOURS = "normal albedo spec_factor f0 emission diff diff_dir spec spec_dir ref_diff ref_spec ref_color"
_TRAILING: dict[str, tuple[tuple[int, ...], ...]] = {
    **dict.fromkeys(_SCALARS.split(), ((),)),
    **dict.fromkeys(_COLOURS.split(), ((3,),)),
    "motion": ((2,), (3,)),
}
_TRAILING_OF_LIGHTS: dict[str, tuple[tuple[int, ...], ...]] = {
    "unshadowed": ((3,),),
    "shadow_hit": ((),),
    "translucency": ((3,),),
    "ref_shadow": ((), (3,)),
    "shadow": ((), (3,)),
}


class SequenceError(DenoiseError):
    """A sequence that cannot be used; the message begins with the file that is to blame."""


@dataclass(frozen=True)
class Sequence:
    """Frames and their description.

    meta    contents of sequence.json; ValueError if it does not describe a sequence
    frames  frame number -> arrays; a dict, or `NpzFrames` that read a folder one frame at a time
    """

    meta: dict[str, Any]
    frames: Mapping[int, Arrays]

    def __post_init__(self) -> None:
        check_meta(self.meta)

    @property
    def name(self) -> str:
        return str(self.meta.get("name", "sequence"))

    @property
    def width(self) -> int:
        return int(self.meta["width"])

    @property
    def height(self) -> int:
        return int(self.meta["height"])

    @property
    def num_frames(self) -> int:
        return int(self.meta["num_frames"])

    @property
    def view_z_sky(self) -> float:
        return float(self.meta.get("view_z_sky", 1e7))

    @property
    def reference_frames(self) -> list[int]:
        """Frames that come with `ref_*` arrays, in order."""
        return sorted(self.meta.get("reference_frames", []))

    @property
    def lighting_changes(self) -> list[int]:
        """First frames under new lighting, in order."""
        return sorted(self.meta.get("lighting_changes", []))

    @property
    def numbers(self) -> list[int]:
        """What the frames are called elsewhere: of files, their numbers."""
        return list(self.meta.get("frame_numbers", range(self.num_frames)))

    @property
    def notes(self) -> list[str]:
        """What was assumed when it was opened, for a user to read."""
        return list(self.meta.get("notes", []))

    @property
    def cuts(self) -> list[int]:
        """Frames at which the history begins anew, in order."""
        return sorted(self.meta.get("cuts", []))

    def select(self, numbers: range | None) -> list[int]:
        """The frames with these numbers, default all. ValueError if it lacks one."""
        known = {number: index for index, number in enumerate(self.numbers)}
        first, last = self.numbers[0], self.numbers[-1]
        if numbers is None:
            return list(known.values())
        if not numbers or numbers[0] < first or numbers[-1] > last:
            raise ValueError(f"frames {numbers.start}-{numbers.stop - 1}: {self.name} has frames {first}-{last}")
        if missing := [number for number in numbers if number not in known]:
            raise ValueError(f"frame {missing[0]}: {self.name} has none of that number")
        return [known[number] for number in numbers]

    @property
    def lights(self) -> list[str]:
        """Names of the lights that have signals of their own, "sun" first."""
        return described_lights(self.meta)


def described_lights(meta: Mapping[str, Any]) -> list[str]:
    """Names of the lights that a sequence says where they are, "sun" first."""
    return [*([SUN] if SUN in meta else []), *meta.get("lights", {})]


def light_array(kind: str, light: str) -> str:
    """What an array of a light is called; kind: unshadowed, shadow_hit, translucency, ref_shadow or shadow."""
    if light == SUN:
        return "sun_unshadowed" if kind == "unshadowed" else kind
    return f"{kind}_{light}"


def lights_with(kind: str, arrays: Iterable[str]) -> list[str]:
    """The lights that have an array of a kind (not: shadow, which others begin with) among those named; sun first."""
    names = list(arrays)
    lamps = [name.removeprefix(f"{kind}_") for name in names if name.startswith(f"{kind}_")]
    return [SUN, *lamps] if light_array(kind, SUN) in names else lamps


def light_geometry(meta: Mapping[str, Any], light: str, index: int) -> dict[str, Any]:
    """Where a light is at frame `index`.

    Of the sun: direction (3 numbers, towards it, of any length) and tan_angular_radius; of others: position (3 numbers)
    and radius, both in world units.
    """
    if light == SUN:
        sun = meta["sun"]
        directions = sun.get("directions_to_light")
        direction = directions[index] if directions else sun["direction_to_light"]
        return {"direction": tuple(direction), "tan_angular_radius": sun["tan_angular_radius"]}
    lamp = meta["lights"][light]
    return {"position": tuple(lamp["positions"][index]), "radius": lamp["radius"]}


def check_arrays(arrays: Mapping[str, NDArray[Any]], width: int, height: int, lights: Iterable[str] = ()) -> None:
    """Raise ValueError unless every array that the format knows has its shape; others are left alone.

    lights  names of the lights besides the sun
    """
    kinds = _TRAILING_OF_LIGHTS.items()
    known = _TRAILING | {light_array(kind, light): shapes for light in (SUN, *lights) for kind, shapes in kinds}
    for name, array in arrays.items():
        shapes = [(height, width, *trailing) for trailing in known.get(name, ())]
        if shapes and array.shape not in shapes:
            raise ValueError(f"{name}: expected {' or '.join(map(str, shapes))}, got {array.shape}")


def check_meta(meta: Mapping[str, Any]) -> None:
    """Raise ValueError naming the first entry of a sequence's description that is missing or cannot be meant."""
    if not isinstance(meta, Mapping):
        raise TypeError(f"expected an object, got {type(meta).__name__}")
    version = meta.get("format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise ValueError(f"format_version: this release reads version {FORMAT_VERSION}, got {version!r}")
    for key in ("width", "height", "num_frames"):
        value = meta.get(key)
        if not (_is_int(value) and value > 0):
            raise ValueError(f"{key}: expected a positive integer, got {value!r}")
    fps = meta.get("fps", 30)
    if not isinstance(fps, (int, float)) or isinstance(fps, bool) or not 0 < fps < float("inf"):
        raise ValueError(f"fps: expected a positive number, got {fps!r}")
    last = meta["num_frames"] - 1
    for key in ("reference_frames", "lighting_changes", "cuts"):
        value = meta.get(key, [])
        if not isinstance(value, list) or not all(_is_int(i) and 0 <= i <= last for i in value):
            raise ValueError(f"{key}: expected a list of frame numbers in 0-{last}, got {value!r}")
    numbers = meta.get("frame_numbers", range(last + 1))
    if len(numbers) != last + 1 or not all(map(_is_int, numbers)) or sorted(set(numbers)) != list(numbers):
        raise ValueError(f"frame_numbers: expected {last + 1} numbers that rise, got {numbers!r}")
    cameras = meta.get("cameras")
    if not isinstance(cameras, list) or len(cameras) != last + 1:
        count = f"{len(cameras)} entries" if isinstance(cameras, list) else repr(cameras)
        raise ValueError(f"cameras: expected a list of {last + 1}, one per frame, got {count}")
    for index, camera in enumerate(cameras):
        check_camera(camera, f"cameras[{index}]")
    _check_lights(meta, last + 1)


def check_camera(camera: object, name: str) -> None:
    """Raise ValueError, with the camera's name, unless it has matrices of the right size."""
    for key, shape in (("world_to_view", (4, 4)), ("view_to_clip", (4, 4)), ("jitter", (2,))):
        value = camera.get(key, [0, 0] if key == "jitter" else None) if isinstance(camera, dict) else None
        if _number_shape(value) != shape:
            wanted = "4 rows of 4 numbers" if len(shape) == 2 else "2 numbers"
            raise ValueError(f"{name}.{key}: expected {wanted}, got {value!r}")


def _check_lights(meta: Mapping[str, Any], count: int) -> None:
    sun, lights = meta.get("sun"), meta.get("lights", {})
    if sun is not None:
        _check_entry(sun, "sun", "direction_to_light", (3,))
        _check_entry(sun, "sun", "tan_angular_radius", ())
        if "directions_to_light" in sun:
            _check_entry(sun, "sun", "directions_to_light", (count, 3))
    if not isinstance(lights, Mapping):
        raise ValueError(f"lights: expected an object, got {lights!r}")
    for name, light in lights.items():
        # No name may make one of its arrays look like another one's: `shadow_hit` is no output of a light "hit".
        if not re.fullmatch(r"[A-Za-z0-9_]+", name) or name == SUN or re.match("hit(_|$)", name):
            raise ValueError(f"lights: expected names of letters, digits and _, not sun or hit, got {name!r}")
        _check_entry(light, f"lights.{name}", "positions", (count, 3))
        _check_entry(light, f"lights.{name}", "radius", ())


def _check_entry(entry: object, owner: str, key: str, shape: tuple[int, ...]) -> None:
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if _number_shape(value) != shape:
        wanted = ("a number", "3 numbers", "one row of 3 numbers per frame")[len(shape)]
        raise ValueError(f"{owner}.{key}: expected {wanted}, got {value!r}")


def input_names(meta: Mapping[str, Any], keywords: Container[str]) -> list[str]:
    """The arrays of a sequence that are inputs by these keywords of `denoise.Frame`."""
    names = [name for name, keyword in INPUTS.items() if keyword in keywords]
    kinds = [kind for kind, keyword in LIGHT_INPUTS.items() if keyword in keywords]
    return names + [light_array(kind, light) for light in described_lights(meta) for kind in kinds]


def frame_inputs(arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Keywords of `denoise.Frame` for frame `index`: the signals and guides among `arrays`, camera and lights.

    What belongs to a lobe whose signal is absent, such as roughness without spec, is left out. Lights are those that have
    a `shadow_hit`, always as lists, with their names as keys. The motion of frame 0 refers to a virtual earlier camera and
    is passed on like any other: the first call of a denoiser ignores motion.
    """
    given: dict[str, Any] = {keyword: arrays[name] for name, keyword in INPUTS.items() if name in arrays}
    lights = [light for light in described_lights(meta) if light_array("shadow_hit", light) in arrays]
    if lights:
        given["light"] = [_light(meta, light, index) for light in lights]
        for kind, keyword in LIGHT_INPUTS.items():
            given[keyword] = [arrays.get(light_array(kind, light)) for light in lights]
    needs = {keyword: SIGNALS.get(FRAME_INPUTS[keyword].signal) for keyword in given if keyword in FRAME_INPUTS}
    camera = meta["cameras"][index]
    return {
        **{keyword: value for keyword, value in given.items() if (needs.get(keyword) or keyword) in given},
        "camera": Camera(
            world_to_view=camera["world_to_view"],
            view_to_clip=camera["view_to_clip"],
            jitter=camera.get("jitter", (0, 0)),
        ),
    }


def _light(meta: Mapping[str, Any], light: str, index: int) -> Light:
    make = Light.directional if light == SUN else Light.local
    return make(**light_geometry(meta, light, index), key=light)


def frame_settings(meta: Mapping[str, Any]) -> dict[str, float]:
    """Settings that a sequence implies, for any denoiser: frame_time [s] and sky_distance [world units]."""
    sky_distance = min(float(meta.get("view_z_sky", inf)), FrameSettings.sky_distance)
    return {"frame_time": 1 / meta.get("fps", 30), "sky_distance": sky_distance}


def parse_frames(text: str) -> range:
    """Frames "A-B", both included, or of these every Nth "A-BxN", or a single frame "A"."""
    match = re.fullmatch(r"(\d+)(?:-(\d+)(?:x(\d+))?)?", text)
    if not match:
        raise ValueError(f"expected frames as A-B or A-BxN, got {text!r}")
    first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
    if last < first or not step:
        raise ValueError(f"expected frames as A-B with A <= B, or A-BxN with N > 0, got {text!r}")
    return range(first, last + 1, step)


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _number_shape(value: object) -> tuple[int, ...] | None:
    """Shape of nested lists of finite numbers, None if they are anything else."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None
    return array.shape if np.isfinite(array).all() else None
