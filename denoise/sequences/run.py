# SPDX-License-Identifier: Apache-2.0
"""Denoising a whole sequence into a folder: reads ahead, writes each frame when it is done, and goes on where it was.

Every result has a key: a digest of what it was made of, which is the settings, the denoisers, the device, and the
content of every frame from the start of the history to it. run.json lists the keys of the frames that are done. A
frame is skipped when its key is there already; the frames before one that is not are denoised again for their history,
from the same start, so that an interrupted run ends up with the bits of an uninterrupted one.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from denoise.denoiser import FamilyDenoiser, FrameDenoiser, Pipeline, Reblur, Relax, Sigma
from denoise.frame import SIGNALS
from denoise.settings import FAMILIES, Field, FrameSettings, did_you_mean

from .npz import (
    NpzFrames,
    content_digest,
    frame_path,
    open_sequence,
    read_arrays,
    write_arrays,
    write_json,
    write_picture,
)
from .sequence import (
    Arrays,
    Sequence,
    SequenceError,
    frame_inputs,
    frame_settings,
    input_names,
    light_array,
    light_geometry,
)

DENOISERS: dict[str, type[FamilyDenoiser[Any]]] = {family.FAMILY: family for family in (Reblur, Relax, Sigma)}

_LOBES = {"diff": "diffuse", "spec": "specular"}  # array of a run -> attribute of Result; shadows go by their light


@dataclass(frozen=True)
class Run:
    """What a run did: how many frames it wrote and how many were there already, the median time of those, and where."""

    written: int
    skipped: int
    ms_per_frame: float
    device: str


def denoise_sequence(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    denoisers: Iterable[str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    frames: range | None = None,
    preroll: int = 0,
    device: str = "auto",
    force: bool = False,
    overlay: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Run:
    """Denoise the sequence in the folder `source` into the folder `out`: frame_%04d.npz (float16) and run.json.

    denoisers  names, no two of which may write the same signal; by default, all that the first frame has inputs for.
               Several share a Pipeline
    settings   denoiser -> setting -> value, over its defaults and the frame rate of the sequence
    frames     the frames to write, default all
    preroll    frames before them (as far as there are) that only fill the history, which begins with the first of them
    device     as for the denoisers
    force      also write frames that are there already
    overlay    also write overlay_%04d.png, the denoiser's `overlay()` of each frame; one that lacks it is not done
    progress   called with the frames denoised so far and in all, those for the history included

    Raises ValueError for wrong arguments, DeviceError, DenoiseError where an overlay cannot be drawn because Pillow is
    absent, and SequenceError that begins with the file that is missing, damaged or unusable; frames that were done by
    then are kept.
    """
    sequence = open_sequence(source)
    frames = range(sequence.num_frames) if frames is None else frames
    if not frames or frames.start < 0 or frames.stop > sequence.num_frames:
        asked = f"{frames.start}-{frames.stop - 1}"
        raise ValueError(f"frames {asked}: {sequence.name} has frames 0-{sequence.num_frames - 1}")
    if preroll < 0:
        raise ValueError(f"preroll: expected 0 or more, got {preroll}")
    names = fitting(sequence.frames[0], sequence.meta) if denoisers is None else choose(denoisers)
    denoiser = create(names, sequence.meta, device, settings, overlay)
    where = denoiser.device
    journal = _Journal(
        Path(out),
        {
            "denoiser": ",".join(names),
            "settings": {member.FAMILY: member.settings.as_dict() for member in denoiser.members},
            "device": f"{where.name}:{where.backend}",
            "version": version(),
        },
        overlay,
    )
    start = max(frames.start - preroll, 0)
    read = input_names(sequence.meta, denoiser.inputs)
    todo, unreadable = _plan(sequence, Path(source), read, journal, range(start, frames.stop), frames.start, force)
    journal.forget(todo)
    steps = range(start, max(todo, default=start - 1) + 1)
    for count, (index, arrays) in enumerate(_read_ahead(Path(source), read, steps), 1):
        try:
            signals, milliseconds = denoise_frame(denoiser, frame_inputs(arrays, sequence.meta, index))
        except (TypeError, ValueError) as error:
            raise SequenceError(f"{frame_path(source, index)}: {error}") from error
        if index in todo:
            write_arrays(frame_path(out, index), signals)
            if overlay:
                write_picture(overlay_path(out, index), denoiser.overlay())
            journal.record(index, todo[index], milliseconds)
        progress(count, len(steps))
    if unreadable:
        raise unreadable
    return Run(len(todo), len(frames) - len(todo), journal.ms_per_frame, str(where))


def open_outputs(folder: str | os.PathLike[str]) -> NpzFrames:
    """The results in a folder: the frames that its run.json lists, or all that are there if it has no such list."""
    try:
        listed = json.loads((Path(folder) / "run.json").read_text())["frames"]
        return NpzFrames(folder, map(int, listed))
    except (OSError, ValueError, KeyError, TypeError):
        return NpzFrames(folder)


def overlay_path(folder: str | os.PathLike[str], index: int) -> Path:
    return Path(folder) / f"overlay_{index:04d}.png"


def create(
    names: Iterable[str],
    meta: Mapping[str, Any],
    device: str = "auto",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    overlay: bool = False,
) -> FrameDenoiser:
    """A denoiser by its name, or a Pipeline of several, for the size and frame rate of a sequence, with float16 results.

    device    "auto" is the CPU: frames of files are in host memory
    settings  denoiser -> setting -> value; denoisers that are not among `names` may be there, too
    overlay   whether frames can be shown by `overlay()`
    """
    device = "cpu" if device == "auto" else device
    members = [
        DENOISERS[name](
            meta["width"],
            meta["height"],
            device=device,
            settings=FAMILIES[name](**{**frame_settings(meta), **(settings or {}).get(name, {})}),
            dtype=np.float16,
            overlay=overlay,
        )
        for name in choose(names)
    ]
    return members[0] if len(members) == 1 else Pipeline(members)


def fitting(arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> list[str]:
    """The denoisers that find their signals in the first frame of a sequence, for each signal the first one that takes
    it. ValueError if there is none."""
    given = frame_inputs(arrays, meta, 0)
    wanted = {signal for signal, primary in SIGNALS.items() if primary in given}
    names = []
    for name, family in DENOISERS.items():
        if wanted & {*family.SIGNALS}:
            names.append(name)
            wanted -= {*family.SIGNALS}
    if not names:
        raise ValueError("the first frame has nothing to denoise: expected diff, spec, or the shadow_hit of a light")
    return names


def choose(names: Iterable[str]) -> list[str]:
    """The names as a list. ValueError if one is unknown, or if two write the same signal."""
    names = list(names)
    writers: dict[str, str] = {}
    for name in names:
        if name not in DENOISERS:
            raise ValueError(
                f"unknown denoiser {name!r}{did_you_mean(name, DENOISERS)}; there is {', '.join(DENOISERS)}"
            )
        for signal in DENOISERS[name].SIGNALS:
            if signal in writers:
                raise ValueError(f"denoisers {writers[signal]} and {name} both write {signal}: leave one out")
            writers[signal] = name
    if not names:
        raise ValueError(f"no denoiser given; there is {', '.join(DENOISERS)}")
    return names


def parse_settings(assignments: Iterable[str], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Settings of the denoisers `names` from texts "KEY=VALUE" or "DENOISER.KEY=VALUE".

    Settings that a frame has only one of are for all of them, unless a denoiser is named. ValueError for a key that none
    has, or that several have for themselves and no denoiser is named, and for a value that is not allowed.
    """
    shared = {field.name for field in FrameSettings.fields()}
    fields = {name: {field.name: field for field in FAMILIES[name].fields()} for name in names}
    parsed: dict[str, dict[str, Any]] = {name: {} for name in fields}
    for assignment in assignments:
        path, equals, text = (part.strip() for part in assignment.partition("="))
        if not equals:
            raise ValueError(f"expected KEY=VALUE, got {assignment!r}")
        owner, dot, key = path.rpartition(".")
        owners = [name for name in fields if key in fields[name] and owner in ("", name)]
        if dot and owner not in fields:
            raise ValueError(f"{path}: no denoiser {owner!r} in this run, only {', '.join(fields)}")
        if not owners:
            known = [name for family in ([owner] if dot else fields) for name in fields[family]]
            who = owner or " and ".join(fields)
            have = "has" if owner or len(fields) == 1 else "have"
            raise ValueError(f"{who} {have} no setting {key!r}{did_you_mean(key, known)}")
        if len(owners) > 1 and key not in shared:
            raise ValueError(f"{key}: write {' or '.join(f'{name}.{key}' for name in owners)}: both have it")
        for name in owners:
            parsed[name][key] = _parse_value(fields[name][key], text)
    return parsed


