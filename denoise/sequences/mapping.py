# SPDX-License-Identifier: Apache-2.0
"""Mappings: which channels of a renderer's files become which native arrays, and what their numbers mean.

A mapping is a TOML file; those of `denoise/sequences/presets` are the presets. It may have:

    base      the name of a preset, or the path of another mapping, that this one adds to
    summary   what it is for
    proven    on what it was tried
    header    a regular expression; a file with a text attribute "NAME=VALUE" that has it is of this kind
    detect    a list of expressions; a file that has them all is taken for one of this kind, too
    layer     which picture of a file that has several ("ViewLayer"), default the first one
    view      which eye of a stereo file ("left"), default the first one
    channels  a table: array -> expression
    motion, normal, depth, roughness, hit_distance, radiance, albedo, camera, position
              tables of conventions: those of CONVENTIONS, the first value of each being the native one

An array is one of `denoise.sequences.npz`, or color (the picture), rest (what of it is in no lobe), or position.

An expression is made of channels "LAYER:COMPONENTS". LAYER is a regular expression for all that stands before the last
dot of a name; COMPONENTS are what stands behind it, one letter each, or separated by commas: "(Depth|Z):Z", ":RGB",
":Px,Py,Pz". Sums " + " of products " * " leave out what a file lacks; of alternatives " | ", the first one it has counts.

On the command line, --map KEY=VALUE sets one of these: --map motion.y=up, --map channels.roughness=Roughness:X.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from importlib import import_module
from operator import mul
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.settings import did_you_mean

from .sequence import SequenceError

PRESETS = ("blender", "falcor", "mitsuba", "pbrt", "arnold", "renderman", "vray", "native")  # in the order of guessing

# Key -> values, the native one first; or a number, the native one; or None: any number, natively not given.
CONVENTIONS: dict[str, tuple[str, ...] | float | None] = {
    "motion.points": ("previous", "current"),  # previous - current, or current - previous
    "motion.frames": ("current", "next"),  # kept with the later of its two frames, or with the earlier one
    "motion.y": ("down", "up"),
    "motion.unit": ("pixels", "uv", "ndc"),  # uv: fractions of the frame, ndc: of half the frame
    "motion.scale": 1.0,
    "motion.jitter": ("excluded", "included"),
    "normal.space": ("world", "view", "view_z_flipped"),  # of the camera given, or one that looks along the other z
    "normal.range": ("signed", "unsigned"),  # unsigned: 0..1
    "normal.length": ("unit", "any"),
    "normal.sign": 1.0,
    "depth.kind": ("planar", "distance", "device", "inverse"),  # view z, from the eye, of the projection, 1 / z
    "depth.sign": 1.0,
    "position.space": ("world", "view"),
    "roughness.kind": ("linear", "alpha", "glossiness"),
    "roughness.value": None,  # where the files have none
    "hit_distance.kind": ("world", "total", "normalized"),  # total: with the way from the eye to the surface
    "hit_distance.scale": 1.0,
    "radiance.kind": ("demodulated", "modulated"),  # modulated: not divided by albedo and spec_factor
    "radiance.encoding": ("linear", "srgb"),
    "radiance.exposure": 1.0,  # what radiance was multiplied with
    "albedo.encoding": ("linear", "srgb"),
    "camera.matrices": ("column", "row"),  # for column or row vectors: row = transposed
    "camera.view": ("from_world", "to_world"),  # which way world_to_view really goes
    "camera.flip": ("none", "x", "y", "z"),  # an axis of view space that points the other way
}

# Arrays a mapping may name, in the order in which they are shown.
ARRAYS = (
    *("color", "rest", "diff", "diff_hit", "albedo", "spec", "spec_hit", "spec_factor", "view_z", "normal"),
    *("roughness", "motion", "position", "material_id", "object_id", "emission"),
    *("sun_unshadowed", "shadow_hit", "translucency"),
)


@dataclass(frozen=True)
class Atom:
    """Channels "LAYER:COMPONENTS" of an expression. ValueError if the text is none."""

    text: str

    def __post_init__(self) -> None:
        layer, colon, components = self.text.rpartition(":")
        if not colon or not components:
            raise ValueError(f"expected channels as LAYER:COMPONENTS, got {self.text!r}")
        try:
            self.pattern  # noqa: B018 -- compiled here to find fault with it
        except re.error as error:
            raise ValueError(f"{self.text!r}: {layer!r} is no regular expression: {error}") from None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        layer = self.text.rpartition(":")[0]
        return re.compile(rf"(?:(?P<picture>.+)\.)?(?:{layer})" if layer else "(?P<picture>)")

    @cached_property
    def components(self) -> list[str]:
        components = self.text.rpartition(":")[2]
        return components.split(",") if "," in components else list(components)

    def pictures(self, names: Iterable[str]) -> list[str]:
        """What stands before the layer, wherever all components are there, in the order of the file."""
        return list(self._layers(names))

    def find(self, names: Iterable[str], picture: str) -> list[str] | None:
        """The channels, in the order of the components; those of this picture, or else of none in particular."""
        layers = self._layers(names)
        found = layers.get(picture, layers.get(""))
        return [found[component] for component in self.components] if found else None

    def _layers(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        layers: dict[str, dict[str, str]] = {}
        for name in names:
            layer, _, component = name.rpartition(".")
            if component in self.components and (match := self.pattern.fullmatch(layer)):
                layers.setdefault(match["picture"] or "", {}).setdefault(component, name)
        return {picture: found for picture, found in layers.items() if len(found) == len(set(self.components))}


@dataclass(frozen=True)
class Term:
    """A product of channels."""

    factors: tuple[Atom, ...]

    def find(self, names: Iterable[str], picture: str) -> list[list[str]] | None:
        """The channels of each factor; None unless the file has them all."""
        found = [factor.find(names, picture) for factor in self.factors]
        return None if None in found else [channels for channels in found if channels]


Found = list[list[list[str]]]  # of an expression in a file: terms, their factors, the channels of each


def parse_expression(text: str) -> list[list[Term]]:
    """Alternatives, each a sum of terms. ValueError if something in it is no "LAYER:COMPONENTS", or if the numbers of
    components in a sum differ and are not 1."""
    parsed = [
        [Term(tuple(Atom(atom.strip()) for atom in term.split(" * "))) for term in alternative.split(" + ")]
        for alternative in " ".join(text.split()).split(" | ")
    ]
    for terms in parsed:
        if len({len(atom.components) for term in terms for atom in term.factors} - {1}) > 1:
            raise ValueError(f"expected as many components everywhere in a sum, got {text!r}")
    return parsed


def find_expression(expression: list[list[Term]], names: Iterable[str], picture: str) -> Found:
    """The channels of the first alternative that the file has something of; empty if there is none."""
    names = list(names)
    for alternative in expression:
        if found := [channels for term in alternative if (channels := term.find(names, picture))]:
            return found
    return []


def names_in(found: Found) -> set[str]:
    """The channels of an expression."""
    return {name for term in found for names in term for name in names}


def evaluate(found: Found, channels: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The value of an expression: float32 (H, W), or (H, W, C) of several components."""

    def plane(names: list[str], component: int) -> NDArray[np.float32]:
        return channels[names[component] if len(names) > 1 else names[0]].astype(np.float32, copy=False)

    planes = []
    for component in range(max(len(names) for term in found for names in term)):
        planes.append(sum(reduce(mul, (plane(names, component) for names in term)) for term in found))
    return np.asarray(np.stack(planes, -1) if len(planes) > 1 else planes[0], np.float32)


