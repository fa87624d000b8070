# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests: the compute backends of this machine, a pretended GPU, and picture sizes at the edge of what
tiles can hold."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

import cuda_stand_in
import pytest
import small_scene

from denoise import _core

os.environ.setdefault("DENOISE_DEVICE", "cpu")  # tests give NumPy arrays to denoisers of no device in particular

BACKENDS = [name for name, reason in _core.backends().items() if not reason]

# Single pixels, lines, and sizes around the 16 pixels of a sky tile, the 32 x 8 of a GPU block and the 64 x 32 of a
# CPU tile.
EDGE_SIZES = [
    (1, 1),
    (1, 7),
    (7, 1),
    (2, 2),
    (1, 40),
    (65, 1),
    (16, 16),
    (17, 15),
    (31, 9),
    (33, 7),
    (64, 32),
    (65, 33),
]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend that runs here, as a device name."""
    return f"cpu:{request.param}"


@pytest.fixture(params=EDGE_SIZES, ids=lambda size: "x".join(map(str, size)))
def edge_size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Width and height."""
    size: tuple[int, int] = request.param
    return size


@pytest.fixture
def cpu_configuration() -> Iterator[None]:
    """Puts the number of threads and the tile shape of the process back when the test is over."""
    threads = _core.threads()
    yield
    _core.configure_cpu(threads, (64, 32))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, cuda_stand_in.StandIn]:
    """The package built against the stand-in for the CUDA runtime, and the stand-in."""
    return cuda_stand_in.load(tmp_path_factory.mktemp("stand_in"))


@pytest.fixture
def dn(built: tuple[Any, cuda_stand_in.StandIn], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package on the stand-in, which the scenes of the other tests are made for meanwhile. Nothing must be left."""
    module, machine = built
    monkeypatch.setattr(small_scene, "dn", module)
    monkeypatch.setenv("DENOISE_DEVICE", "")
    machine.log()
    yield module
    machine.fail(b"", 0, 0)
    machine.machine(13000, 2, 90)
    machine.eager(0)
    gc.collect()
    assert machine.alive() == ""
    machine.drain(cuda_stand_in.LEGACY)
    cuda_stand_in.KEPT.clear()


@pytest.fixture
def gpu(built: tuple[Any, cuda_stand_in.StandIn]) -> cuda_stand_in.StandIn:
    return built[1]
