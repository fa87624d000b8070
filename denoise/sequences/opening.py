# SPDX-License-Identifier: Apache-2.0
"""Opening whatever frames come in, and whatever results go to, by their names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import cameras
from .convert import SKY, ConvertedFrames, native_cameras
from .exr import Encoding, ExrFrames, ExrResults, choose_mapping, frame_window, places
from .exr_file import ExrFile, blamed, window_size
from .files import FrameFiles, Results
from .mapping import load, names_in
from .npz import NpzResults, open_folder
from .patterns import Pattern
from .pictures import ENDINGS, PictureResults
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
    preset     the mapping: one of the names `mapping.PRESETS`, or the path of a TOML file; default the one that fits the
               first file. Folders are native unless something else is said
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
    chosen = load(preset or "native", overrides)
    meta = native_cameras(native.meta, chosen)
    assert isinstance(native.frames, FrameFiles)
    return Sequence(meta, ConvertedFrames(native.frames, chosen, meta))


def open_results(target: str | os.PathLike[str], sequence: Sequence, encoding: Encoding | None = None) -> Results:
    """Where the results of a sequence go: by the ending of the name, pictures, or a folder of the native format.

    EXR files of a sequence of EXR files keep all else that is in those. ValueError for one name for several frames, and
    for the name of the frames themselves.
    """
    encoding = encoding or Encoding()
    if Path(target).suffix.lower() not in ENDINGS:
        return NpzResults(target)
    pattern = Pattern.parse(target)
    if not pattern.digits and sequence.num_frames > 1:
        raise ValueError(f"{target}: expected a place for the number of each frame, as in {pattern.stem}.####")
    files = sequence.frames.origin if isinstance(sequence.frames, FrameFiles) else None
    if not isinstance(files, ExrFrames) or Path(target).suffix.lower() != ".exr":
        return PictureResults(pattern, sequence, encoding)
    results = ExrResults(pattern, files, encoding, sequence.view_z_sky)
    if results.path(0).resolve() == files.path(0).resolve():
        raise ValueError(f"{target}: results would take the place of the frames that they are made of")
    return results


def _open_exr(
    pattern: Pattern, preset: str | None, overrides: list[str], camera: str | os.PathLike[str] | None
) -> Sequence:
    numbers = pattern.numbers()
    if not numbers:
        raise SequenceError(f"{pattern}: no such file")
    first = pattern.path(numbers[0])
    with ExrFile(first) as file, blamed(first):
        chosen, guessed = choose_mapping(file, preset, overrides)
        where = places(file, chosen.view)
        found = chosen.find(where)
        used = [where[name] for expression in found.values() for name in names_in(expression)]
        if not used or not (preset or guessed or overrides):
            raise ValueError(
                f"no preset fits: choose one with --preset, or name channels with --map; there are {', '.join(where)}"
                if preset is None
                else f"preset {preset} finds none of its channels; there are {', '.join(where)}"
            )
        window, display = frame_window(file, used), file.parts[0].display_window
        fps = file.parts[0].frame_rate
    how = "guessed from the file" if guessed else "as asked"
    meta: dict[str, Any] = {"name": pattern.stem, "num_frames": len(numbers), "view_z_sky": SKY}
    notes = [f"preset {chosen.name}, {how}: {', '.join(found)}; proven {chosen.proven}"]
    meta["width"], meta["height"] = window_size(window)
    meta |= {"frame_numbers": numbers, "fps": fps} if fps else {"frame_numbers": numbers}
    meta["cuts"] = [i for i, number in enumerate(numbers) if i and numbers[i - 1] != number - 1]
    meta |= _cameras(pattern, numbers, camera, window_size(display))
    if meta["cuts"]:
        gaps = ", ".join(str(numbers[i]) for i in meta["cuts"][:5]) + (", ..." if len(meta["cuts"]) > 5 else "")
        notes.append(f"the history starts anew at frames {gaps}: the frames before are not there")
    meta["notes"] = notes + meta.get("notes", [])
    meta = native_cameras(meta, chosen)
    meta["cameras"] = [cameras.cropped(entry, display, window) for entry in meta["cameras"]]
    return Sequence(meta, ConvertedFrames(ExrFrames(pattern, numbers, chosen, window), chosen, meta))


def _cameras(
    pattern: Pattern, numbers: list[int], camera: str | os.PathLike[str] | None, size: tuple[int, int]
) -> dict[str, Any]:
    if camera is not None:
        return cameras.described(Path(camera), numbers, size)
    found: list[cameras.Camera] = []
    for number in numbers:
        try:
            with ExrFile(pattern.path(number)) as file:
                entry = cameras.from_header(file.parts[0])
        except SequenceError:
            if not found:
                raise
            entry = found[-1]  # the frame will be refused when its turn comes, after those before it
        if entry is None:
            break
        found.append(entry)
    if len(found) == len(numbers):
        return {"cameras": found}
    note = "no camera in the files: one that stands still is assumed; --camera FILE gives the right one"
    return {"cameras": [cameras.made_up(size)] * len(numbers), "notes": [note]}
