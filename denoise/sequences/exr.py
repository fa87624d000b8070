# SPDX-License-Identifier: Apache-2.0
"""Sequences of OpenEXR files: frames read through a mapping, and written with everything else as it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import beauty
from .convert import encode_radiance
from .exr_file import (
    LOSSY,
    Channel,
    ExrFile,
    Part,
    Pixels,
    Stored,
    Window,
    blamed,
    encode,
    new_part,
    window_size,
    write,
)
from .files import FrameFiles, Results, atomic
from .mapping import FileMapping, Found, evaluate, names_in
from .mapping import guess as guess_preset
from .mapping import load as load_mapping
from .patterns import Pattern
from .sequence import Arrays

_HALF_MAX = 65504.0
_LARGE_FRAME = 1 << 24  # pixels; larger ones must be filled to some part


@dataclass(frozen=True)
class Place:
    """Where a channel is: the number of its part, and its name there."""

    part: int
    channel: Channel


def places(file: ExrFile, view: str = "") -> dict[str, Place]:
    """The channels of a file by their full names "LAYER.COMPONENT", of one eye if it is a stereo file.

    A part's name is a layer where its channels do not begin with it. The name of the eye is left out: it is the part's
    view, or the last but one piece of a channel's name, or neither, for the first eye.

    view  an eye, default the first one. ValueError if the file has none of that name
    """
    eyes = views(file)
    if view and view not in eyes:
        raise ValueError(f"view: the file has {', '.join(eyes) or 'none'}, not {view!r}")
    view = view or next(iter(eyes), "")
    found: dict[str, Place] = {}
    for number, part in enumerate(file.parts):
        for channel in part.channels:
            layer, _, component = channel.name.rpartition(".")
            eye = eyes[0] if eyes else ""
            if layer.rpartition(".")[2] in eyes:
                layer, _, eye = layer.rpartition(".")
            eye = part.text("view") or eye
            own = part.name.removesuffix(f".{eye}") if file.multipart and len(file.parts) > 1 else ""
            if own and own != layer and not layer.startswith(f"{own}."):
                layer = f"{own}.{layer}" if layer else own
            if eye == view:
                found.setdefault(f"{layer}.{component}" if layer else component, Place(number, channel))
    return found


def views(file: ExrFile) -> list[str]:
    """The names of the eyes of a stereo file, the first one first; empty if it is none."""
    names = [name for part in file.parts for name in part.texts("multiView")]
    names += [part.text("view") for part in file.parts]
    return [*dict.fromkeys(filter(None, names))]


def choose_mapping(file: ExrFile, preset: str | None, overrides: Iterable[str]) -> tuple[FileMapping, bool]:
    """The mapping for a file, and whether it was guessed; the native one where none fits."""
    overrides = list(overrides)
    view = next((text.partition("=")[2] for text in overrides if text.startswith("view=")), "")
    found = None if preset else guess_preset(places(file, view), file.parts[0].texts_by_name())
    return load_mapping(preset or found or "native", overrides), found is not None


def frame_window(file: ExrFile, where: Iterable[Place]) -> Window:
    """The pixels of a frame: the display window, and what channels have beyond it.

    ValueError if the display window is so much larger than all that is there that it cannot be meant.
    """
    parts = [file.parts[number] for number in {place.part for place in where}]
    windows = np.array([part.data_window for part in parts] + [file.parts[0].display_window])
    left, top = windows[:, :2].min(0).tolist()
    right, bottom = windows[:, 2:].max(0).tolist()
    frame = left, top, right, bottom
    area, *stored = (
        width * height for width, height in map(window_size, [frame, *(part.data_window for part in parts)])
    )
    if area > max(_LARGE_FRAME, 16 * max(stored, default=0)):
        raise ValueError(f"displayWindow: {window_size(frame)} pixels, but there are data for {max(stored, default=0)}")
    return frame


class ExrFrames(FrameFiles):
    """The unconverted arrays of the files of a pattern, by a mapping. float32; 0 where a data window does not reach.

    numbers  those of the files, in order
    window   the pixels of a frame
    """

    def __init__(self, pattern: Pattern, numbers: list[int], mapping: FileMapping, window: Window) -> None:
        self.pattern, self.numbers, self.mapping, self.window = pattern, numbers, mapping, window
        self.indices = list(range(len(numbers)))

    def path(self, index: int) -> Path:
        return self.pattern.path(self.numbers[index])

    def read(self, index: int, names: Iterable[str] | None = None) -> Arrays:
        path = self.path(index)
        with ExrFile(path) as file, blamed(path):
            where = places(file, self.mapping.view)
            found = self.mapping.find(where)
            found = {name: found[name] for name in found if names is None or name in names}
            channels = self._channels(file, where, found)
            return {name: evaluate(expression, channels) for name, expression in found.items()}

    def digest(self, index: int, names: Iterable[str]) -> str:
        path = self.path(index)
        with ExrFile(path) as file, blamed(path):
            status = path.stat()
            return sha256(file.headers() + f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()

    def _channels(
        self, file: ExrFile, where: Mapping[str, Place], found: Mapping[str, Found]
    ) -> dict[str, NDArray[Any]]:
        """The pixels of all channels that expressions need, each of the size of a frame."""
        wanted = set().union(*map(names_in, found.values()))
        channels: dict[str, NDArray[Any]] = {}
        for number in sorted({where[name].part for name in wanted}):
            part = file.parts[number]
            here = {name: where[name].channel.name for name in wanted if where[name].part == number}
            pixels = file.pixels(part, here.values())
            for name, channel in here.items():
                channels[name] = fitted(pixels[channel], part.data_window, self.window)
        return channels


def fitted(pixels: NDArray[Any], window: Window, frame: Window, ground: NDArray[Any] | None = None) -> NDArray[Any]:
    """The pixels of one window in another one; where they do not reach, `ground` shows, or 0.

    ValueError if they have another size than their window.
    """
    width, height = window_size(window)
    if pixels.shape != (height, width):
        raise ValueError(f"channels that are not sampled in every pixel cannot be used: {pixels.shape}")
    if window == frame:
        return pixels
    placed = np.zeros(window_size(frame)[::-1], pixels.dtype) if ground is None else ground.copy()
    left, top = max(window[0], frame[0]), max(window[1], frame[1])
    right, bottom = min(window[2], frame[2]) + 1, min(window[3], frame[3]) + 1
    if right > left and bottom > top:
        inside = pixels[top - window[1] : bottom - window[1], left - window[0] : right - window[0]]
        placed[top - frame[1] : bottom - frame[1], left - frame[0] : right - frame[0]] = inside
    return placed


@dataclass(frozen=True)
class Encoding:
    """How changed pixels are stored.

    compression  a name of COMPRESSIONS, default that of the input; where that loses something and `lossy` is not set, zip
    lossy        whether the input's compression is kept even if it loses something each time
    kind         "half" or "float", default that of the input
    layers       whether denoised lobes are added as layers of their own, "denoised.diffuse" and so on
    """

    compression: str = ""
    lossy: bool = False
    kind: str = ""
    layers: bool = False

    def stored(self, pixels: NDArray[Any], dtype: np.dtype[Any] | None = None) -> NDArray[Any]:
        """Pixels as they are stored in a channel of this dtype, or of their own; half floats end at 65504."""
        asked: dict[str, np.dtype[Any]] = {"half": np.dtype(np.float16), "float": np.dtype(np.float32)}
        dtype = asked.get(self.kind, dtype or pixels.dtype)
        return (np.clip(pixels, -_HALF_MAX, _HALF_MAX) if dtype == np.float16 else pixels).astype(dtype)


class ExrResults(Results):
    """EXR files with the beauty and the light passes denoised, and everything else as it was in the frames' files.

    Parts without a changed channel are copied byte by byte.
    """

    wants = beauty.WANTS

    def __init__(self, pattern: Pattern, frames: ExrFrames, encoding: Encoding, view_z_sky: float) -> None:
        self.pattern, self.frames, self.encoding, self.view_z_sky = pattern, frames, encoding, view_z_sky
        self.journal = pattern.journal
        self.made_with = {"encoding": vars(encoding)}

    def path(self, index: int) -> Path:
        return self.pattern.path(self.frames.numbers[index])

    def overlay_path(self, index: int) -> Path:
        return self.pattern.overlay(self.frames.numbers[index])

    def write(self, index: int, signals: Arrays, arrays: Arrays) -> None:
        source = self.frames.path(index)
        with ExrFile(source) as file:
            with blamed(source):
                signals = beauty.on_surfaces(arrays, signals, self.view_z_sky)
                stored = Rewriting(file, self.frames, self.encoding).parts(arrays, signals)
            with atomic(self.path(index)) as target:
                write(target, stored, file.multipart)

    def notes(self) -> list[str]:
        """What a user should know of how the files will differ, from the first of them."""
        with ExrFile(self.frames.path(0)) as file, blamed(self.frames.path(0)):
            return Rewriting(file, self.frames, self.encoding).notes()


class Rewriting:
    """One file to be written again with some of its channels changed."""

    def __init__(self, file: ExrFile, frames: ExrFrames, encoding: Encoding) -> None:
        self.file, self.mapping, self.window, self.encoding = file, frames.mapping, frames.window, encoding
        self.places = places(file, self.mapping.view)
        self.found = self.mapping.find(self.places)
        self._pixels: dict[int, Pixels] = {}

    def parts(self, arrays: Arrays, signals: Arrays) -> list[Stored]:
        """All parts, with the picture and the light passes of these signals."""
        changed = self._light_passes(arrays, signals) | self._beauty(arrays, signals)
        if not changed:
            raise ValueError("neither the picture nor a light pass is a channel of it: give channels.color")
        by_part: dict[int, Pixels] = {}
        for name, pixels in changed.items():
            at = self.places[name]
            by_part.setdefault(at.part, {})[at.channel.name] = pixels
        layers = layer_channels(signals, self.mapping.view) if self.encoding.layers else {}
        if layers and not self.file.multipart:
            by_part.setdefault(0, {}).update(layers)
        added = self._layer_parts(layers) if self.file.multipart else {}
        stored = [
            self._encoded(number, by_part[number]) if number in by_part else self.file.stored(part)
            for number, part in enumerate(self.file.parts)
            if part.name not in added
        ]
        return [*stored, *added.values()]

    def notes(self) -> list[str]:
        """What changes beside the pixels."""
        names = [name for array in ("color", "diff", "spec") for name in self._simple(array)]
        parts = [self.file.parts[number] for number in sorted({self.places[name].part for name in names})]
        notes = [] if self._simple("color") else ["no channel is the picture: only light passes are denoised"]
        for old, new in dict.fromkeys((part.compression, self._compression(part)) for part in parts):
            if old != new:
                why = (
                    "as asked"
                    if self.encoding.compression
                    else f"{old} loses something each time; --recompress keeps it"
                )
                notes.append(f"what is changed is written with {new} in place of {old}: {why}")
        if any(part.kind == "tiledimage" and part.value("tiles", "<IIB")[2] & 0xF for part in parts):
            notes.append("smaller copies of the picture (levels of tiles) are not written")
        return notes

    def _beauty(self, arrays: Arrays, signals: Arrays) -> Pixels:
        names = self._simple("color")
        if not names or "color" not in arrays:
            return {}
        if len(names) != 3:
            raise ValueError(f"channels.color: expected three channels to write, got {', '.join(names)}")
        coarse = any(self.places[name].channel.dtype == np.float16 for name in names)
        picture = beauty.picture(arrays, signals, 2**-9 if coarse else 2**-20)
        picture = encode_radiance(picture, self.mapping)
        return {name: picture[..., i] for i, name in enumerate(names)}

    def _light_passes(self, arrays: Arrays, signals: Arrays) -> Pixels:
        """The passes whose sum is a signal, in their old proportions."""
        changed: Pixels = {}
        for lobe, factor in beauty.LOBES.items():
            terms = self.found.get(lobe, [])
            if lobe not in signals or any(len(term) > 1 for term in terms):
                continue
            signal = signals[lobe]
            if self.mapping["radiance.kind"] == "modulated" and factor in arrays:
                signal = signal * arrays[factor]
            signal = encode_radiance(signal, self.mapping)
            passes = [np.stack([self._channel(name) for name in names], -1) for (names,) in terms]
            for (names,), share in zip(terms, beauty.shares(passes), strict=True):
                changed |= {name: (signal * share)[..., i] for i, name in enumerate(names)}
        return changed

    def _simple(self, array: str) -> list[str]:
        """The channels of an array that is a sum of channels and nothing else."""
        terms = self.found.get(array, [])
        return [name for term in terms for name in term[0]] if all(len(term) == 1 for term in terms) else []

    def _channel(self, name: str) -> NDArray[np.float32]:
        at = self.places[name]
        pixels = self._decoded(at.part)[at.channel.name]
        return fitted(pixels, self.file.parts[at.part].data_window, self.window).astype(np.float32)

    def _decoded(self, number: int) -> Pixels:
        if number not in self._pixels:
            self._pixels[number] = self.file.pixels(self.file.parts[number])
        return self._pixels[number]

    def _encoded(self, number: int, changes: Pixels) -> Stored:
        part, pixels = self.file.parts[number], dict(self._decoded(number))
        if sampled := [channel.name for channel in part.channels if channel.sampling != (1, 1)]:
            raise ValueError(f"part {part.name!r} cannot be written again: {sampled[0]} is not sampled in every pixel")
        for name, changed in changes.items():
            old = pixels.get(name)
            new = self.encoding.stored(changed, old.dtype if old is not None else None)
            ground = self.encoding.stored(old, new.dtype) if old is not None else None
            pixels[name] = fitted(new, self.window, part.data_window, ground)
        return encode(part.with_compression(self._compression(part)), pixels)

    def _compression(self, part: Part) -> str:
        if self.encoding.compression:
            return self.encoding.compression
        return "zip" if part.compression in LOSSY and not self.encoding.lossy else part.compression

    def _layer_parts(self, layers: Pixels) -> dict[str, Stored]:
        """New parts by their names, one for each layer, with the window of a frame and the display window of the file."""
        first, stored = self.file.parts[0], {}
        for layer in dict.fromkeys(name.rpartition(".")[0] for name in layers):
            named = {"name": ("string", layer.encode()), "type": ("string", b"scanlineimage")}
            if self.mapping.view:
                named["view"] = "string", self.mapping.view.encode()
            part = new_part(self.window, first.display_window, self._compression(first), named)
            channels = {name: pixels for name, pixels in layers.items() if name.rpartition(".")[0] == layer}
            stored[layer] = encode(part, {name: self.encoding.stored(pixels) for name, pixels in channels.items()})
        return stored


def layer_channels(signals: Mapping[str, NDArray[Any]], view: str = "") -> Pixels:
    """Denoised signals as channels "denoised.NAME.R", of shadows of one channel "denoised.NAME.Y"; with the eye, if it is
    given, in the last place but one."""
    eye = f".{view}" if view else ""
    names = {"diff": "diffuse", "spec": "specular"}
    channels: Pixels = {}
    for name, signal in signals.items():
        signal = signal.astype(np.float32)
        components = {"Y": signal} if signal.ndim == 2 else dict(zip("RGB", np.moveaxis(signal, -1, 0), strict=True))
        channels |= {f"denoised.{names.get(name, name)}{eye}.{letter}": pixels for letter, pixels in components.items()}
    return channels
