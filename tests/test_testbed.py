# SPDX-License-Identifier: Apache-2.0
"""The testbed: its arrays mean what they say, the mean of its noise is the reference, a seed decides everything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from denoise import metrics, testbed
from denoise.sequences import Arrays, light_array, light_geometry, lights_with, open_sequence, write_sequence
from denoise.testbed.scene import (
    Camera,
    Lamp,
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

# One room in different light: what they have of their own is tested together; of those, one stands for all.
STUDIO = ["lamps", "colour", "dark", "torch", "edge", "mirror", "flicker", "fade", "cut", "tenfold"]
SCENES = [name for name in testbed.scenes() if name not in STUDIO or name == "mirror"]
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
COLOURS = ("normal", "motion", "albedo", "spec_factor", "f0", "emission", "diff", "spec")
EVERY_FRAME = {
    *("view_z", "normal", "roughness", "motion", "albedo", "spec_factor", "f0", "emission"),
    *("diff", "diff_hit", "spec", "spec_hit", "object_id", "material_id"),
}
REFERENCE = {"ref_diff", "ref_spec", "ref_color", "se_diff", "se_spec"}
LIGHTS = {
    "motion": ["sun"],
    "shadows": ["sun", "lantern"],
    "jump": ["sun", "lamp"],
    "stained": ["sun", "lamp"],
}


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
    lights = LIGHTS.get(name, [])
    colours = {light_array("unshadowed", light) for light in lights}
    numbers = {light_array("shadow_hit", light) for light in lights}
    shadows = {light_array("ref_shadow", light) for light in lights}
    if name == "stained":
        colours |= shadows | {light_array("translucency", light) for light in lights}
    assert set(arrays) == EVERY_FRAME | REFERENCE | colours | numbers | shadows
    for key, array in arrays.items():
        channels = (3,) if key in COLOURS or key in colours or key in ("ref_diff", "ref_spec", "ref_color") else ()
        assert array.shape == (size[1], size[0], *channels), key
        assert array.dtype == DTYPES.get(key, np.float16), key
        assert np.isfinite(array).all(), key


@pytest.mark.parametrize("name", SCENES)
def test_seed_decides_everything_and_threads_nothing(name: str) -> None:
    one = testbed.render(name, 3, *SIZE, seed=7, reference_samples=2, threads=1)
    three = testbed.render(name, 3, *SIZE, seed=7, reference_samples=2, threads=3)
    assert all(np.array_equal(one[key], three[key]) for key in one)
    other = testbed.render(name, 3, *SIZE, seed=8, reference_samples=2)
    kinds = ("shadow_hit", "translucency", "ref_shadow")
    shadows = {light_array(kind, light) for kind in kinds for light in LIGHTS.get(name, [])}
    noisy = {"diff", "diff_hit", "spec", "spec_hit", *shadows, *REFERENCE}
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
    assert (moving > 0) == (name not in ("room", "jump"))
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
    for light in LIGHTS.get(name, []):
        shadow = light_array("shadow", light)
        expected = metrics.reference_signals(reference)[shadow].astype(float)
        seen = np.mean([metrics.noisy_signals(frame)[shadow].astype(float) for frame in frames], axis=0)
        variance = expected * (1 - expected) * (1 / count + 1 / 64)  # at most, the reference being spread evenly
        assert abs((seen - expected).sum()) < 4 * np.sqrt(variance.sum())
        assert np.abs(seen - expected)[variance == 0].max() < 0.2
        assert (np.abs(seen - expected) < 4 * np.sqrt(variance) + 0.1).all()


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
    for light in LIGHTS.get(name, []):
        shadow = a[light_array("ref_shadow", light)]
        color += a[light_array("unshadowed", light)] * (shadow if shadow.ndim == 3 else shadow[..., None])
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


def positions(scene: Scene, arrays: Arrays, size: tuple[int, int]) -> NDArray:
    """World space, (H, W, 3)."""
    eye, rays, _ = pixel_rays(testbed.metadata(scene, *size), 0, (0, 0))
    return np.asarray(eye + rays * arrays["view_z"][..., None])


FLOOR = box((0, -0.5, 0), (40, 1, 40), replace(GREY, f0=0.0))


@pytest.mark.parametrize("light", ["sun", "lamp"])
def test_penumbra_of_a_straight_edge(light: str) -> None:
    """Its profile is that of a disk cut by a line, and its width 2 d tan(radius) of the sun, 2 d r / (D - d) of a lamp."""
    height, radius, above = 2.0, 0.25, 5.0
    lamp = Lamp("lamp", (0, above, 0), radius, (1, 1, 1))
    lights = {"sun": Sun((0, 1, 0), (1, 1, 1), 0.08)} if light == "sun" else {"lamps": (lamp,)}
    edge = box((-10, height, 0), (20, 1e-3, 40), RED)
    view = View(Camera((0, 0.6, 2.5), (0, 0, 0), 40), [FLOOR, edge], **lights)
    scene = scene_of("edge", lambda frame: view)
    size = 96, 54
    a = testbed.render(scene, 0, *size, reference_samples=256)
    p = positions(scene, a, size)
    here = (a["object_id"] == 1) & (np.abs(p[..., 2]) < 0.5)
    x, shadow = p[here, 0], a[light_array("ref_shadow", light)][here].astype(float)
    if light == "sun":
        cut = x / height / 0.08
        width = 2 * height * 0.08
    else:
        across = np.stack([np.full_like(x, height), x, 0 * x], -1) / np.hypot(height, x)[:, None]
        path = np.array(lamp.position) - p[here]
        cut = (across * path).sum(-1) / radius
        width = 2 * height * radius / (above - height)
    cut = np.clip(cut, -1, 1)
    assert shadow == pytest.approx(0.5 + (cut * np.sqrt(1 - cut**2) + np.arcsin(cut)) / np.pi, abs=0.03)
    soft = x[(shadow > 0.01) & (shadow < 0.99)]
    assert np.ptp(soft) == pytest.approx(width, rel=0.1)
    hit = a[light_array("shadow_hit", light)][here]
    assert hit[(hit < 60000) & (np.abs(x) < 0.3)] == pytest.approx(height, rel=0.02)


def test_light_of_a_lamp_is_the_integral_over_its_sphere() -> None:
    """Lambert to a thousandth, highlights that are wider than the lamp to a few percent."""
    lamp = Lamp("lamp", (0.5, 1.5, -1), 0.2, (3, 2, 1))
    size = 16, 9
    points = (np.stack(np.meshgrid(np.arange(32), np.arange(32)), -1).reshape(-1, 2) + 0.5) / 32
    for roughness, f0, tolerance in ((1.0, 0.0, 2e-3), (0.8, 0.3, 0.02), (0.5, 0.3, 0.06)):
        material = Material("floor", (0.5, 0.5, 0.5), roughness=roughness, f0=f0)
        view = View(Camera((0, 1.5, 3), (0, 0, 0), 40), [box((0, -0.5, 0), (40, 1, 40), material)], lamps=(lamp,))
        scene = scene_of("lit", lambda frame, view=view: view)
        a = testbed.render(scene, 0, *size)
        p = positions(scene, a, size)
        to_eye = np.array([0, 1.5, 3]) - p
        to_eye /= np.linalg.norm(to_eye, axis=-1, keepdims=True)
        path = np.array(lamp.position) - p
        distance = np.linalg.norm(path, axis=-1, keepdims=True)
        cone = 1 - np.sqrt(1 - (lamp.radius / distance) ** 2)
        total = np.zeros(p.shape[:2])
        for u, w in points:
            z = 1 - u * cone
            axis = path / distance
            side = np.cross(axis, [0.0, 0.6, 0.8])
            side /= np.linalg.norm(side, axis=-1, keepdims=True)
            around = side * np.cos(2 * np.pi * w) + np.cross(axis, side) * np.sin(2 * np.pi * w)
            total += reflected(axis * z + around * np.sqrt(1 - z * z), to_eye, 0.5, f0, roughness**2)
        radiance = 3 / (np.pi * lamp.radius**2)
        expected = total / len(points) * radiance * 2 * np.pi * cone[..., 0]
        assert a["unshadowed_lamp"][..., 0].astype(float) == pytest.approx(expected, rel=tolerance)
        assert a["unshadowed_lamp"][..., 2].astype(float) * 3 == pytest.approx(expected, rel=tolerance)


def reflected(to_light: NDArray, to_eye: NDArray, albedo: float, f0: float, alpha: float) -> NDArray:
    """BRDF times cosine on a floor: Lambert and GGX with separable masking and Schlick's Fresnel term."""
    half = to_light + to_eye
    half /= np.linalg.norm(half, axis=-1, keepdims=True)
    l_z, v_z, h_z = to_light[..., 1], to_eye[..., 1], half[..., 1]
    a2 = alpha * alpha
    facets = a2 / (np.pi * (h_z * h_z * (a2 - 1) + 1) ** 2)
    masking = [2 * z / (z + np.sqrt(a2 + (1 - a2) * z * z)) for z in (l_z, v_z)]
    fresnel = f0 + (min(50 * f0, 1) - f0) * (1 - (half * to_eye).sum(-1)) ** 5
    return np.asarray(albedo / np.pi * l_z + facets * masking[0] * masking[1] * fresnel / (4 * v_z))


