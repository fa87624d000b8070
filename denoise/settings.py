# SPDX-License-Identifier: Apache-2.0
"""Every setting of every denoiser, said once: name, default, range, unit, effect.

The build generates the native side from this page and loads the file on its own, without the package: it imports the
standard library only, and its annotations stay real types (no `from __future__ import annotations`).
"""

import dataclasses
import functools
import numbers
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

# ruff: noqa: RUF009 -- what looks like calls for defaults below are dataclasses.field

SettingsT = TypeVar("SettingsT", bound="Settings")


@dataclasses.dataclass(frozen=True)
class Field:
    """What is known about one setting. Ranges are closed; natively a choice is its index in `type`, a switch 0 or 1."""

    name: str
    type: Any  # float, int, bool, or the tuple of names to choose from
    default: Any
    low: float
    high: float
    unit: str
    doc: str

    @property
    def allowed(self) -> str:
        """What may be assigned, in words."""
        if isinstance(self.type, tuple):
            return "one of " + ", ".join(map(repr, self.type))
        if self.type is bool:
            return "True or False"
        kind = "an integer" if self.type is int else "a number"
        return f"{kind} in [{self.low:.8g}, {self.high:.8g}] {self.unit}".rstrip()

    def __str__(self) -> str:
        default = f"{self.default:g}" if self.type is float else repr(self.default)
        return f"{self.name} = {default}, {self.allowed}: {self.doc}"

    def check(self, value: Any) -> Any:
        """The value as it is stored. Raises TypeError for a wrong type, ValueError out of range."""
        message = f"{self.name}: expected {self.allowed}, got {value!r}"
        if isinstance(self.type, tuple):
            if not isinstance(value, str):
                raise TypeError(message)
            if value not in self.type:
                raise ValueError(message)
            return value
        if self.type is bool:
            if not isinstance(value, bool):
                raise TypeError(message)
            return value
        kind: Any = numbers.Integral if self.type is int else numbers.Real
        if isinstance(value, bool) or not isinstance(value, kind):
            raise TypeError(message)
        try:
            number = self.type(value)
        except OverflowError:  # an integer that no float holds
            raise ValueError(message) from None
        if not self.low <= number <= self.high:  # written so that NaN fails
            raise ValueError(message)
        return number

    def as_number(self, value: Any) -> float:
        """The stored value as the native side takes it."""
        return float(self.type.index(value) if isinstance(self.type, tuple) else value)


def _number(default: float, low: float, high: float, unit: str, doc: str) -> Any:
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "unit": unit, "doc": doc})


def _switch(default: bool, doc: str) -> Any:
    return _number(default, 0, 1, "", doc)


def _choice(default: str, names: Any, doc: str) -> Any:
    high = len(get_args(names)) - 1
    return dataclasses.field(default=default, metadata={"low": 0, "high": high, "unit": "", "doc": doc})


@dataclasses.dataclass(kw_only=True, repr=False)
class Settings:
    """Settings of every denoiser.

    A value is checked when it is assigned: TypeError for a wrong type, ValueError out of range, AttributeError for an
    unknown name (TypeError for an unknown keyword). Rules between two settings are checked at construction and whenever
    a frame is denoised, so that the order of assignments does not matter."""

    # Tables are laid out by hand: name and type, default, range, unit, effect.
    # fmt: off
    split_screen: float = _number(0, 0, 1, "of the width",
        "Left part of the picture that shows the noisy input, for looking; 1: the input passes through.")
    # fmt: on

    if not TYPE_CHECKING:  # a type checker sees the fields alone, and so finds a misspelt name

        def __new__(cls, **values):
            for name in values.keys() - cls._table().keys():
                raise TypeError(f"{cls.__name__} has no setting '{name}'{did_you_mean(name, cls._table())}")
            return object.__new__(cls)

        def __setattr__(self, name, value):
            if name not in self._table():
                raise AttributeError(
                    f"{type(self).__name__} has no setting '{name}'{did_you_mean(name, self._table())}"
                )
            object.__setattr__(self, name, self._table()[name].check(value))

    def __post_init__(self) -> None:
        self.check()

    def __repr__(self) -> str:
        changed = (f"{f.name}={getattr(self, f.name)!r}" for f in self.fields() if getattr(self, f.name) != f.default)
        return f"{type(self).__name__}({', '.join(changed)})"

    @classmethod
    @functools.cache
    def _table(cls) -> dict[str, Field]:
        fields = (Field(f.name, get_args(f.type) or f.type, f.default, **f.metadata) for f in dataclasses.fields(cls))
        return {f.name: dataclasses.replace(f, default=f.check(f.default)) for f in fields}

    @classmethod
    def fields(cls) -> list[Field]:
        """All settings of this class, in the order of this page."""
        return list(cls._table().values())

    def check(self) -> None:
        """Raises ValueError where two settings contradict each other."""

    def as_dict(self) -> dict[str, Any]:
        """Name to value, in the order of this page; `type(settings)(**settings.as_dict())` is equal to the original."""
        return {name: getattr(self, name) for name in self._table()}

    def as_numbers(self) -> dict[str, float]:
        """Name to number, as the native side takes it: switches are 0 or 1, choices their index."""
        return {name: field.as_number(getattr(self, name)) for name, field in self._table().items()}

    def replace(self: SettingsT, **changes: Any) -> SettingsT:
        """A copy with some settings changed; without arguments, a copy."""
        return type(self)(**{**self.as_dict(), **changes})


