# SPDX-License-Identifier: Apache-2.0
"""Inputs that files lack are made from the others: how near they come to the true ones, in rendered scenes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sequence
from numpy.typing import NDArray

from denoise import metrics, testbed
from denoise.sequences import Arrays, Sequence, frame_inputs, open_sequence
from denoise.sequences.find_cameras import camera_from_position, cameras_from_motion
from denoise.sequences.guides import (
    Substitutes,
    complete,
    completed,
    depth_motion,
    missing,
    normals_from_depth,
    one_signal,
    static_motion,
    view_z_from_position,
)
from denoise.sequences.object_motion import object_motion
from denoise.sequences.screen_rays import screen_hit_distances
from denoise.sequences.view import View

WIDTH, HEIGHT = 192, 108


@functools.cache
def guides(scene: str, index: int, jitter: bool = False) -> Arrays:
    return testbed.guides(scene, index, WIDTH, HEIGHT, jitter=jitter)


@functools.cache
def meta(scene: str, jitter: bool = False) -> dict[str, Any]:
    return testbed.metadata(scene, WIDTH, HEIGHT, frames=12, jitter=jitter)


def view(scene: str, index: int, jitter: bool = False) -> View:
    return View(meta(scene, jitter)["cameras"][index], WIDTH, HEIGHT)


def moves(scene: str, index: int, jitter: bool = False) -> tuple[Arrays, Arrays, NDArray[Any], NDArray[np.bool_]]:
    """Two frames, the motion of a still scene, and the pixels that move otherwise."""
    arrays, previous = guides(scene, index, jitter), guides(scene, index - 1, jitter)
    still = static_motion(arrays["view_z"], view(scene, index, jitter), view(scene, index - 1, jitter))
    moving = np.linalg.norm((still - arrays["motion"])[..., :2], axis=2) > 0.05
    return arrays, previous, still, moving


PROJECTIONS = {
    "along +z": [[1.5, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, -0.1], [0, 0, 1, 0]],
    "along -z": [[1.5, 0, 0, 0], [0, 2, 0, 0], [0, 0, -1, -0.1], [0, 0, -1, 0]],
    "off-centre": [[1.5, 0, 0.3, 0], [0, 2, -0.2, 0], [0, 0, 1, -0.1], [0, 0, 1, 0]],
    "orthographic": [[0.3, 0, 0, 0.1], [0, 0.4, 0, 0], [0, 0, 0.01, 0], [0, 0, 0, 1]],
}


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_points_project_to_where_they_came_from(projection: str) -> None:
    camera = {"world_to_view": np.eye(4), "view_to_clip": PROJECTIONS[projection], "jitter": [0.25, -0.125]}
    lens = View(camera, 7, 5)
    depth = np.linspace(1, 9, 35).reshape(5, 7)
    pixels, back = lens.project(lens.points(depth))
    assert np.allclose(pixels, lens.pixels)
    assert np.allclose(back, depth)
    assert np.allclose(pixels - [0.25, -0.125] - 0.5, np.stack(np.meshgrid(np.arange(7), np.arange(5)), -1))


@pytest.mark.parametrize("jitter", [False, True])
@pytest.mark.parametrize("scene", ["room", "motion"])
def test_motion_of_what_stands_still(scene: str, jitter: bool) -> None:
    arrays, _, still, moving = moves(scene, 6, jitter)
    assert moving.mean() < 0.3
    assert np.abs((still - arrays["motion"])[~moving]).max(axis=0) == pytest.approx([0, 0, 0], abs=0.05)
    assert np.median(np.abs(still - arrays["motion"])[~moving], axis=0) == pytest.approx([0, 0, 0], abs=0.002)


@pytest.mark.parametrize("jitter", [False, True])
def test_depth_motion_of_moving_objects(jitter: bool) -> None:
    arrays, previous, still, moving = moves("motion", 6, jitter)
    two = {**arrays, "motion": arrays["motion"][..., :2]}
    views = view("motion", 6, jitter), view("motion", 5, jitter)
    for names in (("view_z", "motion", "normal", "object_id"), ("view_z", "motion")):
        given, past = ({name: frame[name] for name in names if name in frame} for frame in (two, previous))
        estimated = depth_motion(given, past, *views)
        error = np.abs(estimated - arrays["motion"][..., 2]) / arrays["view_z"]
        seen = moving & ~arrays["disoccluded"]
        unknown = np.abs(still - arrays["motion"])[..., 2] / arrays["view_z"]
        assert moving.sum() > 200
        assert np.median(error[seen]) < 0.002
        assert np.mean(error[seen] < 0.01) > 0.9
        assert error[seen].mean() < 0.7 * unknown[seen].mean()
        assert np.quantile(error[~moving], 0.99) < 0.001


def test_rigid_objects_are_followed() -> None:
    arrays, previous, still, moving = moves("motion", 6)
    estimated = object_motion(arrays, previous, view("motion", 6), view("motion", 5), still)
    error, before = (np.linalg.norm((m - arrays["motion"])[..., :2], axis=2) for m in (estimated, still))
    assert np.quantile(error[~moving], 0.95) < 0.05
    assert np.median(error[moving]) < 0.5 * np.median(before[moving])


def test_nothing_moves_where_nothing_moved() -> None:
    arrays = guides("room", 6)
    same = {**guides("room", 6), "motion": None}
    here = view("room", 6)
    zero = static_motion(arrays["view_z"], here, here)
    assert np.abs(zero).max() < 1e-6
    assert np.abs(object_motion(same, same, here, here, zero)).max() < 1e-6


def test_normals_from_depth() -> None:
    arrays, here = guides("room", 6), view("room", 6)
    normal = normals_from_depth(arrays["view_z"], here)
    surface = here.is_surface(arrays["view_z"])
    cosine = (normal * arrays["normal"].astype(np.float32)).sum(axis=2)[surface]
    assert np.linalg.norm(normal[surface], axis=1) == pytest.approx(np.ones(surface.sum()), abs=1e-4)
    assert np.degrees(np.arccos(np.clip(np.median(cosine), -1, 1))) < 1
    assert np.mean(cosine > np.cos(np.radians(15))) > 0.85
    assert not normal[~surface].any()


def ranks(values: NDArray[Any]) -> NDArray[Any]:
    return np.argsort(np.argsort(values)).astype(np.float64)


@functools.cache
def rendered() -> Arrays:
    return testbed.render("gloss", 6, WIDTH, HEIGHT, jitter=False)


def test_hit_distances_on_screen_have_the_order_of_true_ones() -> None:
    arrays, here = rendered(), view("gloss", 6)
    roughness = arrays["roughness"].astype(np.float32)
    estimate = screen_hit_distances(arrays["view_z"], arrays["normal"], here, roughness)
    truth = arrays["spec_hit"].astype(np.float32)
    surface = here.is_surface(arrays["view_z"])
    assert (estimate[surface] > 0).all()
    assert not estimate[~surface].any()
    met = surface & (truth > 0) & (truth < 65504) & (roughness < 0.4)
    found = met & (np.abs(estimate - 0.5 * here.span(arrays["view_z"])) > 1e-3 * estimate)  # met something on screen
    assert found.sum() > 0.2 * met.sum()
    assert np.corrcoef(ranks(estimate[found]), ranks(truth[found]))[0, 1] > 0.6
    assert 0.8 < np.median(estimate[found] / truth[found]) < 1.25


def test_diffuse_hit_distances_are_short_in_corners() -> None:
    arrays, here = rendered(), view("gloss", 6)
    estimate = screen_hit_distances(arrays["view_z"], arrays["normal"], here)
    truth = arrays["diff_hit"].astype(np.float32)
    met = here.is_surface(arrays["view_z"]) & (truth > 0) & (truth < 65504)
    assert np.corrcoef(ranks(estimate[met]), ranks(truth[met]))[0, 1] > 0.15  # of one ray, to the mean of many
    # Above the surface, lengths do not hang on the unit of the scene.
    assert np.all(estimate[met] <= 1.001 * here.span(arrays["view_z"])[met])


def test_large_frames_take_distances_of_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    from denoise.sequences import screen_rays

    arrays, here = rendered(), view("gloss", 6)
    whole = screen_hit_distances(arrays["view_z"], arrays["normal"], here)
    monkeypatch.setattr(screen_rays, "_PIXELS", WIDTH * HEIGHT // 9)
    coarse = screen_hit_distances(arrays["view_z"], arrays["normal"], here)
    surface = here.is_surface(arrays["view_z"])
    assert ((coarse > 0) == surface).all()
    assert np.corrcoef(ranks(whole[surface]), ranks(coarse[surface]))[0, 1] > 0.9


@pytest.mark.parametrize("left_out", [(), ("albedo",), ("emission",), ("albedo", "emission")])
def test_one_signal_composes_to_the_picture(left_out: tuple[str, ...]) -> None:
    arrays = rendered()
    color = metrics.compose(arrays, metrics.noisy_signals(arrays))
    given = {name: arrays[name] for name in ("view_z", "albedo", "emission") if name not in left_out}
    parts = one_signal({**given, "color": color}, view("gloss", 6))
    whole = metrics.compose({"view_z": arrays["view_z"], **parts}, {"spec": parts["spec"]})
    assert np.allclose(whole, color, rtol=1e-5, atol=1e-6)
    assert parts["spec"].max() <= color.max() / 0.02


def positions(scene: str, index: int) -> NDArray[np.float32]:
    here, view_z = view(scene, index), guides(scene, index)["view_z"]
    world = here.to_world(here.points(view_z))
    return np.where(here.is_surface(view_z)[..., None], world, 0).astype(np.float32)


def test_camera_and_depth_from_positions() -> None:
    position = positions("motion", 6)
    camera, true = camera_from_position(position), meta("motion")["cameras"][6]
    rotation, true_rotation = (np.asarray(c["world_to_view"])[:3, :3] for c in (camera, true))
    # The view space of what is found looks along +z, whichever way the true one does.
    assert np.abs(rotation[:2] - true_rotation[:2]).max() < 1e-3
    view_z = guides("motion", 6)["view_z"]
    surface = view("motion", 6).is_surface(view_z)
    found = view_z_from_position(position, View(camera, WIDTH, HEIGHT))
    assert np.allclose(found[surface], view_z[surface], rtol=1e-3)
    assert np.isinf(found[~surface]).all()


@pytest.mark.parametrize("tilt", [0.0, 0.4])
def test_camera_from_positions_in_a_plane(tilt: float) -> None:
    """With their depths it is found, and the world right-handed: a wall is seen from the side that it was seen from."""
    width, height = 40, 24
    turn = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    pose = np.eye(4)
    pose[:3, :3] = np.diag([1, 1, -1]) @ turn  # x right, y up, z away
    pose[:3, 3] = [0.3, -0.2, 5]
    lens = View({"world_to_view": pose, "view_to_clip": PROJECTIONS["along +z"]}, width, height)
    ray = lens.to_world(lens.points(np.ones((height, width)))) - lens.eye
    depth = -lens.eye[2] / ray[..., 2]  # of the plane z = 0
    position = lens.eye + ray * depth[..., None]
    found = camera_from_position(position + 100, depth)  # not through the origin, which is sky
    seen = View(found, width, height)
    assert np.allclose(seen.world_to_view[:3, :3], pose[:3, :3], atol=1e-6)
    assert np.allclose(seen.view_to_clip[:2], lens.view_to_clip[:2], atol=1e-6)
    assert np.allclose(seen.eye, lens.eye + 100, atol=1e-5)


def test_no_camera_from_a_plane_or_from_nothing() -> None:
    y, x = np.mgrid[0:20, 0:30].astype(np.float32)
    with pytest.raises(ValueError, match="one plane"):
        camera_from_position(np.stack([x, y, np.full_like(x, 3)], -1))
    with pytest.raises(ValueError, match="too few"):
        camera_from_position(np.zeros((20, 30, 3), np.float32))
    with pytest.raises(ValueError, match="no pinhole"):
        camera_from_position(np.random.default_rng(0).normal(size=(20, 30, 3)))


def test_cameras_from_motion() -> None:
    true = meta("motion")["cameras"]
    lens = 2 * np.degrees(np.arctan(1 / np.asarray(true[0]["view_to_clip"])[1, 1]))
    found = list(cameras_from_motion((guides("motion", index) for index in range(6)), float(lens)))

    def way(cameras: list[Any]) -> NDArray[Any]:
        """The first camera as the last one sees it: the choice of a world plays no part."""
        flip = np.diag([1, 1, np.sign(np.asarray(cameras[0]["view_to_clip"])[3, 2]), 1])
        first, last = (flip @ np.asarray(cameras[index]["world_to_view"]) for index in (0, 5))
        return np.asarray(last @ np.linalg.inv(first))

    assert np.abs(way(found) - way(true)).max() < 1e-3


def test_what_is_missing_is_said() -> None:
    everything = ["diff", "spec", "view_z", "normal", "roughness", "motion", "diff_hit", "spec_hit"]
    assert missing(everything) == {}
    assert set(missing(["diff", "spec", "position"])) == {
        *("view_z", "normal", "roughness", "motion", "diff_hit", "spec_hit")
    }
    assert "0.25" in missing(["spec", "view_z"], Substitutes(roughness=0.25))["roughness"]
    assert set(missing(["color", "view_z", "normal", "motion"])) == {"spec", "roughness", "spec_hit"}
    assert set(missing(["color", "view_z", "normal", "motion", "roughness"])) == {"spec", "spec_hit"}
    with pytest.raises(ValueError, match="view_z: missing"):
        missing(["diff"])
    with pytest.raises(ValueError, match="nothing to denoise"):
        missing(["view_z"])


def test_wrong_substitutes() -> None:
    with pytest.raises(ValueError, match="screen, constant, none"):
        Substitutes(hit_distance="sreen")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 to 1"):
        Substitutes(roughness=float("nan"))


SKIES: Mapping[str, float] = {"sky": 1e7, "infinite": np.inf, "no number": np.nan, "a wall": 3.0}


@pytest.mark.parametrize("size", [(1, 1), (5, 1), (40, 23)])
@pytest.mark.parametrize("depth", SKIES)
@pytest.mark.filterwarnings("error")
def test_nothing_breaks_under_any_sky(size: tuple[int, int], depth: str) -> None:
    width, height = size
    shape = (height, width)
    camera = {"world_to_view": np.eye(4), "view_to_clip": PROJECTIONS["along +z"]}
    described = {"width": width, "height": height, "cameras": [camera, camera]}
    frame = {"view_z": np.full(shape, SKIES[depth], np.float32), "object_id": np.ones(shape, np.uint16)}
    signals: list[Arrays] = [
        {"diff": np.ones((*shape, 3), np.float32), "spec": np.ones((*shape, 3), np.float32)},
        {"color": np.ones((*shape, 3), np.float32)},
        {"color": np.ones((*shape, 3), np.float32), "roughness": np.ones(shape, np.float16)},
        {"diff": np.ones((*shape, 3), np.float32), "motion": np.zeros((*shape, 2), np.float32)},
    ]
    for signal in signals:
        for how in (Substitutes(), Substitutes(hit_distance="constant"), Substitutes(hit_distance="none")):
            found = complete({**frame, **signal}, described, 1, {**frame, **signal}, how)
            for name in found.keys() - {"view_z"}:
                assert np.isfinite(found[name]).all(), name
            assert set(missing({**frame, **signal}, how)) | {"view_z"} >= found.keys() - {*frame, *signal} - {
                *("albedo", "spec_factor", "emission")
            }


def test_a_sequence_is_completed_frame_by_frame(tmp_path: Path) -> None:
    whole = open_sequence(tiny_sequence.write(tmp_path))
    read: list[int] = []

    class Frames(dict[int, Arrays]):
        def __getitem__(self, index: int) -> Arrays:
            read.append(index)
            return super().__getitem__(index)

    lacking = ("motion", "roughness", "diff_hit", "spec_hit", "normal")
    frames = {i: {k: v for k, v in f.items() if k not in lacking} for i, f in whole.frames.items()}
    sequence = completed(Sequence(whole.meta, Frames(frames)))
    for index, arrays in sequence.frames.items():
        assert not missing(arrays)
        frame_inputs(arrays, sequence.meta, index)
        if index:
            assert np.allclose(arrays["motion"][6:, 4:-4], whole.frames[index]["motion"][6:, 4:-4], atol=1e-3)
    assert read == [0, 1, 2, 3]
    assert "motion" in sequence.frames[2]
    assert read[4:] == [2, 1]  # out of order, the one before is read for it
