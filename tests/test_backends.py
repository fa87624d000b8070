# SPDX-License-Identifier: Apache-2.0
"""Every pass gives the same pictures on every backend, from identical inputs, within stated tolerances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import small_scene
import tolerances
from conftest import BACKENDS

import denoise as dn
from denoise import _core

WIDTH, HEIGHT, FRAMES = 83, 45, 5  # odd: tiles, lanes and blocks all end in the middle of something
OUTPUTS = ("history_length", "hit_distance")
SETTINGS = dn.ReblurSettings(hit_distance_reconstruction="5x5", strand_material=2, camera_attached_material=4)
LOBES = {"both": ("diffuse", "specular"), "diffuse": ("diffuse",), "specular": ("specular",)}


def frame(index: int, lobes: tuple[str, ...] = LOBES["both"]) -> dict[str, Any]:
    left_out = tuple(lobe for lobe in LOBES["both"] if lobe not in lobes)
    keywords = small_scene.inputs(index, WIDTH, HEIGHT)
    return {name: value for name, value in keywords.items() if not left_out or not name.startswith(left_out)}


def crosscheck(first: str, second: str, lobes: tuple[str, ...], frames: int = FRAMES) -> list[dict[str, Any]]:
    """What every pass of every frame wrote on both backends; the frames go on from the first one's."""
    denoiser = _core.Denoiser("reblur", WIDTH, HEIGHT, first)
    entries = []
    for index in range(frames):
        given, results, camera = small_scene.native(frame(index, lobes), OUTPUTS)
        entries += denoiser.crosscheck(given, results, camera, SETTINGS.as_numbers(), False, second)
    return entries


@pytest.mark.parametrize("lobes", LOBES)
@pytest.mark.parametrize("name", [b for b in BACKENDS if b != "scalar"])
def test_passes_agree_with_scalar_code(name: str, lobes: str) -> None:
    problems = tolerances.problems(crosscheck("scalar", name, LOBES[lobes]))
    assert not problems, "\n".join(problems)


def test_emulated_cuda_equals_scalar_code() -> None:
    """Same arithmetic, other tiles, other order: a wrong index, halo or barrier would show as a difference."""
    for entry in crosscheck("scalar", "emulated_cuda", LOBES["both"]):
        assert entry["first"] == entry["second"], (entry["pass"], entry["image"])


@pytest.mark.parametrize("name", BACKENDS)
def test_passes_write_what_they_read(name: str) -> None:
    """In a crosscheck the images of a pass start poisoned: if a pass read what none wrote, results would change."""
    checked, plain = (_core.Denoiser("reblur", WIDTH, HEIGHT, name) for _ in range(2))
    for index in range(FRAMES):
        given, results, camera = small_scene.native(frame(index), OUTPUTS)
        checked.crosscheck(given, results, camera, SETTINGS.as_numbers(), False, name)
        _, others, _ = small_scene.native(frame(index), OUTPUTS)
        plain.denoise(given, others, camera, SETTINGS.as_numbers(), False)
        for output, result in results.items():
            np.testing.assert_array_equal(result, others[output], output)


def test_every_pass_is_compared() -> None:
    entries = crosscheck("scalar", "scalar", LOBES["both"], frames=1)
    compared = {entry["pass"].partition(".")[0] for entry in entries}
    assert compared == {
        "pack_guides",
        "classify_tiles",
        "pack_signal",
        "reconstruct_hit_distance",
        "prepass",
        "temporal_accumulation",
        "relight_measure",
        "relight_reduce",
        "relight_gain",
        "relight_apply",
        "history_fix",
        "blur",
        "post_blur",
        "stabilize",
        "resolve",
    }
    assert {entry["image"] for entry in entries if entry["image"].startswith("out.")} == {
        f"out.{lobe}{output}" for lobe in LOBES["both"] for output in ("", "_history_length", "_hit_distance")
    }


def test_crosscheck_notices_a_difference() -> None:
    """One pixel more than the outliers allow, changed by more than the limit, is reported by pass and image."""
    entries = crosscheck("scalar", "scalar", LOBES["diffuse"], frames=1)
    entry = next(e for e in entries if e["pass"] == "blur.diffuse")
    texels = np.frombuffer(entry["second"], np.float16).copy().reshape(-1, 4)
    allowed = int(tolerances.FILTERED.outliers * WIDTH * HEIGHT)
    lit = np.flatnonzero(texels[:, 0] > 0.01)[: allowed + 1]
    texels[lit, 0] *= 1.01
    entry["second"] = texels.tobytes()
    (problem,) = tolerances.problems(entries)
    assert problem.startswith("blur.diffuse, diffuse_prepass, signal: ")
