# SPDX-License-Identifier: Apache-2.0
"""Denoising a whole sequence: reads ahead, writes behind, and goes on where it was.

Beside the denoisers, some threads read and some write (one each up to 7 cores): each has one frame in memory.

Every result has a key: a digest of what it was made of, which is the settings, the denoisers, the device, and the
content of every frame from the start of the history to it. A journal, run.json, lists the keys of the frames that are
done. A frame is skipped when its key is there already; the frames before one that is not are denoised again for their
history, from the same start, so that an interrupted run ends up with the bits of an uninterrupted one.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from statistics import median
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np

from denoise.denoiser import FamilyDenoiser, FrameDenoiser, Pipeline, Reblur, Relax, Sigma
from denoise.frame import SIGNALS
from denoise.settings import FAMILIES, Field, FrameSettings, did_you_mean

from .files import FrameFiles, Results, discard_leftovers, write_json, write_picture
from .npz import NpzFrames, NpzResults, open_folder
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


@dataclass
class Seconds:
    """Where the time of a run went. Reading and writing go on beside the denoising.

    denoising  in the denoisers
    reading    files, decoding and converting included
    writing    files, composing and encoding included
    starting   until the first frame was there
    waiting    nothing to do for the denoisers: the next frame was not read, or the one before not written yet
    """

    starting: float = 0
    denoising: float = 0
    reading: float = 0
    writing: float = 0
    waiting: float = 0
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def __str__(self) -> str:
        return (
            f"denoising {self.denoising:.2f} s; reading {self.reading:.2f} s and writing {self.writing:.2f} s beside it; "
            f"waited {self.waiting:.2f} s for files"
        )

    @contextmanager
    def spent(self, what: str) -> Iterator[None]:
        began = perf_counter()
        try:
            yield
        finally:
            with self._lock:
                setattr(self, what, getattr(self, what) + perf_counter() - began)


@dataclass(frozen=True)
class Run:
    """What a run did.

    written       how many frames it wrote, or would have
    skipped       how many were there already
    ms_per_frame  median of the denoising
    device        where
    files         those of the frames written
    seconds       where the time went
    """

    written: int
    skipped: int
    ms_per_frame: float
    device: str
    files: tuple[Path, ...] = ()
    seconds: Seconds = field(default_factory=Seconds)


def denoise_sequence(
    source: str | os.PathLike[str] | Sequence,
    out: str | os.PathLike[str] | Results,
    *,
    denoisers: Iterable[str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    frames: range | None = None,
    preroll: int = 0,
    device: str = "auto",
    force: bool = False,
    skip_existing: bool = False,
    dry_run: bool = False,
    overlay: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Run:
    """Denoise a sequence of files into files.

    source         a folder of the native format, or a sequence whose frames are files
    out            a folder for frame_%04d.npz (float16) and run.json, or other results
    denoisers      names, no two of which may write the same signal; by default, all that the first frame has inputs
                   for. Several share a Pipeline
    settings       denoiser -> setting -> value, over its defaults and the frame rate of the sequence
    frames         the frames to write, by the numbers that they have in the sequence; default all
    preroll        frames before them (as far as there are) that only fill the history, which begins with the first
    device         as for the denoisers
    force          also write frames that are there already
    skip_existing  do not write frames that are there, however they were made
    dry_run        write nothing
    overlay        also write the denoiser's `overlay()` of each frame, as PNG; a frame that lacks it is not done
    progress       called with the frames denoised so far and in all, those for the history included

    Raises ValueError for wrong arguments, DeviceError, DenoiseError where an overlay cannot be drawn because Pillow is
    absent, and SequenceError that begins with the file that is missing, damaged or unusable, or cannot be written;
    frames that were done by then are kept.
    """
    sequence = source if isinstance(source, Sequence) else open_folder(source)
    results = out if isinstance(out, Results) else NpzResults(out)
    files = sequence.frames
    if not isinstance(files, FrameFiles):
        raise ValueError("source: expected a sequence of files, got one in memory")
    wanted = sequence.select(frames)
    if preroll < 0:
        raise ValueError(f"preroll: expected 0 or more, got {preroll}")
    names = fitting(sequence.frames[0], sequence.meta) if denoisers is None else choose(denoisers)
    denoiser = create(names, sequence.meta, device, settings, overlay, results.dtype)
    where = denoiser.device
    journal = _Journal(
        results,
        {
            "denoiser": ",".join(names),
            "settings": {member.FAMILY: member.settings.as_dict() for member in denoiser.members},
            "device": f"{where.name}:{where.backend}",
            "version": version(),
            **files.made_with,
            **results.made_with,
        },
        overlay,
    )
    start = max(wanted[0] - preroll, 0)
    read = [*dict.fromkeys((*input_names(sequence.meta, denoiser.inputs), *results.wants))]
    done = (lambda index, key: False) if force else journal.has
    if skip_existing:
        done = lambda index, key: results.is_whole(index)  # noqa: E731
    todo, unreadable = _plan(sequence, files, read, journal.made_with, range(start, wanted[-1] + 1), {*wanted}, done)
    seconds = Seconds()
    if not dry_run:
        journal.forget(todo)
        steps = range(start, max(todo, default=start - 1) + 1)
        _denoise(sequence, files, read, denoiser, results, journal, todo, steps, seconds, progress)
    if unreadable:
        raise unreadable
    written = tuple(map(results.path, todo))
    return Run(len(todo), len(wanted) - len(todo), journal.ms_per_frame, str(where), written, seconds)


def _denoise(
    sequence: Sequence,
    files: FrameFiles,
    read: list[str],
    denoiser: FrameDenoiser,
    results: Results,
    journal: _Journal,
    todo: Mapping[int, str],
    steps: range,
    seconds: Seconds,
    progress: Callable[[int, int], None],
) -> None:
    """Denoise the frames `steps`, and write those of `todo`."""

    def load(index: int) -> Arrays:
        with seconds.spent("reading"):
            return files.read(index, read)

    def save(index: int, signals: Arrays, arrays: Arrays, sheet: Any, milliseconds: float) -> None:
        try:
            with seconds.spent("writing"):
                results.write(index, signals, arrays)
                if sheet is not None:
                    write_picture(results.overlay_path(index), sheet)
                journal.record(index, todo[index], milliseconds)
        except OSError as error:
            raise SequenceError(f"{results.path(index)}: {error.strerror or error}") from error

    ahead = _workers()
    with ThreadPoolExecutor(ahead) as reader, ThreadPoolExecutor(ahead) as writer:
        coming = deque(reader.submit(load, index) for index in steps[:ahead])
        going: deque[Future[None]] = deque()
        for count, index in enumerate(steps, 1):
            with seconds.spent("waiting" if count > 1 else "starting"):
                arrays = coming.popleft().result()
            coming.extend(reader.submit(load, later) for later in steps[count - 1 + ahead : count + ahead])
            inputs = frame_inputs(arrays, sequence.meta, index)
            if index in sequence.cuts:
                inputs["reset"] = True
            try:
                with seconds.spent("denoising"):
                    signals, milliseconds = denoise_frame(denoiser, inputs)
            except (TypeError, ValueError) as error:
                raise SequenceError(f"{files.path(index)}: {error}") from error
            if len(going) == ahead:
                with seconds.spent("waiting"):
                    going.popleft().result()
            if index in todo:
                sheet = denoiser.overlay() if journal.overlay else None
                going.append(writer.submit(save, index, signals, arrays, sheet, milliseconds))
            progress(count, len(steps))
        for write in going:
            write.result()


def _workers() -> int:
    """How many threads read, and how many write: the denoisers need most of the cores."""
    return min(max(len(os.sched_getaffinity(0)) // 4, 1), 8)


def open_outputs(folder: str | os.PathLike[str]) -> NpzFrames:
    """The results in a folder: the frames that its run.json lists, or all that are there if it has no such list."""
    try:
        listed = json.loads((Path(folder) / "run.json").read_text())["frames"]
        return NpzFrames(folder, map(int, listed))
    except (OSError, ValueError, KeyError, TypeError):
        return NpzFrames(folder)


def create(
    names: Iterable[str],
    meta: Mapping[str, Any],
    device: str = "auto",
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    overlay: bool = False,
    dtype: type[np.floating[Any]] = np.float16,
) -> FrameDenoiser:
    """A denoiser by its name, or a Pipeline of several, for the size and frame rate of a sequence.

    device    "auto" is the CPU: frames of files are in host memory
    settings  denoiser -> setting -> value; denoisers that are not among `names` may be there, too
    overlay   whether frames can be shown by `overlay()`
    dtype     of the results
    """
    device = "cpu" if device == "auto" else device
    members = [
        DENOISERS[name](
            meta["width"],
            meta["height"],
            device=device,
            settings=FAMILIES[name](**{**frame_settings(meta), **(settings or {}).get(name, {})}),
            dtype=dtype,
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


def _plan(
    sequence: Sequence,
    files: FrameFiles,
    read: list[str],
    made_with: Mapping[str, Any],
    history: range,
    wanted: set[int],
    done: Callable[[int, str], bool],
) -> tuple[dict[int, str], SequenceError | None]:
    """The frames to write, with their keys; and the error of a frame that cannot be read, before which they end."""
    todo: dict[int, str] = {}
    key = _digest(made_with)
    for index in history:
        try:
            content = files.digest(index, read)
        except SequenceError as error:
            if not todo:
                raise
            return todo, error
        lights = [light_geometry(sequence.meta, light, index) for light in sequence.lights]
        cut = ["cut"] if index in sequence.cuts else []
        key = _digest([key, content, sequence.meta["cameras"][index], lights, *cut])
        if index in wanted and not done(index, key):
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
    """run.json: how the frames were made, and which are done; frames made otherwise are not listed."""

    def __init__(self, results: Results, made_with: Mapping[str, Any], overlay: bool) -> None:
        self.results = results
        self.made_with = made_with
        self.overlay = overlay
        self._lock = Lock()
        self._frames: dict[str, dict[str, Any]] = {}
        try:
            old = json.loads(results.journal.read_text())
            if all(old[name] == value for name, value in made_with.items()):
                self._frames = old["frames"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no run yet, or nothing that can be gone on from

    def has(self, index: int, key: str) -> bool:
        entry = self._frames.get(str(index), {})
        if self.overlay and not (entry.get("overlay") and self.results.overlay_path(index).is_file()):
            return False
        return entry.get("key") == key and self.results.is_whole(index)

    def forget(self, indices: Iterable[int]) -> None:
        """Before their files are written: an interruption must not leave a new file under an old key."""
        discard_leftovers(self.results.journal.parent)
        for index in indices:
            self._frames.pop(str(index), None)
        self._write()

    def record(self, index: int, key: str, milliseconds: float) -> None:
        with self._lock:
            self._frames[str(index)] = {"ms": round(milliseconds, 3), "key": key, "overlay": self.overlay}
            self._write()

    @property
    def ms_per_frame(self) -> float:
        return median(entry["ms"] for entry in self._frames.values()) if self._frames else 0.0

    def _write(self) -> None:
        frames = dict(sorted(self._frames.items(), key=lambda item: int(item[0])))
        write_json(self.results.journal, {"ms_per_frame": self.ms_per_frame, **self.made_with, "frames": frames})
