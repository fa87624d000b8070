# SPDX-License-Identifier: Apache-2.0
"""ReLAX: what holds exactly, what holds of noise, how soon a change shows, and that its variance tells the error.

Numbers in names are those of the family's property table. Rows 10, 12 and 18 are of reprojection, which is ReBLUR's;
they are tested here as ReLAX shows them. Row 19 is tested in test_shaders.py.
"""

import functools
from typing import Any

import numpy as np
import pytest
import scenes
from scenes import LOBES, View, contrast, guides, halves, last, luma, mirror_wall, run, signals, wall

import denoise as dn
from denoise import _core, testbed
from denoise.sequences import frame_inputs

SIZE = WIDTH, HEIGHT = 96, 64
SHAPE = HEIGHT, WIDTH
# What was accumulated, as it is: nothing filtered, clamped, rebuilt or scaled. The luminance stop closes at any difference.
PLAIN: dict[str, Any] = {
    "relight": False,
    "diffuse_prepass_radius": 0,
    "prepass_tracking_only": True,
    "history_fix_frames": 0,
    "diffuse_max_fast_frames": 63,
    "specular_max_fast_frames": 63,
    "antilag_acceleration": 0,
    "antilag_reset": 0,
    "spatial_variance_frames": 0,
    "diffuse_phi_luminance": 0.01,
    "specular_phi_luminance": 0.01,
    "luminance_relaxation": 0,
    "atrous_iterations": 2,
}
both_lobes = pytest.mark.parametrize("lobe", LOBES)


def small(radiance: Any = 1.0, **changes: Any) -> dict[str, Any]:
    return wall(radiance, width=WIDTH, height=HEIGHT, **changes)


def of(result: dn.Result, lobe: str) -> np.ndarray:
    picture: np.ndarray = getattr(result, lobe)
    return picture


# Exact, or nearly


def test_1_constant_light_comes_out_as_it_is(backend: str) -> None:
    """In any motion, with every filter on: within two steps of fp16."""
    color = np.array([0.7, 0.35, 1.4])
    for settings in (dn.RelaxSettings(), dn.RelaxSettings(anti_firefly=True, atrous_iterations=8)):
        frames = []
        for index in range(6):
            view, before = (View(*SIZE, (0.03 * i, 0, 0.02 * i), yaw=0.3 * i) for i in (index, max(index - 1, 0)))
            frames.append({**guides(view, view.plane((0, 0, 5)), before), **signals(color, 3, SHAPE)})
        for result in run(frames, settings, device=backend):
            for lobe in LOBES:
                np.testing.assert_allclose(of(result, lobe), np.broadcast_to(color, (*SHAPE, 3)), rtol=2e-3)


@both_lobes
def test_3_a_static_history_counts_frames(lobe: str) -> None:
    settings = dn.RelaxSettings(diffuse_max_accumulated_frames=5, specular_max_accumulated_frames=9)
    for index, result in enumerate(run([small()] * 12, settings, outputs=("history_length",))):
        wanted = min(index, 5 if lobe == "diffuse" else 9)
        np.testing.assert_array_equal(getattr(result, f"{lobe}_history_length"), wanted)


@both_lobes
def test_4_a_young_history_is_the_mean_of_its_frames(lobe: str) -> None:
    rng = np.random.default_rng(4)
    values = rng.uniform(0, 2, 31)
    for index, result in enumerate(run((small(v) for v in values), dn.RelaxSettings(**PLAIN))):
        assert of(result, lobe).mean() == pytest.approx(values[: index + 1].mean(), rel=2e-3)


@both_lobes
def test_5_noise_of_an_exponential_mean(lobe: str) -> None:
    rng = np.random.default_rng(5)
    noisy = (small(scenes.noise("uniform", rng, SHAPE)) for _ in range(110))
    result = last(noisy, dn.RelaxSettings(**PLAIN))
    gain = luma(of(result, lobe)).std() / scenes.NOISE["uniform"]
    assert gain == pytest.approx(np.sqrt(1 / 31 / (2 - 1 / 31)), rel=0.04)


