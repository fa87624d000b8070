# SPDX-License-Identifier: Apache-2.0
"""What a renderer hands over for one frame: the named arrays, the camera, and the conventions they follow.

Pixels: row 0 is the top; (x, y) runs right and down, and the centre of the first pixel is (0.5, 0.5).
Radiance: linear RGB, divided by the albedo of its lobe unless `albedo` or `specular_albedo` is passed along.
Distances are in world units. Roughness is linear, the square root of the alpha of GGX. Normals are in world space.
Guides (everything but the signals and their hit distances) are noise-free; where there is sky they may hold anything,
NaN included.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import arrays
from .settings import did_you_mean

if TYPE_CHECKING:
    import numpy.typing as npt

    from .arrays import Array, DType

# ruff: noqa: RUF009 -- what looks like calls for defaults below are dataclasses.field

LOBES = ("diffuse", "specular")


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


@dataclasses.dataclass(frozen=True)
class InputInfo:
    """What is known about one input. `str()` says whether it is required, what it is, and what its absence costs."""

    name: str
    channels: tuple[int, ...]  # 1 stands for (H, W), c for (H, W, c); more than one: any of them
    doc: str
    absence: str = ""  # what is lost without an optional input
    lobe: str = ""  # the signal it belongs to
    dtypes: tuple[DType, ...] = arrays.FLOATS

    @property
    def need(self) -> str:
        """When it must be given, in words."""
        if self.name in LOBES:
            return f"required unless {LOBES[1 - LOBES.index(self.name)]} is given"
        if self.absence:
            return "optional"
        return f"required with {self.lobe}" if self.lobe else "required"

    def shapes(self, height: int | str = "H", width: int | str = "W") -> str:
        """The shapes it may have, in words."""
        return " or ".join(f"({height}, {width}{f', {c}' if c > 1 else ''})" for c in self.channels)

    def __str__(self) -> str:
        return f"{self.need}: {self.shapes()} {self.doc}." + (f" Without it {self.absence}." if self.absence else "")


def _input(*channels: int, doc: str, **info: Any) -> Any:
    return dataclasses.field(default=None, metadata={"channels": channels, "doc": doc, **info})


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class Frame:
    """The arrays of one frame, by name; `Reblur(...).inputs` explains each. H is the height and W the width.

    Arrays are float16 or float32, each as it likes, material_id uint8; any strides. They are read, never written, and
    looked at when the frame is denoised, so a Frame may be filled in and changed as one likes.
    """

    # fmt: off
    camera: Camera
    diffuse: Array | None = _input(3, lobe="diffuse",
        doc="noisy diffuse radiance, not negative; what is not finite counts as 0")
    diffuse_hit_distance: Array | None = _input(1, lobe="diffuse",
        doc="length of the first diffuse ray; 0: unknown, the radiance counts all the same; inf, in float16 also "
            "65504: it left the scene",
        absence="nothing tells contact shadows from noise: they blur")
    specular: Array | None = _input(3, lobe="specular",
        doc="noisy specular radiance, not negative; what is not finite counts as 0")
    specular_hit_distance: Array | None = _input(1, lobe="specular",
        doc="length of the first specular ray, with the same special values",
        absence="reflections are followed like the surface they are in: they smear when the camera moves")
    view_z: Array | None = _input(1,
        doc="depth along the camera's axis (not the distance from the camera); float32 is better beyond 100 units. "
            "Its sign does not matter; from sky_distance on, or not finite, it is sky")
    normal: Array | None = _input(3,
        doc="unit shading normal in world space, normal map included")
    roughness: Array | None = _input(1, lobe="specular",
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
    diffuse_confidence: Array | None = _input(1, lobe="diffuse",
        doc="how far the diffuse history can be trusted, in [0, 1], for the pixels of the previous frame; 0 drops it",
        absence="the history follows a change of light with a lag")
    specular_confidence: Array | None = _input(1, lobe="specular",
        doc="the same for specular",
        absence="the history follows a change of light with a lag")
    disocclusion_threshold_mix: Array | None = _input(1,
        doc="from disocclusion_threshold (0) to disocclusion_threshold_alternate (1)",
        absence="every pixel uses disocclusion_threshold")
    albedo: Array | None = _input(3, lobe="diffuse",
        doc="diffuse albedo, for diffuse radiance that has not been divided by it: divided out before and multiplied "
            "back after denoising",
        absence="diffuse comes in, and goes out, divided by the albedo")
    specular_albedo: Array | None = _input(3, lobe="specular",
        doc="specular albedo (see materials.environment_brdf), used like albedo",
        absence="specular comes in, and goes out, divided by the specular albedo")
    # fmt: on
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
        given = (f"{name}: {array.dtype} {array.shape}" for name, array in self.given().items())
        return f"<Frame {', '.join(given)}>"

    def given(self) -> dict[str, Array]:
        """The arrays that are there, by name."""
        return {name: array for name in INPUTS if (array := getattr(self, name)) is not None}

    def check(self, width: int, height: int) -> dict[str, Array]:
        """The arrays that are there, ready for a denoiser of that size.

        Raises TypeError for an input that is missing, of another library or of another dtype, ValueError for another
        shape. It looks at no pixel."""
        given = self.given()
        if not isinstance(self.camera, Camera):
            raise TypeError(f"camera: expected a Camera, got {type(self.camera).__name__}")
        if self.motion_space not in ("screen", "world"):
            raise ValueError(f"motion_space: expected 'screen' or 'world', got {self.motion_space!r}")
        if not any(lobe in given for lobe in LOBES):
            raise TypeError("diffuse, specular: both missing, expected at least one of them")
        for name, info in INPUTS.items():
            if name in given:
                if info.absence and info.lobe and info.lobe not in given:
                    raise TypeError(f"{name}: given without {info.lobe}, which it belongs to")
                arrays.check_kind(name, given[name])
                _check_shape(info, given[name].shape, width, height)
                arrays.check_dtype(name, given[name], info.dtypes)
                given[name] = arrays.exportable(given[name])
            elif name not in LOBES and not info.absence and (not info.lobe or info.lobe in given):
                raise TypeError(f"{name}: missing; it is {info}")
        if self.motion_space == "world" and "motion" in given and given["motion"].shape[2] != 3:
            raise ValueError(
                f"motion: expected ({height}, {width}, 3) with motion_space='world', got {given['motion'].shape}"
            )
        return given


def _check_shape(info: InputInfo, shape: tuple[int, ...], width: int, height: int) -> None:
    channels = shape[2] if len(shape) == 3 and shape[2] > 1 else 1 if len(shape) == 2 else 0
    if channels in info.channels and shape[0] == height and shape[1] == width:
        return
    message = f"{info.name}: expected {info.shapes(height, width)}, got {shape}"
    if channels in info.channels and shape[:2] == (width, height):
        message += "; rows come first: (height, width)"
    elif channels in info.channels:
        message += f"; this denoiser was made for {width} x {height}: resize({shape[1]}, {shape[0]}) changes that"
    elif shape[1:] == (height, width) and shape[0] in info.channels:
        message += f"; channels come last: np.moveaxis({info.name}, 0, -1)"
    raise ValueError(message)


INPUTS: Mapping[str, InputInfo] = {
    field.name: InputInfo(field.name, **field.metadata) for field in dataclasses.fields(Frame) if field.metadata
}
