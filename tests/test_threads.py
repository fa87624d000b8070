# SPDX-License-Identifier: Apache-2.0
"""Threads and processes: results depend on neither, forks and pools of processes work, the environment is obeyed."""

from __future__ import annotations

import concurrent.futures
import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
import small_scene
from conftest import BACKENDS

import denoise as dn
from denoise import _core

FRAMES = 3


def digest(backend: str = "", width: int = 83, height: int = 45) -> str:
    """A few frames, denoised, in one number."""
    denoiser = dn.Reblur(width, height, device=f"cpu:{backend}" if backend else "auto")
    total = hashlib.sha256()
    for index in range(FRAMES):
        result = denoiser(**small_scene.inputs(index, width, height))
        total.update(result.diffuse.tobytes() + result.specular.tobytes())
    return total.hexdigest()


@pytest.mark.usefixtures("cpu_configuration")
@pytest.mark.parametrize("name", BACKENDS)
def test_results_do_not_depend_on_threads_or_tiles(name: str) -> None:
    results = set()
    for threads, tile in ((1, (64, 32)), (2, (64, 32)), (5, (16, 1)), (3, (256, 256)), (2, (32, 7))):
        _core.configure_cpu(threads, tile)
        results.add(digest(name))
    assert len(results) == 1


@pytest.mark.parametrize("tile", [(8, 8), (60, 32), (512, 8), (64, 0), (64, 257)])
def test_impossible_tiles_are_errors(tile: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="tile: expected a width of 16 to 256 in steps of 16 and a height of 1 to 256"):
        _core.configure_cpu(2, tile)


def test_two_denoisers_in_two_threads() -> None:
    expected = digest()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: digest(), range(8))) == {expected}


def test_other_threads_run_while_a_frame_is_denoised() -> None:
    """The interpreter's lock is given away while native code works."""
    denoiser = dn.Reblur(640, 360)
    frame = small_scene.inputs(0, 640, 360)
    go, ran = threading.Event(), threading.Event()
    other = threading.Thread(target=lambda: go.wait() and ran.set())
    other.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # from now on a thread keeps the lock until it gives it away
    try:
        go.set()
        assert not ran.is_set()
        denoiser(**frame)
        assert ran.is_set()
    finally:
        sys.setswitchinterval(interval)
        other.join()


# ---- processes


def in_child(queue: Any) -> None:
    queue.put(digest())


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_process_denoises_after_its_parent_did(method: str) -> None:
    expected = digest()
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=in_child, args=(queue,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons dislike a fork beside threads; users do it
        child.start()
    assert queue.get(timeout=60) == expected
    child.join(60)
    assert child.exitcode == 0
    assert digest() == expected, "and the parent goes on"


def test_fork_while_another_thread_denoises() -> None:
    """The child's pool must not be locked for ever by a thread which only the parent has."""
    script = """
import os, sys, threading
sys.path.insert(0, {tests!r})
import small_scene, denoise as dn
frame, stop = small_scene.inputs(0, 320, 180), threading.Event()
def work():
    denoiser = dn.Reblur(320, 180)
    while not stop.is_set():
        denoiser(**frame)
thread = threading.Thread(target=work)
thread.start()
child_denoiser = dn.Reblur(320, 180)
for _ in range(10):
    child = os.fork()
    if child == 0:
        child_denoiser(**frame)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
thread.join()
print("fine")
"""
    answer = python(script.format(tests=str(Path(__file__).parent)))
    assert answer.stdout == "fine\n", answer.stderr


def test_a_process_pool_imports_and_denoises() -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert set(pool.map(digest, [""] * 4)) == {digest()}


# ---- the environment


def python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DENOISE_")}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**clean, **environment},
        cwd=Path(__file__).parent,  # not in the source folder, whose bare package would hide the installed one
    )


def test_denoise_threads_sets_the_number_of_threads() -> None:
    assert python("from denoise import _core; print(_core.threads())", DENOISE_THREADS="3").stdout == "3\n"


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "2 threads", "1025", "99999999999999999999"])
def test_denoise_threads_must_be_a_sensible_number(value: str) -> None:
    answer = python("import denoise; denoise.Reblur(8, 8)", DENOISE_THREADS=value)
    assert f"DENOISE_THREADS: expected a whole number from 1 to 1024, got '{value}'" in answer.stderr
    assert answer.returncode == 1


def test_the_default_is_the_cores_this_process_may_use() -> None:
    pin, show = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
        "from denoise import _core; print(_core.threads())",
    )
    assert python(f"{pin}; {show}").stdout == "1\n"
    assert python(show).stdout == f"{len(os.sched_getaffinity(0))}\n"


@pytest.mark.parametrize("name", BACKENDS)
def test_denoise_isa_picks_the_backend(name: str) -> None:
    script = "import denoise; print(denoise.Reblur(8, 8).device.backend, denoise.devices()[0].backend)"
    assert python(script, DENOISE_ISA=name).stdout == f"{name} {name}\n"


def test_an_unknown_isa_is_an_error_that_lists_the_usable_ones() -> None:
    answer = python("import denoise; denoise.Reblur(8, 8)", DENOISE_ISA="avx9")
    assert answer.returncode == 1
    assert (
        "DeviceError: DENOISE_ISA: 'avx9' is not an instruction set this machine can run; it can run: "
        + ", ".join(BACKENDS)
        in answer.stderr
    )


def test_more_threads_than_the_system_allows() -> None:
    """Where no thread can be started, the calling one does the work."""
    script = """
import os, resource, sys
sys.path.insert(0, {tests!r})
import small_scene, denoise as dn
frame = small_scene.inputs(0)
if os.geteuid() == 0:
    os.setuid(65534)  # the limit does not bind root
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
print(dn.Reblur(83, 45)(**frame).diffuse.mean() > 0)
"""
    assert python(script.format(tests=str(Path(__file__).parent)), DENOISE_THREADS="8").stdout == "True\n"
