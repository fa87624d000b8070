# SPDX-License-Identifier: Apache-2.0
"""Every pass gives the same pictures on every backend, from identical inputs, within stated tolerances."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_scene
import tolerances
from conftest import BACKENDS

import denoise as dn

WIDTH, HEIGHT, FRAMES = 83, 45, 5  # odd: tiles, lanes and blocks all end in the middle of something
RELAX = dn.RelaxSettings(
    hit_distance_reconstruction="3x3",
    strand_material=2,
    camera_attached_material=4,
    atrous_iterations=5,
    anti_firefly=True,
    specular_variance_boost=0.1,
    confidence_relaxation=1,
    confidence_luminance_relaxation=0.5,
    confidence_normal_relaxation=0.5,
)
SETTINGS = dn.ReblurSettings(hit_distance_reconstruction="5x5", strand_material=2, camera_attached_material=4)
LOBES = {"both": ("diffuse", "specular"), "diffuse": ("diffuse",), "specular": ("specular",)}
PASSES = Path(__file__).parents[1] / "shaders" / "passes.h"
RELAXED = {f"relax {lobes}": lobes for lobes in LOBES}
CASES = [*LOBES, *RELAXED, "shadows", "reference"]
WHOLE = ["both", "relax both", "shadows", "reference"]  # of each family, everything


def make(case: str, backend: str) -> Any:
    if case == "shadows":
        settings = dn.SigmaSettings(strand_material=2)
        return dn.Sigma(WIDTH, HEIGHT, device=f"cpu:{backend}", settings=settings, outputs=["history_length"])
    if case == "reference":
        mean = dn.ReferenceSettings(max_accumulated_frames=1, split_screen=0.1)
        every = dn.Reference.OUTPUTS
        return dn.Reference(WIDTH, HEIGHT, channels=5, device=f"cpu:{backend}", settings=mean, outputs=every)
    if case in RELAXED:
        every = dn.Relax.OUTPUTS
        return dn.Relax(WIDTH, HEIGHT, device=f"cpu:{backend}", settings=RELAX, outputs=every)
    return dn.Reblur(WIDTH, HEIGHT, device=f"cpu:{backend}", settings=SETTINGS, outputs=dn.Reblur.OUTPUTS)


def frame(index: int, case: str) -> dict[str, Any]:
    if case == "shadows":
        return small_scene.shadows(index, WIDTH, HEIGHT)
    if case == "reference":
        return small_scene.signal(index, WIDTH, HEIGHT)
    left_out = tuple(lobe for lobe in LOBES["both"] if lobe not in LOBES[RELAXED.get(case, case)])
    keywords = small_scene.inputs(index, WIDTH, HEIGHT)
    return {name: value for name, value in keywords.items() if not left_out or not name.startswith(left_out)}


def crosscheck(first: str, second: str, case: str, frames: int = FRAMES) -> list[dict[str, Any]]:
    """What every pass of every frame wrote on both backends; the frames go on from the first one's."""
    denoiser = make(case, first)
    entries = []
    for index in range(frames):
        entries += denoiser._native.crosscheck(*small_scene.native(denoiser, frame(index, case)), second)
    return entries


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", [b for b in BACKENDS if b != "scalar"])
def test_passes_agree_with_scalar_code(name: str, case: str) -> None:
    problems = tolerances.problems(crosscheck("scalar", name, case))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("case", WHOLE)
def test_emulated_cuda_equals_scalar_code(case: str) -> None:
    """Same arithmetic, other tiles, other order: a wrong index, halo or barrier would show as a difference."""
    for entry in crosscheck("scalar", "emulated_cuda", case):
        assert entry["first"] == entry["second"], (entry["pass"], entry["image"])


@pytest.mark.parametrize("case", WHOLE)
@pytest.mark.parametrize("name", BACKENDS)
def test_passes_write_what_they_read(name: str, case: str) -> None:
    """In a crosscheck the images of a pass start poisoned: if a pass read what none wrote, results would change."""
    checked, plain = make(case, name), make(case, name)
    for index in range(FRAMES):
        call, other = (small_scene.native(denoiser, frame(index, case)) for denoiser in (checked, plain))
        checked._native.crosscheck(*call, name)
        plain._native.denoise(*other)
        for output, result in call.outputs.items():
            np.testing.assert_array_equal(result, other.outputs[output], output)


def test_every_pass_is_compared() -> None:
    entries = [entry for case in WHOLE for entry in crosscheck("scalar", "scalar", case, frames=2)]
    compared = {entry["pass"].partition(".")[0] for entry in entries}
    assert compared == set(re.findall(r"^    PASS\((\w+), ", PASSES.read_text(), re.MULTILINE)) - {"probe"}
    assert {entry["image"] for entry in entries if entry["image"].startswith("out.")} == {
        *(
            f"out.{lobe}{output}"
            for lobe in LOBES["both"]
            for output in ("", *(f"_{name}" for name in dn.Relax.OUTPUTS))
        ),
        *(f"out.shadow{output}.{key}" for key in ("sun", "lamp", "glass") for output in ("", "_history_length")),
        *(f"out.{output}" for output in ("mean", *dn.Reference.OUTPUTS)),
    }


def test_crosscheck_notices_a_difference() -> None:
    """One pixel more than the outliers allow, changed by more than the limit, is reported by pass and image."""
    entries = crosscheck("scalar", "scalar", "diffuse", frames=1)
    entry = next(e for e in entries if e["pass"] == "blur.diffuse")
    texels = np.frombuffer(entry["second"], np.float16).copy().reshape(-1, 4)
    allowed = int(tolerances.FILTERED.outliers * WIDTH * HEIGHT)
    lit = np.flatnonzero(texels[:, 0] > 0.01)[: allowed + 1]
    texels[lit, 0] *= 1.01
    entry["second"] = texels.tobytes()
    (problem,) = tolerances.problems(entries)
    assert problem.startswith("blur.diffuse, diffuse_prepass, signal: ")
