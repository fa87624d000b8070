# SPDX-License-Identifier: Apache-2.0
"""What whole denoisers cost: time by size, threads, signals and instruction set, and memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from denoise import Relax, _core

from . import machine
from .frames import ANYTHING, SIGNALS, Motion, make_frames
from .measure import Key, Sample, Subject, in_turn, spread
from .report import Report

# 16:9 by number of lines; the lines grow by a factor of 12 in all, the pixels by 144.
SIZES = {
    "180p": (320, 180),
    "360p": (640, 360),
    "540p": (960, 540),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "1440p": (2560, 1440),
    "2160p": (3840, 2160),
}
# Label -> what is in the frames and, if it is not ReBLUR, what denoises their lobes; in groups that are measured together.
SIGNAL_SETS: tuple[dict[str, dict[str, Any]], ...] = (
    {
        "both lobes": {},
        "both lobes by ReLAX": {"radiance": Relax},
        "diffuse": {"signals": ("diffuse",)},
        "specular": {"signals": ("specular",)},
    },
    {
        "shadow, a quarter of the tiles soft": {"signals": ("shadow",)},
        "shadow, all tiles soft": {"signals": ("shadow",), "soft": 1.0},
        "shadows of 2 lights": {"signals": ("shadow",), "lights": 2},
        "shadows of 4 lights": {"signals": ("shadow",), "lights": 4},
        "both lobes and shadow": {"signals": SIGNALS},
    },
    {"mean and standard error": {"signals": ANYTHING}},
)
WARM_UP = 12  # frames; from the third on, the time of a frame does not change any more

_SIGNALS_LINES = 1080  # these are measured at the largest size up to this one
_ISA_LINES = 360  # and instruction sets at the largest up to this one: the scalar one is slow


def measure(
    sizes: Mapping[str, tuple[int, int]] = SIZES,
    threads: Sequence[int] = (1, 2),
    *,
    motion: Motion = "moving",
    warm_up: int = WARM_UP,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Times ReBLUR with both lobes at each size; ReLAX, single lobes, shadows, lobes and shadows together (ReBLUR and SIGMA
    in a pipeline) and the running mean of three channels at one size, and each instruction set at one.

    The rows "speed-up" are the wall time with the first number of threads by that with another; "growth" is the
    exponent e of the fit CPU time ~ pixels^e over all sizes: 1 is linear. Instruction sets are compared by CPU time.
    Where fewer cores were busy than there were threads, something else took them: wall times and speed-ups say nothing.
    """
    facts = machine.facts()
    rows: dict[str, dict[str, float]] = {}
    times: dict[int, list[float]] = {count: [] for count in threads}
    work: dict[int, list[float]] = {count: [] for count in threads}
    for name, size in sizes.items():
        progress(f"{name}, both lobes")
        frames = make_frames(*size, motion)
        subjects = {count: Subject(frames, threads=count) for count in threads}
        samples = _race(subjects, warm_up)
        for count, found in samples.items():
            rows[f"{name}, {_count(count)}"] = _row(subjects[count], found)
            times[count].append(median(sample.wall for sample in found))
            work[count].append(median(sample.cpu for sample in found))
    for count in threads[1:]:
        for index, name in enumerate(sizes):
            rows[f"speed-up {name}, {_count(count)}"] = {"ratio": times[threads[0]][index] / times[count][index]}
    pixels = [width * height for width, height in sizes.values()]
    if len(pixels) > 1:
        for count in threads:
            exponent, _ = np.polyfit(np.log(pixels), np.log(work[count]), 1)
            rows[f"growth, {_count(count)}"] = {"ratio": float(exponent)}

    name, size = _largest(sizes, _SIGNALS_LINES)
    for sets in SIGNAL_SETS:
        progress(f"{name}, {'; '.join(sets)}")
        others = {}
        for label, what in sets.items():
            family = {name: what[name] for name in what if name == "radiance"}
            signals = {name: what[name] for name in what if name != "radiance"}
            others[label] = Subject(make_frames(*size, motion, **signals), **family)
        for label, found in _race(others, warm_up).items():
            rows[f"{name}, {label}, {_count(others[label].threads)}"] = _row(others[label], found)

    name, size = _largest(sizes, _ISA_LINES)
    progress(f"{name}, instruction sets")
    frames = make_frames(*size, motion)
    usable = [isa for isa, reason in _core.backends().items() if not reason and isa != "emulated_cuda"]
    variants = {isa: Subject(frames, isa) for isa in usable}
    by_isa = _race(variants, warm_up)
    best = min(median(sample.cpu for sample in found) for found in by_isa.values())
    for isa, found in by_isa.items():
        rows[f"{name}, {isa}"] = {**_row(variants[isa], found), "ratio": median(s.cpu for s in found) / best}
    setup = {"sizes": " ".join(sizes), "threads": list(threads), "camera": motion, "warm_up": warm_up}
    return Report("denoisers", facts, setup, rows)


def _race(subjects: Mapping[Key, Subject], warm_up: int) -> dict[Key, list[Sample]]:
    for subject in subjects.values():
        subject.warm_up(warm_up)
    return in_turn(subjects)


def _row(subject: Subject, samples: list[Sample]) -> dict[str, float]:
    memory = subject.denoiser.memory
    found = spread("cpu_ms", [sample.cpu for sample in samples]) | spread(
        "wall_ms", [sample.wall for sample in samples]
    )
    found["cores"] = found["cpu_ms"] / found["wall_ms"]
    found["ns_per_pixel"] = found["cpu_ms"] * 1e6 / subject.pixels
    return {**found, "permanent_mb": memory.permanent / 1e6, "transient_mb": memory.transient / 1e6}


def _largest(sizes: Mapping[str, tuple[int, int]], lines: int) -> tuple[str, tuple[int, int]]:
    """The largest size of at most so many lines, else the smallest."""
    fitting = [item for item in sizes.items() if item[1][1] <= lines]
    return max(fitting, key=lambda item: item[1]) if fitting else min(sizes.items(), key=lambda item: item[1])


def _count(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"
