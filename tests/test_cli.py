# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints where, and its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_sequence

from denoise import cli
from denoise import sequences as sq


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_sequence.write(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def done(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("done")
    sq.denoise_sequence(tiny, out)
    return str(out)


def wrong_use(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    return int(left.value.code or 0)


def test_run(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    settings = ["--set", "max_accumulated_frames=10", "--set", "reblur.anti_firefly=false"]
    assert cli.main(["run", tiny, "-o", out, "--frames", "1-2", "--preroll", "1", *settings]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{out}: 2 frames written; ")
    assert " ms per frame on cpu: " in printed.out
    assert "3/3" in printed.err  # progress counts the preroll
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["settings"]["reblur"]["max_accumulated_frames"] == 10
    assert record["settings"]["reblur"]["anti_firefly"] is False
    assert list(sq.open_outputs(out)) == [1, 2]
    assert cli.main(["run", tiny, "-o", out, "--frames", "1-2", "--preroll", "1", *settings]) == 0
    printed = capsys.readouterr()
    assert "0 frames written, 2 were there already" in printed.out
    assert printed.err == ""


def test_run_takes_all_that_has_inputs(tmp_path: Path) -> None:
    shaded, out = str(tiny_sequence.write_shaded(tmp_path / "seq")), tmp_path / "out"
    settings = ["--set", "sigma.plane_sensitivity=0.1", "--set", "frame_time=0.1", "--set", "max_accumulated_frames=8"]
    assert cli.main(["run", shaded, "-o", str(out), *settings]) == 0
    assert sq.open_outputs(out)[3].keys() == {"diff", "spec", "shadow", "shadow_lamp"}
    record = json.loads((out / "run.json").read_text())
    assert record["denoiser"] == "reblur,sigma"
    assert [record["settings"][name]["frame_time"] for name in ("reblur", "sigma")] == [0.1, 0.1]
    assert [record["settings"][name]["plane_sensitivity"] for name in ("reblur", "sigma")] == [0.02, 0.1]
    assert cli.main(["run", shaded, "-o", str(out), "--denoiser", "sigma"]) == 0
    assert sq.open_outputs(out)[3].keys() == {"shadow", "shadow_lamp"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--denoiser", "rebur"], "unknown denoiser 'rebur' (did you mean 'reblur'?)"),
        (["--denoiser", "reblur,reblur"], "denoisers reblur and reblur both write diff"),
        (["--set", "sky_distance"], "expected KEY=VALUE, got 'sky_distance'"),
        (["--set", "max_frames=3"], "reblur has no setting 'max_frames'"),
        (["--set", "min_blur_radius=60"], "min_blur_radius: expected at most max_blur_radius"),
        (["--frames", "2-9"], "frames 2-9: tiny has frames 0-3"),
        (["--preroll", "-1"], "preroll: expected 0 or more, got -1"),
        (["--device", "gpu"], "device: expected 'auto'"),
        (["--device", "cuda:7"], "device: "),
    ],
)
def test_wrong_use_of_run(
    tiny: str, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", tiny, "-o", str(tmp_path / "out"), *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"denoise: {message}")
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert not list(tmp_path.iterdir())


def test_wrong_options() -> None:
    assert wrong_use() == 2
    assert wrong_use("denose") == 2
    assert wrong_use("run", "somewhere") == 2
    assert wrong_use("run", "somewhere", "-o", "out", "--frames", "3-1") == 2
    assert wrong_use("passes", "reblur", "--size", "1920") == 2
    assert wrong_use("--version") == 0


def test_damaged_frame_is_named_and_finished_frames_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sequence = tiny_sequence.write(tmp_path / "seq")
    broken = sequence / "frame_0002.npz"
    broken.write_bytes(broken.read_bytes()[:-100])
    assert cli.main(["run", str(sequence), "-o", str(tmp_path / "out")]) == 2
    assert f"denoise: {broken}: " in capsys.readouterr().err
    assert list(sq.open_outputs(tmp_path / "out")) == [0, 1]


def test_no_sequence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "sequence.json: no such file" in capsys.readouterr().err


def test_compare(tiny: str, done: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", done, tiny]) == 0
    printed = capsys.readouterr()
    lines = [line.split()[1::2] for line in printed.out.splitlines() if line.startswith("│")]
    rows = [f"{signal} {method}" for signal, method, *_ in lines]
    assert rows == [f"{s} {m}" for s in ("diff", "spec", "composite") for m in ("noisy", "denoised", "ref_noise")]
    assert all(len(line) == 10 for line in lines)
    assert printed.err == ""


def test_compare_json(tiny: str, done: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", done, tiny, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores.keys() == {"noisy", "denoised", "ref_noise"}
    assert scores["denoised"]["composite"]["psnr"] > scores["noisy"]["composite"]["psnr"] + 3


def test_compare_shows_lag(tmp_path: Path, done: str, capsys: pytest.CaptureFixture[str]) -> None:
    changing = tiny_sequence.write(tmp_path / "seq", lighting_changes=[3])
    assert cli.main(["compare", done, str(changing)]) == 0
    assert "lag, light changes at 3" in capsys.readouterr().out


def test_compare_shows_every_shadow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lamp = {"positions": [[0, 1, 0]] * tiny_sequence.FRAMES, "radius": 0.1}
    frames = []
    for index in range(tiny_sequence.FRAMES):
        lit = np.arange(tiny_sequence.WIDTH) >= (20 if index == 3 else 8)
        shadow = np.where(lit, 1, 0) * np.ones((tiny_sequence.HEIGHT, 1), np.float16)
        light = {"shadow_hit_lamp": (65504 * shadow).astype(np.float16), "ref_shadow_lamp": shadow.astype(np.float16)}
        light["unshadowed_lamp"] = np.ones((*shadow.shape, 3), np.float16)
        frames.append({**tiny_sequence.frame(index), **light})
        late = shadow if index < 3 else 0.5 * (shadow + frames[0]["ref_shadow_lamp"])
        sq.write_arrays(tmp_path / f"out/frame_{index:04d}.npz", {"shadow_lamp": late})
    meta = tiny_sequence.meta(lights={"lamp": lamp}, lighting_changes=[3])
    sq.write_sequence(tmp_path / "seq", meta, frames)
    assert cli.main(["compare", str(tmp_path / "out"), str(tmp_path / "seq")]) == 0
    lines = [line.split()[1::2] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [line[:2] for line in lines if line[0] == "shadow_lamp"] == 2 * [
        ["shadow_lamp", method] for method in ("noisy", "denoised", "ref_noise")
    ]
    assert ["shadow_lamp", "denoised", "0.50"] in lines  # the lag


def test_compare_fails_on_bad_values(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sq.write_arrays(tmp_path / "frame_0003.npz", {"diff": np.full((18, 32, 3), np.nan)})
    assert cli.main(["compare", str(tmp_path), tiny]) == 1
    error = capsys.readouterr().err
    assert "1728 values" in error
    assert "not scored, because absent: frames [2]" in error


def test_compare_needs_something_to_compare(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", str(tmp_path), tiny]) == 2
    assert "holds none of the reference frames [2, 3]" in capsys.readouterr().err


def test_devices(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("cpu: ")
    assert cli.main(["devices", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [device["name"] for device in found] == [line.split(":")[0] for line in lines]


def test_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["passes", "reblur", "--size", "64x32"]) == 0
    assert "64 x 32" in capsys.readouterr().out
    assert cli.main(["passes", "reblur,sigma", "--size", "64x32"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("  pack_guides ") == 1
    assert "stabilize.specular" in printed
    assert "out.shadow.0" in printed
    assert cli.main(["passes", "relbur"]) == 2
    assert "did you mean 'reblur'" in capsys.readouterr().err


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    from denoise import demo

    monkeypatch.setattr(demo, "REFERENCE_SAMPLES", 4)
    out = tmp_path / "demo"
    assert cli.main(["demo", "--size", "48x27", "--frames", "3", "--seed", "7", "-o", str(out)]) == 0
    printed = capsys.readouterr()
    assert "11/11" in printed.err
    rows = [line.split()[1:4:2] for line in printed.out.splitlines() if line.startswith("│")]
    assert rows == [[s, m] for s in ("diff", "spec", "composite") for m in ("noisy", "denoised", "ref_noise")]
    files = [str(out / name) for name in ("strip.png", "animation.webp", "metrics.json")]
    assert printed.out.splitlines()[-3:] == files
    assert " ms per frame on cpu: " in printed.out
    with Image.open(files[0]) as strip, Image.open(files[1]) as animation:
        assert strip.size == (4 * 48, 27)
        assert (animation.size, animation.n_frames) == ((2 * 48, 27), 3)
    figures = json.loads(Path(files[2]).read_text())
    assert (figures["size"], figures["frames"], figures["seed"], figures["denoiser"]) == ([48, 27], 3, 7, "reblur")
    assert figures["scores"]["denoised"]["composite"]["psnr"] > figures["scores"]["noisy"]["composite"]["psnr"]


def test_demo_with_shadows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from denoise import demo

    monkeypatch.setattr(demo, "REFERENCE_SAMPLES", 2)
    command = ["demo", "--scene", "shadows", "--size", "48x27", "--frames", "2"]
    for names, wanted in ((None, "reblur,sigma"), ("sigma", "sigma")):
        out = tmp_path / wanted
        assert cli.main([*command, "-o", str(out), *(["--denoiser", names] if names else [])]) == 0
        figures = json.loads((out / "metrics.json").read_text())
        assert figures["denoiser"] == wanted
        denoised = set(figures["scores"]["denoised"]["denoised"])
        assert "shadow" in denoised
        assert ("diff" in denoised) == ("reblur" in wanted)


@pytest.mark.parametrize(
    "arguments", [["--scene", "nowhere"], ["--size", "8x8"], ["--frames", "0"], ["--denoiser", "x"]]
)
def test_wrong_use_of_demo(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", *arguments, "-o", str(tmp_path / "demo")]) == 2
    assert capsys.readouterr().err.startswith("denoise: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [("rich", ["run", "a", "-o", "b"], "cli"), ("skimage", ["compare"], "cli,eval"), ("numba", ["demo"], "demo")],
)
def test_missing_extra_is_named_in_one_sentence(
    module: str,
    arguments: list[str],
    extra: str,
    tiny: str,
    done: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module or name.startswith("denoise.testbed")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "denoise.demo", raising=False)
    for name in ("demo", "testbed"):
        monkeypatch.delattr(f"denoise.{name}", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Absent(module), *sys.meta_path])
    assert cli.main([*arguments, done, tiny] if arguments == ["compare"] else arguments) == 2
    error = capsys.readouterr().err
    assert error == f'denoise: {module} is not installed; pip install "rt-denoise[{extra}]" brings it\n'


class _Absent:
    """Makes a module look as if it were not installed."""

    def __init__(self, module: str) -> None:
        self.module = module

    def find_spec(self, name: str, *_: object) -> None:
        if name.split(".")[0] == self.module:
            raise ModuleNotFoundError(f"No module named {self.module!r}", name=self.module)
