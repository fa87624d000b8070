# SPDX-License-Identifier: Apache-2.0
"""The native library without Python: the C++ example, the threads alone, and the NEON passes under an emulator."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_scene
import tolerances
from native_build import ROOT, build, need, run

import denoise as dn

DTYPES = {"float16": 0, "float32": 1, "uint8": 2}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, with the scalar passes alone: the quickest build there is."""
    need("cmake", "ninja", "g++")
    options = ("-DCMAKE_CXX_COMPILER=g++", "-DDENOISE_BACKENDS=", "-DDENOISE_EXAMPLE=ON", "-DDENOISE_WERROR=ON")
    return build(tmp_path_factory.mktemp("host"), *options)


def test_cpp_example_denoises_and_describes(host: Path) -> None:
    output = run(str(host / "denoise_example")).stdout
    assert output.startswith("320 x 180 pixels on scalar\n\npasses\n")
    assert re.search(r"^temporal_accumulation.diffuse +\d+\.\d+ ms$", output, re.MULTILINE)
    noisy, denoised = re.findall(r"deviation ([\d.]+)", output)
    assert float(noisy) == 1
    assert float(denoised) < 0.1


def test_cpp_example_names_the_backends(host: Path) -> None:
    answer = subprocess.run([host / "denoise_example", "avx9"], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr == "'avx9' is not an instruction set this machine can run; it can run: scalar\n"


def test_build_checks_the_symbols_of_its_objects(host: Path) -> None:
    assert (host / "generated" / "isa_symbols.txt").read_text() == "scalar: no weak symbol outside its namespace\n"


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_thread_pool_under_a_sanitizer(sanitizer: str, tmp_path: Path) -> None:
    """Jobs of all sizes, resizing, several callers and a fork, watched for races and for invalid memory."""
    need("g++")
    program = tmp_path / "pool"
    sources = [str(ROOT / "tests/native/thread_pool.cpp"), str(ROOT / "csrc/cpu/thread_pool.cpp")]
    command = ["g++", "-std=c++20", "-O1", "-g", f"-fsanitize={sanitizer}", *sources, "-o", str(program), "-pthread"]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    if compiled.returncode and "-l" in compiled.stderr:  # cannot find -ltsan
        pytest.skip(f"g++ has no runtime for -fsanitize={sanitizer}")
    assert compiled.returncode == 0, compiled.stderr
    # ThreadSanitizer asks to be told that a forked child may start threads.
    environment = {**os.environ, "TSAN_OPTIONS": "die_after_fork=0", "DENOISE_THREADS": "4"}
    assert run(str(program), timeout=120, env=environment).stdout == "fine\n"


# ---- NEON


def frames_as_text(count: int, settings: dn.ReblurSettings) -> bytes:
    """What tests/native/crosscheck.cpp reads."""
    lines = [f"set {name} {value!r}\n".encode() for name, value in settings.as_numbers().items()]
    for index in range(count):
        given, results, camera = small_scene.native(small_scene.inputs(index))
        numbers = [*camera["world_to_view"], *camera["view_to_clip"], *camera["jitter"]]
        lines.append(f"camera {' '.join(map(repr, numbers))}\n".encode())
        for kind, arrays in (("input", given), ("output", results)):
            for name, array in arrays.items():
                channels = array.shape[2] if array.ndim == 3 else 1
                lines.append(f"{kind} {name} {channels} {DTYPES[array.dtype.name]}\n".encode())
                if kind == "input":
                    lines.append(np.ascontiguousarray(array).tobytes())
        lines.append(b"frame\n")
    return b"".join(lines)


def crosschecks(output: bytes) -> list[dict[str, Any]]:
    """The answer of that program, as `_core.Denoiser.crosscheck` gives it."""
    sizes = {"R8U": 1, "R16U": 2, "R16F": 2, "RGBA16F": 8, "GUIDE64": 8, "R32U": 4, "f16": 2, "f32": 4}
    entries, at = [], 0
    while at < len(output):
        end = output.index(b"\n", at)
        name, image, kind, *numbers = output[at:end].decode().split()
        width, height, channels = map(int, numbers)
        size = width * height * channels * sizes[kind]
        first, second = (output[end + 1 + k * size : end + 1 + (k + 1) * size] for k in range(2))
        entry = {"pass": name, "image": image, "format": kind, "width": width, "height": height, "channels": channels}
        entries.append({**entry, "first": first, "second": second})
        at = end + 1 + 2 * size
    return entries


@pytest.mark.neon
def test_neon_passes_agree_with_scalar_code(tmp_path: Path) -> None:
    need("cmake", "ninja", "aarch64-linux-gnu-g++")
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("not on PATH: qemu-aarch64")
    folder = build(
        tmp_path,
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        "-DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++",
        "-DCMAKE_EXE_LINKER_FLAGS=-static",
        "-DDENOISE_BACKENDS=neon",
        "-DDENOISE_TESTS=ON",
    )
    settings = dn.ReblurSettings(hit_distance_reconstruction="5x5", strand_material=2, camera_attached_material=4)
    command = [emulator, str(folder / "denoise_crosscheck"), "83", "45", "scalar", "neon"]
    answer = subprocess.run(command, input=frames_as_text(4, settings), capture_output=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr.decode()
    entries = crosschecks(answer.stdout)
    assert len({entry["pass"] for entry in entries}) == 27
    problems = tolerances.problems(entries)
    assert not problems, "\n".join(problems)