@dataclasses.dataclass(kw_only=True, repr=False)
class FrameSettings(Settings):
    """Settings of a frame, which the families of a Pipeline share.

    Lengths marked m are multiplied by `units_per_metre`; px are pixels of a picture of 1440 lines and scale with its
    height."""

    # fmt: off
    sky_distance: float = _number(500_000, 1e-3, 1e30, "world units",
        "A pixel whose view_z is at least this far, or not finite, is sky: not denoised, output 0.")
    units_per_metre: float = _number(1, 1e-6, 1e6, "world units",
        "World units in a metre: 1 for a scene in metres, 100 for one in centimetres.")
    frame_time: float = _number(1 / 30, 1e-4, 10, "s",
        "Time from frame to frame. Shorter: changes between two frames count as smaller, so the stabilised picture "
        "and the history hold on to more frames. It is given, never measured: results do not depend on a clock.")
    disocclusion_threshold: float = _number(0.01, 0.001, 0.2, "of depth",
        "Depth difference beyond which the previous frame showed another surface. Larger: history survives more "
        "easily, and ghosts do too.")
    disocclusion_threshold_alternate: float = _number(0.05, 0.001, 0.2, "of depth",
        "The threshold where disocclusion_threshold_mix is 1, and for strands thinner than a pixel.")
    strand_material: int = _number(-1, -1, 255, "material id",
        "Material of hair and grass, whose history is kept more leniently; -1: none.")
    strand_thickness: float = _number(80e-6, 1e-6, 1, "m",
        "Thickness of a strand of that material. Larger: the lenient treatment starts farther away.")
    # fmt: on


Reconstruction = Literal["off", "3x3", "5x5"]


