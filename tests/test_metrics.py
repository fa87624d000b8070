# SPDX-License-Identifier: Apache-2.0
"""Metrics on images whose scores are known, and on a sequence of them."""

from __future__ import annotations

from math import inf, sqrt
from typing import Any

import numpy as np
import pytest
import tiny_sequence

from denoise import metrics
from denoise.sequences import Sequence

Image = metrics.Image


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(1)


@pytest.fixture
def picture() -> Image:
    y, x = np.mgrid[0:48, 0:64] / 48
    channels = [0.3 + 0.2 * np.sin(6 * x), 0.4 + 0.1 * np.cos(9 * y), 0.5 + 0.2 * x * y]
    return np.stack(channels, -1).astype(np.float32)


# Display


def test_tonemap_is_reinhard_then_srgb() -> None:
    shown = metrics.tonemap(np.array([-1, 0, 0.001, 1, 1e9]), exposure=2)
    expected = [0, 0, 12.92 * 0.002 / 1.002, 1.055 * (2 / 3) ** (1 / 2.4) - 0.055, 1]
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    assert shown.dtype == np.float32


def test_auto_exposure_brings_the_mean_to_middle_grey() -> None:
    image = np.full((8, 8, 3), 4, np.float32)
    assert metrics.auto_exposure(image) == pytest.approx(0.18 / 4)
    image[:4] = 0  # a black half says nothing about how bright the rest is
    assert metrics.auto_exposure(image) == pytest.approx(0.18 / 4)
    image[4] = 1
    mask = np.zeros((8, 8), bool)
    mask[4] = True
    assert metrics.auto_exposure(image, mask) == pytest.approx(0.18)
    assert metrics.auto_exposure(np.zeros((8, 8, 3), np.float32)) == 1


# One image


def test_equal_images(picture: Image) -> None:
    assert metrics.psnr(picture, picture) == inf
    assert metrics.ssim(picture, picture) == pytest.approx(1)
    assert metrics.flip(picture, picture) == pytest.approx(0, abs=1e-6)
    assert metrics.relmse(picture, picture) == 0
    assert metrics.energy(picture, picture) == 1
    assert metrics.trmse(picture, picture, picture, picture) == 0


def test_psnr_of_known_errors(random: np.random.Generator) -> None:
    grey = np.full((300, 300, 3), 0.5)
    assert metrics.psnr(grey + 0.1, grey) == pytest.approx(20)
    assert metrics.psnr(grey + random.normal(0, 0.02, grey.shape), grey) == pytest.approx(
        -20 * np.log10(0.02), abs=0.05
    )


def test_relmse_of_known_errors() -> None:
    reference = np.full((20, 50, 3), 2.0)
    image = reference * 1.1
    assert metrics.relmse(image, reference) == pytest.approx(0.04 / 4.01)
    image = reference.copy()
    image[0, 0] = 1e4
    assert metrics.relmse(image, reference, trim=0.001) == 0  # one firefly in a thousand pixels
    assert metrics.relmse(image, reference, trim=0) > 1e4


def test_energy_is_a_ratio_of_means() -> None:
    reference = np.array([[1.0, 3.0], [5.0, 7.0]])
    assert metrics.energy(reference * 0.9, reference) == pytest.approx(0.9)
    assert metrics.energy(np.array([[2.0, 0], [0, 0]]), reference, np.array([[True, False], [False, False]])) == 2


def test_more_noise_scores_worse(picture: Image, random: np.random.Generator) -> None:
    noise = random.normal(0, 1, picture.shape).astype(np.float32)
    little, much = picture + 0.02 * noise, picture + 0.1 * noise
    assert 0 < metrics.flip(little, picture) < metrics.flip(much, picture) < 1
    assert 1 > metrics.ssim(little, picture) > metrics.ssim(much, picture)


def test_masks_keep_errors_elsewhere_out(picture: Image) -> None:
    mask = np.zeros(picture.shape[:2], bool)
    mask[:8] = True
    image = picture.copy()
    image[20:] += 0.3
    assert metrics.psnr(image, picture, mask) == inf
    assert metrics.psnr(image, picture, ~mask) < 20
    assert metrics.flip(image, picture, mask) < metrics.flip(image, picture, ~mask)
    assert metrics.ssim(image, picture, mask) == pytest.approx(1)


def test_single_channel_images(picture: Image) -> None:
    grey = metrics.luminance(picture)
    assert metrics.flip_map(grey, grey).shape == grey.shape
    assert metrics.flip_map(grey, grey, colour=True).shape == picture.shape
    assert metrics.ssim(grey, grey) == pytest.approx(1)


# Two images


