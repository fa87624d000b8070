# SPDX-License-Identifier: Apache-2.0
"""How ReBLUR's history grows, yields and starts anew.

Rows of the property table:

14  a step of the light, 1 to 4 and back: half of it shows after 5 frames, 90 % after 16; with one sample of 4 in 4 half
    of it after 12 frames upwards and 8 downwards
15  anti-lag shortens a history that lags, by the published rule, never below the length that is rebuilt, and leaves one
    alone that does not
16  a restart is bitwise the same as a new instance
25  a history counts 0, 1, 2 up to its limit, exactly

Besides: confidences, the mix of the two disocclusion thresholds, and the split screen.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
import scenes
from scenes import HEIGHT, LOBES, WALL, View, guides, halves, last, luma, run, signals, unscaled, wall

import denoise as dn

SMALL = 128, 80  # width, height
FULL = 30

both_lobes = pytest.mark.parametrize("lobe", LOBES)


def small_wall(radiance: Any = 1.0, **changes: Any) -> dict[str, Any]:
    return wall(radiance, width=SMALL[0], height=SMALL[1], **changes)


def length(result: dn.Result, lobe: str) -> np.ndarray:
    frames: np.ndarray = getattr(result, f"{lobe}_history_length")
    return frames


# Row 25


@pytest.mark.parametrize("limit", [0, 1, 2, 5, 30, 63])
def test_row_25_a_history_counts_frames(limit: int) -> None:
    settings = unscaled(max_accumulated_frames=limit, history_fix_frames=min(3, limit))
    frames = [small_wall()] * (limit + 4)
    for index, result in enumerate(run(frames, settings, outputs=("history_length",))):
        for lobe in LOBES:
            np.testing.assert_array_equal(length(result, lobe), min(index, limit))


# Row 14


@functools.cache
def step_response(kind: str | None) -> dict[str, np.ndarray]:
    """Mean luma (120,) of each lobe: 40 frames of 1, 40 of 4, 40 of 1."""
    rng = np.random.default_rng(3)
    frames = (
        small_wall(level * (scenes.noise(kind, rng, SMALL[::-1]) if kind else 1))
        for level in np.repeat([1.0, 4.0, 1.0], 40)
    )
    means = [[luma(getattr(result, lobe)).mean() for lobe in LOBES] for result in run(frames, unscaled())]
    return dict(zip(LOBES, np.array(means).T, strict=True))


def frames_until(share: float, progress: np.ndarray) -> int:
    """How many frames of the new light it takes until that share of the step shows; the first one counts as 1."""
    assert progress.max() >= share
    return int(np.argmax(progress >= share)) + 1


@both_lobes
def test_row_14_step_response(lobe: str) -> None:
    mean = step_response(None)[lobe]
    for progress in ((mean[40:80] - 1) / 3, (4 - mean[80:]) / 3):
        assert frames_until(0.5, progress) <= 5
        assert frames_until(0.9, progress) <= 16


@both_lobes
def test_row_14_step_response_with_noise(lobe: str) -> None:
    mean = step_response("one in 4")[lobe]
    assert frames_until(0.5, (mean[40:80] - 1) / 3) <= 12
    assert frames_until(0.5, (4 - mean[80:]) / 3) <= 8


# Row 15


@pytest.mark.parametrize("light", [0.25, 0.9, 1.2, 2.0, 8.0])
@pytest.mark.parametrize(("frame_time", "sensitivity"), [(1 / 60, 3), (1 / 30, 3), (1 / 30, 0.5)])
def test_row_15_the_anti_lag_rule(light: float, frame_time: float, sensitivity: float) -> None:
    """On a uniform wall all deviations are 0. What accumulation yields is seen where stabilisation is off."""
    frames = [small_wall()] * 20 + [small_wall(light)]
    changes: dict[str, Any] = {"frame_time": frame_time, "antilag_sensitivity": sensitivity}
    *_, before, lagging = run(frames, unscaled(**changes), outputs=("history_length",))
    accumulated = last(frames, unscaled(**changes, max_stabilized_frames=0), outputs=("history_length",))
    rate = max(1 / (30 * frame_time), 1)
    for lobe in LOBES:
        grown = length(accumulated, lobe)
        past, present = luma(getattr(before, lobe)), luma(getattr(accumulated, lobe))
        change = np.abs(past - present) / np.maximum(past, present)
        keep = 1 / (1 + change * grown / (sensitivity * rate**2))
        expected = 3 + (grown - 3) * keep
        assert (grown == 20).all()
        assert abs(length(lagging, lobe).mean() - expected.mean()) <= 0.5


@both_lobes
def test_row_15_anti_lag_bounds(lobe: str) -> None:
    """Whatever the light does, a history grows by at most a frame a frame, and is not cut below what is rebuilt."""
    rng = np.random.default_rng(8)
    settings = unscaled(antilag_sensitivity=0.01, antilag_sigma_scale=0.1)
    before = None
    for level in rng.choice([0, 1, 100], 24):
        noisy = level * scenes.noise("one in 4", rng, SMALL[::-1])
        if before is None:
            denoiser = dn.Reblur(*SMALL, settings=settings, outputs=("history_length",))
        now = length(denoiser(**small_wall(noisy)), lobe)
        if before is not None:
            assert (now <= before + 1).all()
            assert (now >= np.minimum(before + 1, 3)).all()
            assert (now <= FULL).all()
        before = now
    assert now.mean() < 10


def test_row_15_a_history_within_the_noise_is_left_alone() -> None:
    rng = np.random.default_rng(9)
    settings = unscaled(antilag_sigma_scale=1000)
    frames = [small_wall(scenes.noise("uniform", rng, SMALL[::-1])) for _ in range(FULL + 2)]
    result = last(frames, settings, outputs=("history_length",))
    for lobe in LOBES:
        assert length(result, lobe).min() >= FULL - 0.5


# Row 16


def assert_bitwise_equal(a: dn.Result, b: dn.Result) -> None:
    for field in dataclasses.fields(dn.Result):
        x, y = getattr(a, field.name), getattr(b, field.name)
        assert (x is None) == (y is None)
        if x is not None:
            np.testing.assert_array_equal(x.view(np.uint32), y.view(np.uint32), err_msg=field.name)


def coloured(index: int, colour: tuple[float, float, float]) -> dict[str, Any]:
    """Noise of a colour on a wall, seen by a camera on its way."""
    rng = np.random.default_rng(index)
    view, before = (View(*SMALL, (0.05 * i, 0, 0), yaw=i) for i in (index, max(index - 1, 0)))
    radiance = scenes.noise("one in 4", rng, SMALL[::-1])[..., None] * np.float32(colour)
    distance = rng.choice([0, 1, 4, np.inf], SMALL[::-1])
    return {**guides(view, view.plane((0, 0, WALL)), before, roughness=0.3), **signals(radiance, distance, SMALL[::-1])}


@pytest.mark.parametrize("changes", [{}, {"hit_distance_reconstruction": "5x5"}, {"max_stabilized_frames": 0}])
def test_row_16_a_restart_is_a_new_instance(changes: dict[str, Any]) -> None:
    """After a red sequence, a blue one: in the restarted frame and in all that follow."""
    settings, outputs = unscaled(**changes), ("history_length", "hit_distance")
    used, fresh = (dn.Reblur(*SMALL, settings=settings, outputs=outputs) for _ in range(2))
    for index in range(6):
        used(**coloured(index, (1, 0, 0)))
    for index in range(6, 11):
        result = used(**coloured(index, (0, 0, 1)), reset=index == 6)
        for lobe in LOBES:  # fp16 luma and chroma hold a blue of up to 4 to 0.002
            assert getattr(result, lobe)[..., 0].max() < 0.002
        assert_bitwise_equal(result, fresh(**coloured(index, (0, 0, 1))))


# Confidence


@both_lobes
def test_confidence_drops_a_history(lobe: str) -> None:
    other = LOBES[1 - LOBES.index(lobe)]
    frames = []
    for index in range(24):
        sure = halves(0.0, 1.0, *SMALL) if index == 23 else np.ones(SMALL[::-1])
        frames.append({**small_wall(), f"{lobe}_confidence": sure.astype(np.float32)})
    result = last(frames, unscaled(), outputs=("history_length",))
    middle = SMALL[0] // 2
    assert length(result, lobe)[:, : middle - 1].max() <= 1
    assert length(result, lobe)[:, middle + 1 :].min() == 23
    assert length(result, other).min() == 23


@both_lobes
def test_confidence_shortens_a_history_in_proportion(lobe: str) -> None:
    lengths = []
    for confidence in (0.0, 0.25, 0.5, 0.75, 1.0):
        frame = {**small_wall(), f"{lobe}_confidence": np.full(SMALL[::-1], confidence, np.float32)}
        result = last([small_wall()] * 20 + [frame], unscaled(), outputs=("history_length",))
        lengths.append(length(result, lobe).mean())
    assert lengths == sorted(lengths)
    assert lengths[2] == pytest.approx(10, abs=1)


@both_lobes
def test_without_confidence_a_light_switches_fast(lobe: str) -> None:
    """Without any, a history counts as less than one frame: half of the new light shows at once, 90 % in the third."""
    frame = {**small_wall(4), f"{lobe}_confidence": np.zeros(SMALL[::-1], np.float32)}
    *_, first, _, third = run([small_wall(1)] * 20 + [frame] * 3, unscaled())
    assert getattr(first, lobe).min() >= 2.5
    assert getattr(third, lobe).min() >= 3.7


@both_lobes
def test_confidence_is_that_of_the_previous_position(lobe: str) -> None:
    """It is given for the pixels of the previous frame: what it drops lies where the surface was then."""
    move = 8  # pixels
    before = View(*SMALL)
    view = View(*SMALL, position=(move * scenes.pixel_at(scenes.perspective(*SMALL), WALL) * HEIGHT / SMALL[1], 0, 0))
    sure = halves(0.0, 1.0, *SMALL).astype(np.float32)
    first = {**guides(before, before.at_depth(WALL)), **signals(1, 0.01, SMALL[::-1])}
    then = {**guides(view, view.at_depth(WALL), before), **signals(1, 0.01, SMALL[::-1]), f"{lobe}_confidence": sure}
    frames = length(last([first] * 12 + [then], unscaled(), outputs=("history_length",)), lobe)
    edge = SMALL[0] // 2 - move
    assert frames[:, : edge - 2].max() <= 1
    assert frames[:, edge + 2 : -move - 2].min() >= 10


# Mix of the disocclusion thresholds


@both_lobes
def test_disocclusion_threshold_mix(lobe: str) -> None:
    """A jump in depth between the two thresholds drops the history only where the mix is 0."""
    mix = halves(0.0, 1.0, *SMALL).astype(np.float32)
    settings = unscaled(disocclusion_threshold=0.01, disocclusion_threshold_alternate=0.1)
    frames = [{**small_wall(), "disocclusion_threshold_mix": mix}] * 4
    frames.append({**small_wall(depth=1.05 * WALL), "disocclusion_threshold_mix": mix})
    frames[-1]["motion"] = np.zeros((*SMALL[::-1], 3), np.float32)
    kept = length(last(frames, settings, outputs=("history_length",)), lobe)
    assert kept[:, : SMALL[0] // 2].max() == 0
    assert kept[:, SMALL[0] // 2 :].min() == 4


# Split screen


@pytest.mark.parametrize("split", [0.0, 0.25, 0.6, 1.0])
def test_split_screen(split: float) -> None:
    """Left of the split is the input, sanitised; right of it, what would be there without."""
    rng = np.random.default_rng(10)
    frames = [small_wall(rng.exponential(size=(*SMALL[::-1], 3))) for _ in range(6)]
    frames[-1]["diffuse"] = frames[-1]["diffuse"].copy()
    frames[-1]["diffuse"][10, ::7] = np.nan
    plain, split_up = last(frames, unscaled()), last(frames, unscaled(split_screen=split))
    left = int(np.ceil(split * SMALL[0] - 0.5))
    for lobe in LOBES:
        given = np.nan_to_num(frames[-1][lobe])
        np.testing.assert_allclose(getattr(split_up, lobe)[:, :left], given[:, :left], rtol=1e-6)
        np.testing.assert_array_equal(getattr(split_up, lobe)[:, left:], getattr(plain, lobe)[:, left:])
