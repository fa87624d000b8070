# SPDX-License-Identifier: Apache-2.0
"""The Python/C++ boundary by pytest-benchmark: `pytest bench/test_boundary.py`. Nothing here is asserted."""

from __future__ import annotations

from typing import Any

import pytest

from bench.boundary import HEIGHT, WIDTH
from bench.frames import SIGNALS, make_frames
from denoise import Camera, Frame, Pipeline, Reblur, ReblurSettings, Sigma

Benchmark = Any  # the fixture of pytest-benchmark


@pytest.fixture
def frame() -> Frame:
    return Frame(**make_frames(WIDTH, HEIGHT)[0])


def test_call(benchmark: Benchmark, frame: Frame) -> None:
    """A whole call; its passes take some of it."""
    denoiser = Reblur(WIDTH, HEIGHT)
    out = denoiser(frame)
    benchmark(denoiser, frame, out=out)


def test_call_that_allocates(benchmark: Benchmark, frame: Frame) -> None:
    denoiser = Reblur(WIDTH, HEIGHT)
    benchmark(denoiser, frame)


def test_frame_check(benchmark: Benchmark, frame: Frame) -> None:
    benchmark(frame.check, WIDTH, HEIGHT, [Reblur.SIGNALS])


def test_camera(benchmark: Benchmark, frame: Frame) -> None:
    camera = frame.camera
    benchmark(Camera, world_to_view=camera.world_to_view, view_to_clip=camera.view_to_clip)


def test_settings(benchmark: Benchmark) -> None:
    benchmark(ReblurSettings().as_numbers)


def test_call_of_sigma(benchmark: Benchmark) -> None:
    """A whole call with one light."""
    denoiser, frame = Sigma(WIDTH, HEIGHT), Frame(**make_frames(WIDTH, HEIGHT, signals=("shadow",))[0])
    out = denoiser(frame)
    benchmark(denoiser, frame, out=out)


def test_call_of_a_pipeline(benchmark: Benchmark) -> None:
    denoiser = Pipeline([Reblur(WIDTH, HEIGHT), Sigma(WIDTH, HEIGHT)])
    frame = Frame(**make_frames(WIDTH, HEIGHT, signals=SIGNALS)[0])
    out = denoiser(frame)
    benchmark(denoiser, frame, out=out)