def test_true_change_and_constant_error_are_no_temporal_error(picture: Image) -> None:
    assert metrics.trmse(picture + 0.3, picture + 0.1, picture + 0.2, picture) == pytest.approx(0, abs=1e-6)


def test_temporal_error_of_independent_noise(random: np.random.Generator) -> None:
    now, before = random.normal(0, 0.05, (2, 300, 300, 3))
    still = np.zeros((300, 300, 3))
    assert metrics.trmse(now, before, still, still) == pytest.approx(0.05 * sqrt(2), rel=0.02)


def test_reproject_follows_motion(random: np.random.Generator) -> None:
    before = random.random((20, 30, 3)).astype(np.float32)
    motion = np.zeros((20, 30, 2), np.float32)
    motion[..., 0] = -3  # what is here now was 3 pixels to the left
    np.testing.assert_allclose(metrics.reproject(before, motion)[:, 3:], before[:, :-3], atol=1e-6)
    motion[..., 0], motion[..., 1] = 0, 0.5
    between = 0.5 * (before[:-1] + before[1:])
    np.testing.assert_allclose(metrics.reproject(before, motion)[:-1], between, atol=1e-6)


def plane(depth: Image, **more: Image) -> dict[str, Image]:
    motion = np.zeros((*depth.shape, 3), np.float32)
    return {"view_z": depth.astype(np.float32), "motion": motion, **more}


def test_reprojectable_rejects_what_was_hidden() -> None:
    wall = np.full((16, 24), 5.0)
    before = wall.copy()
    before[:, :8] = 2
    seen = metrics.reprojectable(plane(wall), plane(before))
    assert not seen[:, :8].any()
    assert seen[:, 8:].all()


def test_reprojectable_looks_at_sky_normal_object_and_border() -> None:
    wall = np.full((16, 24), 5.0)
    sky = wall.copy()
    sky[:4] = 1e7
    assert metrics.reprojectable(plane(sky), plane(sky)).sum() == 12 * 24
    assert not metrics.reprojectable(plane(wall), plane(sky))[:4].any()
    up, side = np.zeros((2, 16, 24, 3), np.float16)
    up[..., 1], side[..., 0] = 1, 1
    assert metrics.reprojectable(plane(wall, normal=up), plane(wall, normal=up)).all()
    assert not metrics.reprojectable(plane(wall, normal=up), plane(wall, normal=side)).any()
    one, two = np.ones((2, 16, 24), np.uint16) * np.array([1, 2])[:, None, None]
    assert not metrics.reprojectable(plane(wall, object_id=one), plane(wall, object_id=two)).any()
    moving = plane(wall)
    moving["motion"][..., 0] = 3
    assert metrics.reprojectable(moving, plane(wall)).sum() == 16 * 21
    moving["motion"][..., 2] = 1  # it was at 6 m and is not there in the frame before
    assert not metrics.reprojectable(moving, plane(wall)).any()


def test_lag_is_the_share_of_the_old_light(random: np.random.Generator) -> None:
    reference = random.random((32, 32, 3))
    old = reference + 0.2
    assert metrics.lag(reference, reference, old) == 0
    assert metrics.lag(old, reference, old) == pytest.approx(1)
    assert metrics.lag(0.25 * old + 0.75 * reference, reference, old) == pytest.approx(0.25)
    noisy = reference + random.normal(0, 0.1, reference.shape)
    assert metrics.lag(noisy, reference, old) == pytest.approx(0, abs=0.05)
    assert metrics.lag(old, reference, reference) == 0  # no change, no lag


# Sequences


def sequence(**changes: Any) -> Sequence:
    return Sequence(tiny_sequence.meta(**changes), {i: tiny_sequence.frame(i) for i in range(4)})


def test_composite_of_the_references() -> None:
    frame = tiny_sequence.frame(2)
    colour = metrics.compose(frame, metrics.reference_signals(frame))
    expected = 0.5 * frame["ref_diff"].astype(np.float32) + 0.1 * frame["ref_spec"].astype(np.float32)
    np.testing.assert_allclose(colour[4:], expected[4:], rtol=1e-3)
    np.testing.assert_allclose(colour[:4], np.broadcast_to((0.2, 0.3, 0.5), (4, 32, 3)), rtol=1e-3)


def test_shadow_is_the_share_of_the_sun_that_arrives() -> None:
    hit = np.zeros((18, 32), np.float16)
    hit[:, 8:16], hit[:, 16:] = 2, 65504
    frame = {**tiny_sequence.frame(0), "shadow_hit": hit, "sun_unshadowed": np.ones((18, 32, 3), np.float16)}
    signals = metrics.noisy_signals(frame)
    np.testing.assert_array_equal(signals["shadow"], hit > 3)
    lit = metrics.compose(frame, signals) - metrics.compose(frame, {**signals, "shadow": 0 * signals["shadow"]})
    np.testing.assert_allclose(lit, np.repeat((hit > 3)[..., None], 3, 2), atol=1e-6)


