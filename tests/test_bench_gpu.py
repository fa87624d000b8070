# SPDX-License-Identifier: Apache-2.0
"""`python -m bench gpu` on the stand-in for a GPU, with something tiny; and the yardsticks that stand beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sequence
from cuda_stand_in import Library, StandIn
from PIL import Image as Picture

from denoise.sequences import run, sequence

# At the end: the repository's source folder must not come before the installed package.
sys.path.append(str(Path(__file__).parents[1]))

from bench import frames, gpu, gpu_arrays, gpu_peers, measure, yardstick
from bench.__main__ import main

COMMAND = ["gpu", "--sizes", "48x27,64x36", "--warm-up", "2", "--runs", "2"]


@pytest.fixture
def _pretended(dn: Any, gpu: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks measure the package on the stand-in."""
    machine, bench_gpu = gpu, sys.modules["bench.gpu"]
    machine.eager(1)
    monkeypatch.setattr(bench_gpu, "dn", dn)
    monkeypatch.setattr(bench_gpu, "CEILING_BYTES", 1 << 16)
    for module in (measure, frames, run, sequence):
        for name in ("Camera", "Frame", "Light", "Pipeline", "Reblur", "Reference", "Relax", "Sigma"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(dn, name))
    monkeypatch.setattr(run, "DENOISERS", {family.FAMILY: family for family in (dn.Reblur, dn.Relax, dn.Sigma)})
    monkeypatch.setattr(run, "FAMILIES", dn.settings.FAMILIES)
    monkeypatch.setattr(gpu_arrays, "library", lambda device, name=None: Library(machine))


@pytest.mark.usefixtures("_pretended")
def test_everything_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_sequence.write_shaded(tmp_path / "seq")
    paths = {name: tmp_path / f"report.{name}" for name in ("json", "md", "png")}
    options = ["--quality", str(folder), "--json", str(paths["json"]), "--markdown", str(paths["md"])]
    assert main([*COMMAND, *options, "--picture", str(paths["png"])]) == 0
    found = json.loads(paths["json"].read_text())
    rows = found["rows"]
    assert found["setup"]["device"].startswith("cuda:0: Stand-in GPU")
    assert found["machine"]["gpu"].startswith("Stand-in GPU")
    assert found["setup"]["copy_gb_per_s"] > 0 < found["setup"]["read_gb_per_s"]
    for size, pixels in (("48x27", 48 * 27), ("64x36", 64 * 36)):
        for family, one in {
            "reblur": "temporal_accumulation.both",
            "relax": "clamp_history.diffuse",
            "sigma": "filter_shadow.0",
            "reblur+sigma": "pack_guides",
            "reference": "reference_accumulate",
        }.items():
            row = rows[f"{size}, {family}, {one}"]
            assert 0 < row["ms_min"] <= row["ms"] <= row["ms_max"]
            assert row["ns_per_pixel"] == pytest.approx(row["ms"] * 1e6 / pixels)
            assert row["gb_per_s"] == pytest.approx(row["bytes_per_pixel"] / row["ns_per_pixel"])
            # The ceiling is rounded in the setup.
            assert row["ceiling_share"] == pytest.approx(row["gb_per_s"] / found["setup"]["copy_gb_per_s"], rel=0.1)
            whole = rows[f"{size}, {family}, whole frame"]
            assert whole["permanent_mb"] > 0
            assert whole["of_frame"] == 1
    for family in gpu.FAMILIES:
        assert all(rows[f"a call, {family}, {part}"]["us"] > 0 for part in ("through Python", "its native part"))
    for lobe in ("diff", "spec"):
        there, here = (rows[f"tiny, {lobe}, reblur+sigma on {place}"] for place in ("cuda:0", "cpu"))
        assert there["psnr"] == pytest.approx(here["psnr"], abs=0.1)
        assert there["psnr"] > rows[f"tiny, {lobe}, noisy"]["psnr"]
    assert "| 64x36, sigma, whole frame |" in paths["md"].read_text()
    with Picture.open(paths["png"]) as image:
        assert min(image.size) > 500
    printed = capsys.readouterr().out
    assert "a call, reblur, its native part" in printed
    assert "goals on an H100" in printed
    assert "NRD REBLUR" in printed


@pytest.mark.usefixtures("_pretended")
def test_one_family_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    command = [*COMMAND, "--families", "sigma", "--no-peers", "--quality", "--json", str(path)]
    assert main(command) == 0
    rows = json.loads(path.read_text())["rows"]
    assert all(name.split(", ")[1] == "sigma" for name in rows)


