# SPDX-License-Identifier: Apache-2.0
"""The testbed: its arrays mean what they say, the mean of its noise is the reference, a seed decides everything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from denoise import testbed
from denoise.sequences import Arrays, open_sequence, write_sequence
from denoise.testbed.scene import (
    Camera,
    Material,
    Scene,
    Sky,
    Sun,
    View,
    box,
    cylinder,
    moved,
    panel,
    rotation,
    sphere,
    translation,
)

SCENES = testbed.scenes()
SIZE = (48, 27)
LUMINANCE = (0.2126, 0.7152, 0.0722)
GREY = Material("grey")
RED = Material("red", (0.6, 0.1, 0.1))
LIGHT = Material("light", emission=(5, 5, 5))

DTYPES = {
    "view_z": np.float32,
    "motion": np.float32,
    "object_id": np.uint16,
    "material_id": np.uint8,
}
COLOURS = ("normal", "motion", "albedo", "spec_factor", "f0", "emission", "diff", "spec", "sun_unshadowed")
EVERY_FRAME = {
    *("view_z", "normal", "roughness", "motion", "albedo", "spec_factor", "f0", "emission"),
    *("diff", "diff_hit", "spec", "spec_hit", "object_id", "material_id"),
}
REFERENCE = {"ref_diff", "ref_spec", "ref_color", "se_diff", "se_spec"}


def scene_of(name: str, at: object, **options: object) -> Scene:
    return Scene(name, "", at, **options)  # type: ignore[arg-type]


def pixel_rays(meta: dict, frame: int, jitter: tuple[float, float]) -> tuple[NDArray, NDArray, NDArray]:
    """Camera position, directions through the sampled points (view z 1), and those points in pixels."""
    camera = meta["cameras"][frame] if frame >= 0 else meta["camera_before_first"]
    view, clip = np.array(camera["world_to_view"]), np.array(camera["view_to_clip"])
    w, h = meta["width"], meta["height"]
    pixels = np.stack(np.meshgrid(np.arange(w) + 0.5 + jitter[0], np.arange(h) + 0.5 + jitter[1]), -1)
    x = (2 * pixels[..., 0] / w - 1) / clip[0, 0]
    y = (1 - 2 * pixels[..., 1] / h) / clip[1, 1]
    rays = np.stack([x, y, np.ones_like(x)], -1) @ view[:3, :3]
    return -view[:3, :3].T @ view[:3, 3], rays, pixels


def project(meta: dict, frame: int, points: NDArray) -> tuple[NDArray, NDArray]:
    """World points (..., 3) to pixels (..., 2) and view z."""
    camera = meta["cameras"][frame] if frame >= 0 else meta["camera_before_first"]
    matrix = np.array(camera["view_to_clip"]) @ np.array(camera["world_to_view"])
    clip = points @ matrix[:, :3].T + matrix[:, 3]
    ndc = clip[..., :2] / clip[..., 3:]
    return np.stack([(ndc[..., 0] + 1) / 2 * meta["width"], (1 - ndc[..., 1]) / 2 * meta["height"]], -1), clip[..., 3]


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("size", [(1, 1), (17, 9)], ids=["1x1", "17x9"])
def test_arrays_have_the_names_shapes_and_dtypes_of_the_format(name: str, size: tuple[int, int]) -> None:
    arrays = testbed.render(name, 2, *size, reference_samples=2)
    sunny = testbed.get_scene(name).at(2).sun is not None
    sun = {"sun_unshadowed", "shadow_hit", "ref_shadow"} if sunny else set()
    assert set(arrays) == EVERY_FRAME | REFERENCE | sun
    for key, array in arrays.items():
        channels = (3,) if key in COLOURS or key in ("ref_diff", "ref_spec", "ref_color") else ()
        assert array.shape == (size[1], size[0], *channels), key
        assert array.dtype == DTYPES.get(key, np.float16), key
        assert np.isfinite(array).all(), key


@pytest.mark.parametrize("name", SCENES)
def test_seed_decides_everything_and_threads_nothing(name: str) -> None:
    one = testbed.render(name, 3, *SIZE, seed=7, reference_samples=2, threads=1)
    three = testbed.render(name, 3, *SIZE, seed=7, reference_samples=2, threads=3)
    assert all(np.array_equal(one[key], three[key]) for key in one)
    other = testbed.render(name, 3, *SIZE, seed=8, reference_samples=2)
    noisy = {"diff", "diff_hit", "spec", "spec_hit", "shadow_hit", "ref_shadow", *REFERENCE}
    for key in one:
        assert np.array_equal(one[key], other[key]) == (key not in noisy), key


def test_noise_is_independent_from_frame_to_frame_and_of_the_reference() -> None:
    still = scene_of("still", lambda frame: testbed.get_scene("switch").at(0))
    frames = [testbed.render(still, frame, 64, 36, reference_samples=1) for frame in range(2)]
    signals = [frames[0]["diff"], frames[1]["diff"], frames[0]["ref_diff"]]
    # Within a neighbourhood, so that light and dark parts of the picture do not count as correlation.
    residuals = [s.astype(float) @ LUMINANCE for s in signals]
    residuals = [(r - np.roll(r, 1, axis=1)).ravel() for r in residuals]
    correlation = np.corrcoef(residuals)
    assert np.abs(correlation[np.triu_indices(3, 1)]).max() < 0.1


@pytest.mark.parametrize("name", SCENES)
def test_what_is_no_surface_or_has_no_lobe_has_no_signal(name: str) -> None:
    a = testbed.render(name, 5, *SIZE)
    sky = a["view_z"] == 1e7
    dark = a["emission"].sum(-1) == 0
    assert np.array_equal(a["object_id"] == 0, sky)
    assert np.array_equal(a["material_id"] == 0, sky)
    for key in ("normal", "albedo", "spec_factor", "f0"):
        assert (a[key][sky] == 0).all(), key
    surface = ~sky & dark
    lengths = np.linalg.norm(a["normal"].astype(float), axis=-1)
    assert np.abs(lengths[~sky] - 1).max() < 2e-3
    assert (a["albedo"][~sky] >= np.float16(0.02)).all()
    assert (a["spec_factor"][~sky] >= np.float16(0.01)).all()
    specular = a["f0"].sum(-1) > 0
    assert not specular[~surface].any()
    assert (a["roughness"][~specular] == 1).all()
    assert (a["roughness"][specular] >= 0.039).all()
    for lobe, there in (("diff", surface), ("spec", surface & specular)):
        assert (a[f"{lobe}_hit"][~there] == 0).all()
        assert (a[lobe][a[f"{lobe}_hit"] == 0] == 0).all()
        assert (a[f"{lobe}_hit"] <= 65504).all()
    metal = a["f0"].max(-1) > 0.2
    assert (a["diff"][metal] == 0).all()
    assert (a["diff_hit"][surface & ~metal] > 0).all()


def test_camera_sees_what_is_where_it_is() -> None:
    """A wall square to the camera: depth, normal and sides are known."""

    def at(frame: int) -> View:
        left, right = box((-5, 0, -4.5), (10, 8, 1), RED), box((5, 0, -4.5), (10, 8, 1), GREY)
        return View(Camera((0, 0, 1), (0, 0, 0), 50), [left, right], Sky((1, 1, 1), (1, 1, 1)))

    a = testbed.render(scene_of("wall", at), 0, 20, 10)
    assert a["view_z"] == pytest.approx(np.full((10, 20), 5.0), abs=1e-5)
    assert np.array_equal(a["normal"], np.broadcast_to(np.float16([0, 0, 1]), (10, 20, 3)))
    assert (a["object_id"][:, :10] == 1).all()
    assert (a["object_id"][:, 10:] == 2).all()
    assert (a["material_id"][:, 10:] == 2).all()


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("frame", [0, 6])
def test_motion_agrees_with_cameras_and_transforms(name: str, frame: int) -> None:
    scene = testbed.get_scene(name)
    a = testbed.guides(scene, frame, *SIZE)
    meta = testbed.metadata(scene, *SIZE)
    eye, rays, pixels = pixel_rays(meta, frame, meta["cameras"][frame]["jitter"])
    now, before = scene.at(frame).shapes, scene.at(frame - 1).shapes
    moving = 0
    for number in range(1, len(now) + 1):
        mask = a["object_id"] == number
        points = eye + rays[mask] * a["view_z"][mask, None]
        step = before[number - 1].to_world @ np.linalg.inv(now[number - 1].to_world)
        moving += mask.sum() * (not np.allclose(step, np.eye(4)))
        old, old_z = project(meta, frame - 1, points @ step[:3, :3].T + step[:3, 3])
        assert a["motion"][mask, :2] == pytest.approx(old - pixels[mask], abs=2e-3)
        assert a["motion"][mask, 2] == pytest.approx(old_z - a["view_z"][mask], abs=1e-4)
    assert (moving > 0) == (name != "room")
    sky = a["object_id"] == 0
    if sky.any():
        old, _ = project(meta, frame - 1, eye + 1e7 * rays[sky])
        assert a["motion"][sky, :2] == pytest.approx(old - pixels[sky], abs=2e-3)
        assert (a["motion"][sky, 2] == 0).all()


def test_jitter_moves_the_rays_and_nothing_else() -> None:
    name = next(name for name in SCENES if testbed.get_scene(name).jitter)
    meta = testbed.metadata(name, *SIZE)
    offsets = np.array([camera["jitter"] for camera in meta["cameras"]])
    assert np.abs(offsets).max() <= 0.5
    assert np.abs(offsets.mean(0)).max() < 0.05
    assert len(np.unique(offsets, axis=0)) == min(len(offsets), 16)
    still = testbed.guides(name, 4, *SIZE, jitter=False)
    shaken = testbed.guides(name, 4, *SIZE)
    assert not np.array_equal(still["view_z"], shaken["view_z"])
    same = still["object_id"] == shaken["object_id"]
    assert np.abs(still["motion"] - shaken["motion"])[same].max() < 1
    fixed = testbed.metadata(name, *SIZE, jitter=False)
    assert all(camera["jitter"] == [0, 0] for camera in fixed["cameras"])


def test_sphere_in_white_surroundings_vanishes() -> None:
    """The white furnace: demodulated, both lobes of every material return what comes in."""
    looks = [(r, metal) for r in (0.04, 0.15, 0.4, 1.0) for metal in (False, True)]

    def at(look: int) -> View:
        roughness, metal = looks[max(look, 0)]
        ball = Material("ball", (0.9, 0.6, 0.3), roughness=roughness, metal=metal)
        white = (1.0, 1.0, 1.0)
        return View(Camera((0, 0, 4), (0, 0, 0), 40), [sphere((0, 0, 0), 1, ball)], Sky(white, white, white))

    for look, (_, metal) in enumerate(looks):
        a = testbed.render(scene_of("furnace", at), look, 24, 24, reference_samples=256)
        there = (a["object_id"] == 1) & ((a["normal"][..., 2] > 0.3) | (a["roughness"] > 0.1))
        assert a["ref_spec"][there].astype(float).mean() == pytest.approx(1, abs=0.01)
        assert a["ref_spec"][there].astype(float) == pytest.approx(1, abs=0.12)
        assert a["ref_diff"][there] == pytest.approx(0 if metal else 1, abs=1e-3)


@pytest.mark.parametrize("name", SCENES)
def test_mean_of_the_noise_is_the_reference(name: str) -> None:
    """A Z-test for blocks of 4 x 4 pixels, and one for the whole picture."""
    count = 64
    still = scene_of(name, lambda frame: testbed.get_scene(name).at(0))
    frames = [testbed.render(still, frame, 64, 36) for frame in range(count)]
    reference = testbed.render(still, 0, 64, 36, reference_samples=64)
    for lobe in ("diff", "spec"):
        noisy = np.stack([frame[lobe].astype(float) @ LUMINANCE for frame in frames])
        difference = noisy.mean(0) - reference[f"ref_{lobe}"].astype(float) @ LUMINANCE
        variance = noisy.var(0, ddof=1) / count + reference[f"se_{lobe}"].astype(float) ** 2
        assert abs(difference.sum()) < 4 * np.sqrt(variance.sum())
        blocks, their_variance = (a.reshape(9, 4, 16, 4).sum((1, 3)) for a in (difference, variance))
        z = blocks / np.sqrt(their_variance + 1e-9)
        # A ray seldom finds what is small and bright; a block where none did has no idea of its own error.
        assert (np.abs(z) > 4).mean() < 0.03
        assert z.std() < 1.3


def test_standard_error_is_that_of_the_reference() -> None:
    """Samples are spread evenly, so the error is overestimated, but not by much."""
    references = [testbed.render("switch", 0, 32, 18, seed=seed, reference_samples=32) for seed in range(6)]
    for lobe in ("diff", "spec"):
        values = np.stack([r[f"ref_{lobe}"].astype(float) @ LUMINANCE for r in references])
        claimed = np.sqrt(np.mean([r[f"se_{lobe}"].astype(float) ** 2 for r in references]))
        assert 0.3 * claimed < np.sqrt(values.var(0, ddof=1).mean()) < 1.1 * claimed


@pytest.mark.parametrize("name", SCENES)
def test_reference_colour_is_put_together_from_the_references(name: str) -> None:
    a = {key: array.astype(np.float32) for key, array in testbed.render(name, 1, *SIZE, reference_samples=4).items()}
    color = a["emission"] + a["ref_diff"] * a["albedo"] + a["ref_spec"] * a["spec_factor"]
    if "ref_shadow" in a:
        color += a["sun_unshadowed"] * a["ref_shadow"][..., None]
    assert a["ref_color"] == pytest.approx(color, rel=1e-3, abs=1e-4)


def test_sun_and_its_shadow() -> None:
    """Under a box that floats over a floor; the sun stands straight above."""

    def at(frame: int) -> View:
        shapes = [box((0, -0.5, 0), (20, 1, 20), replace(GREY, f0=0.0)), box((0, 2.1, 0), (2, 0.2, 2), RED)]
        return View(Camera((0, 6, 6), (0, 0, 0), 50), shapes, sun=Sun((0, 1, 0), (3, 2, 1), 0.05))

    scene = scene_of("shadow", at)
    a = testbed.render(scene, 0, *SIZE, reference_samples=64)
    eye, rays, _ = pixel_rays(testbed.metadata(scene, *SIZE), 0, (0, 0))
    x, _, z = np.moveaxis(eye + rays * a["view_z"][..., None], -1, 0)
    floor = a["object_id"] == 1
    inside = floor & (np.maximum(abs(x), abs(z)) < 1 - 0.11)
    outside = floor & (np.maximum(abs(x), abs(z)) > 1 + 0.11)
    assert inside.any()
    assert a["shadow_hit"][inside] == pytest.approx(2, rel=5e-3)
    assert (a["ref_shadow"][inside] == 0).all()
    assert (a["shadow_hit"][outside] == 65504).all()
    assert (a["ref_shadow"][outside] == 1).all()
    assert a["sun_unshadowed"][floor].astype(float) == pytest.approx(
        np.broadcast_to(np.array([3, 2, 1]) * 0.5 / np.pi, (floor.sum(), 3)), rel=2e-3
    )
    side = a["normal"][..., 1] == 0
    assert side.any()
    assert (a["shadow_hit"][side] == 0).all()
    assert (a["sun_unshadowed"][side] == 0).all()


def test_disocclusion_behind_a_still_camera_is_where_something_else_was() -> None:
    """Things that do not move are disoccluded exactly where the last frame showed something else."""
    scene = testbed.get_scene("motion")
    for frame in (3, 14):
        now, before = testbed.guides(scene, frame, 96, 54), testbed.guides(scene, frame - 1, 96, 54)
        steps = zip(scene.at(frame).shapes, scene.at(frame - 1).shapes, strict=True)
        still = np.array([True, *(np.array_equal(a.to_world, b.to_world) for a, b in steps)])[now["object_id"]]
        changed = now["object_id"] != before["object_id"]
        assert np.array_equal(now["disoccluded"][still], changed[still])
        assert 20 < now["disoccluded"][still].sum() < 400
        assert now["disoccluded"][~still].mean() < 0.3


def test_disocclusion_at_the_edge_of_the_screen_and_of_turning_things() -> None:
    def at(frame: int) -> View:
        cube = box((0, 0, 0), (1, 1, 1), RED)
        shapes = [
            box((0, 0, -5), (40, 40, 1), GREY),
            *moved([cube], translation((0, 0, -2)), rotation("y", 20 * frame)),
        ]
        return View(Camera((0.5 * frame, 0, 3), (0.5 * frame, 0, 0), 50), shapes)

    scene = scene_of("pan", at)
    width = 96
    a = testbed.guides(scene, 1, width, 54)
    x = np.arange(width) + 0.5 + a["motion"][..., 0]
    off = x >= width
    assert 0 < off.mean() < 0.2
    assert a["disoccluded"][off].all()
    cube = a["object_id"] == 2
    # The cube showed its front alone before; what was round the corner is new.
    front = a["normal"][..., 2] > 0.8
    assert not a["disoccluded"][cube & front].any()
    assert a["disoccluded"][cube & ~front].all()
    assert (cube & ~front).any()


def test_nothing_is_disoccluded_where_nothing_moves() -> None:
    still = scene_of("still", lambda frame: testbed.get_scene("room").at(0))
    a = testbed.guides(still, 5, *SIZE)
    assert not a["disoccluded"].any()
    assert np.abs(a["motion"]).max() < 1e-5


def test_guides_are_those_of_the_render() -> None:
    a, b = testbed.guides("gloss", 4, *SIZE), testbed.render("gloss", 4, *SIZE)
    assert all(np.array_equal(a[key], b[key]) for key in a if key != "disoccluded")


def test_switch_goes_out_and_comes_back() -> None:
    scene = testbed.get_scene("switch")
    off, on = scene.lighting_changes

    def brightness(frame: int) -> float:
        return float(testbed.render(scene, frame, *SIZE, reference_samples=8)["ref_diff"].astype(float).mean())

    before, first, last, after = (brightness(frame) for frame in (off - 1, off, on - 1, on))
    assert first < 0.4 * before
    assert last == pytest.approx(first, rel=0.1)
    assert after == pytest.approx(before, rel=0.1)


def test_sequence_is_lazy_and_survives_the_disk(tmp_path: Path) -> None:
    sequence = testbed.sequence("gloss", 17, 9, frames=3, reference_frames=[2], reference_samples=2, seed=5)
    assert sequence.reference_frames == [2]
    assert list(sequence.frames) == [0, 1, 2]
    expected = testbed.render("gloss", 2, 17, 9, seed=5, reference_samples=2)
    write_sequence(tmp_path, sequence.meta, sequence.frames.values())
    read = open_sequence(tmp_path)
    assert read.meta["cameras"][2]["jitter"] == sequence.meta["cameras"][2]["jitter"]
    frame: Arrays = read.frames[2]
    assert set(frame) == set(expected)
    assert all(np.array_equal(frame[key], expected[key]) for key in expected)
    assert "ref_diff" not in read.frames[1]
    with pytest.raises(KeyError):
        sequence.frames[3]


def test_wrong_use_is_named() -> None:
    with pytest.raises(ValueError, match=r"scene: expected one of room, .*, got 'attic'"):
        testbed.render("attic", 0, 8, 8)
    with pytest.raises(ValueError, match=r"width, height: expected positive .* got 0 x 8"):
        testbed.render("room", 0, 0, 8)

    def render(*shapes: object) -> None:
        view = View(Camera((0, 0, 5), (0, 0, 0)), list(shapes))  # type: ignore[arg-type]
        testbed.render(scene_of("wrong", lambda frame: view), 0, 4, 4)

    with pytest.raises(ValueError, match="scene wrong: light emits, which only boxes and round spheres can"):
        render(cylinder((0, 0, 0), 1, 1, LIGHT))
    with pytest.raises(ValueError, match="scene wrong: 200 shapes are more than"):
        render(*[box((0, 0, 0), (1, 1, 1), GREY)] * 200)
    with pytest.raises(ValueError, match="scene wrong: 17 emitters are more than 16"):
        render(*[panel((0, 0, 0), (0, 0, 1), (1, 1), LIGHT)] * 17)

    def growing(frame: int) -> View:
        return View(Camera((0, 0, 5), (0, 0, 0)), [box((0, 0, 0), (1, 1, 1), GREY)] * (frame + 2))

    with pytest.raises(ValueError, match="scene growing: frames -1 and 0 differ in their shapes"):
        testbed.guides(scene_of("growing", growing), 0, 4, 4)