@pytest.mark.parametrize(("levels", "ratio", "tolerance"), [(2, 0.162, 0.03), (3, 0.080, 0.05), (4, 0.040, 0.12)])
def test_6_white_noise_through_open_levels(levels: int, ratio: float, tolerance: float) -> None:
    opened = {**PLAIN, "diffuse_min_luminance_weight": 1, "specular_min_luminance_weight": 1, "roughness_stop": False}
    settings = dn.RelaxSettings(**{**opened, "atrous_iterations": levels})
    stds = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        result = last([wall(1 + 0.1 * rng.standard_normal((scenes.HEIGHT, scenes.WIDTH)))], settings)
        stds += [luma(of(result, lobe))[24:-24, 24:-24].std() / 0.1 for lobe in LOBES]
    assert np.mean(stds) == pytest.approx(ratio, rel=tolerance)


def test_2_the_kernel_is_the_one_of_the_table() -> None:
    """A spark on an even wall, through levels 1 and 2 that are open: nothing is lost, and it spreads as the kernel says."""
    opened = {**PLAIN, "diffuse_min_luminance_weight": 1}
    picture = np.ones(SHAPE, np.float32)
    picture[32, 48] = 101
    spread = luma(last([small(picture)], dn.RelaxSettings(**opened)).diffuse).astype(float) - 1
    middle, side = 0.44198, 0.27901
    once = np.array([side, middle, side])
    twice = np.convolve([side, 0, middle, 0, side], once)
    assert middle + 2 * side == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(spread[29:36, 45:52], 100 * np.outer(twice, twice), atol=0.01)
    assert spread.sum() == pytest.approx(100, rel=2e-3)


@pytest.mark.parametrize("scale", [0.25, 32, 8192])
def test_7_light_scales(scale: float, backend: str) -> None:
    def clean(factor: float) -> list[dn.Result]:
        rng = np.random.default_rng(7)
        noisy = [small(factor * scenes.noise("uniform", rng, SHAPE)) for _ in range(6)]
        return list(run(noisy, dn.RelaxSettings(), outputs=("variance",), device=backend))

    for one, many in zip(clean(1), clean(scale), strict=True):
        for lobe in LOBES:
            difference = abs(of(many, lobe) / scale - of(one, lobe))
            assert np.quantile(difference, 0.99) < 0.005
            assert of(many, lobe).mean() == pytest.approx(scale * of(one, lobe).mean(), rel=1e-3)
            variances = (getattr(many, f"{lobe}_variance").mean(), getattr(one, f"{lobe}_variance").mean())
            assert variances[0] == pytest.approx(scale**2 * variances[1], rel=0.02)


@both_lobes
def test_7_fireflies_on_a_dim_background(lobe: str, backend: str) -> None:
    """One sample of 10^4 in 2000 on 0.01: all is finite, and a tenth at most is lost of the light that a history of this
    length holds, the exponential mean of what was given."""
    rng = np.random.default_rng(8)
    noisy = [small(np.where(rng.random(SHAPE) < 1 / 2000, 1e4, 0.01).astype(np.float32)) for _ in range(40)]
    given = [luma(frame[lobe]).mean() for frame in noisy]
    seen = []
    for result in run(noisy, dn.RelaxSettings(), outputs=("variance",), device=backend):
        assert np.isfinite(of(result, lobe)).all()
        assert np.isfinite(getattr(result, f"{lobe}_variance")).all()
        seen.append(luma(of(result, lobe)).mean())
    held = []
    for index, light in enumerate(given):
        held.append(light if not index else held[-1] + (light - held[-1]) / (1 + min(index, 30)))
    print(np.mean(seen[20:]) / np.mean(held[20:]))
    assert np.mean(seen[20:]) == pytest.approx(np.mean(held[20:]), rel=0.1)