@dataclass(frozen=True)
class FileMapping:
    """A mapping, ready for use; this module says what it is made of.

    name         of the preset or of the file it comes from
    channels     array -> expression
    conventions  key of CONVENTIONS -> value, those that are not native
    """

    name: str = "native"
    summary: str = ""
    proven: str = ""
    layer: str = ""
    view: str = ""
    header: str = ""
    detect: tuple[str, ...] = ()
    channels: dict[str, str] = field(default_factory=dict)
    conventions: dict[str, str | float] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        """The value of a convention."""
        native = CONVENTIONS[key]
        return self.conventions.get(key, native[0] if isinstance(native, tuple) else native)

    def as_dict(self) -> dict[str, Any]:
        """What a result made with it depends on."""
        return {"layer": self.layer, "view": self.view, "channels": self.channels, **self.conventions}

    def picture(self, names: Iterable[str]) -> str:
        """The picture of the file that is meant. ValueError if it has none of that name."""
        names = list(names)
        pictures: list[str] = []
        for text in (self.channels.get("color", ""), *self.channels.values()):
            if text and not pictures:  # what has no colour may yet be told by its guides
                atoms = (
                    atom for alternative in parse_expression(text) for term in alternative for atom in term.factors
                )
                pictures = [picture for atom in atoms for picture in atom.pictures(names)]
        if self.layer and self.layer not in pictures:
            raise ValueError(f"layer: the file has {', '.join(filter(None, pictures)) or 'none'}, not {self.layer!r}")
        return self.layer or next(iter(pictures), "")

    def find(self, names: Iterable[str]) -> dict[str, Found]:
        """Array -> the channels that it is made of, for those arrays that a file has."""
        names = list(names)
        picture = self.picture(names)
        found = {
            array: find_expression(parse_expression(text), names, picture) for array, text in self.channels.items()
        }
        return {array: channels for array, channels in found.items() if channels}