def test_black_references_have_no_scores_but_temporal_ones() -> None:
    """A room before its light is switched on: no ratio to nothing, no infinite PSNR, enters the means."""
    frames = {i: tiny_sequence.frame(i) for i in range(4)}
    dark = ("emission", "ref_diff", "ref_spec")
    frames[2] |= {name: np.zeros_like(frames[2][name]) for name in dark}
    tiny = Sequence(tiny_sequence.meta(), frames)
    shown = {name: 0.5 * image for name, image in metrics.reference_signals(frames[3]).items()}
    score = metrics.score({2: metrics.reference_signals(frames[2]), 3: shown}, tiny)
    alone = metrics.score({3: shown}, tiny)
    for name in ("diff", "spec", "composite"):
        for column in ("energy", "relmse", "psnr", "flip"):
            assert score[name][column] == alone[name][column]
        assert score[name]["trmse"] > 0


def test_references_score_perfectly_and_noise_does_not() -> None:
    tiny = sequence()
    perfect = {i: metrics.reference_signals(tiny.frames[i]) for i in (2, 3)}
    score = metrics.score(perfect, tiny)
    assert (score["frames"], score["missing"], score["bad_values"], score["denoised"]) == (2, [], 0, ["diff", "spec"])
    for name in ("diff", "spec", "composite"):
        assert tuple(score[name]) == tuple(metrics.COLUMNS)
        assert score[name]["flip"] == pytest.approx(0, abs=1e-6)
        assert score[name]["psnr"] is None  # infinite
        assert score[name]["relmse"] == score[name]["trmse"] == 0
        assert score[name]["trmse_warped"] == pytest.approx(0, abs=1e-6)
        assert score[name]["trmse_static"] is None  # everything moves by half a pixel
        assert score[name]["energy"] == pytest.approx(1)
    assert "shadow" not in score
    noisy = metrics.score(metrics.noisy_outputs(tiny), tiny)
    floor = metrics.score(metrics.reference_noise_outputs(tiny), tiny)
    for name in ("diff", "spec", "composite"):
        assert noisy[name]["flip"] > 5 * floor[name]["flip"] > 0
        assert noisy[name]["psnr"] < floor[name]["psnr"] - 10
        assert noisy[name]["trmse_warped"] > 5 * floor[name]["trmse_warped"] > 0


def test_without_motion_only_the_plain_temporal_error_is_known() -> None:
    tiny = sequence()
    for frame in tiny.frames.values():
        del frame["motion"]
    score = metrics.score(metrics.noisy_outputs(tiny), tiny)["composite"]
    assert score["trmse"] > 0
    assert score["trmse_static"] is score["trmse_warped"] is None


def test_absent_signals_are_scored_as_noisy() -> None:
    tiny = sequence()
    noisy = metrics.score(metrics.noisy_outputs(tiny), tiny)
    score = metrics.score({i: {"diff": tiny.frames[i]["ref_diff"]} for i in (2, 3)}, tiny)
    assert score["denoised"] == ["diff"]
    assert score["spec"] == noisy["spec"]
    assert score["composite"]["flip"] < noisy["composite"]["flip"]


def test_absent_frames_and_bad_values_are_counted() -> None:
    tiny = sequence()
    diff = tiny.frames[3]["ref_diff"].copy()
    diff[9, 3] = np.nan
    diff[9, 4, 0] = -1
    score = metrics.score({3: {"diff": diff}}, tiny)
    assert (score["frames"], score["missing"], score["bad_values"]) == (1, [2], 4)
    assert score["diff"]["trmse"] is None
    assert np.isfinite(score["diff"]["psnr"])


def test_outputs_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"frame 2: diff: expected \(18, 32, 3\), got \(9, 16, 3\)"):
        metrics.score({2: {"diff": np.zeros((9, 16, 3))}}, sequence())


def test_sequence_without_references_is_refused() -> None:
    with pytest.raises(ValueError, match="tiny: has no reference_frames to compare with"):
        metrics.score({}, sequence(reference_frames=[]))


def test_lag_rows_follow_a_change_of_light() -> None:
    tiny = sequence(lighting_changes=[3])
    dimmed = {name: tiny.frames[3][name] * np.float16(0.25) for name in ("ref_diff", "ref_spec")}
    tiny.frames[3].update(dimmed)
    still_old = {i: metrics.reference_signals(tiny_sequence.frame(i)) for i in (2, 3)}
    (row,) = metrics.score(still_old, tiny)["lag"]
    assert (row["change"], row["frame"], row["offset"]) == (3, 3, 0)
    assert row["diff"] == pytest.approx(1, abs=0.1)
    (row,) = metrics.score({i: metrics.reference_signals(tiny.frames[i]) for i in (2, 3)}, tiny)["lag"]
    assert row["diff"] == row["spec"] == 0


