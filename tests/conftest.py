# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests: the compute backends of this machine, and picture sizes at the edge of what tiles can hold."""

import os
from collections.abc import Iterator

import pytest

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
