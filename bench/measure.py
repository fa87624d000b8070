# SPDX-License-Identifier: Apache-2.0
"""The protocol of all timings: warm up, then at least five runs and half a second, contestants in turn; medians decide.

Wall time is `time.perf_counter`, CPU time `time.process_time`: user and system time of all threads of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from statistics import median
from time import perf_counter, process_time
from typing import TypeVar

from denoise import Frame, Pipeline, Reblur, Reference, Relax, Sigma, _core

from .frames import LOBES, Inputs, make_frames

RUNS, SECONDS = 5, 0.5  # the least of each
WARM_UP = 40  # frames, after which every history has its full length of 30

_TILE = (64, 32)  # what csrc/cpu/cpu_backend.cpp starts with

Key = TypeVar("Key")


@dataclass(frozen=True)
class Sample:
    """One frame, in milliseconds: wall time, CPU time of all threads, and wall time of each pass."""

    wall: float
    cpu: float
    passes: Mapping[str, float]


class Subject:
    """The denoiser of the signals of some frames, or a Pipeline, that is fed these frames in turn, for ever."""

    def __init__(
        self,
        frames: Sequence[Inputs],
        isa: str | None = None,
        threads: int | None = None,
        radiance: type[Reblur] | type[Relax] = Reblur,
        device: str = "cpu",
    ) -> None:
        """isa and threads: default as the library chooses. radiance: what denoises the lobes. device: where the frames
        are.

        Raises DeviceError for an `isa` or a device that cannot be used here."""
        height, width = frames[0]["signal" if "signal" in frames[0] else "view_z"].shape[:2]
        device = f"{device}:{isa}" if isa else device
        self.denoiser: Reblur | Relax | Sigma | Pipeline | Reference
        members: list[Reblur | Relax | Sigma] = []
        if any(lobe in frames[0] for lobe in LOBES):
            members.append(radiance(width, height, device=device))
        if "occluder_distance" in frames[0]:
            members.append(Sigma(width, height, device=device))
        if "signal" in frames[0]:
            self.denoiser = Reference(width, height, device=device, outputs=("standard_error",))
        else:
            self.denoiser = members[0] if len(members) == 1 else Pipeline(members)
        self.pixels = width * height
        self.threads = threads or _core.threads()
        self._frames = cycle(frames)
        self._out = self.denoiser(**next(self._frames))

    @property
    def isa(self) -> str:
        return self.denoiser.device.backend

    def warm_up(self, frames: int = WARM_UP) -> None:
        for _ in range(frames):
            self.call()

    def call(self) -> None:
        """Denoises the next frame; on a GPU, queues it."""
        self.denoiser(**next(self._frames), out=self._out)

    def prepared(self) -> Callable[[], None]:
        """A frame's call of the native side, with all that Python does done."""
        frame = next(self._frames)
        if isinstance(self.denoiser, Reference):
            place = self.denoiser._place(None, lambda: (frame["signal"],))
            *_, call = self.denoiser._prepare(**frame, out=self._out, place=place)
        else:
            checked = Frame(**frame)
            place = self.denoiser._place(None, checked.every_array)
            *_, call = self.denoiser._prepare(checked, self._out, place=place)
        return lambda: self.denoiser._native.denoise(*call, *place.queue)

    def run(self) -> Sample:
        set_threads(self.threads)
        frame = next(self._frames)
        began, cpu_began = perf_counter(), process_time()
        self.denoiser(**frame, out=self._out)
        wall, cpu = perf_counter() - began, process_time() - cpu_began
        return Sample(wall * 1e3, cpu * 1e3, self.denoiser.timings())


def in_turn(subjects: Mapping[Key, Subject]) -> dict[Key, list[Sample]]:
    """Runs warmed-up subjects one after the other, round after round, so that what disturbs one disturbs all."""
    samples: dict[Key, list[Sample]] = {key: [] for key in subjects}
    while any(len(s) < RUNS or sum(x.wall for x in s) < SECONDS * 1e3 for s in samples.values()):
        for key, subject in subjects.items():
            samples[key].append(subject.run())
    return samples


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest of some values, as the columns `name`, `name_min` and `name_max` of a report."""
    return {name: median(values), f"{name}_min": min(values), f"{name}_max": max(values)}


def set_threads(count: int) -> None:
    """Sets how many threads denoise, for the whole process. They have started when it returns."""
    if count != _core.threads():
        _core.configure_cpu(count, _TILE)
        denoiser, frame = _starter()
        denoiser(**frame)


@cache
def _starter() -> tuple[Reblur, Inputs]:
    """Something small to denoise: threads start at first use, which is not to be measured."""
    return Reblur(256, 128), make_frames(256, 128, "static", ("diffuse",), 1)[0]