def test_light_of_a_lamp_is_not_counted_twice() -> None:
    """Rays of the lobes find neither it nor its bulb, but what it lights."""
    bulb = sphere((0, 1, 0), 0.1, Material("bulb", emission=(50, 50, 50), glow=True))
    camera = Camera((0, 2, 5), (0, 0.5, 0), 50)
    lamps = (Lamp("lamp", (0, 1, 0), 0.12, (1, 1, 1)),)

    def arrays(*shapes: object, lamps: tuple[Lamp, ...]) -> Arrays:
        return testbed.render(scene_of("lamp", lambda frame: View(camera, [FLOOR, *shapes], lamps=lamps)), 0, *SIZE)  # type: ignore[list-item]

    a = arrays(bulb, lamps=lamps)
    seen = a["object_id"] == 2
    assert (a["emission"][seen] == 50).all()
    assert (a["emission"][~seen] == 0).all()
    assert seen.any()
    assert (a["shadow_hit_lamp"][a["object_id"] == 1] == 65504).all()  # the bulb stands in the light and hides none
    assert (arrays(bulb, lamps=())["diff"] == 0).all()
    wall = box((0, 0, -2), (10, 10, 1), GREY)
    assert (arrays(bulb, wall, lamps=())["diff"] == 0).all()
    assert arrays(bulb, wall, lamps=lamps)["diff"].astype(float).mean() > 0.001


