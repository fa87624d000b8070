# SPDX-License-Identifier: Apache-2.0
"""The validation overlay: what its views show of right and wrong inputs, when it may be asked for, and what it costs."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest
import scenes
import small_scene
import tiny_sequence
from PIL import Image, ImageDraw

import denoise as dn
from denoise import cli, overlay
from denoise import sequences as sq

WIDTH, HEIGHT = 83, 45


def frame(index: int, **changes: Any) -> dict[str, Any]:
    """What ReBLUR, ReLAX and SIGMA take; None leaves something out."""
    keywords = {**small_scene.inputs(index, WIDTH, HEIGHT), **small_scene.shadows(index, WIDTH, HEIGHT), **changes}
    return {name: value for name, value in keywords.items() if value is not None}


def shot(denoiser: dn.Reblur | dn.Relax | dn.Sigma | dn.Pipeline, frames: int = 3, **changes: Any) -> overlay.Shot:
    for index in range(frames):
        made = {name: change(index) if callable(change) else change for name, change in changes.items()}
        denoiser(**frame(index, **made))
    assert denoiser._shot is not None
    return denoiser._shot


def reblur(**options: Any) -> dn.Reblur:
    return dn.Reblur(WIDTH, HEIGHT, overlay=True, **options)


def same_colour(view: overlay.View, colour: overlay.Colour) -> np.ndarray:
    return np.asarray(np.abs(view.picture - np.array(colour)).max(-1) < 1e-6)


def error_of(seen: overlay.Shot) -> tuple[np.ndarray, np.ndarray, overlay.View]:
    """Brightness of the motion error, which pixels are judged, and the view."""
    depth = seen.depth
    view = overlay.error_view(seen, *overlay.reproject(seen, depth), np.isfinite(depth))
    marked = [same_colour(view, c) for c in (overlay.SKY, overlay.HIDDEN, overlay.OFF_SCREEN, overlay.NOTHING)]
    return view.picture.mean(-1), ~np.any(marked, 0), view


def motion_of(index: int) -> np.ndarray:
    return np.asarray(small_scene.inputs(index, WIDTH, HEIGHT)["motion"], np.float32)


# Views


def unjittered(index: int) -> dn.Camera:
    camera = small_scene.camera(index, WIDTH, HEIGHT)  # whose rays go through the pixels' centres in truth
    return dn.Camera(world_to_view=camera.world_to_view, view_to_clip=camera.view_to_clip)


def standing_ball(index: int) -> np.ndarray:
    return np.where(small_scene.inputs(index, WIDTH, HEIGHT)["material_id"] == 7, 0, 1)


RIGHT = 0.06  # of the pixels: at this size, outlines are many


@pytest.mark.parametrize("channels", [2, 3])
def test_right_motion_shows_none(channels: int) -> None:
    error, judged, _ = error_of(shot(reblur(), motion=lambda i: motion_of(i)[..., :channels].copy(), camera=unjittered))
    assert (error > 0.1)[judged].mean() < RIGHT + 0.03 * (channels == 2)  # the ball moves in depth


@pytest.mark.parametrize(
    "factor",
    [(-1, -1, 1), (1, -1, 1), (-1, -1, -1), (1 / WIDTH, 1 / HEIGHT, 1), (1, 1, -1)],
    ids=["signs wrong", "y up", "current - previous", "in uv", "depth wrong"],
)
def test_wrong_motion_shows(factor: tuple[float, float, float]) -> None:
    error, judged, _ = error_of(shot(reblur(), motion=lambda i: motion_of(i) * np.float32(factor), camera=unjittered))
    assert (error > 0.1)[judged].mean() > 4 * RIGHT


def test_motion_from_the_cameras_is_right_for_what_stands() -> None:
    seen = shot(reblur(), motion=None, camera=unjittered)
    error, judged, _ = error_of(seen)
    stands = judged & (seen.inputs["material_id"] != 7)
    assert (error > 0.1)[stands].mean() < RIGHT
    x, y, depth = overlay.reproject(seen, seen.depth)
    motion = motion_of(2)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    np.testing.assert_allclose(np.stack([x - columns, y - rows], -1)[stands], motion[stands][:, :2], atol=0.02)
    np.testing.assert_allclose((depth - seen.depth)[stands], motion[stands][:, 2], atol=0.01)


def test_world_space_motion_is_followed() -> None:
    step = np.subtract(small_scene.ball(1), small_scene.ball(2))

    def world(index: int) -> np.ndarray:
        return ((1 - standing_ball(index))[..., None] * step * (index > 0)).astype(np.float32)

    error, judged, view = error_of(shot(reblur(), motion=world, camera=unjittered, motion_space="world"))
    assert (error > 0.1)[judged].mean() < RIGHT
    assert "hidden" in dict(view.marks)[overlay.HIDDEN]


@pytest.mark.parametrize("forward", [1, -1])
@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
def test_points_come_back_to_their_pixels(kind: str, forward: int) -> None:
    """Off-centre, turned and moved, left- or right-handed."""
    clip = np.array([[1.3, 0, 0.2, 0], [0, 2.1, -0.1, 0], [0, 0, forward, -0.1], [0, 0, forward, 0]])
    if kind == "orthographic":
        clip = np.array([[0.2, 0, 0, 0.1], [0, 0.3, 0, -0.2], [0, 0, forward * 0.01, 0], [0, 0, 0, 1]])
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    view = np.block([[turn, np.array([[3.0], [-2], [5]])], [np.zeros((1, 3)), 1]])
    camera = dn.Camera(world_to_view=view, view_to_clip=clip)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    depth = np.random.default_rng(1).uniform(1, 9, (HEIGHT, WIDTH))
    world = overlay.world_points(camera, depth, columns, rows)
    np.testing.assert_allclose(overlay.projected(camera, world, depth.shape), [columns, rows, depth], atol=1e-9)
    z = (world @ turn.T + view[:3, 3])[..., 2]
    np.testing.assert_allclose(z, forward * depth, atol=1e-9)


def test_what_was_hidden_or_off_screen_is_no_error() -> None:
    """A plate before a wall moves right by 8 pixels, and the camera sees new things at the left."""
    depth = [np.full((HEIGHT, WIDTH), 10, np.float32) for _ in range(2)]
    motion = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for index, left in enumerate((20, 28)):
        depth[index][10:30, left : left + 16] = 5
    motion[10:30, 28:44, 0] = -8
    motion[:, :4, 0] = -4
    seen = shot(reblur(), 2, view_z=lambda index: depth[index], motion=motion, camera=unjittered(0))
    error, judged, view = error_of(seen)
    hidden, off_screen = same_colour(view, overlay.HIDDEN), same_colour(view, overlay.OFF_SCREEN)
    assert hidden[10:30, 20:28].all()
    assert hidden.sum() == 20 * 8
    assert off_screen[:, :4].all()
    assert off_screen.sum() == HEIGHT * 4
    assert error[judged].max() == 0


def test_sky_is_marked() -> None:
    seen = shot(reblur())
    depth = seen.depth
    sky = ~np.isfinite(depth)
    assert 0 < sky.mean() < 1
    views = overlay.guides(seen, depth)
    for view in (*views, overlay.history_view("diffuse", seen.results["diffuse_history_length"], 30, ~sky)):
        np.testing.assert_array_equal(same_colour(view, overlay.SKY), sky, view.title)
    assert views[1].marks == ((overlay.SKY, f"sky {100 * sky.mean():.0f} %"),)


def test_gain_is_red_where_brighter_and_blue_where_darker() -> None:
    gain = np.ones((1, 5, 3), np.float32) * np.float32([0.25, 0.9, 1, 1.1, 4])[:, None]
    red, _, blue = np.moveaxis(overlay.gain_view("gain", gain, np.ones((1, 5), bool)).picture[0], -1, 0)
    np.testing.assert_array_equal(np.sign(np.round(red - blue, 6)), [-1, -1, 0, 1, 1])


@pytest.mark.parametrize("factor", [0.25, 4])
def test_gain_of_a_switch(factor: float) -> None:
    """A lamp that is switched, as ReBLUR found it out."""
    denoiser = dn.Reblur(160, 96, overlay=True)
    rng = np.random.default_rng(0)
    for index in range(13):
        light = rng.exponential(size=(96, 160, 1)) * np.ones(3) * (factor if index == 12 else 1)
        denoiser(**scenes.wall(light, width=160, height=96))
    assert denoiser._shot is not None
    view = overlay.gain_view("gain", denoiser._shot.results["diffuse_gain"], np.ones((96, 160), bool))
    difference = np.sign(view.picture[..., 0] - view.picture[..., 2])
    assert (difference == np.sign(factor - 1)).mean() > 0.9


def test_history_is_a_share_of_the_longest() -> None:
    share = np.float32([[0, 0.5, 1]])
    for longest in (6, 30):
        view = overlay.history_view("diffuse", share * longest, longest, np.ones((1, 3), bool))
        np.testing.assert_allclose(view.picture, overlay.mapped(share, overlay.HEAT), atol=1e-6)
        assert view.high == f"{longest} frames"
    assert not overlay.history_view("shadow", share * 0, 0, np.ones((1, 3), bool)).picture.any()


def test_longest_histories_are_those_of_the_settings() -> None:
    settings = dn.RelaxSettings(diffuse_max_accumulated_frames=12, specular_max_accumulated_frames=9)
    members = dn.Relax(WIDTH, HEIGHT, settings=settings, overlay=True), dn.Sigma(WIDTH, HEIGHT)
    assert shot(dn.Pipeline(members), 1).histories == {"diffuse": 12, "specular": 9, "shadow": 6}


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_distances_tell_miss_and_none(dtype: Any) -> None:
    distance = np.array([[0, 1, 2, np.inf, 65504]], dtype)
    view = overlay.distance_view("hit", distance, np.ones((1, 5), bool), "miss", "none")
    np.testing.assert_array_equal(same_colour(view, overlay.MISS)[0], [False, False, False, True, True])
    np.testing.assert_array_equal(same_colour(view, overlay.NOTHING)[0], [True, False, False, False, False])
    assert view.marks == ((overlay.MISS, "miss 40 %"), (overlay.NOTHING, "none 20 %"))
    assert (view.low, view.high) == ("1.01", "1.99")


def test_direction_is_hue_and_length_brightness() -> None:
    right, down, left, short = overlay.directed(np.array([2.0, 0, -2, 0.5]), np.array([0.0, 2, 0, 0]), 2.0)
    assert right.tolist() == [1, 0, 0]
    np.testing.assert_allclose(left, [0, 1, 1])
    assert down.argmax() == 1
    np.testing.assert_allclose(short, right / 2)


# The sheet


def all_of_them() -> dn.Pipeline:
    return dn.Pipeline([dn.Relax(WIDTH, HEIGHT, overlay=True), dn.Sigma(WIDTH, HEIGHT, overlay=True)])


def test_rows_and_size() -> None:
    denoiser = all_of_them()
    seen = shot(denoiser)
    found = denoiser.overlay()
    width, height = overlay.picture_size(WIDTH, HEIGHT)
    assert (width, height) == (3 * WIDTH, 3 * HEIGHT)
    # guides, diffuse, specular with 8 views each, and 3 lights of 3 or 4 views, two a row
    assert found.dtype == np.uint8
    step = overlay.BAR + height + overlay.GAP
    assert found.shape == (overlay.GAP + 5 * step, overlay.GAP + 8 * (overlay.CELL + overlay.GAP), 3)
    view = overlay.lobe_views(seen, "diffuse", np.isfinite(seen.depth))[0]
    top = overlay.GAP + step + overlay.BAR
    picture = found[top : top + height : 3, overlay.GAP : overlay.GAP + width : 3]
    np.testing.assert_array_equal(picture, overlay._bytes(view.picture))


@pytest.mark.parametrize("size", [(320, 180), (1920, 1080), (90, 160), (1, 7), (3000, 1)])
def test_pictures_fit_and_keep_their_proportions(size: tuple[int, int]) -> None:
    width, height = overlay.picture_size(*size)
    assert 1 <= width <= overlay.CELL
    assert 1 <= height <= overlay.TALLEST
    if min(size) > 8:
        assert width / height == pytest.approx(size[0] / size[1], rel=0.01)


def test_every_size_has_a_sheet(edge_size: tuple[int, int]) -> None:
    width, height = edge_size
    denoiser = dn.Reblur(width, height, overlay=True)
    for index in range(2):
        denoiser(**small_scene.inputs(index, width, height))
    assert denoiser.overlay().ndim == 3


def test_titles_fit() -> None:
    """Nothing that is written runs into the next view."""
    seen = shot(all_of_them(), motion=None)
    depth = seen.depth
    surface = np.isfinite(depth)
    lobes = [view for lobe in ("diffuse", "specular") for view in overlay.lobe_views(seen, lobe, surface)]
    lights = [view for key in seen.lights for view in overlay.light_views(seen, key, surface)]
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    for view in (*overlay.guides(seen, depth), *lobes, *lights):
        assert overlay.draw_bar(view, 0, 0, pen, lambda picture, at: None) <= overlay.CELL, view.title


def test_every_backend_has_one(backend: str) -> None:
    members = dn.Reblur(WIDTH, HEIGHT, device=backend, overlay=True), dn.Sigma(WIDTH, HEIGHT, device=backend)
    expected = dn.Pipeline([reblur(), dn.Sigma(WIDTH, HEIGHT)])
    found = dn.Pipeline(members)
    shot(found), shot(expected)
    a, b = found.overlay(), expected.overlay()
    assert a.shape == b.shape
    assert (np.abs(a.astype(int) - b).max(-1) > 16).mean() < 0.01


def test_bad_values_are_drawn() -> None:
    """NaN, infinities and nothing but sky."""
    bad = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    denoiser = all_of_them()
    shot(denoiser, normal=np.stack([bad] * 3, -1), roughness=bad, motion=np.stack([bad] * 3, -1))
    denoiser.overlay()
    shot(denoiser, diffuse=np.stack([bad] * 3, -1), specular=np.stack([bad] * 3, -1), diffuse_hit_distance=bad)
    denoiser.overlay()
    shot(denoiser, view_z=bad)
    denoiser.overlay()


# When there is one


def test_without_the_option_there_is_none_and_nothing_is_kept() -> None:
    denoiser = dn.Reblur(WIDTH, HEIGHT)
    result = denoiser(**frame(0))
    assert denoiser._shot is None
    assert result.diffuse_history_length is result.diffuse_gain is result.diffuse_hit_distance is None
    with pytest.raises(dn.DenoiseError, match=re.escape("overlay: Reblur made without overlay=True")):
        denoiser.overlay()
    with pytest.raises(dn.DenoiseError, match=re.escape("overlay: Reblur, Sigma made without overlay=True")):
        dn.Pipeline([denoiser, dn.Sigma(WIDTH, HEIGHT)]).overlay()


@pytest.mark.parametrize("family", [dn.Reblur, dn.Relax, dn.Sigma])
def test_the_option_changes_no_bit_and_returns_what_it_can(family: type[dn.Reblur]) -> None:
    plain, shown = family(WIDTH, HEIGHT), family(WIDTH, HEIGHT, overlay=True)
    for index in range(3):
        given = frame(index, diffuse_hit_distance=None)
        a, b = plain(**given), shown(**given)
    for signal in family.SIGNALS:
        found, expected = getattr(b, signal), getattr(a, signal)
        for one, other in zip(found, expected, strict=True):  # rows, or lights
            np.testing.assert_array_equal(one, other)
        for output in family.OUTPUTS:
            given_out = getattr(b, f"{signal}_{output}")
            assert (given_out is None) == ((signal, output) == ("diffuse", "hit_distance"))
    assert plain.save_state().keys() == shown.save_state().keys()
    asked = dn.Reblur(WIDTH, HEIGHT, outputs=("hit_distance",), overlay=True)
    with pytest.raises(TypeError, match="diffuse_hit_distance: missing"):
        asked(**frame(0, diffuse_hit_distance=None))


def test_it_shows_the_frame_whatever_becomes_of_its_arrays() -> None:
    denoiser, given = reblur(), frame(0)
    result = denoiser(**given)
    before = denoiser.overlay()
    for array in (*given.values(), result.diffuse, result.specular, result.diffuse_gain):
        if isinstance(array, np.ndarray):
            array[:] = 0
    np.testing.assert_array_equal(denoiser.overlay(), before)
    with pytest.raises(TypeError):
        denoiser(**{**given, "view_z": None})
    np.testing.assert_array_equal(denoiser.overlay(), before)


def test_the_previous_frame_is_that_of_the_history() -> None:
    def has_previous(denoiser: dn.Reblur) -> bool:
        assert denoiser._shot is not None
        return denoiser._shot.before is not None

    denoiser = reblur()
    denoiser(**frame(0))
    assert not has_previous(denoiser)
    denoiser(**frame(1))
    assert has_previous(denoiser)
    state = denoiser.save_state()
    denoiser(**frame(2), reset=True)
    assert not has_previous(denoiser)
    denoiser.load_state(state)
    with pytest.raises(dn.DenoiseError, match="no frame to show yet"):
        denoiser.overlay()
    denoiser(**frame(2))  # its history is there, the picture of the frame before is not
    assert not has_previous(denoiser)
    denoiser.resize(WIDTH, HEIGHT)
    with pytest.raises(dn.DenoiseError, match="no frame to show yet"):
        denoiser.overlay()


def test_a_pipeline_has_one_if_a_member_has() -> None:
    members = dn.Reblur(WIDTH, HEIGHT), dn.Sigma(WIDTH, HEIGHT, overlay=True)
    members[1](**frame(0))
    pipeline = dn.Pipeline(members)
    assert members[1]._shot is None
    with pytest.raises(dn.DenoiseError, match="no frame to show yet"):
        pipeline.overlay()
    result = pipeline(**frame(0))
    assert result.diffuse_gain is None
    assert result.shadow_history_length is not None
    assert pipeline.overlay().ndim == 3
    with pytest.raises(dn.DenoiseError, match="belongs to a Pipeline"):
        members[1].overlay()


def test_wrong_option() -> None:
    with pytest.raises(TypeError, match="overlay: expected True or False, got 1"):
        dn.Reblur(WIDTH, HEIGHT, overlay=1)  # type: ignore[arg-type]


def test_without_pillow_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    denoiser = reblur()
    denoiser(**frame(0))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(dn.DenoiseError, match=re.escape('Pillow is not installed; pip install "rt-denoise[cli]"')):
        denoiser.overlay()


# Of a sequence


def test_run_writes_them_and_goes_on(tmp_path: Any) -> None:
    sequence, out = str(tiny_sequence.write_shaded(tmp_path / "seq")), tmp_path / "out"
    assert cli.main(["run", sequence, "-o", str(out)]) == 0
    assert not list(out.glob("*.png"))
    assert cli.main(["run", sequence, "-o", str(out), "--overlay"]) == 0
    pictures = {path.name: path.read_bytes() for path in sorted(out.glob("*.png"))}
    assert list(pictures) == [f"overlay_000{index}.png" for index in range(4)]
    assert np.asarray(Image.open(out / "overlay_0003.png")).ndim == 3
    assert not list(out.glob("*.tmp"))
    (out / "overlay_0002.png").unlink()
    done = sq.denoise_sequence(sequence, out, overlay=True)
    assert (done.written, done.skipped) == (1, 3)
    assert pictures == {path.name: path.read_bytes() for path in sorted(out.glob("*.png"))}
    assert sq.denoise_sequence(sequence, out).written == 0  # who wants no pictures need not do it again
