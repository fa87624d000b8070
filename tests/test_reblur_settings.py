# SPDX-License-Identifier: Apache-2.0
"""Every setting of ReBLUR does what its description says: a table of two values, a scene, and which way the second goes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scenes
from scenes import WALL, View, guides, halves, last, luma, run, signals, unscaled

import denoise as dn

SIZE = WIDTH, HEIGHT = 96, 64
SHAPE = HEIGHT, WIDTH
EDGE = WIDTH // 2
MATERIAL = 5

Settings = dn.ReblurSettings
Measure = Callable[[Settings], float]


def wall(radiance: Any = 1.0, **guide: Any) -> dict[str, Any]:
    """A frame of a wall, all of one material where `material` says so."""
    material = guide.pop("material", None)
    frame = scenes.wall(radiance, width=WIDTH, height=HEIGHT, **guide)
    if material is not None:
        frame["material_id"] = np.broadcast_to(np.asarray(material, np.uint8), SHAPE)
    return frame


def length(settings: Settings, frames: list[dict[str, Any]], lobe: str = "diffuse") -> float:
    """Mean length of the history in the end."""
    return float(getattr(last(frames, settings, outputs=("history_length",)), f"{lobe}_history_length").mean())


# Measures: settings to a number


def noise(frames: int, lobe: str = "diffuse", kind: str = "uniform", **guide: Any) -> Measure:
    """Standard deviation of the last of some frames of noise."""

    def measure(settings: Settings) -> float:
        rng = np.random.default_rng(20)
        noisy = (wall(scenes.noise(kind, rng, SHAPE), **guide) for _ in range(frames))
        return float(luma(getattr(last(noisy, settings), lobe)).std())

    return measure


def flicker(settings: Settings) -> float:
    """Mean change of the luma from frame to frame, under noise."""
    rng = np.random.default_rng(21)
    *_, a, b = run((wall(scenes.noise("one in 4", rng, SHAPE)) for _ in range(24)), settings)
    return float(np.abs(luma(a.diffuse - b.diffuse)).mean())


def lag(settings: Settings) -> float:
    """What is left of the old light after 6 frames of a new one, under noise."""
    rng = np.random.default_rng(22)
    levels = [1.0] * 24 + [4.0] * 6
    result = last((wall(level * scenes.noise("uniform", rng, SHAPE)) for level in levels), settings)
    return float(4 - luma(result.diffuse).mean()) / 3


def length_after_a_step(settings: Settings) -> float:
    """Mean length of the history in the frame in which the light changes, under noise."""
    rng = np.random.default_rng(23)
    levels = [1.0] * 16 + [2.0]
    return length(settings, [wall(level * scenes.noise("uniform", rng, SHAPE)) for level in levels])


def length_on_jumping_depth(jump: float, step: float = 0, mix: float | None = None) -> Measure:
    """Length of the history of a surface whose depth jumps to and fro, seen by a camera that strafes."""

    def measure(settings: Settings) -> float:
        frames = []
        for index in range(12):
            view, before = (View(WIDTH, HEIGHT, (i * step, 0, 0)) for i in (index, max(index - 1, 0)))
            frame = {**guides(view, view.at_depth(WALL), before), **signals(1, 8, SHAPE)}
            frame["view_z"] = frame["view_z"] + np.float32(jump * (index % 2))
            frame["material_id"] = np.full(SHAPE, MATERIAL, np.uint8)
            if mix is not None:
                frame["disocclusion_threshold_mix"] = np.full(SHAPE, mix, np.float32)
            frames.append(frame)
        return length(settings, frames)

    return measure


def contrast_on_the_camera(settings: Settings) -> float:
    """Contrast of the reflection in a mirror that the camera carries along."""
    frames = [scenes.carried_mirror(index, *SIZE, material=MATERIAL) for index in range(12)]
    result = last((frame for frame, _ in frames), settings)
    return scenes.contrast(luma(result.specular), frames[-1][1])


def leak(beyond: int, frames: int = 1, lobe: str = "diffuse", **guide: Any) -> Measure:
    """What of the light in the left half reaches a column so far inside the dark right half."""

    def measure(settings: Settings) -> float:
        result = last([wall(halves(1.0, 0.0, *SIZE), **guide)] * frames, settings)
        return float(luma(getattr(result, lobe))[:, EDGE + beyond].mean())

    return measure


def firefly(before: int) -> Measure:
    """How far one sample of 1000 stands out of a field of 1 that has been there for so many frames."""

    def measure(settings: Settings) -> float:
        spark = np.ones(SHAPE, np.float32)
        spark[HEIGHT // 2, WIDTH // 2] = 1000
        return float(luma(last([wall()] * before + [wall(spark)], settings).diffuse).max() - 1)

    return measure


def brightness(settings: Settings) -> float:
    return float(last([wall()], settings).diffuse.mean())


def distances_found(settings: Settings) -> float:
    """Share of the pixels with a distance, where every fifth in either direction has one; misses count as 1."""
    distance = np.zeros(SHAPE)
    distance[2::5, 2::5] = 2
    result = last([wall(distance=distance)], settings, outputs=("hit_distance",))
    return float((np.abs(result.diffuse_hit_distance - 2) < 0.1).mean())


def responsive_length(settings: Settings) -> float:
    """Length of the specular history on a surface that is nearly a mirror."""
    return length(settings, [wall(roughness=0.05)] * 20, "specular")


# The table

BENT = halves((0, 0, -1), (np.sin(np.radians(20)), 0, -np.cos(np.radians(20))), *SIZE)
CONTACT = halves(0.2, 1.5, *SIZE)  # hit distances that differ at the edge
TWO_MATERIALS = halves(np.uint8(1), np.uint8(2), *SIZE)
STEP = halves(WALL, 1.03 * WALL, *SIZE)
NO_BLUR: dict[str, Any] = {
    "diffuse_prepass_radius": 0,
    "specular_prepass_radius": 0,
    "min_blur_radius": 0,
    "max_blur_radius": 0,
}
NO_FILTER: dict[str, Any] = {**NO_BLUR, "history_fix_frames": 0, "anti_firefly": False}


@dataclasses.dataclass(frozen=True)
class Effect:
    """What is measured at two values of a setting; `rises`: whether the second value's measure is the larger one."""

    low: Any
    high: Any
    measure: Measure
    rises: bool
    beside: dict[str, Any] = dataclasses.field(default_factory=dict)  # other settings