def _parse_value(field: Field, text: str) -> Any:
    words = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
    value: Any = text
    if field.type is bool:
        value = words.get(text.lower(), text)
    elif field.type in (int, float):
        with suppress(ValueError):  # the check below says what was expected
            value = field.type(text)
    try:
        return field.check(value)
    except TypeError as error:
        raise ValueError(str(error)) from None


def denoise_frame(denoiser: FrameDenoiser, inputs: Mapping[str, Any]) -> tuple[Arrays, float]:
    """One frame, by the keywords of `frame_inputs`: the signals as the format calls them, and the milliseconds it took."""
    began = perf_counter()
    result = denoiser(**inputs)
    milliseconds = (perf_counter() - began) * 1e3
    signals: Arrays = {
        name: array for name, attribute in _LOBES.items() if (array := getattr(result, attribute)) is not None
    }
    if result.shadow is not None:
        shadows = zip(inputs["light"], result.shadow, strict=True)
        signals |= {light_array("shadow", light.key): shadow for light, shadow in shadows}
    return signals, milliseconds


def _read_ahead(source: Path, names: list[str], indices: range) -> Iterator[tuple[int, Arrays]]:
    """The inputs of each frame, the next one decompressed in a thread while the caller denoises this one."""
    with ThreadPoolExecutor(1) as reader:
        reads = (reader.submit(read_arrays, frame_path(source, index), names) for index in indices)
        pending = deque(islice(reads, 1))
        for index in indices:
            arrays = pending.popleft().result()
            pending.extend(islice(reads, 1))
            yield index, arrays


