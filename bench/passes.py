# SPDX-License-Identifier: Apache-2.0
"""What each pass of a denoiser costs, and how far that is from what the memory would allow."""

from __future__ import annotations

import re
from statistics import median

from denoise import Reblur, Relax

from . import machine
from .frames import LOBES, SOFT, Motion, make_frames
from .measure import WARM_UP, Subject, in_turn, spread
from .report import Report

FRAME = "whole frame"


def measure(
    width: int = 1920,
    height: int = 1080,
    *,
    select: str = "",
    isa: str | None = None,
    threads: int | None = None,
    motion: Motion = "moving",
    signals: tuple[str, ...] = LOBES,
    lights: int = 1,
    soft: float = SOFT,
    radiance: str = "reblur",
    warm_up: int = WARM_UP,
) -> Report:
    """Times every pass whose name matches the regular expression `select`, and the whole frame.

    signals, lights and soft are those of frames.make_frames: they decide which denoiser it is, or a pipeline of both;
    `radiance`, which of the two that denoise lobes.
    Bytes are those of `describe()`: each texel of each image read or written once. GB/s of a pass are these bytes by
    its wall time; `ceiling_share` is that against copying memory with as many threads, see machine.copy_ceiling().
    A pass that need not look at everything, such as the classification of tiles, may come out above 1.
    """
    facts = machine.facts()
    family = Relax if radiance == "relax" else Reblur
    subject = Subject(make_frames(width, height, motion, signals, lights=lights, soft=soft), isa, threads, family)
    copy = machine.copy_ceiling(subject.threads)
    subject.warm_up(warm_up)
    samples = in_turn({"": subject})[""]
    traffic = page_bytes(subject.denoiser.describe())
    frame_ms = median(sample.wall for sample in samples)

    def row(values: list[float], bytes_per_pixel: float | None) -> dict[str, float]:
        found = spread("ms", values)
        found["ns_per_pixel"] = found["ms"] * 1e6 / subject.pixels
        found["of_frame"] = found["ms"] / frame_ms
        if bytes_per_pixel is not None:
            found["bytes_per_pixel"] = bytes_per_pixel
            found["gb_per_s"] = bytes_per_pixel / found["ns_per_pixel"]
            found["ceiling_share"] = found["gb_per_s"] / copy["gb_per_s"]
        return found

    rows = {
        name: row([sample.passes[name] for sample in samples], traffic[name])
        for name in samples[0].passes
        if re.search(select, name)
    }
    rows["outside the passes"] = row([sample.wall - sum(sample.passes.values()) for sample in samples], None)
    rows[FRAME] = row([sample.wall for sample in samples], sum(traffic.values()))
    rows[FRAME] |= spread("cpu_ms", [sample.cpu for sample in samples])
    rows[FRAME]["cores"] = rows[FRAME]["cpu_ms"] / frame_ms
    setup = {
        "size": f"{width}x{height}",
        "signals": "+".join(signals),
        **({"lights": lights, "soft": soft} if "shadow" in signals else {}),
        "isa": subject.isa,
        "threads": subject.threads,
        "camera": motion,
        "warm_up": warm_up,
        "runs": len(samples),
        **{f"copy_{name}": round(value, 2) for name, value in copy.items()},
    }
    return Report("passes", facts, setup, rows)


def page_bytes(page: str) -> dict[str, float]:
    """Bytes per pixel of each pass, as `describe()` prints them; of runs with one name, their sum."""
    traffic: dict[str, float] = {}
    for name, size in re.findall(r"^  (\S+) +([\d.]+) B/px   ", page, re.MULTILINE):
        traffic[name] = traffic.get(name, 0) + float(size)
    return traffic
