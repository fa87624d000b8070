# SPDX-License-Identifier: Apache-2.0
"""ReBLUR under whatever it is given: the same bits each time, everywhere, and never a crash or a number that is none.

Rows of the property table:

20  NaN and infinities in the signals are counted as no light, spread nowhere, and sky comes out as 0
28  the same inputs give the same bits, with any number of threads and any shape of tiles; backends agree within 1 %

Besides, by hypothesis: pictures of any size, any garbage in the signals, and any camera.
"""

from typing import Any

import numpy as np
import pytest
import scenes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenes import LOBES, WALL, View, guides, run, signals, unscaled
from test_reblur_history import assert_bitwise_equal

import denoise as dn
from denoise import _core

Array = np.ndarray
OUTPUTS = ("history_length", "hit_distance")
SIZE = 131, 77  # width, height: no multiples of anything
GARBAGE = np.array([np.nan, np.inf, -np.inf, -1, -1e30, 0, 1e-30, 1, 65504, 65520, 1e30, 3.4e38], np.float32)

by_hypothesis = settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def noisy_panel(index: int, size: tuple[int, int] = SIZE) -> dict[str, Any]:
    """Noise on a panel that moves over a wall, under a strip of sky, seen by a camera that moves the other way."""
    rng = np.random.default_rng(index)
    view, before = (View(*size, (-0.03 * i, 0, 0), roll=0.5 * i) for i in (index, max(index - 1, 0)))
    frame, on_panel, _ = scenes.panel_over_wall(view, before, 0.04 * index, 0.04 * max(index - 1, 0))
    shape = size[::-1]
    frame["view_z"] = frame["view_z"].copy()
    frame["view_z"][: shape[0] // 5] = np.inf
    frame["roughness"] = np.where(on_panel, np.float32(0.1), np.float32(0.5))
    frame["material_id"] = on_panel.astype(np.uint8)
    for lobe in LOBES:
        frame[lobe] = rng.exponential(size=(*shape, 3)).astype(np.float32)
        frame[f"{lobe}_hit_distance"] = rng.choice(np.float32([0, 0.5, 2, 7, np.inf]), shape)
    return frame


def results(frames: int = 5, device: str = "auto", size: tuple[int, int] = SIZE) -> list[dn.Result]:
    return list(run((noisy_panel(i, size) for i in range(frames)), unscaled(), outputs=OUTPUTS, device=device))


# Row 20


def assert_good(result: dn.Result, sky: Array) -> None:
    for lobe in LOBES:
        for name in (lobe, *(f"{lobe}_{output}" for output in OUTPUTS)):
            array = getattr(result, name)
            if array is not None:
                assert np.isfinite(array).all(), name
                assert (array >= 0).all(), name
                assert (array[sky] == 0).all(), name


def test_row_20_what_is_not_finite_counts_as_no_light() -> None:
    """And as no hit distance: bitwise the same as zeros in its place."""
    rng = np.random.default_rng(11)
    dirty, clean = [], []
    for index in range(4):
        frame = noisy_panel(index)
        bad = {name: rng.random(SIZE[::-1]) < 0.1 for lobe in LOBES for name in (lobe, f"{lobe}_hit_distance")}
        spoilt, mended = dict(frame), dict(frame)
        for name, where in bad.items():
            poison = [np.nan, np.inf, -np.inf] if name in LOBES else [np.nan, -np.inf, -1]
            spoilt[name], mended[name] = frame[name].copy(), frame[name].copy()
            spoilt[name][where] = rng.choice(np.float32(poison), spoilt[name][where].shape)
            mended[name][where] = 0
        dirty.append(spoilt)
        clean.append(mended)
    both = zip(run(dirty, unscaled(), outputs=OUTPUTS), run(clean, unscaled(), outputs=OUTPUTS), strict=True)
    for (a, b), frame in zip(both, dirty, strict=True):
        assert_good(a, np.isinf(frame["view_z"]))
        assert_bitwise_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_row_20_sky_is_zero(dtype: Any) -> None:
    """Whatever signals and guides hold there, and whatever `out` held before."""
    rng = np.random.default_rng(12)
    denoiser = dn.Reblur(*SIZE, settings=unscaled(), outputs=OUTPUTS, dtype=dtype)
    shape = SIZE[::-1]
    for index in range(4):
        frame = noisy_panel(index)
        sky = np.isinf(frame["view_z"]) | (rng.random(shape) < 0.3)
        frame["view_z"][sky] = rng.choice(np.float32([np.inf, -np.inf, np.nan, 5e5, 1e30]), sky.sum())
        for name in ("diffuse", "specular", "normal", "motion", "diffuse_hit_distance", "specular_hit_distance"):
            frame[name] = frame[name].copy()
            frame[name][sky] = rng.choice(GARBAGE, frame[name][sky].shape)
        frame["roughness"][sky] = np.nan
        names = [name for lobe in LOBES for name in (lobe, *(f"{lobe}_{output}" for output in OUTPUTS))]
        out = {name: np.full((*shape, 3) if name in LOBES else shape, np.nan, dtype) for name in names}
        assert_good(denoiser(**frame, out=out), sky)


def test_row_20_garbage_in_the_sky_changes_nothing() -> None:
    clean = [noisy_panel(index) for index in range(4)]
    dirty = [dict(frame) for frame in clean]
    for frame in dirty:
        sky = np.isinf(frame["view_z"])
        for name in ("diffuse", "specular", "normal", "motion"):
            frame[name] = frame[name].copy()
            frame[name][sky] = np.nan
    for a, b in zip(run(dirty, unscaled()), run(clean, unscaled()), strict=True):
        assert_bitwise_equal(a, b)


def test_nothing_but_sky() -> None:
    frame = noisy_panel(0)
    frame["view_z"] = np.full(SIZE[::-1], np.inf, np.float32)
    for result in run([frame] * 3 + [noisy_panel(3)], unscaled(), outputs=OUTPUTS):
        assert np.isfinite(result.diffuse).all()
    assert result.diffuse_history_length.max() == 0


# Row 28


def test_row_28_the_same_bits_twice() -> None:
    for a, b in zip(results(), results(), strict=True):
        assert_bitwise_equal(a, b)


@pytest.mark.parametrize(
    ("threads", "tile"), [(1, (64, 32)), (2, (16, 1)), (3, (32, 8)), (2, (256, 256)), (5, (48, 5)), (1, (16, 77))]
)
@pytest.mark.usefixtures("cpu_configuration")
def test_row_28_any_threads_and_tiles(threads: int, tile: tuple[int, int]) -> None:
    expected = results(4)
    _core.configure_cpu(threads, tile)
    for a, b in zip(results(4), expected, strict=True):
        assert_bitwise_equal(a, b)


def test_row_28_the_backends_agree(backend: str) -> None:
    """At most one pixel of 100 is off by more than 1 %: a last bit can decide which history a pixel follows."""
    for a, b in zip(results(5, backend), results(5), strict=True):
        for name in LOBES:
            x, y = getattr(a, name), getattr(b, name)
            off = (np.abs(x - y) > 0.01 * (np.abs(y) + 0.1)).any(-1)
            assert off.mean() <= 0.01, name
            assert x.mean() == pytest.approx(y.mean(), rel=0.001)
        for name in ("diffuse_history_length", "specular_history_length"):
            assert np.mean(getattr(a, name) != getattr(b, name)) <= 0.02, name


def test_edge_sizes(edge_size: tuple[int, int], backend: str) -> None:
    for result in results(3, backend, edge_size):
        sky = np.zeros(edge_size[::-1], bool)
        sky[: edge_size[1] // 5] = True
        assert_good(result, sky)


# Hypothesis


@st.composite
def views(draw: st.DrawFn, width: int, height: int) -> View:
    """Any camera: place, direction, kind of projection, handedness, jitter."""
    shift = draw(st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
    if draw(st.booleans()):
        depth = draw(st.sampled_from(["standard", "reversed", "infinite", "reversed infinite"]))
        lens = scenes.perspective(width, height, vfov=draw(st.floats(1, 170)), shift=shift, depth=depth)
    else:
        depth = draw(st.sampled_from(["standard", "reversed"]))
        lens = scenes.orthographic(width, height, span=draw(st.floats(0.01, 1000)), shift=shift, depth=depth)
    angle = st.floats(-180, 180)
    place = st.floats(-1e4, 1e4)
    half = st.floats(-0.5, 0.5)
    return View(
        width,
        height,
        position=draw(st.tuples(place, place, place)),
        yaw=draw(angle),
        pitch=draw(angle),
        roll=draw(angle),
        lens=lens,
        right_handed=draw(st.booleans()),
        jitter=draw(st.tuples(half, half)),
    )


def any_frame(rng: np.random.Generator, view: View, motion: int) -> tuple[dict[str, Any], Array]:
    """Garbage signals on arbitrary surfaces between arbitrary patches of sky. `motion`: 0 without, 2 or 3 channels, or
    4 for steps in the world."""
    shape = view.height, view.width
    depth = np.float32(10.0 ** rng.uniform(-2, 4, shape))
    sky = rng.random(shape) < rng.choice([0, 0.1, 0.9])
    depth[sky] = np.inf
    normal = rng.normal(size=(*shape, 3))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    frame: dict[str, Any] = {
        "camera": view.camera(),
        "view_z": depth,
        "normal": normal.astype(np.float32),
        "roughness": rng.choice(np.float32([0, 0.01, 0.3, 1]), shape),
        "material_id": rng.integers(0, 3, shape, np.uint8),
    }
    if motion:
        scale = rng.choice([0, 1, 100, 1e6])
        frame["motion"] = (rng.normal(size=(*shape, min(motion, 3))) * scale).astype(np.float32)
        frame["motion_space"] = "world" if motion == 4 else "screen"
    dtype = rng.choice([np.float16, np.float32])
    for lobe in LOBES:
        with np.errstate(over="ignore"):
            frame[lobe] = rng.choice(GARBAGE, (*shape, 3)).astype(dtype)
            frame[f"{lobe}_hit_distance"] = rng.choice(GARBAGE, shape).astype(dtype)
    return frame, sky


@by_hypothesis
@given(st.data(), st.integers(1, 70), st.integers(1, 40), st.sampled_from([0, 2, 3, 4]), st.integers(0, 2**32 - 1))
def test_any_size_garbage_and_camera(data: st.DataObject, width: int, height: int, motion: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    modes = {"hit_distance_reconstruction": data.draw(st.sampled_from(["off", "3x3", "5x5"])), "strand_material": 1}
    denoiser = dn.Reblur(width, height, settings=unscaled(**modes, camera_attached_material=2), outputs=OUTPUTS)
    for _ in range(3):
        frame, sky = any_frame(rng, data.draw(views(width, height)), motion)
        assert_good(denoiser(**frame), sky)


@by_hypothesis
@given(st.integers(1, 70), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_any_size_of_a_good_scene(width: int, height: int, seed: int) -> None:
    """A constant is kept at every size, by a camera that moves, at every frame."""
    level = np.random.default_rng(seed).uniform(0.01, 100, 3).astype(np.float32)
    denoiser = dn.Reblur(width, height, settings=unscaled())
    for index in range(3):
        view, before = (View(width, height, (0.02 * i, 0, 0)) for i in (index, max(index - 1, 0)))
        frame = {**guides(view, view.at_depth(WALL), before), **signals(level, 2, (height, width))}
        result = denoiser(**frame)
        for lobe in LOBES:
            expected = np.broadcast_to(level, (height, width, 3))
            np.testing.assert_allclose(getattr(result, lobe), expected, rtol=0.01, atol=0.01 * level.max())


@by_hypothesis
@given(st.data(), st.integers(0, 2**32 - 1))
def test_any_settings(data: st.DataObject, seed: int) -> None:
    """Each setting anywhere in its range."""
    drawn: dict[str, Any] = {}
    for field in dn.ReblurSettings.fields():
        if isinstance(field.type, tuple):
            drawn[field.name] = data.draw(st.sampled_from(field.type))
        elif field.type is bool:
            drawn[field.name] = data.draw(st.booleans())
        elif field.type is int:
            drawn[field.name] = data.draw(st.integers(int(field.low), int(field.high)))
        else:
            drawn[field.name] = data.draw(st.floats(field.low, field.high))
    drawn["min_blur_radius"] = min(drawn["min_blur_radius"], drawn["max_blur_radius"])
    drawn["history_fix_frames"] = min(drawn["history_fix_frames"], drawn["max_accumulated_frames"])
    rng = np.random.default_rng(seed)
    denoiser = dn.Reblur(45, 23, settings=dn.ReblurSettings(**drawn), outputs=OUTPUTS)
    for index in range(3):
        frame, sky = any_frame(rng, View(45, 23, (0.1 * index, 0, 0)), 3)
        sky |= frame["view_z"] >= drawn["sky_distance"]
        assert_good(denoiser(**frame), sky)


@pytest.mark.parametrize("name", ["motion", "normal", "roughness"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3.4e38])
def test_guides_that_are_not_finite(name: str, value: float) -> None:
    """Callers should not do it, but nothing bad comes of it."""
    rng = np.random.default_rng(13)
    frames = []
    for index in range(4):
        frame = noisy_panel(index)
        frame[name] = frame[name].copy()
        frame[name][rng.random(SIZE[::-1]) < 0.1] = value
        frames.append(frame)
    for result, frame in zip(run(frames, unscaled(), outputs=OUTPUTS), frames, strict=True):
        assert_good(result, np.isinf(frame["view_z"]))