@dataclasses.dataclass(kw_only=True, repr=False)
class RadianceSettings(FrameSettings):
    """Settings of the families that denoise radiance."""

    # fmt: off
    camera_attached_material: int = _number(-1, -1, 255, "material id",
        "Material of things that move with the camera: reflections in them are followed like their surface; -1: none.")
    history_fix_stride: float = _number(20, 1, 1024, "px",
        "Distance between the pixels that a young history is rebuilt from. Larger: smoother, and blotches become larger.")
    history_fix_stride_alternate: float = _number(20, 1, 1024, "px",
        "The same for history_fix_alternate_material.")
    history_fix_alternate_material: int = _number(-1, -1, 255, "material id",
        "Material that uses the alternate stride; -1: none.")

    # Light
    relight: bool = _switch(True,
        "Histories follow the light: where the new samples' mean over many pixels differs from the history's by more "
        "than the noise explains, the history is scaled to it, in the same frame.")
    relight_proof: float = _number(4, 1, 100, "standard deviations",
        "Difference of those means that is believed. Larger: static noise moves less, small changes of light linger.")

    # Hit distances
    hit_distance_offset: float = _number(3, 0.001, 1000, "m",
        "Hit distances are compared relative to (this + depth scale * view_z). Larger: the blur crosses differences "
        "of hit distance more easily.")
    hit_distance_depth_scale: float = _number(0.1, 0, 10, "",
        "Growth of that length with view_z. Larger: the same effect, on distant pixels.")
    hit_distance_roughness_scale: float = _number(20, 1, 1000, "",
        "That length is this much longer for a mirror than for a rough surface.")
    hit_distance_reconstruction: Reconstruction = _choice("off", Reconstruction,
        "Pixels from which a missing hit distance (0) is filled in. Larger: more gaps are filled, at more cost.")
    min_hit_distance_weight: float = _number(0.1, 0.001, 0.2, "",
        "Weight that the blur leaves to pixels with another hit distance. Larger: smoother, softer contact shadows.")

    # Filters
    diffuse_prepass_radius: float = _number(10, 0, 1024, "px",
        "Blur of the noisy diffuse before accumulation. Larger: less noise in the first frames, less detail; 0: none.")
    specular_prepass_radius: float = _number(50, 0, 1024, "px",
        "The same for specular.")
    prepass_tracking_only: bool = _switch(False,
        "The specular pre-pass only finds the distance by which reflections are followed, and blurs nothing.")
    roughness_fraction: float = _number(0.15, 0, 1, "of the roughness",
        "Difference of roughness that the specular blur crosses. Larger: smoother, edges of materials fade.")
    min_material_diffuse: int = _number(0, 0, 256, "material id",
        "The diffuse blur and history stop at borders between materials; ids below this count as one. 256: never "
        "tested.")
    min_material_specular: int = _number(0, 0, 256, "material id",
        "The same for specular.")
    # fmt: on


@dataclasses.dataclass(kw_only=True, repr=False)
class ReblurSettings(RadianceSettings):
    """Settings of ReBLUR. The defaults suit 30 to 60 frames a second at one ray per pixel."""

    # fmt: off
    # History
    max_accumulated_frames: int = _number(30, 0, 63, "frames",
        "Longest history. Larger: less noise, later reaction to a change of light. About 0.5 s of frames is a good "
        "choice.")
    max_fast_frames: int = _number(6, 0, 63, "frames",
        "Length of the short history that the long one is clamped to. Larger: less flicker, more lag; from "
        "max_accumulated_frames on, nothing is clamped.")
    max_stabilized_frames: int = _number(63, 0, 63, "frames",
        "Length of the history of the last pass. Larger: steadier picture, more lag; 0 leaves the pass and the "
        "anti-lag out.")
    history_fix_frames: int = _number(6, 0, 63, "frames",
        "A history shorter than this is rebuilt from pixels farther away. Larger: smoother newly seen surfaces, for "
        "longer; 0: never rebuilt.")
    fast_clamp_sigma: float = _number(3, 1, 10, "standard deviations",
        "How far the long history may leave the short one. Larger: steadier, more lag.")
    antilag_sigma_scale: float = _number(2, 0.1, 1000, "standard deviations",
        "Change of brightness that counts as noise. Larger: histories are cut less often.")
    antilag_sensitivity: float = _number(3, 0.01, 1000, "",
        "How much change beyond the noise a history takes before it is cut. Larger: it takes more, and lags more.")
    responsive_roughness: float = _number(0, 0, 1, "",
        "Below this roughness the specular history gets shorter with the roughness. Larger: more surfaces react at "
        "once, and show more noise; 0: none.")
    responsive_min_frames: int = _number(3, 0, 63, "frames",
        "Shortest history that responsive_roughness asks for. Larger: smoother mirrors, later reaction.")
    convergence_scale: float = _number(1, 0.01, 10, "",
        "How fast the blur shrinks while a history grows. Larger: sharper sooner, more noise left.")
    convergence_base: float = _number(0.2, 0, 1, "",
        "Part of that speed which a new history starts with. Larger: the blur shrinks sooner.")
    convergence_period: float = _number(0.8, 0, 1, "of max_accumulated_frames",
        "Length from which a history has the full speed. Larger: young histories are blurred more.")

    # Blur
    min_blur_radius: float = _number(1, 0, 1024, "px",
        "Smallest radius of the two blurs after accumulation; at most max_blur_radius. Larger: smoother.")
    max_blur_radius: float = _number(20, 0, 1024, "px",
        "Largest radius of these blurs. Larger: less noise in the first frames, less detail.")
    lobe_angle_fraction: float = _number(0.15, 0, 1, "of the lobe",
        "Difference of normals, against the width of the reflection lobe, that the blur crosses. Larger: smoother, "
        "bumps fade.")
    plane_sensitivity: float = _number(0.02, 1e-6, 1, "of the visible height",
        "Distance from the pixel's tangent plane that the blur crosses, as part of the shorter side of what the "
        "camera sees at that depth. Larger: smoother curved surfaces, leaks at steps.")

    # Outliers
    anti_firefly: bool = _switch(True,
        "Clamps a pixel to the brightness of the pixels around it. Off: keeps small lights, and single bright "
        "samples.")
    firefly_min_scale: float = _number(2, 1, 3, "of the history",
        "Brightness, against its history, that a sample may have when the history is long. Larger: brighter sparks "
        "stay.")
    # fmt: on

    def check(self) -> None:
        """Raises ValueError where two settings contradict each other."""
        if self.min_blur_radius > self.max_blur_radius:
            raise ValueError(
                f"min_blur_radius: expected at most max_blur_radius ({self.max_blur_radius:g}), "
                f"got {self.min_blur_radius:g}"
            )


