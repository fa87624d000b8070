# SPDX-License-Identifier: Apache-2.0
"""Opening whatever frames come in, and whatever results go to, by their names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import cameras, mapping
from .convert import SKY, ConvertedFrames
from .exr import Encoding, ExrFrames, ExrResults, frame_window, places
from .exr_file import ExrFile, blamed, window_size
from .files import Results
from .npz import NpzResults, open_folder
from .patterns import Pattern
from .sequence import Sequence, SequenceError


def open_sequence(
    source: str | os.PathLike[str],
    *,
    preset: str | None = None,
    overrides: Iterable[str] = (),
    camera: str | os.PathLike[str] | None = None,
) -> Sequence:
    """A sequence; its frames are read when they are asked for.

    source     a folder of the native format, EXR files "shot.####.exr" or "shot.%04d.exr", or one EXR file
    preset     the mapping: a name of `mapping.PRESETS`, or the path of a TOML file; default the one that fits the first
               file. Folders are native unless something else is said
    overrides  KEY=VALUE over it
    camera     of EXR files: JSON, TOML or USD with the cameras (see `cameras.described`), over what the files say

    ValueError for wrong arguments, SequenceError for files that cannot be used.
    """
    overrides = list(overrides)
    if Path(source).suffix.lower() == ".exr":
        return _open_exr(Pattern.parse(source), preset, overrides, camera)
    native = open_folder(source)
    if preset in (None, "native") and not overrides:
        return native
    chosen = mapping.load(preset or "native", overrides)
    return Sequence(native.meta, ConvertedFrames(native.frames, chosen, native.meta))


def open_results(target: str | os.PathLike[str], sequence: Sequence, encoding: Encoding | None = None) -> Results:
    """Where the results of a sequence go: EXR files for a name that ends so, else a folder of the native format."""
    frames = sequence.frames
    raw = frames.raw if isinstance(frames, ConvertedFrames) else frames
    if Path(target).suffix.lower() == ".exr" and isinstance(raw, ExrFrames):
        return ExrResults(Pattern.parse(target), raw, encoding or Encoding(), sequence.view_z_sky)
    return NpzResults(target)


def _open_exr(
    pattern: Pattern, preset: str | None, overrides: list[str], camera: str | os.PathLike[str] | None
) -> Sequence:
    numbers = pattern.numbers()
    if not numbers:
        raise SequenceError(f"{pattern}: no such file")
    first = pattern.path(numbers[0])
    with ExrFile(first) as file, blamed(first):
        view = next((text.partition("=")[2] for text in overrides if text.startswith("view=")), "")
        where = places(file, view)
        preset = preset or mapping.guess(where)
        if preset is None:
            raise ValueError(f"no preset fits: choose one with --preset, or name the channels; it has {', '.join(where)}")
        chosen = mapping.load(preset, overrides)
        found = chosen.find(where)
        used = [where[name] for expression in found.values() for term in expression for names in term for name in names]
        if not used:
            raise ValueError(f"preset {preset} finds nothing in it; it has {', '.join(where)}")
        window, display = frame_window(file, used), file.parts[0].display_window
    meta: dict[str, Any] = {"name": pattern.stem, "num_frames": len(numbers), "view_z_sky": SKY}
    meta["width"], meta["height"] = window_size(window)
    meta["frame_numbers"] = numbers
    meta["cuts"] = [i for i, number in enumerate(numbers) if i and numbers[i - 1] != number - 1]
    meta |= _cameras(pattern, numbers, camera, window_size(display))
    if meta["cuts"]:
        gaps = ", ".join(str(numbers[i]) for i in meta["cuts"][:5]) + (", ..." if len(meta["cuts"]) > 5 else "")
        meta.setdefault("notes", []).append(f"the history starts anew at frames {gaps}: the frames before are not there")
    meta["cameras"] = [cameras.cropped(entry, display, window) for entry in meta["cameras"]]
    return Sequence(meta, ConvertedFrames(ExrFrames(pattern, numbers, chosen, window), chosen, meta))


def _cameras(
    pattern: Pattern, numbers: list[int], camera: str | os.PathLike[str] | None, size: tuple[int, int]
) -> dict[str, Any]:
    if camera is not None:
        return cameras.described(Path(camera), numbers, size)
    found = []
    for number in numbers:
        with ExrFile(pattern.path(number)) as file:
            entry = cameras.from_header(file.parts[0])
        if entry is None:
            break
        found.append(entry)
    if len(found) == len(numbers):
        return {"cameras": found}
    note = "no camera in the files: one that stands still is assumed; --camera FILE gives the right one"
    return {"cameras": [cameras.made_up(size)] * len(numbers), "notes": [note]}
