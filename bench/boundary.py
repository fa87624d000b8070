# SPDX-License-Identifier: Apache-2.0
"""What a call costs beside its passes: checks, views of arrays, settings, page and memory plan; the aim is 0.2 ms."""

from __future__ import annotations

from . import machine
from .frames import LOBES, make_frames
from .measure import Subject, spread
from .report import Report

WIDTH, HEIGHT = 16, 1  # next to nothing to denoise
RUNS = 500


def measure(runs: int = RUNS) -> Report:
    """Times calls on a tiny frame, both lobes and all guides that the benchmark frames have, results into `out=`.

    The boundary is the wall time of the call less that of the passes, which the native side measures itself.
    """
    facts = machine.facts()
    subject = Subject(make_frames(WIDTH, HEIGHT))
    subject.warm_up()
    samples = [subject.run() for _ in range(runs)]
    passes = [sum(sample.passes.values()) for sample in samples]
    walls = [sample.wall for sample in samples]
    rows = {
        "boundary": spread("us", [(wall - inside) * 1e3 for wall, inside in zip(walls, passes, strict=True)]),
        "passes": spread("us", [inside * 1e3 for inside in passes]),
        "call": spread("us", [wall * 1e3 for wall in walls]),
    }
    setup = {"size": f"{WIDTH}x{HEIGHT}", "lobes": "+".join(LOBES), "isa": subject.isa, "threads": subject.threads}
    return Report("boundary", facts, {**setup, "runs": runs}, rows)
