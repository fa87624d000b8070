# SPDX-License-Identifier: Apache-2.0
"""What bench/registers.py makes of the compiler's report. That no hot pass spills is a step of .ci/run, where nvcc is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[1] / "bench" / "registers.py"
FILTER = "_ZN7denoise4cuda6kernelINS0_13SpatialFilterILNS_4LobeE1ELNS0_5StageE2EEEEEvNT_4ArgsENS_14FrameConstantsEii"
PENUMBRA = "_ZN7denoise4cuda6kernelINS0_16EstimatePenumbraILi4ELb0EEEEEvNT_4ArgsENS_14FrameConstantsEii"


def entry(symbol: str, architecture: str, registers: int, spilled: int, shared: str = "") -> str:
    return f"""\
ptxas info    : Compiling entry function '{symbol}' for 'sm_{architecture}'
ptxas info    : Function properties for {symbol}
    {spilled} bytes stack frame, {spilled} bytes spill stores, {2 * spilled} bytes spill loads
ptxas info    : Used {registers} registers, used 1 barriers{shared}, 900 bytes cmem[0]
ptxas info    : Compile time = 12.3 ms
"""


@pytest.fixture
def registers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    if not PATH.exists():
        pytest.skip("the benchmarks are not here")
    spec = importlib.util.spec_from_file_location("registers", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "registers", module)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_kernels_of_a_report(registers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {FILTER: "SpatialFilter<(denoise::Lobe)1, (denoise::cuda::Stage)2>", PENUMBRA: "EstimatePenumbra<4, false>"}
    monkeypatch.setattr(
        registers, "_demangled", lambda symbols: [f"void kernel<denoise::cuda::{names[s]} >(Args)" for s in symbols]
    )
    text = entry(FILTER, "75", 64, 8) + entry(FILTER, "90", 80, 0, ", 1360 bytes smem") + entry(PENUMBRA, "90", 254, 4)
    penumbra, old, new = registers.parse("nvcc warning : something\n" + text)
    assert (old.name, old.architecture, old.registers, old.spills, old.stack) == (
        "SpatialFilter<1, 2>",
        "75",
        64,
        24,
        8,
    )
    assert (new.shared, new.spills, new.threads) == (1360, 0, 800)
    assert (old.threads, penumbra.threads) == (1024, 256)
    assert (old.hot, penumbra.hot, penumbra.name) == (True, False, "EstimatePenumbra<4, false>")


def test_a_hot_pass_that_spills_fails(
    registers: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registers.shutil, "which", lambda name: name)
    monkeypatch.setattr(registers, "_demangled", lambda symbols: [f"kernel<PackGuides>({s})" for s in symbols])
    for spilled, code in ((8, 1), (0, 0)):
        monkeypatch.setattr(registers, "compile_report", lambda *_, s=spilled: entry(FILTER, "90", 40, s))
        assert registers.main([]) == code
    told = capsys.readouterr()
    assert told.err == "hot passes that spill: PackGuides on sm_90\n"
    assert "sm_90: registers spill stack threads" in told.out


def test_the_options_are_those_of_the_build(registers: Any) -> None:
    assert "--expt-relaxed-constexpr" in registers.options()


def test_every_kernel_name_of_the_list_exists(registers: Any) -> None:
    """A pass that was renamed must not slip out of the list."""
    sources = "".join(path.read_text() for path in (registers.ROOT / "shaders").glob("*/*.h"))
    for name in registers.re.findall(r"\b[A-Z]\w+", registers.HOT):
        assert f"struct {name} " in sources, name