RISES, FALLS = True, False

EFFECTS: dict[str, Effect] = {
    "sky_distance": Effect(4, 6, brightness, RISES),
    "units_per_metre": Effect(1, 100, leak(2, 8, distance=CONTACT), RISES, {"history_fix_frames": 0}),
    "frame_time": Effect(1 / 240, 1 / 30, length_after_a_step, FALLS),
    "disocclusion_threshold": Effect(0.01, 0.2, length_on_jumping_depth(0.5), RISES),
    "disocclusion_threshold_alternate": Effect(0.02, 0.2, length_on_jumping_depth(0.5, mix=1), RISES),
    "strand_material": Effect(-1, MATERIAL, length_on_jumping_depth(0.5), RISES),
    "strand_thickness": Effect(80e-6, 1, length_on_jumping_depth(0.25, step=0.2), FALLS, {"strand_material": MATERIAL}),
    "camera_attached_material": Effect(-1, MATERIAL, contrast_on_the_camera, RISES),
    "split_screen": Effect(0.2, 0.8, noise(4), RISES),
    "max_accumulated_frames": Effect(4, 30, noise(32), FALLS, NO_FILTER),
    "max_fast_frames": Effect(2, 20, lag, RISES),
    "max_stabilized_frames": Effect(0, 63, flicker, FALLS),
    "history_fix_frames": Effect(0, 4, noise(2, kind="one in 20"), FALLS, NO_BLUR),
    "history_fix_stride": Effect(2, 20, leak(12), RISES, NO_BLUR),
    "history_fix_stride_alternate": Effect(
        2, 20, leak(12, material=MATERIAL), RISES, {**NO_BLUR, "history_fix_alternate_material": MATERIAL}
    ),
    "history_fix_alternate_material": Effect(
        -1,
        MATERIAL,
        leak(12, material=MATERIAL),
        RISES,
        {**NO_BLUR, "history_fix_stride": 2, "history_fix_stride_alternate": 20},
    ),
    "fast_clamp_sigma": Effect(1, 3, lag, RISES),
    "antilag_sigma_scale": Effect(0.1, 1000, length_after_a_step, RISES),
    "antilag_sensitivity": Effect(0.01, 1000, length_after_a_step, RISES),
    "responsive_roughness": Effect(0, 1, responsive_length, FALLS, {"responsive_min_frames": 0}),
    "responsive_min_frames": Effect(0, 10, responsive_length, RISES, {"responsive_roughness": 1}),
    "convergence_scale": Effect(0.1, 5, leak(8, 12), FALLS),
    "convergence_base": Effect(0, 1, leak(12, 10), FALLS, {"convergence_period": 1}),
    "convergence_period": Effect(0, 1, leak(8, 12), RISES),
    "relight": Effect(False, True, lag, FALLS),
    "relight_proof": Effect(1, 100, lag, RISES, {"relight": True}),
    "hit_distance_offset": Effect(0.1, 100, leak(2, 8, distance=CONTACT), RISES, {"history_fix_frames": 0}),
    "hit_distance_depth_scale": Effect(0, 10, leak(2, 8, distance=CONTACT), RISES, {"history_fix_frames": 0}),
    "hit_distance_roughness_scale": Effect(
        1, 100, leak(2, 8, "specular", distance=CONTACT, roughness=0.3), RISES, {"history_fix_frames": 0}
    ),
    "hit_distance_reconstruction": Effect("off", "5x5", distances_found, RISES, {**NO_BLUR, "history_fix_frames": 0}),
    "min_hit_distance_weight": Effect(
        0.001, 0.2, leak(2, 24, distance=halves(0.1, 4.0, *SIZE)), RISES, {"history_fix_frames": 0}
    ),
    "diffuse_prepass_radius": Effect(0, 30, noise(1), FALLS, {"max_blur_radius": 2, "history_fix_frames": 0}),
    "specular_prepass_radius": Effect(
        0, 50, noise(1, "specular"), FALLS, {"max_blur_radius": 2, "history_fix_frames": 0}
    ),
    "prepass_tracking_only": Effect(
        False, True, noise(1, "specular"), RISES, {"max_blur_radius": 2, "history_fix_frames": 0}
    ),
    "min_blur_radius": Effect(0, 6, leak(3, 32, distance=0.01), RISES, {"diffuse_prepass_radius": 0}),
    "max_blur_radius": Effect(2, 30, noise(1), FALLS, {"diffuse_prepass_radius": 0, "history_fix_frames": 0}),
    "lobe_angle_fraction": Effect(0, 1, leak(1, 24, normal=BENT), RISES),
    "roughness_fraction": Effect(0, 1, leak(1, 12, "specular", roughness=halves(0.5, 0.35, *SIZE)), RISES),
    "plane_sensitivity": Effect(0.005, 0.1, leak(1, 4, depth=STEP), RISES),
    "min_material_diffuse": Effect(0, 256, leak(1, 4, material=TWO_MATERIALS), RISES),
    "min_material_specular": Effect(0, 256, leak(1, 4, "specular", material=TWO_MATERIALS), RISES),
    "anti_firefly": Effect(False, True, firefly(0), FALLS),
    "firefly_min_scale": Effect(1, 3, firefly(32), RISES, {"anti_firefly": False, "max_fast_frames": 30}),
}