def _plan(
    sequence: Sequence, source: Path, read: list[str], journal: _Journal, history: range, first: int, force: bool
) -> tuple[dict[int, str], SequenceError | None]:
    """The frames to write, with their keys; and the error of a frame that cannot be read, before which they end."""
    todo: dict[int, str] = {}
    key = _digest(journal.made_with)
    for index in history:
        try:
            content = content_digest(frame_path(source, index), read)
        except SequenceError as error:
            if not todo:
                raise
            return todo, error
        lights = [light_geometry(sequence.meta, light, index) for light in sequence.lights]
        key = _digest([key, content, sequence.meta["cameras"][index], lights])
        if index >= first and (force or not journal.has(index, key)):
            todo[index] = key
    return todo, None


def version() -> str:
    """The version of this package."""
    try:
        return metadata.version("rt-denoise")
    except metadata.PackageNotFoundError:  # a build that was never installed
        return "unknown"


def _digest(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


class _Journal:
    """run.json: how the frames in a folder were made, and which are done; frames made otherwise are not listed."""

    def __init__(self, folder: Path, made_with: Mapping[str, Any], overlay: bool) -> None:
        self.folder = folder
        self.made_with = made_with
        self.overlay = overlay
        self._frames: dict[str, dict[str, Any]] = {}
        try:
            old = json.loads((folder / "run.json").read_text())
            if all(old[name] == value for name, value in made_with.items()):
                self._frames = old["frames"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no run yet, or nothing that can be gone on from

    def has(self, index: int, key: str) -> bool:
        entry = self._frames.get(str(index), {})
        if self.overlay and not (entry.get("overlay") and overlay_path(self.folder, index).is_file()):
            return False
        return entry.get("key") == key and zipfile.is_zipfile(frame_path(self.folder, index))

    def forget(self, indices: Iterable[int]) -> None:
        """Before their files are written: an interruption must not leave a new file under an old key."""
        for index in indices:
            self._frames.pop(str(index), None)
        self._write()

    def record(self, index: int, key: str, milliseconds: float) -> None:
        self._frames[str(index)] = {"ms": round(milliseconds, 3), "key": key, "overlay": self.overlay}
        self._write()

    @property
    def ms_per_frame(self) -> float:
        return median(entry["ms"] for entry in self._frames.values()) if self._frames else 0.0

    def _write(self) -> None:
        frames = dict(sorted(self._frames.items(), key=lambda item: int(item[0])))
        write_json(self.folder / "run.json", {"ms_per_frame": self.ms_per_frame, **self.made_with, "frames": frames})
