# SPDX-License-Identifier: Apache-2.0
"""Builds the native library with CMake for tests that run C++ programs, and says why where that cannot be done."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def need(*tools: str) -> None:
    """Skips the test, naming what is missing on PATH or in the source tree."""
    if not (ROOT / "CMakeLists.txt").exists():
        pytest.skip("the sources of the native library are not here")
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"not on PATH: {', '.join(missing)}")


def build(folder: Path, *options: str) -> Path:
    """Configures and builds the sources in `folder`, without CUDA unless `options` say otherwise; AssertionError with the
    output where that fails."""
    # The interpreter by its real path: in a virtual environment CMake would look for its headers too.
    python = f"-DPython_EXECUTABLE={sys.executable}"
    defaults = (python, "-DDENOISE_PYTHON=OFF", "-DDENOISE_CUDA=OFF")
    run("cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", *defaults, *options)
    run("cmake", "--build", str(folder), "--parallel", "2")
    return folder


def run(*command: str, timeout: float = 300, **keywords: object) -> subprocess.CompletedProcess[str]:
    """Runs a command that must succeed; its output is text."""
    answer = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **keywords)  # type: ignore[call-overload]
    assert answer.returncode == 0, f"{' '.join(command)}\n{answer.stdout[-5000:]}\n{answer.stderr[-5000:]}"
    return answer  # type: ignore[no-any-return]