def shadowed(colour: bool = False) -> Sequence:
    """Sun and a lamp over the wall, without noise; a shadow's edge is at column 8, from frame 3 on at 20."""
    tiny = sequence(lighting_changes=[3])
    for index, frame in tiny.frames.items():
        surface = frame["object_id"] > 0
        lit = np.arange(32) >= (20 if index >= 3 else 8)
        for light, brightness, seen in (("", 2.0, lit), ("_lamp", 1.0, np.ones(32, bool))):
            hit = np.where(surface & seen, 65504, np.where(surface, 1.5, 0)).astype(np.float16)
            shadow = (hit == 65504).astype(np.float16)
            if colour:
                shadow = np.where(shadow[..., None] > 0, 1, surface[..., None] * np.float16([0.5, 0.25, 0]))
                frame[f"translucency{light}"] = shadow.astype(np.float16)
            frame |= {f"shadow_hit{light}": hit, f"ref_shadow{light}": shadow.astype(np.float16)}
            frame["unshadowed_lamp" if light else "sun_unshadowed"] = surface[..., None] * np.float16([brightness] * 3)
    return tiny


@pytest.mark.parametrize("colour", [False, True])
def test_shadows_are_scored_for_each_light(colour: bool) -> None:
    tiny = shadowed(colour)
    references = {i: metrics.reference_signals(tiny.frames[i]) for i in (2, 3)}
    score = metrics.score(references, tiny)
    assert score["signals"] == ["diff", "spec", "shadow", "shadow_lamp", "composite"]
    for name in ("shadow", "shadow_lamp", "composite"):
        assert score[name]["psnr"] is None
        assert score[name]["energy"] == pytest.approx(1)
    assert score["exposure"]["shadow_lamp"] == 1
    noisy = metrics.score(metrics.noisy_outputs(tiny), tiny)
    assert noisy["shadow"]["psnr"] is noisy["shadow_lamp"]["psnr"] is None  # a hard shadow has no noise
    darker = {i: {**signals, "shadow_lamp": 0.5 * signals["shadow_lamp"]} for i, signals in references.items()}
    worse = metrics.score(darker, tiny)
    assert worse["shadow"] == score["shadow"]
    assert worse["shadow_lamp"]["psnr"] == pytest.approx(-10 * np.log10(0.25))
    assert worse["shadow_lamp"]["energy"] == pytest.approx(0.5)
    assert worse["composite"]["energy"] < 0.95


def test_shadow_is_scored_where_its_light_could_be_and_clamped() -> None:
    tiny = shadowed()
    for frame in tiny.frames.values():
        frame["sun_unshadowed"][:, :16] = 0
    outputs = {i: {"shadow": tiny.frames[i]["ref_shadow"].astype(np.float32)} for i in (2, 3)}
    for output in outputs.values():
        output["shadow"][:, :16] = 0.5
        output["shadow"][:, 24:] = 1.5
    score = metrics.score(outputs, tiny)["shadow"]
    assert score["psnr"] is None
    assert score["flip"] == pytest.approx(0, abs=1e-6)


def test_lag_of_a_shadow_counts_the_pixels_that_changed() -> None:
    tiny = shadowed()
    references = {i: metrics.reference_signals(tiny.frames[i]) for i in (2, 3)}
    late = {**references[3], "shadow": 0.7 * references[3]["shadow"] + 0.3 * references[2]["shadow"]}
    late["shadow"][:, 24:] = 0.6  # an error elsewhere is no lag
    (row,) = metrics.score({2: references[2], 3: late}, tiny)["lag"]
    assert row["shadow"] == pytest.approx(0.3, abs=1e-3)
    assert "shadow_lamp" not in row  # nothing changed there
    tiny.frames[3]["object_id"][:, 8:11] = 7  # something else is seen there now, whose shadow has no past
    late["shadow"][:, 8:11] = 1
    (row,) = metrics.score({2: references[2], 3: late}, tiny)["lag"]
    assert row["shadow"] == pytest.approx(0.3, abs=1e-3)


def test_shadow_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"frame 2: shadow_lamp: expected \(18, 32, 3\), got \(18, 32\)"):
        metrics.score({2: {"shadow_lamp": np.zeros((18, 32))}}, shadowed(colour=True))


def test_exposure_can_be_given() -> None:
    assert metrics.exposures(sequence(exposure=0.75))["composite"] == 0.75
    assert metrics.exposures(sequence())["diff"] == pytest.approx(0.18 / 0.5, rel=0.2)
