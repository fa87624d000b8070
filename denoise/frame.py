# SPDX-License-Identifier: Apache-2.0
"""What a renderer hands over for one frame: the named arrays, the camera, the lights, and the conventions they follow.

Pixels: row 0 is the top; (x, y) runs right and down, and the centre of the first pixel is (0.5, 0.5).
Radiance: linear RGB, divided by the albedo of its lobe unless `albedo` or `specular_albedo` is passed along.
Distances are in world units. Roughness is linear, the square root of the alpha of GGX. Normals are in world space.
Guides (everything but the signals and their hit distances) are noise-free; where there is sky they may hold anything,
NaN included.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import arrays
from .settings import did_you_mean

if TYPE_CHECKING:
    import numpy.typing as npt

    from .arrays import Array, DType, Place

# ruff: noqa: RUF009 -- what looks like calls for defaults below are dataclasses.field

LOBES = ("diffuse", "specular")

# What can be denoised, and the input that brings it.
SIGNALS = {"diffuse": "diffuse", "specular": "specular", "shadow": "occluder_distance"}


@dataclasses.dataclass(frozen=True, init=False, eq=False)
class Camera:
    """The camera of one frame: unchangeable, so make one for each frame that moves it.

    world_to_view  4x4, for column vectors (translation in the last column), row after row: a rotation, with or without
                   a reflection, and a translation. Left- or right-handed: the camera looks along +z or -z of view space
    view_to_clip   4x4, for column vectors, without jitter: perspective (w = z or w = -z) or orthographic, off-centre or
                   not; y of clip space points up. Depth may be reversed or infinite: only x, y and w are used
    jitter         (x, y) in pixels within +-0.5, x right, y down: where in the pixel the rays of this frame went,
                   counted from its centre; it only loosens tolerances

    Both matrices are kept as float64 (4, 4), read-only. Raises TypeError for what is no matrix, ValueError for a shape
    other than 4x4, NaN or inf, and for a matrix that is singular, transposed or of another kind.
    """

    world_to_view: npt.NDArray[np.float64]
    view_to_clip: npt.NDArray[np.float64]
    jitter: tuple[float, float]

    def __init__(
        self, *, world_to_view: npt.ArrayLike, view_to_clip: npt.ArrayLike, jitter: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        view = _matrix("world_to_view", world_to_view)
        clip = _matrix("view_to_clip", view_to_clip)
        _check_rigid(view)
        _check_projection(clip)
        object.__setattr__(self, "world_to_view", view)
        object.__setattr__(self, "view_to_clip", clip)
        object.__setattr__(self, "jitter", _jitter(jitter))


def _matrix(name: str, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    try:
        matrix = np.array(value, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a 4x4 matrix of numbers, got {value!r}") from None
    if matrix.shape != (4, 4):
        raise ValueError(f"{name}: expected a matrix of shape (4, 4), got {matrix.shape}")
    if not np.abs(matrix).max() < 1e30:  # written so that NaN fails; beyond it, float32 overflows
        raise ValueError(f"{name}: expected finite numbers, got {matrix.tolist()}")
    matrix.flags.writeable = False
    return matrix


def _close(row: npt.NDArray[np.float64], x: float, y: float, z: float, w: float) -> bool:
    values: list[float] = row.tolist()
    return all(abs(value - wanted) < 1e-4 for value, wanted in zip(values, (x, y, z, w), strict=True))


def _transposed(test: bool) -> str:
    return "; it looks transposed: matrices are for column vectors" if test else ""


def _check_rigid(view: npt.NDArray[np.float64]) -> None:
    if not _close(view[3], 0, 0, 0, 1):
        hint = _transposed(_close(view[:, 3], 0, 0, 0, 1))
        raise ValueError(f"world_to_view: expected the last row (0, 0, 0, 1), got {tuple(view[3].tolist())}{hint}")
    rotation = view[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3:
        lengths = ", ".join(f"{length:.4g}" for length in np.sqrt((rotation * rotation).sum(1)))
        raise ValueError(
            "world_to_view: expected a rotation and a translation (rows of length 1, at right angles), "
            f"got rows of length {lengths}, determinant {np.linalg.det(rotation):.4g}"
        )


def _check_projection(clip: npt.NDArray[np.float64]) -> None:
    def kind(row: npt.NDArray[np.float64]) -> str:
        if _close(row, 0, 0, 1, 0) or _close(row, 0, 0, -1, 0):
            return "perspective"
        return "orthographic" if _close(row, 0, 0, 0, 1) else ""

    if not kind(clip[3]):
        hint = _transposed(kind(clip[:, 3]) == "perspective")
        raise ValueError(
            "view_to_clip: expected the last row (0, 0, 1, 0) or (0, 0, -1, 0) for perspective, (0, 0, 0, 1) for "
            f"orthographic, got {tuple(clip[3].tolist())}{hint}"
        )
    (xx, xy, xz, xw), (yx, yy, yz, yw) = clip[:2].tolist()
    if min(abs(xx), abs(yy)) < 1e-9:
        raise ValueError(f"view_to_clip: singular: x and y are scaled by ({xx:g}, {yy:g}), expected both not 0")
    skew = (xy, yx, xw, yw) if kind(clip[3]) == "perspective" else (xy, yx, xz, yz)
    if max(map(abs, skew)) > 1e-4:
        raise ValueError(
            f"view_to_clip: expected a projection without skew or roll, got {kind(clip[3])} with the first rows "
            f"{clip[0].tolist()} and {clip[1].tolist()}"
        )


def _jitter(value: Any) -> tuple[float, float]:
    try:
        x, y = map(float, value)
    except (TypeError, ValueError):
        raise TypeError(f"jitter: expected two numbers (x, y), got {value!r}") from None
    if not (abs(x) <= 0.5 and abs(y) <= 0.5):  # written so that NaN fails
        raise ValueError(f"jitter: expected pixels within -0.5 and 0.5, got ({x:g}, {y:g}); is it in clip space?")
    return x, y


@dataclasses.dataclass(frozen=True, init=False)
class Light:
    """A light whose shadows are denoised: unchangeable, made by `Light.directional` or `Light.local`.

    kind    "directional": so far away that it lies in one direction, as the sun; "local": at a place in the scene
    vector  world space: unit vector towards the light; local: where its centre is
    size    tangent of its angular radius, as seen from the scene; local: its radius in world units
    key     tells it from the other lights of its frame, and finds its history in the next one; None: its place in the
            list of lights, "0", "1", ...
    """

    kind: Literal["directional", "local"]
    vector: tuple[float, float, float]
    size: float
    key: str | None

    def __init__(self) -> None:
        raise TypeError("Light: made by Light.directional(...) or Light.local(...)")

    @classmethod
    def directional(
        cls, direction: Sequence[float] | npt.ArrayLike, tan_angular_radius: float, *, key: str | None = None
    ) -> Light:
        """A light as far away as the sun.

        direction           world space, from the scene towards the light, of any length
        tan_angular_radius  its radius by its distance, 0 to 10; 0.00465 for the sun over the Earth

        Raises TypeError for what are no numbers or no text, ValueError for a direction without length, numbers that are
        not finite or out of range, and a key of other than letters, digits, _ and -.
        """
        x, y, z = _vector("direction", direction)
        length = math.hypot(x, y, z)
        if length < 1e-12:
            raise ValueError(f"direction: expected a vector with a length, got ({x:g}, {y:g}, {z:g})")
        size = _number("tan_angular_radius", tan_angular_radius)
        if not 0 <= size <= 10:  # written so that NaN fails
            raise ValueError(f"tan_angular_radius: expected 0 to 10, got {size:g}; is it an angle in degrees?")
        return cls._of("directional", (x / length, y / length, z / length), size, key)

    @classmethod
    def local(cls, position: Sequence[float] | npt.ArrayLike, radius: float, *, key: str | None = None) -> Light:
        """A light in the scene, as large as a ball.

        position  of its centre, world space
        radius    world units, 0 or more

        Raises as `directional` does.
        """
        size = _number("radius", radius)
        if not 0 <= size < 1e30:
            raise ValueError(f"radius: expected world units from 0 on, got {size:g}")
        return cls._of("local", _vector("position", position), size, key)

    @classmethod
    def _of(cls, kind: str, vector: tuple[float, float, float], size: float, key: str | None) -> Light:
        if key is not None and not isinstance(key, str):
            raise TypeError(f"key: expected a text or None, got {key!r}")
        if key is not None and not re.fullmatch(r"[A-Za-z0-9_-]+", key):
            raise ValueError(f"key: expected letters, digits, _ and -, got {key!r}")
        light = object.__new__(cls)
        for name, value in (("kind", kind), ("vector", vector), ("size", size), ("key", key)):
            object.__setattr__(light, name, value)
        return light


def _vector(name: str, value: Any) -> tuple[float, float, float]:
    try:
        x, y, z = map(float, value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected three numbers (x, y, z), got {value!r}") from None
    if not all(abs(v) < 1e30 for v in (x, y, z)):
        raise ValueError(f"{name}: expected finite numbers, got ({x:g}, {y:g}, {z:g})")
    return x, y, z


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    return float(value)


@dataclasses.dataclass(frozen=True)
class InputInfo:
    """What is known about one input. `str()` says whether it is required, what it is, and what its absence costs."""

    name: str
    channels: tuple[int, ...]  # 1 stands for (H, W), c for (H, W, c); more than one: any of them
    doc: str
    absence: str = ""  # what is lost without an optional input
    signal: str = ""  # what it belongs to, of SIGNALS; empty: a guide of all
    dtypes: tuple[DType, ...] = arrays.FLOATS

    @property
    def need(self) -> str:
        """When it must be given, in words."""
        if self.name in LOBES:
            return f"required unless {LOBES[1 - LOBES.index(self.name)]} is given"
        if self.absence:
            return "optional"
        primary = SIGNALS.get(self.signal, self.name)
        return "required" if self.name == primary else f"required with {primary}"

    def shapes(self, height: int | str = "H", width: int | str = "W") -> str:
        """The shapes it may have, in words."""
        return " or ".join(f"({height}, {width}{f', {c}' if c > 1 else ''})" for c in self.channels)

    def check(self, spoken: str, array: Any, width: int, height: int, place: Place) -> Array:
        """The array, ready for the native side; `spoken` is its name in messages, `place` where it must be.

        Raises TypeError for one of another library, device or dtype, ValueError for another shape. It looks at no
        pixel."""
        array = place.take(spoken, array)
        _check_shape(spoken, self, array.shape, width, height)
        place.check_dtype(spoken, array, self.dtypes)
        return place.exportable(spoken, array)

    def __str__(self) -> str:
        return f"{self.need}: {self.shapes()} {self.doc}." + (f" Without it {self.absence}." if self.absence else "")


def _input(*channels: int, doc: str, **info: Any) -> Any:
    return dataclasses.field(default=None, metadata={"channels": channels, "doc": doc, **info})


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class Frame:
    """The arrays of one frame, by name; `inputs` of a denoiser explains each. H is the height and W the width.

    A denoiser looks at what it needs and ignores the rest, so that a frame may serve several. For shadows of one light,
    `light` is a Light and `occluder_distance` an array; for several, both are sequences of one length, and so is
    `translucency`, which may be None for some of them. Lights may come and go from frame to frame: give them keys.

    Arrays are float16 or float32, each as it likes, material_id uint8; any strides. They are read, never written, and
    looked at when the frame is denoised, so a Frame may be filled in and changed as one likes.
    """

    # fmt: off
    camera: Camera
    diffuse: Array | None = _input(3, signal="diffuse",
        doc="noisy diffuse radiance, not negative; what is not finite counts as 0")
    diffuse_hit_distance: Array | None = _input(1, signal="diffuse",
        doc="length of the first diffuse ray; 0: unknown, the radiance counts all the same; inf, in float16 also "
            "65504: it left the scene",
        absence="nothing tells contact shadows from noise: they blur")
    specular: Array | None = _input(3, signal="specular",
        doc="noisy specular radiance, not negative; what is not finite counts as 0")
    specular_hit_distance: Array | None = _input(1, signal="specular",
        doc="length of the first specular ray, with the same special values",
        absence="reflections are followed like the surface they are in: they smear when the camera moves")
    occluder_distance: Array | Sequence[Array] | None = _input(1, signal="shadow",
        doc="distance to what the ray towards a random point of the light met first, in world units; 0: the surface "
            "faces away from the light; inf or from 65504 on, or NaN: it is lit. An array for each light")
    translucency: Array | Sequence[Array | None] | None = _input(3, signal="shadow",
        doc="linear colour that comes through what blocks the ray, in [0, 1]; of no meaning where it is lit. An array "
            "or None for each light",
        absence="what casts shadows is opaque, and shadows have no colour")
    view_z: Array | None = _input(1,
        doc="depth along the camera's axis (not the distance from the camera); float32 is better beyond 100 units. "
            "Its sign does not matter; from sky_distance on, or not finite, it is sky")
    normal: Array | None = _input(3,
        doc="unit shading normal in world space, normal map included")
    roughness: Array | None = _input(1, signal="specular",
        doc="linear roughness in [0, 1], the square root of the alpha of GGX")
    motion: Array | None = _input(2, 3,
        doc="where the surface was in the previous frame, minus where it is: pixels, x right, y down, jitter left "
            "out; third: the same difference of view_z. With motion_space='world': (H, W, 3) in world units, the "
            "motion of the surface alone, without the camera's",
        absence="the scene counts as standing still and only the camera moves it: moving things leave trails. Without "
            "its third component, things that come nearer or go away lose their history")
    material_id: Array | None = _input(1, dtypes=arrays.BYTES,
        doc="a number for each material, compared for being equal",
        absence="the blur crosses borders between materials in one plane, and settings for one material do nothing")
    diffuse_confidence: Array | None = _input(1, signal="diffuse",
        doc="how far the diffuse history can be trusted, in [0, 1], for the pixels of the previous frame; 0 drops it",
        absence="the history follows a change of light with a lag")
    specular_confidence: Array | None = _input(1, signal="specular",
        doc="the same for specular",
        absence="the history follows a change of light with a lag")
    disocclusion_threshold_mix: Array | None = _input(1,
        doc="from disocclusion_threshold (0) to disocclusion_threshold_alternate (1)",
        absence="every pixel uses disocclusion_threshold")
    albedo: Array | None = _input(3, signal="diffuse",
        doc="diffuse albedo, for diffuse radiance that has not been divided by it: divided out before and multiplied "
            "back after denoising",
        absence="diffuse comes in, and goes out, divided by the albedo")
    specular_albedo: Array | None = _input(3, signal="specular",
        doc="specular albedo (see materials.environment_brdf), used like albedo",
        absence="specular comes in, and goes out, divided by the specular albedo")
    # fmt: on
    light: Light | Sequence[Light] | None = None
    motion_space: Literal["screen", "world"] = "screen"

    if not TYPE_CHECKING:  # a type checker sees the fields alone, and so finds a misspelt name

        def __new__(cls, **values):
            for name in values.keys() - cls.__dataclass_fields__.keys():
                raise TypeError(f"no input is called '{name}'{did_you_mean(name, cls.__dataclass_fields__)}")
            return object.__new__(cls)

        def __setattr__(self, name, value):
            if name not in self.__dataclass_fields__:
                raise AttributeError(f"no input is called '{name}'{did_you_mean(name, self.__dataclass_fields__)}")
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        def shown(value: Any) -> str:
            if isinstance(value, Sequence):
                return f"[{', '.join(map(shown, value))}]"
            return "None" if value is None else f"{value.dtype} {value.shape}"

        return f"<Frame {', '.join(f'{name}: {shown(value)}' for name, value in self.given().items())}>"

    def given(self) -> dict[str, Any]:
        """The arrays that are there, by name; sequences of them for several lights."""
        return {name: value for name in INPUTS if (value := getattr(self, name)) is not None}

    def lights(self) -> dict[str, Light]:
        """The lights by their keys, in their order.

        Raises TypeError where there is none or something else, ValueError where two have one key."""
        if self.light is None:
            raise TypeError("light: missing; it is required with occluder_distance: a Light, or one for each array")
        lights = [self.light] if isinstance(self.light, Light) else self.light
        if not isinstance(lights, Sequence) or not all(isinstance(light, Light) for light in lights):
            raise TypeError(f"light: expected a Light or a sequence of them, got {lights!r}")
        keyed: dict[str, Light] = {}
        for index, light in enumerate(lights):
            key = str(index) if light.key is None else light.key
            if key in keyed:
                raise ValueError(f"light: expected a key of its own for each light, got {key!r} twice")
            keyed[key] = light
        return keyed

    def every_array(self) -> Iterator[Any]:
        """All arrays that are there."""
        for value in self.given().values():
            yield from value if isinstance(value, Sequence) else (value,)

    def check(
        self, width: int, height: int, signals: Sequence[Sequence[str]], place: Place | None = None
    ) -> dict[str, Array]:
        """The arrays that matter to a denoiser of that size, ready for it; those of a light as "NAME.KEY".

        signals  what it denoises: groups of names of SIGNALS; it needs something of each group
        place    where the arrays must be; None: in host memory

        Raises TypeError for an input that is missing, of another library, device or dtype, ValueError for another
        shape. It looks at no pixel."""
        place = place or arrays.Host()
        if not isinstance(self.camera, Camera):
            raise TypeError(f"camera: expected a Camera, got {type(self.camera).__name__}")
        if self.motion_space not in ("screen", "world"):
            raise ValueError(f"motion_space: expected 'screen' or 'world', got {self.motion_space!r}")
        wanted = {"", *(signal for group in signals for signal in group)}
        given = {name: value for name, value in self.given().items() if INPUTS[name].signal in wanted}
        for group in signals:
            primaries = [SIGNALS[signal] for signal in group]
            if len(primaries) > 1 and not any(name in given for name in primaries):
                raise TypeError(f"{', '.join(primaries)}: both missing, expected at least one of them")
        checked: dict[str, Array] = {}
        for name, info in INPUTS.items():
            if info.signal not in wanted:
                continue
            primary = SIGNALS.get(info.signal, name)
            if name in given:
                if info.absence and primary not in given:
                    raise TypeError(f"{name}: given without {primary}, which it belongs to")
                for spoken, key, array in self._planes(name, info):
                    checked[key] = info.check(spoken, array, width, height, place)
            elif name not in LOBES and not info.absence and (primary == name or primary in given):
                raise TypeError(f"{name}: missing; it is {info}")
        if self.motion_space == "world" and "motion" in given and given["motion"].shape[2] != 3:
            raise ValueError(
                f"motion: expected ({height}, {width}, 3) with motion_space='world', got {given['motion'].shape}"
            )
        return checked

    def _planes(self, name: str, info: InputInfo) -> Iterator[tuple[str, str, Array]]:
        """The arrays of one input: as messages call each, as the native side does, and the array."""
        value = getattr(self, name)
        if info.signal != "shadow":
            yield name, name, value
            return
        keys = list(self.lights())
        if isinstance(self.light, Light):
            if isinstance(value, Sequence):
                raise TypeError(f"{name}: expected an array for the one light, got {type(value).__name__}")
            yield name, f"{name}.{keys[0]}", value
            return
        if not isinstance(value, Sequence):
            raise TypeError(f"{name}: expected a sequence, an array for each light, got {type(value).__name__}")
        if len(value) != len(keys):
            raise ValueError(f"{name}: expected {len(keys)} arrays, one for each light, got {len(value)}")
        for index, (key, array) in enumerate(zip(keys, value, strict=True)):
            if array is not None or not info.absence:
                yield f"{name}[{index}]", f"{name}.{key}", array


def _check_shape(name: str, info: InputInfo, shape: tuple[int, ...], width: int, height: int) -> None:
    channels = shape[2] if len(shape) == 3 and shape[2] > 1 else 1 if len(shape) == 2 else 0
    if channels in info.channels and shape[0] == height and shape[1] == width:
        return
    message = f"{name}: expected {info.shapes(height, width)}, got {shape}"
    if channels in info.channels and shape[:2] == (width, height):
        message += "; rows come first: (height, width)"
    elif channels in info.channels:
        message += f"; this denoiser was made for {width} x {height}: resize({shape[1]}, {shape[0]}) changes that"
    elif shape[1:] == (height, width) and shape[0] in info.channels:
        message += f"; channels come last: np.moveaxis({name}, 0, -1)"
    raise ValueError(message)


INPUTS: Mapping[str, InputInfo] = {
    field.name: InputInfo(field.name, **field.metadata) for field in dataclasses.fields(Frame) if field.metadata
}
