# SPDX-License-Identifier: Apache-2.0
"""The history follows the light, in the frame in which the light moves, and follows nothing else.

Measured on the walls of `scenes` with the default settings, at a size of a few of the coarsest tiles.
"""

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import scenes
from scenes import LOBES, luma, run

import denoise as dn

WIDTH, HEIGHT = 160, 96
SHAPE = HEIGHT, WIDTH
SETTLED = 24  # frames

both_lobes = pytest.mark.parametrize("lobe", LOBES)
both_families = pytest.mark.parametrize("family", [dn.ReblurSettings, dn.RelaxSettings], ids=["reblur", "relax"])


def wall(radiance: Any, **guide: Any) -> dict[str, Any]:
    return scenes.wall(radiance, width=WIDTH, height=HEIGHT, **guide)


def samples(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Grey noise (H, W) of mean 1, independent from pixel to pixel and from frame to frame."""
    if kind == "exponential":
        return rng.exponential(size=SHAPE)
    if kind == "uniform":
        return rng.uniform(0, 2, SHAPE)
    n = int(kind.rsplit(" ", 1)[1])
    return n * (rng.random(SHAPE) < 1 / n)


def lit(light: Iterable[Any], kind: str = "exponential", seed: int = 1) -> Iterator[dict[str, Any]]:
    """Frames of a wall under lights, each a number, a colour or a picture (H, W, 3)."""
    rng = np.random.default_rng(seed)
    for level in light:
        yield wall(np.broadcast_to(level, (*SHAPE, 3)) * samples(kind, rng)[..., None])


def after(*lights: Any, frames: int = 1, kind: str = "exponential", **settings: Any) -> dn.Result:
    """The result some frames after the light became the last of `lights`; the others last until all has settled."""
    *before, now = lights
    schedule = [light for light in before for _ in range(SETTLED)] + [now] * frames
    return scenes.last(lit(schedule, kind), dn.ReblurSettings(**settings), outputs=("history_length",))


# The light is followed


@pytest.mark.parametrize("kind", ["uniform", "exponential", "one in 4", "one in 20"])
@pytest.mark.parametrize("factor", [0.1, 0.3, 3, 10])
@both_lobes
def test_a_switch_shows_in_its_frame(kind: str, factor: float, lobe: str) -> None:
    """Also one of the whole exposure, by 10: the mean is the new one, and what was smooth stays smooth."""
    result = luma(getattr(after(1.0, factor, kind=kind), lobe)) / factor
    assert result.mean() == pytest.approx(1, abs=0.1)
    assert result.std() < 0.1 * scenes.NOISE.get(kind, 1) + 0.05


@both_lobes
def test_without_it_the_old_light_lingers(lobe: str) -> None:
    assert luma(getattr(after(1.0, 0.1, relight=False), lobe)).mean() > 0.5


@both_lobes
def test_a_colour_is_followed_channel_by_channel(lobe: str) -> None:
    """Of equal luma before and after: brightness alone would show no change."""
    old, new = np.array([2.0, 0.8, 0.4]), np.array([0.4, 0.8, 2.0])
    rgb = getattr(after(old, new), lobe).mean((0, 1))
    np.testing.assert_allclose(rgb, new, atol=0.15)


@pytest.mark.parametrize("dark", [0.0, 1e-3])
@both_lobes
def test_light_in_a_dark_room_is_added(dark: float, lobe: str) -> None:
    result = luma(getattr(after(dark, 1.0), lobe))
    assert result.mean() == pytest.approx(1, abs=0.15)
    assert result.std() < 0.3


@both_families
@both_lobes
def test_a_lamp_that_goes_out_shows_what_falls_on_it(family: Any, lobe: str) -> None:
    """A renderer shows what a lamp emits; of the light on it there is none until it goes out, then all at once."""
    x, y = np.meshgrid(np.arange(WIDTH) - WIDTH // 2, np.arange(HEIGHT) - HEIGHT // 2)
    lamp = np.hypot(x, y) < 12
    depth = np.where(lamp, scenes.WALL / 2, scenes.WALL)
    rng = np.random.default_rng(3)
    frames = (
        wall(level * samples("exponential", rng)[..., None] * np.ones(3), depth=depth)
        for level in [~lamp[..., None]] * SETTLED + [1.0] * 2
    )
    picture = luma(getattr(scenes.last(frames, family()), lobe))
    assert picture[lamp].mean() == pytest.approx(1, abs=0.15)
    assert picture[~lamp].mean() == pytest.approx(1, abs=0.03)


@both_lobes
def test_one_lamp_of_two(lobe: str) -> None:
    """Two pools of light; the one at the right goes out. The dark comes where it was, and only there."""
    x = (np.arange(WIDTH) + 0.5) / WIDTH
    left, right = (np.exp(-((x - middle) ** 2) / 0.02)[None, :, None] for middle in (0.25, 0.75))
    result = luma(getattr(after(0.1 + left + right, 0.1 + left), lobe)).mean(0)
    expected = (0.1 + left)[0, :, 0]
    off = luma(getattr(after(0.1 + left + right, 0.1 + left, relight=False), lobe)).mean(0)
    assert np.abs(result - expected).mean() < 0.25 * np.abs(off - expected).mean()
    np.testing.assert_allclose(result[: WIDTH // 2 - 8], expected[: WIDTH // 2 - 8], atol=0.15)


@both_lobes
def test_no_grid_of_tiles_shows(lobe: str) -> None:
    """After a smooth change the steps at the tiles' borders are no larger than those inside."""
    ramp = np.linspace(0.2, 1.8, WIDTH)[None, :, None]
    picture = luma(getattr(after(1.0, ramp, kind="uniform"), lobe)).mean(0)
    step = np.abs(np.diff(picture - ramp[0, :, 0]))
    border = (np.arange(WIDTH - 1) + 1) % 8 == 0
    assert step[border].mean() < 1.5 * step[~border].mean()


@both_lobes
def test_the_stabilised_picture_follows(lobe: str) -> None:
    """Right after the switch and in the frames that follow, in which nothing old comes back."""
    for frames in (1, 2, 4, 8):
        assert luma(getattr(after(1.0, 0.1, frames=frames), lobe)).mean() == pytest.approx(0.1, abs=0.015)


# Nothing else is


@functools.cache
def static(kind: str, family: Any, relight: bool) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each lobe over 200 frames of one light: the mean and the root mean square change of each frame's luma."""
    figures: dict[str, list[tuple[float, float]]] = {lobe: [] for lobe in LOBES}
    before: dict[str, np.ndarray] = {}
    for result in run(lit([1.0] * 200, kind), family(relight=relight)):
        for lobe in LOBES:
            now = luma(getattr(result, lobe))
            change = now - before.get(lobe, now)
            figures[lobe].append((now.mean(), np.sqrt((change * change).mean())))
            before[lobe] = now
    means, changes = (
        {lobe: np.array([pair[k] for pair in pairs[SETTLED:]]) for lobe, pairs in figures.items()} for k in (0, 1)
    )
    return {lobe: (means[lobe], changes[lobe]) for lobe in LOBES}


@pytest.mark.parametrize("kind", ["uniform", "exponential", "one in 4", "one in 20", "one in 1000"])
@both_families
@both_lobes
def test_static_noise_moves_nothing(kind: str, family: Any, lobe: str) -> None:
    mean, change = static(kind, family, True)[lobe]
    mean_without, change_without = static(kind, family, False)[lobe]
    assert np.sqrt((change**2).mean()) <= 1.03 * np.sqrt((change_without**2).mean())
    assert mean.mean() == pytest.approx(mean_without.mean(), abs=0.005)  # of a light of 1


@both_families
@both_lobes
def test_a_firefly_moves_nothing(family: Any, lobe: str) -> None:
    """One sample of 100 000: beyond what the filters make of it, the picture is that without re-lighting."""

    def picture(relight: bool) -> np.ndarray:
        *before, spark = lit([1.0] * (SETTLED + 1))
        spark = wall(
            np.where(np.arange(WIDTH * HEIGHT).reshape(SHAPE) == WIDTH * 48 + 80, 1e5, spark["diffuse"][..., 0])
        )
        return luma(getattr(scenes.last([*before, spark], family(relight=relight)), lobe))

    np.testing.assert_allclose(picture(True), picture(False), atol=0.01)


@both_lobes
def test_a_pattern_is_no_change(lobe: str) -> None:
    """What a filter blurs differs from the samples at every edge: a correction there may sharpen, and must not disturb."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    pattern = (1 + (x // 6 + y // 6) % 2 + 4 * (x > 70)).astype(np.float32)
    frames = [wall(pattern)] * 12
    on, off = (getattr(scenes.last(frames, dn.ReblurSettings(relight=r)), lobe)[..., 0] for r in (True, False))
    assert np.abs(on - pattern).mean() <= np.abs(off - pattern).mean()
    np.testing.assert_allclose(on[:, :24], off[:, :24], rtol=0.02)


# Beside the rest


@both_lobes
def test_the_history_gets_shorter_where_the_light_moved(lobe: str) -> None:
    """By half for a factor of 2; where it did not move, not at all."""
    right_dark = np.where(np.arange(WIDTH) < WIDTH // 2, 1.0, 0.2)[None, :, None]
    on, off = (getattr(after(1.0, right_dark, relight=r), f"{lobe}_history_length") for r in (True, False))
    assert on[:, : WIDTH // 2 - 24].mean() > 0.95 * off[:, : WIDTH // 2 - 24].mean()
    assert on[:, WIDTH // 2 + 24 :].mean() == pytest.approx(SETTLED / (1 + np.log2(5)), abs=1)


@both_lobes
def test_the_smaller_confidence_wins(lobe: str) -> None:
    """The caller's and that of re-lighting: neither makes a history longer than the other leaves it."""

    def length(light: float, confidence: float | None, relight: bool) -> float:
        frames = list(lit([1.0] * SETTLED + [light]))
        if confidence is not None:
            frames[-1][f"{lobe}_confidence"] = np.full(SHAPE, confidence, np.float32)
        result = scenes.last(frames, dn.ReblurSettings(relight=relight), outputs=("history_length",))
        return float(getattr(result, f"{lobe}_history_length").mean())

    given, found = length(0.2, 0.1, False), length(0.2, None, True)
    assert length(0.2, 0.1, True) == pytest.approx(min(given, found), abs=0.5)
    assert length(0.2, 0.6, True) == pytest.approx(found, abs=0.5)
    assert length(0.2, 1.0, True) == pytest.approx(found, abs=0.5)
    assert length(1.0, 0.1, True) == pytest.approx(length(1.0, 0.1, False), abs=0.5)
    without = list(lit([1.0] * SETTLED + [0.2]))
    without[-1][f"{lobe}_confidence"] = np.zeros(SHAPE, np.float32)
    on, off = (luma(getattr(scenes.last(without, dn.ReblurSettings(relight=r)), lobe)) for r in (True, False))
    assert on.mean() == pytest.approx(off.mean(), rel=0.1)


@pytest.mark.parametrize("family", [dn.Reblur, dn.Relax])
@both_lobes
def test_what_was_found_is_told(family: type[dn.Reblur] | type[dn.Relax], lobe: str) -> None:
    """The gain of each channel, and a confidence: the caller's where that is less."""

    def told(light: Any, confidence: float | None = None, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
        frames = list(lit([np.ones(3)] * SETTLED + [light], "uniform"))
        if confidence is not None:
            frames[-1][f"{lobe}_confidence"] = np.full(SHAPE, confidence, np.float32)
        kept = dn.ReblurSettings(**settings) if family is dn.Reblur else dn.RelaxSettings(**settings)
        denoiser = family(WIDTH, HEIGHT, settings=kept, outputs=("gain", "confidence"))
        for frame in frames:
            result = denoiser(**frame)
        return getattr(result, f"{lobe}_gain"), getattr(result, f"{lobe}_confidence")

    light = np.array([0.5, 0.25, 0.125])
    gain, confidence = told(light)
    np.testing.assert_allclose(gain.mean((0, 1)), light, rtol=0.1)
    luma_after = light @ [0.25, 0.5, 0.25]
    assert confidence.mean() == pytest.approx(1 / (1 - np.log2(luma_after)), abs=0.02)
    np.testing.assert_array_equal(told(light, 0.25)[1], np.float32(0.25))
    gain, confidence = told(np.ones(3))
    np.testing.assert_allclose(gain, 1, atol=0.02)
    np.testing.assert_allclose(confidence, 1, atol=0.02)
    gain, confidence = told(light, 0.75, relight=False)
    np.testing.assert_array_equal(gain, 1)
    np.testing.assert_array_equal(confidence, np.float32(0.75))


def test_a_cut_without_reset_and_a_reset() -> None:
    """A reset forgets the light's memory, too: what follows is what a new instance gives."""
    settings = dn.ReblurSettings()
    used, fresh = dn.Reblur(WIDTH, HEIGHT, settings=settings), dn.Reblur(WIDTH, HEIGHT, settings=settings)
    for frame in lit([1.0] * 8 + [10.0] * 2):
        used(**frame)
    for index, frame in enumerate(lit([0.5] * 4 + [2.0] * 2, seed=2)):
        a, b = used(**frame, reset=index == 0), fresh(**frame)
        for lobe in LOBES:
            np.testing.assert_array_equal(getattr(a, lobe), getattr(b, lobe))


def test_small_pictures(edge_size: tuple[int, int]) -> None:
    """Sizes of less than a tile, or of a tile and a bit."""
    width, height = edge_size
    rng = np.random.default_rng(5)
    levels = [1.0] * 12 + [0.1] * 2
    frames = (
        scenes.wall(level * rng.exponential(size=(height, width)), width=width, height=height) for level in levels
    )
    for result in run(frames, dn.ReblurSettings()):
        for lobe in LOBES:
            assert np.isfinite(getattr(result, lobe)).all()
