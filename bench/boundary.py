# SPDX-License-Identifier: Apache-2.0
"""What a call costs beside its passes: checks, views of arrays, settings, page and memory plan; the aim is 0.2 ms."""

from __future__ import annotations

from . import machine
from .frames import LOBES, SIGNALS, make_frames
from .measure import Subject, spread
from .report import Report, Row

WIDTH, HEIGHT = 16, 1  # next to nothing to denoise
RUNS = 500


def measure(runs: int = RUNS) -> Report:
    """Times calls on a tiny frame: both lobes, one shadow, and both in a pipeline, with all guides that the benchmark
    frames have, results into `out=`.

    The boundary is the wall time of the call less that of the passes, which the native side measures itself.
    """
    facts = machine.facts()
    rows: dict[str, Row] = {}
    for name, signals in {"": LOBES, "sigma, ": ("shadow",), "pipeline, ": SIGNALS}.items():
        subject = Subject(make_frames(WIDTH, HEIGHT, signals=signals))
        subject.warm_up()
        samples = [subject.run() for _ in range(runs)]
        passes = [sum(sample.passes.values()) for sample in samples]
        walls = [sample.wall for sample in samples]
        outside = [wall - inside for wall, inside in zip(walls, passes, strict=True)]
        for part, times in {"boundary": outside, "passes": passes, "call": walls}.items():
            rows[name + part] = spread("us", [time * 1e3 for time in times])
    setup = {"size": f"{WIDTH}x{HEIGHT}", "signals": "+".join(LOBES), "isa": subject.isa, "threads": subject.threads}
    return Report("boundary", facts, {**setup, "runs": runs}, rows)