@both_lobes
def test_8_the_mirrored_picture_comes_out_mirrored(lobe: str) -> None:
    """But for the random numbers, which stay where they are: within 1 % on average, at noise of 58 %, and without a bias."""
    rng = np.random.default_rng(8)
    bent = halves((0, 0, -1), (0.6, 0, -0.8), *SIZE)
    frames = [small(halves(1.0, 2.0, *SIZE) * scenes.noise("uniform", rng, SHAPE), normal=bent) for _ in range(12)]

    def turned(frame: dict[str, Any]) -> dict[str, Any]:
        swapped = {name: value[::-1, ::-1] if isinstance(value, np.ndarray) else value for name, value in frame.items()}
        return {**swapped, "normal": swapped["normal"] * np.float32([-1, -1, 1])}

    one = luma(of(last(frames, dn.RelaxSettings()), lobe))
    two = luma(of(last(map(turned, frames), dn.RelaxSettings()), lobe))[::-1, ::-1]
    print(abs(one - two).mean(), (one - two).mean(), one.std())
    assert abs(one - two).mean() < 0.015
    assert abs((one - two).mean()) < 0.001


def test_9_a_pan_by_whole_pixels_does_not_blur() -> None:
    """The picture on a wall, without noise, seen by a camera that moves by two pixels a frame."""
    pixel = scenes.pixel_at(None, 5)
    lens = scenes.perspective(*SIZE)
    pixel = 2 * 5 / (HEIGHT * lens[1, 1])
    frames, shown = [], np.zeros(SHAPE)
    for index in range(16):
        view, before = (View(*SIZE, (2 * i * pixel, 0, 0)) for i in (index, max(index - 1, 0)))
        at = view.plane((0, 0, 5))
        shown = scenes.checker(at[0, :, 0], at[:, 0, 1], 8 * pixel, pixel)
        frames.append({**guides(view, at, before), **signals(shown, 8, SHAPE)})
    result = last(frames, dn.RelaxSettings(diffuse_prepass_radius=0, history_fix_frames=0, spatial_variance_frames=0))
    np.testing.assert_allclose(luma(result.diffuse)[:, :-36], shown[:, :-36], atol=4e-3)


@pytest.mark.parametrize(("step", "ratio"), [((0.5, 0), 0.957), ((0.5, 0.5), 0.963)])
def test_10_resampling_keeps_the_contrast(step: tuple[float, float], ratio: float) -> None:
    """A wave of 8 pixels on a wall that moves by half a pixel, once, and then is lit evenly: the history's part shows,
    against that of a move by a whole pixel, which resamples nothing.

    Less than the table's 0.9915 and 1.001, and more than the 0.924 of bilinear: the cubic's overshoot is cut, at crests,
    or it would draw rims around highlights when fed back. Reflections are fetched by the same function."""
    x = np.arange(WIDTH) + 0.5

    def shown(move: tuple[float, float]) -> float:
        def wave(shift: float) -> np.ndarray:
            return np.broadcast_to(1 + 0.5 * np.sin(2 * np.pi / 8 * (x + shift)), SHAPE)

        moved = small(1.0)
        moved["motion"] = np.broadcast_to(np.float32([*move, 0]), (*SHAPE, 3))
        picture = luma(last([small(wave(0)), moved], dn.RelaxSettings(**PLAIN)).diffuse)
        return contrast(picture[8:-8, 8:-8], wave(move[0])[8:-8, 8:-8])

    assert shown(step) / shown((1, 0)) == pytest.approx(ratio, rel=0.01)