def load(source: str, overrides: Iterable[str] = ()) -> FileMapping:
    """A preset by its name, or a mapping by its path, with the texts "KEY=VALUE" over it.

    SequenceError if the file is absent or damaged; ValueError for a key or value that is not allowed.
    """
    table = _read(source)
    for override in overrides:
        key, equals, text = (part.strip() for part in override.partition("="))
        if not equals:
            raise ValueError(f"--map: expected KEY=VALUE, got {override!r}")
        *tables, last = key.split(".", 1)
        place = table.setdefault(tables[0], {}) if tables else table
        place[last] = text
    return _check(table)


def guess(names: Iterable[str], header: Iterable[str] = ()) -> str | None:
    """The preset whose signs a file bears, with channels of these names and texts "NAME=VALUE" in its header."""
    names, header = list(names), list(header)
    presets = {preset: load(preset) for preset in PRESETS}
    for preset, known in presets.items():
        if known.header and any(re.search(known.header, text) for text in header) and known.find(names):
            return preset
    for preset, known in presets.items():
        if known.detect and all(_anywhere(sign, names) for sign in known.detect):
            return preset
    return None


def toml() -> ModuleType:
    """The reader of TOML files, from the standard library where that has one."""
    return import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


def _anywhere(expression: str, names: list[str]) -> bool:
    atoms = [atom for alternative in parse_expression(expression) for term in alternative for atom in term.factors]
    return any(atom.pictures(names) for atom in atoms)


def _read(source: str) -> dict[str, Any]:
    path = Path(__file__).parent / "presets" / f"{source}.toml" if source in PRESETS else Path(source)
    if source not in PRESETS and path.suffix != ".toml":
        raise ValueError(f"unknown preset {source!r}{did_you_mean(source, PRESETS)}; there is {', '.join(PRESETS)}")
    try:
        table = toml().loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SequenceError(f"{path}: {error}") from None
    merged: dict[str, Any] = _read(table.pop("base")) if "base" in table else {}
    merged["name"] = path.stem
    for key, value in table.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value
    return merged


def _check(table: dict[str, Any]) -> FileMapping:
    """The mapping that a table describes. ValueError naming the key that is not known, or whose value is not allowed."""
    flat = {key: value for key, value in table.items() if not isinstance(value, dict)}
    channels = table.get("channels", {})
    conventions = {
        f"{group}.{key}": value
        for group, entries in table.items()
        if isinstance(entries, dict) and group != "channels"
        for key, value in entries.items()
    }
    texts = {"name", "summary", "proven", "layer", "view", "header"}
    for key, value in flat.items():
        if key not in texts | {"detect"}:
            raise ValueError(f"{key}: no such key{did_you_mean(key, [*CONVENTIONS, *texts])}")
        if key in texts and not isinstance(value, str):
            raise ValueError(f"{key}: expected a text, got {value!r}")
    for array, text in channels.items():
        if array not in ARRAYS:
            raise ValueError(f"channels.{array}: no such array{did_you_mean(array, ARRAYS)}")
        try:
            parse_expression(text)
        except ValueError as error:
            raise ValueError(f"channels.{array}: {error}") from None
    checked = {key: _check_convention(key, value) for key, value in conventions.items()}
    return FileMapping(
        **{key: flat[key] for key in texts & flat.keys()},
        detect=tuple(flat.get("detect", ())),
        channels=channels,
        conventions={key: value for key, value in checked.items() if value != FileMapping()[key]},
    )


def _check_convention(key: str, value: Any) -> str | float:
    if key not in CONVENTIONS:
        raise ValueError(f"{key}: no such key{did_you_mean(key, CONVENTIONS)}")
    allowed = CONVENTIONS[key]
    if isinstance(allowed, tuple):
        if value not in allowed:
            raise ValueError(f"{key}: expected {' or '.join(allowed)}, got {value!r}")
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{key}: expected a number, got {value!r}") from None
    if not np.isfinite(number):
        raise ValueError(f"{key}: expected a finite number, got {value!r}")
    return number