@dataclasses.dataclass(kw_only=True, repr=False)
class RelaxSettings(RadianceSettings):
    """Settings of ReLAX. The defaults suit 30 to 60 frames a second at one ray per pixel."""

    # fmt: off
    # History
    diffuse_max_accumulated_frames: int = _number(30, 0, 63, "frames",
        "Longest history. Larger: less noise, later reaction to a change of light. About 0.5 s of frames is a good "
        "choice.")
    specular_max_accumulated_frames: int = _number(30, 0, 63, "frames",
        "The same for specular.")
    diffuse_max_fast_frames: int = _number(6, 0, 63, "frames",
        "Length of the short history that the long one is clamped to. Larger: less flicker, more lag; from "
        "diffuse_max_accumulated_frames on, nothing is clamped.")
    specular_max_fast_frames: int = _number(6, 0, 63, "frames",
        "The same for specular.")
    history_fix_frames: int = _number(3, 0, 63, "frames",
        "A history shorter than this is rebuilt from pixels farther away. Larger: smoother newly seen surfaces, for "
        "longer; 0: never rebuilt.")
    history_fix_normal_power: float = _number(8, 0, 128, "",
        "Power of the cosine between two normals that the diffuse rebuilding weighs pixels by. Larger: less light "
        "from around corners.")
    fast_clamp_sigma: float = _number(2, 1, 10, "standard deviations",
        "How far the long history may leave the short one. Larger: steadier, more lag.")
    antilag_acceleration: float = _number(0.3, 0, 1, "",
        "How fast histories that are clamped go on towards the samples around. Larger: less lag, more noise.")
    antilag_reset: float = _number(0.5, 0, 1, "",
        "How much of what is beyond both of the following goes at once. Larger: less lag, more noise.")
    antilag_spatial_sigma: float = _number(4.5, 0.1, 1000, "standard deviations",
        "Difference between the long history and the samples around that counts as noise: of the short history around.")
    antilag_temporal_sigma: float = _number(0.5, 0, 1000, "standard deviations",
        "The same, of the samples around. Both are added. Larger: histories are cut less often.")

    # Variance
    spatial_variance_frames: int = _number(3, 0, 63, "frames",
        "A history shorter than this is taken to be as noisy as its neighbourhood varies, if that is more than its "
        "samples say. Larger: smoother newly lit and seen surfaces; 0: the samples alone.")
    specular_variance_boost: float = _number(0, 0, 100, "of the squared radiance",
        "Variance of reflections whose samples show none, where their past is not believed. Larger: smoother.")

    # A-trous
    atrous_iterations: int = _number(5, 2, 8, "",
        "Levels of the filter, each with twice the step of the one before. Larger: smoother, at more cost.")
    diffuse_phi_luminance: float = _number(1.5, 0.01, 1000, "standard deviations",
        "Difference of brightness that the filter crosses, against the noise of the history. Larger: smoother, less "
        "detail of lighting.")
    specular_phi_luminance: float = _number(1.6, 0.01, 1000, "standard deviations",
        "The same for specular.")
    diffuse_min_luminance_weight: float = _number(0, 0, 1, "",
        "Weight that pixels of any other brightness keep. Larger: fewer single bright or dark pixels, less detail.")
    specular_min_luminance_weight: float = _number(0, 0, 1, "",
        "The same for specular.")
    lobe_angle_fraction: float = _number(0.5, 0, 1, "of the lobe",
        "Part of the reflection lobe within which normals mix. Larger: smoother, bumps fade.")
    specular_lobe_angle_slack: float = _number(0.15, 0, 90, "degrees",
        "Added to the angle of the specular lobe. Larger: smoother mirrors, bumps fade.")
    plane_sensitivity: float = _number(0.005, 1e-6, 1, "of the visible height",
        "Distance from the pixel's tangent plane that filters cross, as part of the shorter side of what the camera "
        "sees at that depth. Larger: smoother curved surfaces, leaks at steps.")
    roughness_stop: bool = _switch(True,
        "Reflections mix within their lobe and among like roughness. Off: among like normals only, as diffuse does.")
    luminance_relaxation: float = _number(0.5, 0, 1, "",
        "How far the luminance stop of reflections whose past is not believed is opened. Larger: smoother.")
    normal_relaxation: float = _number(0.3, 0, 1, "",
        "The same for the angle of their lobe.")
    view_relaxation: float = _number(1, 0, 10, "",
        "How much less a difference of view direction counts than one of normals: 1 / (1 + this). Larger: smoother "
        "reflections in flat mirrors.")
    confidence_relaxation: float = _number(0, 0, 10, "",
        "How far a lack of confidence opens the two stops named next. Larger: smoother where the caller gives a low "
        "confidence; 0: not at all.")
    confidence_luminance_relaxation: float = _number(0, 0, 1, "",
        "The luminance stop, at no confidence at all: 1 is open.")
    confidence_normal_relaxation: float = _number(0, 0, 1, "",
        "The normal stop, at no confidence at all: 1 is open.")

    # Outliers
    anti_firefly: bool = _switch(False,
        "Limits the history of a pixel to the brightest and the darkest of its eight neighbours. Off: keeps small "
        "lights, and single bright samples.")
    # fmt: on