def test_glass_colours_the_light_behind_it() -> None:
    red, green = (Material(c, transmission=t, f0=0.0) for c, t in (("r", (0.8, 0.1, 0.1)), ("g", (0.5, 0.75, 0.25))))
    shapes = [
        FLOOR,
        box((0, 1, 0), (4, 0.02, 1), red),
        box((1, 2, 0), (2, 0.02, 1), green),
        box((-1.5, 3, 0), (1, 0.02, 1), GREY),
    ]
    lamp = Lamp("lamp", (0, 500, 0), 1.0, (1e5, 1e5, 1e5))
    view = View(Camera((0, 0.5, 4), (0, 0, 0), 60), shapes, sun=Sun((0, 1, 0), (1, 1, 1), 0.002), lamps=(lamp,))
    scene = scene_of("glass", lambda frame: view)
    a = testbed.render(scene, 0, *SIZE, reference_samples=8)
    p = positions(scene, a, SIZE)
    floor = (a["object_id"] == 1) & (np.abs(p[..., 2]) < 0.45)
    x = p[..., 0]
    for light in ("sun", "lamp"):
        colour, hit, shadow = (a[light_array(kind, light)] for kind in ("translucency", "shadow_hit", "ref_shadow"))
        for where, expected, distance in (
            (floor & (np.abs(x + 0.5) < 0.4), (0.8, 0.1, 0.1), 1),
            (floor & (np.abs(x - 1) < 0.9), (0.4, 0.075, 0.025), 1),
            (floor & (np.abs(x + 1.5) < 0.4), (0, 0, 0), 1),
            (floor & (x > 2.1), (1, 1, 1), 65504),
            (a["normal"][..., 1] < 0, (0, 0, 0), 0),
        ):
            assert where.any()
            assert colour[where] == pytest.approx(np.broadcast_to(expected, (where.sum(), 3)), abs=1e-3)
            assert shadow[where] == pytest.approx(np.broadcast_to(expected, (where.sum(), 3)), abs=1e-3)
            assert hit[where] == pytest.approx(distance, rel=0.02)
    assert metrics.compose(a, metrics.reference_signals(a)) == pytest.approx(a["ref_color"], rel=2e-3, abs=1e-3)


def test_descriptions_say_where_lights_are() -> None:
    meta = testbed.metadata("jump", *SIZE)
    first, second = testbed.get_scene("jump").lighting_changes
    assert meta["lighting_changes"] == [first, second]
    directions = [light_geometry(meta, "sun", frame)["direction"] for frame in range(meta["num_frames"])]
    assert len(set(directions[:second])) == len(set(directions[second:])) == 1
    assert directions[0] != directions[-1]
    assert meta["sun"]["direction_to_light"] == list(directions[0])
    meta = testbed.metadata("shadows", *SIZE)
    assert "directions_to_light" not in meta["sun"]
    assert light_geometry(meta, "sun", 7).keys() == {"direction", "tan_angular_radius"}
    for frame in (0, 9):
        lamp = testbed.get_scene("shadows").at(frame).lamps[0]
        assert light_geometry(meta, "lantern", frame) == {"position": lamp.position, "radius": lamp.radius}
    assert light_geometry(meta, "lantern", 0) != light_geometry(meta, "lantern", 9)


