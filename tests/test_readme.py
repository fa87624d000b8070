# SPDX-License-Identifier: Apache-2.0
"""The programs of the README run, on small frames; those for a GPU against the stand-in, with pretended libraries."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pretended
import pytest
from cuda_stand_in import StandIn

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def programs() -> dict[str, str]:
    """By a word that is in no other; all use the names of the first but two, which need Blender and files."""
    if not README.exists():
        pytest.skip("the README is not here")
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    marks = ("rng =", "dn.Sigma", "import cupy", "import torch", "dn.Reference", "import bpy", "guides.completed")
    found = {mark: next(block for block in blocks if mark in block) for mark in marks}
    assert sorted(found.values()) == sorted(blocks)
    for program in blocks:
        compile(program, README.name, "exec")
    found["rng ="] = found["rng ="].replace("H, W = 270, 480", "H, W = 27, 48")
    assert "48" in found["rng ="]
    return found


def test_programs_for_the_cpu(programs: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for mark in ("rng =", "dn.Sigma", "dn.Reference"):
        exec(programs[mark], names)
    noisy, denoised, off = map(float, re.findall(r"\d+\.\d+", capsys.readouterr().out)[:3])
    assert denoised < 0.2 * noisy
    assert off < 0.5
    assert names["of_sun"].shape == (27, 48)


@pytest.mark.parametrize("name", ["cupy", "torch"])
def test_a_render_loop_on_the_gpu(
    programs: dict[str, str],
    dn: Any,
    gpu: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """Its frames go on its own stream, and from the third on none allocates or waits."""
    library = getattr(pretended, name)(gpu, 1)
    monkeypatch.setitem(sys.modules, name, library)
    monkeypatch.setitem(sys.modules, "denoise", dn)
    names: dict[str, Any] = {}
    exec(programs["rng ="], names)
    gpu.log()
    exec(programs[f"import {name}"], names)
    log = gpu.log()
    launches = [index for index, line in enumerate(log) if line.startswith("cudaGraphLaunch")]
    own = names["stream"].ptr if name == "cupy" else names["stream"].cuda_stream
    assert {log[index].split()[1] for index in launches} == {f"stream={gpu.stream_id(own)}"}
    assert len(launches) == 16
    steady = {line.split()[0] for line in log[launches[2] : launches[-1]]}
    assert not any(re.search("Malloc|Free|Memcpy|Synchronize|Instantiate", call) for call in steady)
    denoised = float(capsys.readouterr().out.rsplit("denoised ", 1)[1])
    assert 0 < denoised < 0.1
    array = names["out"].diffuse
    assert isinstance(array, library.array)
    assert np.isfinite(array.values).all()
    for used in ("out", "denoiser", "noisy", "stream"):  # while the stand-in looks
        names.pop(used)