@dataclasses.dataclass(kw_only=True, repr=False)
class SigmaSettings(FrameSettings):
    """Settings of SIGMA. The defaults suit 30 to 60 frames a second at one ray per pixel and light."""

    # fmt: off
    max_stabilized_frames: int = _number(6, 0, 7, "frames",
        "Longest history. Larger: steadier picture, later reaction to moving shadows; 0: no history, and one instance "
        "serves any number of lights in turn.")
    plane_sensitivity: float = _number(0.02, 1e-6, 1, "of the visible height",
        "Distance from the pixel's tangent plane that the blur crosses, as part of the shorter side of what the "
        "camera sees at that depth. Larger: smoother curved surfaces, leaks at steps.")
    max_blur_radius: float = _number(64, 0, 1024, "px",
        "Largest radius of the blur. Larger: wider penumbrae are free of noise, at more cost.")
    # fmt: on


@dataclasses.dataclass(kw_only=True, repr=False)
class ReferenceSettings(Settings):
    """Settings of the reference."""

    # fmt: off
    max_accumulated_frames: int = _number(2**24, 0, 2**24, "frames",
        "Longest history: the mean is exact up to one sample more, and exponential beyond. The largest number, and the "
        "default, is as good as no limit. Smaller: follows what changes, and keeps more noise; 0: the input passes.")
    # fmt: on


FAMILIES: dict[str, type[Settings]] = {
    "reblur": ReblurSettings,
    "relax": RelaxSettings,
    "sigma": SigmaSettings,
    "reference": ReferenceSettings,
}
for _family in FAMILIES.values():  # help(ReblurSettings) shows the table
    _family.__doc__ = "\n".join([f"{_family.__doc__}\n", *map(str, _family.fields())])


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of a message about an unknown name: " (did you mean 'x'?)", or nothing when no known name is close."""
    import difflib  # needed by errors only

    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
