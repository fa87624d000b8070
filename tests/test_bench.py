# SPDX-License-Identifier: Apache-2.0
"""Each command of the benchmarks runs on something tiny and writes a report; no time is asserted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sequence
from PIL import Image as Picture

import denoise
from denoise import metrics
from denoise.sequences import Sequence

# At the end: the repository's source folder must not come before the installed package.
sys.path.append(str(Path(__file__).parents[1]))

from bench import denoisers, frames, guides, machine, measure, passes, quality, relight, report
from bench.__main__ import main

PASSES = ["passes", "--size", "48x27", "--warm-up", "2"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "RUNS", 2)
    monkeypatch.setattr(measure, "SECONDS", 0.0)
    monkeypatch.setattr(machine, "copy_ceiling", lambda threads: {"gb_per_s": 10.0 * threads})


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """Runs a command with --json and returns what it wrote, after a look at what every report has."""
    path = tmp_path / "report.json"
    assert main([*arguments, "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert found.keys() == {"benchmark", "machine", "setup", "rows"}
    assert found["benchmark"] == arguments[0]
    assert found["machine"].keys() >= {"processor", "cores_usable", "caches", "load_average", "compiler", "date"}
    assert found["rows"]
    return found


def test_frames_fit_together() -> None:
    """Motion leads to the same surface in the frame before, and around the circle."""
    sequence = frames.make_frames(96, 54)
    assert len(sequence) == frames.FRAMES
    for before, frame in zip([sequence[-1], *sequence[:-1]], sequence, strict=True):
        depth = metrics.reproject(before["view_z"], frame["motion"])
        close = np.abs(depth - frame["view_z"] - frame["motion"][..., 2]) < 0.05
        assert close.mean() > 0.9
        assert np.hypot(frame["motion"][..., 0], frame["motion"][..., 1]).max() > 0.1
        assert np.isfinite(frame["view_z"]).all()
        assert 0.05 <= frame["roughness"].min() <= 0.1
        assert 0.8 <= frame["roughness"].max() <= 0.9001


def test_frames_are_deterministic_and_static_ones_stand_still() -> None:
    first, second = (frames.make_frames(32, 18, "static", ("diffuse",), 2) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys() == {"camera", "view_z", "normal", "motion", "diffuse", "diffuse_hit_distance"}
        assert all(np.array_equal(a[name], b[name]) for name in a if name != "camera")
    np.testing.assert_allclose(first[0]["motion"], 0, atol=2e-4)
    assert not np.array_equal(first[0]["diffuse"], first[1]["diffuse"])


def test_passes(tmp_path: Path) -> None:
    found = run(tmp_path, *PASSES, "-k", "blur|pack_guides", "--isa", "scalar", "--threads", "1")
    assert found["setup"]["isa"] == "scalar"
    assert found["setup"]["threads"] == 1
    names = [*(f"{stage}.{lobe}" for lobe in frames.LOBES for stage in ("blur", "post_blur"))]
    assert found["rows"].keys() == {"pack_guides", *names, "outside the passes", passes.FRAME}
    row = found["rows"]["blur.diffuse"]
    assert 0 < row["ms_min"] <= row["ms"] <= row["ms_max"]
    assert row["gb_per_s"] == pytest.approx(row["bytes_per_pixel"] * 48 * 27 / row["ms"] / 1e6)
    assert row["ceiling_share"] == pytest.approx(row["gb_per_s"] / 10)
    assert found["rows"][passes.FRAME]["cpu_ms"] > 0


def test_passes_against_an_older_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = tmp_path / "old.json"
    assert main([*PASSES, "--signals", "diffuse", "--camera", "static", "--json", str(old)]) == 0
    capsys.readouterr()
    assert main([*PASSES, "--against", str(old)]) == 0
    printed = capsys.readouterr().out
    assert "setup camera: moving, was static" in printed
    assert "new / old" in printed
    assert main(["compare", str(old), str(old)]) == 0
    assert "1.000" in capsys.readouterr().out


def test_passes_of_shadows(tmp_path: Path) -> None:
    found = run(tmp_path, *PASSES, "--signals", "shadow", "--lights", "2", "--soft", "1")
    assert (found["setup"]["signals"], found["setup"]["lights"], found["setup"]["soft"]) == ("shadow", 2, 1)
    lights = {name.rpartition(".")[2] for name in found["rows"] if "." in name}
    assert lights == {"0", "1", "0+1"}  # tiles by light, the rest for both
    together = run(tmp_path, *PASSES, "--signals", "diffuse,shadow")["rows"]
    assert {"pack_guides", "blur.diffuse"} <= together.keys()
    assert any(name.endswith(".0") for name in together)


def test_passes_of_the_running_mean(tmp_path: Path) -> None:
    found = run(tmp_path, *PASSES, "--signals", "signal")
    assert found["setup"]["signals"] == "signal"
    row = found["rows"]["reference_accumulate"]
    # The sample in fp16; mean and error in fp32; in and out: count, and mean and spread of each channel.
    assert row["bytes_per_pixel"] == 6 + 24 + 2 * (4 + 24 + 24)


@pytest.mark.parametrize("soft", [0.1, 0.25, 0.6, 1.0])
def test_shadows_are_as_soft_as_asked_for(soft: float) -> None:
    frame = frames.make_frames(1920, 64, "static", ("shadow",), 1, lights=2, soft=soft)[0]
    # As wide as in a picture of 1080 lines: the penumbra is a part of the height.
    tall = frames._occluders(np.full((1080, 1920), 5, np.float32), soft, 1, np.random.default_rng(0))
    assert [light.key for light in frame["light"]] == ["0", "1"]
    assert [array.shape for array in frame["occluder_distance"]] == [(64, 1920)] * 2
    lit = np.isinf(tall[:1072]).reshape(67, 16, 120, 16)
    mixed = lit.any((1, 3)) & ~lit.all((1, 3))
    assert mixed.mean() == pytest.approx(soft, abs=0.08)
    assert np.isinf(tall).mean() == pytest.approx(0.5, abs=0.08)


def test_page_bytes() -> None:
    traffic = passes.page_bytes(denoise.Reblur(64, 32).describe())
    assert traffic["classify_tiles"] >= 8
    assert {"prepass.diffuse", "temporal_accumulation.both", "resolve.specular"} <= traffic.keys()


def test_denoisers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path, "denoisers", "--sizes", "32x18,64x36", "--threads", "1,2", "--warm-up", "1")
    rows = found["rows"]
    assert rows["64x36, 2 threads"]["cpu_ms"] > 0
    assert rows["64x36, 2 threads"]["permanent_mb"] > rows["32x18, 2 threads"]["permanent_mb"] > 0
    assert {"speed-up 64x36, 2 threads", "growth, 1 thread", "64x36, scalar"} <= rows.keys()
    for label in (label for sets in denoisers.SIGNAL_SETS for label in sets):
        assert any(name.startswith(f"64x36, {label}") for name in rows)
    assert "NRD REBLUR" in capsys.readouterr().out


def test_threads_are_as_before_afterwards(tmp_path: Path) -> None:
    before = denoise._core.threads()
    run(tmp_path, *PASSES, "--threads", "3")
    assert denoise._core.threads() == before


def test_boundary(tmp_path: Path) -> None:
    rows = run(tmp_path, "boundary", "--runs", "3")["rows"]
    assert rows.keys() == {d + part for d in ("", "sigma, ", "pipeline, ") for part in ("boundary", "passes", "call")}
    assert rows["call"]["us_max"] > rows["passes"]["us_min"] > 0


def test_quality_of_a_folder(tmp_path: Path) -> None:
    sequence = tiny_sequence.write(tmp_path / "seq", lighting_changes=[3])
    found = run(tmp_path, "quality", str(sequence), "--set", "max_accumulated_frames=8")
    assert found["setup"]["settings"] == {"reblur": {"max_accumulated_frames": 8}}
    assert found["setup"]["denoiser"] == "all"
    rows = found["rows"]
    names = {f"tiny, {signal}, denoised" for signal in ("diff", "spec", "composite")}
    assert names <= rows.keys()
    assert rows["tiny, composite, denoised"]["psnr"] > rows["tiny, composite, noisy"]["psnr"]
    for signal in ("diff", "spec", "composite"):
        assert rows[f"tiny, {signal}, 0 frames after the change at 3"].keys() == {"lag"}
    assert rows["tiny, a frame"]["ms"] > 0


def test_quality_of_shadows(tmp_path: Path) -> None:
    sequence = tiny_sequence.write_shaded(tmp_path / "seq")
    for arguments, lobes in (([], {"diff", "spec"}), (["--denoiser", "sigma"], set())):
        rows = run(tmp_path, "quality", str(sequence), *arguments)["rows"]
        scored = {name.split(", ")[1] for name in rows if name.endswith("denoised")}
        assert scored == {*lobes, "shadow", "shadow_lamp", "composite"}


def test_relight(tmp_path: Path) -> None:
    sequence = tiny_sequence.write(tmp_path / "seq", lighting_changes=[3])
    pictures = tmp_path / "pictures"
    rows = run(tmp_path, "relight", str(sequence), "--pictures", str(pictures))["rows"]
    methods = ["references", *(f"{denoiser} {method}" for denoiser in ("reblur", "relax") for method in ("on", "off"))]
    assert rows.keys() == {f"tiny, {signal}, {m}" for signal in ("diff", "spec", "composite") for m in methods}
    assert all(row.keys() == {*relight.COLUMNS, "lag"} for row in rows.values())
    for denoiser in ("reblur", "relax"):
        with Picture.open(pictures / f"tiny-{denoiser}-strip.webp") as strip:
            assert strip.size == (2 * tiny_sequence.WIDTH, 3 * tiny_sequence.HEIGHT)  # two references
        assert (pictures / f"tiny-{denoiser}-curve.png").exists()
    only = run(tmp_path, "relight", str(sequence), "--denoiser", "relax")["rows"]
    assert only == {name: row for name, row in rows.items() if "reblur" not in name}


def test_strip_without_a_change_of_light(tmp_path: Path) -> None:
    sequence = tiny_sequence.write(tmp_path / "seq")
    assert main(["relight", str(sequence), "--denoiser", "reblur", "--pictures", str(tmp_path)]) == 0
    with Picture.open(tmp_path / "tiny-reblur-strip.webp") as strip:
        assert strip.size == (2 * tiny_sequence.WIDTH, 3 * tiny_sequence.HEIGHT)


def test_guides(tmp_path: Path) -> None:
    """Every mode runs; what replaces nothing, or exactly, changes nothing."""
    sequence = tiny_sequence.write(tmp_path / "tiny")
    pictures = tmp_path / "pictures"
    rows = run(tmp_path, "guides", str(sequence), "--denoiser", "relax", "--pictures", str(pictures))["rows"]
    whole, lobes = (f"relax, {{}}, {name}" for name in ("everything given", "lobes: one picture, both albedos"))
    assert {name.split(", ", 2)[2] for name in rows} == guides.MODES.keys() - {"cameras: from position"}  # a plane
    assert all(row.keys() == {*guides.COLUMNS} for row in rows.values())
    assert rows[whole.format("diff")] == rows["relax, diff, roughness: 0.3"]
    assert lobes.format("composite") in rows
    assert lobes.format("diff") not in rows
    with Picture.open(pictures / "tiny-relax-00.png") as picture:
        assert picture.size[0] == 4 * tiny_sequence.WIDTH
    assert main(["guides", str(sequence), "--mode", "nothing"]) == 2


def test_scenes_of_relight_change_the_light() -> None:
    """Of each that changes at once, and not gradually, the frames before and after are compared."""
    for name in relight.SCENES:
        changes = quality.testbed.get_scene(name).lighting_changes
        frames_ = relight.reference_frames(relight.FRAMES, changes)
        assert set(changes[:2]) <= set(frames_)
        assert any(frame + 1 in frames_ for frame in frames_)
    assert relight.reference_frames(28, [12]) == [11, 12, 13, 14, 16]
    assert relight.reference_frames(28, []) == [13, 14, 15, 25, 26, 27]


def test_a_curve_of_darkness() -> None:
    dark = {name: [0.0, 0.0] for name in ("samples", "on", "off")}
    assert relight.curve(dark, (200, 100)).size == (200, 100)


def test_a_scene_is_rendered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def sequence(*arguments: Any, **options: Any) -> Sequence:
        asked.append((*arguments, options["frames"], options["reference_samples"]))
        count = tiny_sequence.FRAMES
        return Sequence(tiny_sequence.meta(), {index: tiny_sequence.frame(index) for index in range(count)})

    monkeypatch.setattr(quality.testbed, "sequence", sequence)
    scene = quality.testbed.scenes()[0]
    command = ["quality", scene, "--size", "32x18", "--frames", "4", "--samples", "2", "--cache", str(tmp_path)]
    first, second = (run(tmp_path, *command)["rows"] for _ in range(2))
    assert asked == [(scene, 32, 18, 4, 2)]
    assert first["tiny, composite, denoised"] == second["tiny, composite, denoised"]
    assert capsys.readouterr().err.count("rendering") == 1


def test_reference_frames() -> None:
    assert quality.reference_frames(32, [12]) == [11, 12, 13, 15, 16, 19, 29, 30, 31]
    assert quality.reference_frames(2, []) == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*PASSES, "--isa", "avx9"], "device: no backend 'avx9' here"),
        (["quality", "nowhere"], "nowhere/sequence.json: no such file"),
        (["quality", "nowhere", "--set", "x=1"], "reblur and relax and sigma have no setting 'x'"),
        ([*PASSES, "--against", "nowhere.json"], "[Errno 2] No such file"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"bench: {message}")


def test_reports_that_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(tmp_path / name) for name in ("a.json", "b.json", "c.json")]
    report.Report("passes", {}, {}, {"x": {"ms": 1.0}}).write(paths[0])
    report.Report("boundary", {}, {}, {"x": {"us": 1.0}}).write(paths[1])
    Path(paths[2]).write_text("{}")
    assert main(["compare", *paths[:2]]) == 2
    assert "cannot compare" in capsys.readouterr().err
    assert main(["compare", paths[0], paths[2]]) == 2
    assert "not a report" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["passes", "--size", "big"], ["passes", "-k", "("], ["boundary", "--runs", "0"]]
)
def test_wrong_options(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2


def test_machine_facts() -> None:
    facts = machine.facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["compiler"] is None or facts["compiler"].startswith(("GCC", "clang"))


def test_ratios_are_of_what_both_have() -> None:
    new = report.Report("passes", {}, {}, {"a": {"ms": 3.0, "ns_per_pixel": 9.0}, "b": {"ms": 1.0}})
    old = report.Report("passes", {}, {}, {"a": {"ms": 2.0, "ns_per_pixel": 1.0, "us": 5.0}})
    assert report.ratios(new, old) == {"a": {"ms": 1.5}}