def test_jump_changes_the_shadows_at_its_frames_only() -> None:
    first, second = testbed.get_scene("jump").lighting_changes

    def shadows(frame: int) -> tuple[NDArray, NDArray]:
        a = testbed.render("jump", frame, 96, 54, reference_samples=16)
        return a["ref_shadow"].astype(float), a["ref_shadow_lamp"].astype(float)

    def changed(before: NDArray, after: NDArray) -> int:
        return int((np.abs(before - after) > 0.5).sum())

    start, before, jumped, later, dusk = map(shadows, (0, first - 1, first, second - 1, second))
    for light in (0, 1):
        assert changed(start[light], before[light]) < 5
        assert changed(before[light], jumped[light]) > 50
        assert changed(jumped[light], later[light]) < 5
    assert changed(later[0], dusk[0]) > 50
    assert changed(later[1], dusk[1]) < 5


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


def test_the_light_of_the_studio_changes_as_each_scene_says() -> None:
    def light(name: str, frame: int) -> NDArray:
        return testbed.render(name, frame, *SIZE, reference_samples=8)["ref_diff"].astype(float).mean((0, 1))

    for name, frame, factors in (
        ("lamps", 12, (0.3, 0.61, 0.87)),  # the globe that goes out is amber
        ("colour", 12, (0.25, 1.21, 5.5)),
        ("tenfold", 10, (10, 10, 10)),
        ("tenfold", 20, (0.1, 0.1, 0.1)),
        ("flicker", 13, (0.5, 0.5, 0.5)),
        ("flicker", 15, (2, 2, 2)),
        ("fade", 12, (0.84, 0.84, 0.84)),
    ):
        assert frame in testbed.get_scene(name).lighting_changes
        assert light(name, frame) / light(name, frame - 1) == pytest.approx(np.array(factors), rel=0.15), (name, frame)
    for name, frame, factor in (("flicker", 14, 1), ("lamps", 13, 1), ("fade", 16, 0.84)):
        assert light(name, frame) / light(name, frame - 1) == pytest.approx(np.full(3, factor), rel=0.1), (name, frame)
    assert (light("dark", 11) == 0).all()
    assert (light("dark", 12) > 0.1).all()


@pytest.mark.parametrize(("name", "lobe", "still"), [("torch", "diff", 3), ("edge", "diff", 3), ("mirror", "spec", 12)])
def test_light_of_the_studio_moves_over_still_things(name: str, lobe: str, still: int) -> None:
    """Over the wall, or in the mirror: by its number among the shapes."""
    a, b = (testbed.render(name, frame, *SIZE, reference_samples=32) for frame in (2, 12))
    seen = (a["object_id"] == still) & (b["object_id"] == still)
    assert seen.sum() > 40
    assert np.abs(a["motion"][seen]).max() < 1e-9
    before, after = (x[f"ref_{lobe}"][seen].astype(float) @ LUMINANCE for x in (a, b))
    assert (np.abs(np.log2((after + 1e-3) / (before + 1e-3))) > 0.5).mean() > 0.1


def test_a_cut_shows_other_things_at_once() -> None:
    cut = testbed.get_scene("cut").lighting_changes[0]
    a, b, c = (testbed.guides("cut", frame, *SIZE) for frame in (cut - 1, cut, cut + 1))
    assert (a["object_id"] != b["object_id"]).mean() > 0.3
    assert np.array_equal(b["object_id"], c["object_id"])
    assert b["disoccluded"].mean() > 0.2
    assert not c["disoccluded"].any()


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


def test_lights_survive_the_disk(tmp_path: Path) -> None:
    sequence = testbed.sequence("stained", 17, 9, frames=2, reference_frames=[1], reference_samples=2)
    write_sequence(tmp_path, sequence.meta, sequence.frames.values())
    read = open_sequence(tmp_path)
    assert read.lights == ["sun", "lamp"]
    assert read.meta["lights"]["lamp"] == sequence.meta["lights"]["lamp"]
    assert lights_with("ref_shadow", read.frames[1]) == ["sun", "lamp"]
    assert read.frames[1]["translucency_lamp"].shape == (9, 17, 3)


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

    def lit(frame: int) -> View:
        names = [f"lamp{i}" for i in range(frame)]
        lamps = tuple(Lamp(name, (0, 0, 0), 1, (1, 1, 1)) for name in names)
        return View(Camera((0, 0, 5), (0, 0, 0)), [box((0, 0, 0), (1, 1, 1), GREY)], lamps=lamps)

    with pytest.raises(ValueError, match="scene lit: frames 0 and 1 differ in their lights"):
        testbed.guides(scene_of("lit", lit), 1, 4, 4)
    with pytest.raises(ValueError, match="scene lit: 9 lights are more than 8"):
        testbed.guides(scene_of("lit", lambda frame: lit(9)), 0, 4, 4)