def test_no_gpu(dn: Any, gpu: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, and exit code 1."""
    monkeypatch.setattr(sys.modules["bench.gpu"], "dn", dn)
    gpu.machine(0, 0, 0)
    assert main(COMMAND) == 1
    assert capsys.readouterr().err == (
        "bench: no GPU to measure: cannot use 'cuda': no NVIDIA driver found (libcuda.so.1)\n"
    )


def test_no_arrays(dn: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.modules["bench.gpu"], "dn", dn)
    for name in ("cupy", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(COMMAND) == 1
    assert capsys.readouterr().err == (
        "bench: cannot measure cuda:0: neither cupy nor torch is installed, which would hold the arrays on the GPU\n"
    )


@pytest.mark.parametrize("arguments", [["--device", "cpu"], ["--families", "nrd"], ["--runs", "0"]])
def test_wrong_options(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["gpu", *arguments])
    assert left.value.code == 2


# ---- the yardsticks


def blend_inputs() -> tuple[Any, ...]:
    random = np.random.default_rng(1)
    signal, history = (random.random((20, 37, 4)).astype(np.float16) for _ in range(2))
    motion = random.normal(2, 3, (20, 37, 2)).astype(np.float16)
    frames_ = random.integers(1, 9, (20, 37)).astype(np.float32)
    return signal, motion, history, frames_


def blend_pixel_by_pixel(signal: Any, motion: Any, history: Any, frames_: Any, cap: float) -> tuple[Any, Any]:
    out, count = np.array(signal, np.float32), np.ones_like(frames_)
    height, width = frames_.shape
    for y, x in np.ndindex(height, width):
        column, row = (int(np.rint(c + m)) for c, m in zip((x, y), motion[y, x].astype(np.float32), strict=True))
        if 0 <= column < width and 0 <= row < height:
            count[y, x] = min(frames_[row, column] + 1, cap)
            before = history[row, column].astype(np.float32)
            out[y, x] = before + (signal[y, x] - before) / count[y, x]
    return out, count


def test_the_blend_by_arrays() -> None:
    given = blend_inputs()
    expected, expected_count = blend_pixel_by_pixel(*given, 6)
    out, count = yardstick.blend_by_arrays(np, *given, 6)
    assert out.dtype == np.float16
    np.testing.assert_allclose(out.astype(np.float32), expected, atol=1e-3)
    np.testing.assert_array_equal(count, expected_count)


def test_the_blend_as_a_kernel(tmp_path: Path) -> None:
    """In numba's simulator, which a process has from its start or not at all."""
    given = blend_inputs()
    np.savez(tmp_path / "given.npz", *given)
    script = f"""
import sys
import numpy as np
sys.path.append({str(Path(yardstick.__file__).parents[1])!r})
from bench import yardstick
given = list(np.load("given.npz").values())
out, count = np.zeros_like(given[2]), np.zeros_like(given[3])
yardstick.blend_kernel[yardstick.grid(37, 20)](*given, 6.0, out, count)
np.savez("out.npz", out, count)
"""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
    )
    assert answer.returncode == 0, answer.stderr
    out, count = np.load(tmp_path / "out.npz").values()
    expected, expected_count = blend_pixel_by_pixel(*given, 6)
    np.testing.assert_allclose(out.astype(np.float32), expected, atol=1e-3)
    np.testing.assert_array_equal(count, expected_count)


class Blurred:
    """A peer that averages all pixels."""

    def __init__(self, colour: Any, albedo: Any, normal: Any) -> None:
        assert colour.dtype == albedo.dtype == normal.dtype == np.float32
        self._colour = colour

    def start(self) -> None: ...
    def wait(self) -> None: ...
    def result(self) -> Any:
        return np.full_like(self._colour, self._colour.mean())


@pytest.mark.usefixtures("_pretended")
def test_peers_and_why_some_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*images: Any) -> Any:
        raise RuntimeError("no such card")

    monkeypatch.setattr(gpu_peers, "PEERS", {"Blurred": Blurred, "Broken": broken})
    path, folder = tmp_path / "report.json", tiny_sequence.write_shaded(tmp_path / "seq")
    command = ["gpu", "--sizes", "48x27", "--families", "sigma", "--runs", "1", "--warm-up", "1"]
    assert main([*command, "--quality", str(folder), "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert found["setup"]["without Broken"] == "RuntimeError: no such card"
    assert found["rows"]["48x27, Blurred, one image"]["ms"] >= 0
    assert {name for name in found["rows"] if "Blurred" in name and "tiny" in name} == {
        "tiny, diff, Blurred",
        "tiny, spec, Blurred",
    }


def test_oidn_where_it_is_installed() -> None:
    pytest.importorskip("pyoidn")
    noisy = np.random.default_rng(0).exponential(1, (64, 64, 3)).astype(np.float32)
    peer = gpu_peers.Oidn(noisy, np.ones_like(noisy), np.zeros_like(noisy), cuda=False)
    peer.start()
    peer.wait()
    assert peer.result().std() < 0.5 * noisy.std()