def test_every_setting_is_in_the_table() -> None:
    assert EFFECTS.keys() == {field.name for field in Settings.fields()}


@pytest.mark.parametrize("name", EFFECTS)
def test_what_a_setting_does(name: str) -> None:
    """The larger measure is larger by a tenth at least: no rounding, no chance."""
    effect = EFFECTS[name]
    beside = {"frame_time": 1 / 30, **effect.beside}  # a frame rate at which anti-lag is not held back
    at_low, at_high = (effect.measure(unscaled(**{**beside, name: value})) for value in (effect.low, effect.high))
    print(f"{name}: {effect.low} gives {at_low:.4g}, {effect.high} gives {at_high:.4g}")
    if effect.rises:
        assert at_high > 1.1 * at_low
    else:
        assert at_low > 1.1 * at_high


@pytest.mark.parametrize("lobe", scenes.LOBES)
def test_a_material_minimum_is_of_its_lobe(lobe: str) -> None:
    other = scenes.LOBES[1 - scenes.LOBES.index(lobe)]
    settings = unscaled(**{f"min_material_{lobe}": 256})
    assert leak(1, 4, lobe, material=TWO_MATERIALS)(settings) > 0.1
    assert leak(1, 4, other, material=TWO_MATERIALS)(settings) < 0.001


def test_radii_scale_with_the_height() -> None:
    """They are pixels at 1440 lines: at half the size, half as many, so that the same part of the picture is blurred;
    but small pictures, those of the tables among them, are blurred by as many as one of 576 lines."""
    settings = dn.ReblurSettings(history_fix_frames=0, diffuse_prepass_radius=0, max_blur_radius=30)
    spread = {}
    for size in (160, 576, 720, 1080):
        frame = scenes.wall(halves(1.0, 0.0, size, size), width=size, height=size)
        diffuse = {name: frame[name] for name in ("camera", "view_z", "normal", "diffuse", "diffuse_hit_distance")}
        falls = -np.diff(luma(last([diffuse], settings).diffuse[size // 2]))
        at = np.arange(size - 1) - (falls * np.arange(size - 1)).sum()
        spread[size] = np.sqrt((falls * at**2).sum())
    assert spread[1080] / spread[720] == pytest.approx(1080 / 720, rel=0.03)
    assert spread[576] / spread[720] == pytest.approx(576 / 720, rel=0.03)
    assert spread[160] / spread[720] == pytest.approx(scenes.RADIUS_SCALE / 0.5, rel=0.03)