def test_11_a_reset_and_a_disocclusion_forget() -> None:
    rng = np.random.default_rng(11)
    noisy = [small(scenes.noise("uniform", rng, SHAPE)) for _ in range(5)]
    old, new = (dn.Relax(*SIZE, outputs=("history_length",)) for _ in range(2))
    for frame in noisy[:4]:
        old(**frame)
    again, first = old(**noisy[4], reset=True), new(**noisy[4])
    for lobe in LOBES:
        np.testing.assert_array_equal(of(again, lobe), of(first, lobe))
    frames = [*[small()] * 4, small(depth=halves(5.0, 8.0, *SIZE))]
    length = last(frames, dn.RelaxSettings(), outputs=("history_length",)).diffuse_history_length
    assert (length[:, : WIDTH // 2 - 2] == 4).all()
    assert (length[:, WIDTH // 2 + 2 :] == 0).all()


def test_12_a_part_of_the_past_is_enough() -> None:
    """One of four taps shows another surface. The picture is free of its colour, and the history as long as before: the
    table shortens it by the root of what is left, but a quarter of the taps tells diffuse light as well as all of them."""
    settings = dn.RelaxSettings(**PLAIN)
    deep = np.full(SHAPE, 5, np.float32)
    deep[30, 40] = 9
    lights = np.where(deep == 9, 100, 1).astype(np.float32)
    after = small(1.0)
    after["motion"] = np.broadcast_to(np.float32([0.5, 0.5, 0]), (*SHAPE, 3))
    *_, before, result = run([*[small(lights, depth=deep)] * 8, after], settings, outputs=("history_length",))
    assert before.diffuse_history_length[29, 39] == 7
    for y, x in [(y, x) for y in (29, 30) for x in (39, 40)]:  # each looks at pixel (30, 40) and three others
        for lobe in LOBES:
            assert of(result, lobe)[y, x] == pytest.approx(1, abs=2e-3)
        assert result.diffuse_history_length[y, x] == pytest.approx(8, abs=0.3)


def test_13_another_material_is_another_surface() -> None:
    frames = [{**small(), "material_id": np.full(SHAPE, m, np.uint8)} for m in (1, 1, 2)]
    lengths = [r.diffuse_history_length.max() for r in run(frames, dn.RelaxSettings(), outputs=("history_length",))]
    assert lengths == [0, 1, 0]


def test_14_sky_is_neither_written_nor_read(backend: str) -> None:
    frame = small(halves(np.nan, 1.0, *SIZE), depth=halves(1e7, 5.0, *SIZE))
    result = last([frame] * 6, dn.RelaxSettings(), device=backend)
    for lobe in LOBES:
        np.testing.assert_array_equal(of(result, lobe)[:, : WIDTH // 2], 0)
        np.testing.assert_allclose(of(result, lobe)[:, WIDTH // 2 :], 1, rtol=2e-3)


def test_15_a_lone_spark_is_no_brighter_than_its_neighbours() -> None:
    picture = np.ones(SHAPE, np.float32)
    picture[30, 40] = 1000
    plain = {**PLAIN, "anti_firefly": True}
    np.testing.assert_allclose(last([small(picture)], dn.RelaxSettings(**plain)).diffuse, 1, rtol=2e-3)
    assert last([small(picture)], dn.RelaxSettings(**PLAIN)).diffuse.max() > 900


@both_lobes
def test_16_the_long_history_stays_near_the_short_one(lobe: str) -> None:
    """A short history that is this frame's sample, of a noisy wall: the long one is in the box around its neighbourhood.

    The box is wider than the table's. Noise that the short history is known to have is not detail and does not widen it;
    that of the long history and of the box's middle does, for a window of 25 samples may lack the few bright ones.
    """
    rng = np.random.default_rng(16)
    noisy = [small(scenes.noise("uniform", rng, SHAPE)) for _ in range(40)] + [
        small(3 + scenes.noise("uniform", rng, SHAPE))
    ]
    result = luma(of(last(noisy, dn.RelaxSettings(**{**PLAIN, f"{lobe}_max_fast_frames": 0})), lobe))
    sample = luma(noisy[-1][lobe])
    windows = np.lib.stride_tricks.sliding_window_view(sample, (5, 5))
    mean, deviation = windows.mean((2, 3)), windows.std((2, 3))
    center, shown = sample[2:-2, 2:-2], result[2:-2, 2:-2]
    # Two deviations of the noise that the box adds; of the way that is left, a 61st is kept.
    slack = 0.02 * center + 2 * 0.9 * (1 / 9 + 1 / 61) ** 0.5 + 3 / 61
    inside = (shown >= np.minimum(mean - 2 * deviation, center) - slack) & (
        shown <= np.maximum(mean + 2 * deviation, center) + slack
    )
    print(inside.mean(), shown.mean(), sample.mean())
    assert inside.all()
    assert shown.mean() > 2.5  # without the clamp: 1.1


def test_17_what_noise_explains_is_not_reset() -> None:
    """Not exactly: what the random windows of a noisy wall show beyond the slack is a thousandth at most."""
    rng = np.random.default_rng(17)
    noisy = [small(scenes.noise("uniform", rng, SHAPE)) for _ in range(12)]
    with_it, without = (last(noisy, dn.RelaxSettings(antilag_reset=r, antilag_acceleration=0)) for r in (1, 0))
    for lobe in LOBES:
        difference = abs(of(with_it, lobe) - of(without, lobe))
        print(lobe, difference.mean(), difference.max())
        assert difference.mean() < 2e-4


@pytest.mark.parametrize("step", [0.3, 1.3])
def test_18_a_mirror_image_is_followed(step: float) -> None:
    """To a 20th of a pixel a frame, summed up over the 12 that the mean history is old, and without losing contrast.

    Nothing is filtered, rebuilt or clamped: with defaults the rebuilding of what comes into view mixes what a mirror shows.
    """
    settings = dn.RelaxSettings(**{**PLAIN, "specular_max_accumulated_frames": 30})
    for index in range(24):
        frame, shown = mirror_wall(step, index)
        if not index:
            denoiser = dn.Relax(*shown.shape[::-1], settings=settings)
        picture = luma(denoiser(**frame).specular)[16:-16, 64:-64]
    moved = [
        contrast(picture, np.roll(shown, pixels, 1)[16:-16, 64:-64]) for pixels in (-1, 0, 1)
    ]  # a parabola through three shifts tells where the picture is
    offset = 0.5 * (moved[2] - moved[0]) / (2 * moved[1] - moved[0] - moved[2])
    print(moved, offset)
    assert moved[1] > 0.94
    assert abs(offset) < 0.2


def test_20_missing_hit_distances_are_filled_in() -> None:
    distance = np.where(np.indices(SHAPE).sum(0) % 2, 0, 3.0)
    settings = dn.RelaxSettings(hit_distance_reconstruction="3x3")
    result = last([small(distance=distance)], settings, outputs=("hit_distance",))
    for lobe in LOBES:
        np.testing.assert_allclose(getattr(result, f"{lobe}_hit_distance"), 3, rtol=2e-3)


@pytest.mark.usefixtures("cpu_configuration")
def test_21_neither_threads_nor_tiles_matter() -> None:
    rng = np.random.default_rng(21)
    noisy = [small(scenes.noise("one in 4", rng, SHAPE)) for _ in range(3)]
    once = last(noisy, dn.RelaxSettings())
    _core.configure_cpu(1, (16, 8))
    again = last(noisy, dn.RelaxSettings())
    for lobe in LOBES:
        np.testing.assert_array_equal(of(again, lobe), of(once, lobe))


def test_edge_sizes(edge_size: tuple[int, int], backend: str) -> None:
    width, height = edge_size
    result = last([wall(0.5, width=width, height=height)] * 2, dn.RelaxSettings(), device=backend)
    np.testing.assert_allclose(result.specular, 0.5, rtol=2e-3)


# Noise

# Radii and strides are pixels of 160 lines, as in the table.
TABLE = {"history_fix_stride": 14 / 0.4, "diffuse_prepass_radius": 12 / 0.4}
BARE = {**TABLE, "diffuse_prepass_radius": 0}
FRAMES = (1, 2, 4, 8, 16, 32, 64)

# Deviation by row; what we get of it, at most, by number of frames.
STATISTICS: dict[str, tuple[dict[str, Any], tuple[float, ...], tuple[float, ...]]] = {
    "exponential": (
        BARE,
        (0.019, 0.011, 0.009, 0.007, 0.0038, 0.0031, 0.0031),
        (1.3, 1.25, 1.15, 1.3, 2, 1.7, 1.1),
    ),
    "exponential, pre-pass": (
        TABLE,
        (0.020, 0.012, 0.009, 0.007, 0.0038, 0.0031, 0.0031),
        (1.3, 1.15, 1.15, 1.15, 1.75, 1.5, 1.15),
    ),
    "one in 4, pre-pass": (
        TABLE,
        (0.033, 0.021, 0.014, 0.014, 0.0074, 0.0054, 0.0040),
        (1.3, 1.15, 1.15, 1.15, 1.4, 1.5, 1.7),
    ),
    "one in 50": (BARE, (0.14, 0.11, 0.064, 0.042, 0.036, 0.025, 0.017), (1.3, 1.15, 1.15, 1.65, 1.55, 1.6, 1.25)),
    "one in 50, pre-pass": (
        TABLE,
        (0.12, 0.080, 0.049, 0.043, 0.035, 0.022, 0.015),
        (1.6, 1.15, 1.35, 1.5, 1.4, 1.6, 1.6),
    ),
}


def exponential(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Exponential noise whose mean over the picture is 1."""
    values = -np.log1p(-(np.arange(shape[0] * shape[1]) + 0.5) / (shape[0] * shape[1]))
    return rng.permutation((values / values.mean()).astype(np.float32)).reshape(shape)


@functools.cache
def statistics(row: str) -> list[tuple[float, float]]:
    """Mean, and deviation from it, of some runs, after as many frames as FRAMES says."""
    kind, runs = row.split(",")[0], 3
    means, squares = np.zeros(len(FRAMES)), np.zeros(len(FRAMES))
    for seed in range(runs):
        rng = np.random.default_rng(30 + seed)
        shape = (scenes.HEIGHT, scenes.WIDTH)
        noisy = (
            wall(exponential(rng, shape) if kind == "exponential" else scenes.noise(kind, rng))
            for _ in range(FRAMES[-1])
        )
        for index, result in enumerate(run(noisy, dn.RelaxSettings(**STATISTICS[row][0]))):
            if index + 1 in FRAMES:
                picture = luma(result.diffuse).astype(float)
                means[FRAMES.index(index + 1)] += picture.mean() / runs
                squares[FRAMES.index(index + 1)] += picture.var() / runs
    return list(zip(means, np.sqrt(squares), strict=True))


@pytest.mark.parametrize("row", STATISTICS)
def test_noise_of_a_flat_wall(row: str) -> None:
    """Defaults on a wall of mean 1 against the published deviations: within 15 % in the first frames and, for dense noise,
    in the converged picture; a first frame within 30 %, as its rebuilt pixels do not share taps, which hid noise in a grid.

    In between the bounds are ours. Of n frames of deviation s an open filter leaves 0.02 s / sqrt(n), and the published
    figures, of one small picture each, lie up to a quarter below that, where the picture is smaller than the filter: 0.0050
    against 0.0038 after 16 frames of exponential noise. Ours are 1.0 to 1.5 times that floor: what is left is the price of
    luminance stops of 1.5 deviations of the mean, where the table's are 11, and which keep the detail of lighting. Of
    sparse samples the published figures count on a clamp that darkens them: by 12 %, after they were 33 % too bright.
    """
    _, table, allowed = STATISTICS[row]
    sparse = row.startswith("one in 50")
    for frames, (mean, deviation), published in zip(FRAMES, statistics(row), table, strict=True):
        print(f"{row}: {frames} frames, mean {mean:.4f}, deviation {deviation:.4f}, {deviation / published:.2f}")
    for frames, found, published, most in zip(FRAMES, statistics(row), table, allowed, strict=True):
        assert found[0] == pytest.approx(1, abs=0.005 if not sparse else 0.04 if "pre-pass" in row else 0.1), frames
        assert found[1] <= most * published, frames


# Lag

LAG = {1: 0.883, 2: 0.717, 3: 0.515, 4: 0.424, 6: 0.305, 8: 0.273, 16: 0.263}  # after the light fell from 1 to 0.25
UNCLAMPED = {1: 0.975, 2: 0.951, 3: 0.929, 4: 0.907, 6: 0.865, 8: 0.826, 16: 0.693}


def after_a_step(levels: tuple[float, float], lobe: str = "diffuse", **changes: Any) -> dict[int, float]:
    """Mean of a noisy wall by number of frames since its light changed."""
    rng = np.random.default_rng(40)
    noisy = (small(level * exponential(rng, SHAPE)) for level in [levels[0]] * 40 + [levels[1]] * 16)
    settings = dn.RelaxSettings(**{**TABLE, "specular_prepass_radius": 12 / 0.4, **changes})
    means = [float(luma(of(result, lobe)).mean()) for result in run(noisy, settings)]
    return {frames: means[39 + frames] for frames in LAG}


@pytest.mark.parametrize("levels", [(1.0, 0.25), (0.25, 1.0)])
@both_lobes
def test_a_change_of_light_shows_at_once(lobe: str, levels: tuple[float, float]) -> None:
    """98 % in its very frame, and no overshoot: re-lighting answers before clamp and anti-lag could."""
    for frames, mean in after_a_step(levels, lobe).items():
        left = (mean - levels[1]) / (levels[0] - levels[1])
        assert abs(left) < 0.02, frames
        assert mean <= 1.05 * LAG[frames] or levels[0] < levels[1], frames


def test_the_lag_of_clamp_and_anti_lag_alone() -> None:
    """Without re-lighting, down: the table's means within a sixth, 90 % of the step in 6 frames. Accumulation alone: 1 %."""
    for frames, mean in after_a_step((1.0, 0.25), relight=False).items():
        print(frames, mean, LAG[frames])
        assert mean == pytest.approx(LAG[frames], rel=1 / 6), frames
    off = {"relight": False, "antilag_acceleration": 0, "antilag_reset": 0, "diffuse_max_fast_frames": 63}
    for frames, mean in after_a_step((1.0, 0.25), **off).items():
        assert mean == pytest.approx(UNCLAMPED[frames], rel=0.01), frames


@pytest.mark.parametrize(
    ("levels", "lobe", "most"),
    [
        ((1.0, 0.25), "diffuse", 0.1),
        ((1.0, 0.25), "specular", 0.4),
        ((0.25, 1.0), "diffuse", 0.25),
        ((0.25, 1.0), "specular", 0.42),
    ],
)
def test_what_is_left_after_six_frames_without_relighting(levels: tuple[float, float], lobe: str, most: float) -> None:
    """Reflections have a third of the acceleration, half of the reset. Upwards, noise grows with the light and hides it."""
    left = (after_a_step(levels, lobe, relight=False)[6] - levels[1]) / (levels[0] - levels[1])
    print(left)
    assert -0.02 < left < most


@functools.cache
def switched(frames: int = 9) -> tuple[list[dict[str, np.ndarray]], list[dict[str, np.ndarray]]]:
    """Of a rendered room whose lights are switched: references, and what came out, in the frames from the switch on."""
    first = 10
    sequence = testbed.sequence(
        "switch",
        128,
        72,
        frames=first + frames,
        reference_frames=range(first - 1, first + frames),
        reference_samples=128,
    )
    denoiser = dn.Relax(128, 72)
    truth, seen = [], []
    for index in range(first + frames):
        arrays = sequence.frames[index]
        result = denoiser(**{**frame_inputs(arrays, sequence.meta, index), "albedo": None, "specular_albedo": None})
        if index >= first - 1:
            truth.append(
                {
                    lobe: luma(arrays[f"ref_{name}"].astype(float))
                    for lobe, name in zip(LOBES, ("diff", "spec"), strict=True)
                }
            )
            seen.append({lobe: luma(of(result, lobe).astype(float)) for lobe in LOBES})
    return truth, seen


@both_lobes
def test_a_switch_of_rendered_lights(lobe: str) -> None:
    """90 % of what is there after 9 frames is there within 6, without a flash: in no frame is the mean off by a
    tenth, or brighter by a 20th, than before."""
    truth, seen = switched()
    step = truth[-1][lobe] - truth[0][lobe]
    shown = [float(((now[lobe] - seen[0][lobe]) * step).sum() / (step * step).sum()) for now in seen]
    means = [now[lobe].mean() / right[lobe].mean() for now, right in zip(seen, truth, strict=True)]
    print(lobe, shown, means)
    assert shown[6] >= 0.9 * shown[-1]
    assert max(shown) <= 1.1 * shown[-1]
    for mean in means[1:]:
        assert 0.9 * means[0] < mean < 1.05 * means[0]


# Variance


def mean_5x5(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    def sums(plane: np.ndarray) -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(np.pad(plane, 2), (5, 5)).sum((2, 3))

    return sums(np.where(where, values, 0)) / np.maximum(sums(where.astype(float)), 1)


@functools.cache
def rendered(scene: str, seed: int, frames: int = 10) -> list[dict[str, Any]]:
    """Keywords of a denoiser, frame by frame; the last one's references are under "truth"."""
    references = () if seed else (frames - 1,)
    sequence = testbed.sequence(
        scene, 128, 72, frames=frames, seed=seed, reference_frames=references, reference_samples=256
    )
    all_frames: list[dict[str, Any]] = []
    for index in range(frames):
        arrays = sequence.frames[index]
        inputs = {**frame_inputs(arrays, sequence.meta, index), "albedo": None, "specular_albedo": None}
        if not seed and index == frames - 1:
            inputs["truth"] = {lobe: luma(arrays[f"ref_{lobe[:4]}"].astype(float)) for lobe in LOBES}
        all_frames.append(inputs)
    return all_frames


@functools.cache
def errors(scene: str, device: str, seeds: int) -> dict[str, tuple[list[float], float]]:
    """By lobe: of each run, the rank correlation of what it tells of its error with the error; the ratio of their means."""
    truth = rendered(scene, 0)[-1]["truth"]
    ranks: dict[str, list[float]] = {lobe: [] for lobe in LOBES}
    sums = {lobe: [0.0, 0.0] for lobe in LOBES}
    for seed in range(seeds):
        denoiser = dn.Relax(128, 72, outputs=("variance",), device=device)
        for frame in rendered(scene, seed):
            result = denoiser(**{name: value for name, value in frame.items() if name != "truth"})
        for lobe in LOBES:
            lit = truth[lobe] > 0
            told, squares = (
                getattr(result, f"{lobe}_variance"),
                (luma(of(result, lobe).astype(float)) - truth[lobe]) ** 2,
            )
            places = [np.argsort(np.argsort(v[lit])).astype(float) for v in (told, mean_5x5(squares, lit))]
            ranks[lobe].append(float(np.corrcoef(*places)[0, 1]))
            sums[lobe][0] += squares[lit].sum()
            sums[lobe][1] += told[lit].sum()
    return {lobe: (ranks[lobe], sums[lobe][0] / sums[lobe][1]) for lobe in LOBES}


@pytest.mark.parametrize("scene", ["room", "motion", "gloss"])
@both_lobes
def test_the_variance_tells_the_errors(scene: str, lobe: str) -> None:
    """The mean of the rank correlations of single runs, with the squared error averaged over 5 x 5 pixels: the square of one
    error is chi-squared, and so wide that nothing could rank it that well. And the scale: right within a factor of 2."""
    ranks, ratio = errors(scene, "auto", 4)[lobe]
    print(scene, lobe, ranks, ratio)
    assert np.mean(ranks) >= 0.6
    assert 0.5 < ratio < 2


def test_the_variance_on_any_backend(backend: str) -> None:
    for ranks, ratio in errors("room", backend, 1).values():
        assert np.mean(ranks) >= 0.6
        assert 0.5 < ratio < 2


def test_a_history_just_replaced_does_not_tighten_the_filter() -> None:
    """Where the caller says that nothing can be trusted, the picture is as smooth as a first frame."""
    rng = np.random.default_rng(50)
    noisy = [small(scenes.noise("uniform", rng, SHAPE)) for _ in range(8)]
    first = last(noisy[-1:], dn.RelaxSettings())
    doubted = {**noisy[-1], "diffuse_confidence": np.zeros(SHAPE, np.float32)}
    again = last([*noisy[:-1], doubted], dn.RelaxSettings())
    assert luma(again.diffuse).std() < 1.3 * luma(first.diffuse).std()
