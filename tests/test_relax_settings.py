# SPDX-License-Identifier: Apache-2.0
"""Every setting of ReLAX does what its description says: a table like ReBLUR's, with its measures."""

from typing import Any

import numpy as np
import pytest
import scenes
import test_reblur_settings as reblur
from scenes import halves, last, luma
from test_reblur_settings import (
    BENT,
    CONTACT,
    FALLS,
    MATERIAL,
    RISES,
    SHAPE,
    SIZE,
    STEP,
    TWO_MATERIALS,
    Effect,
    firefly,
    lag,
    leak,
    noise,
)

import denoise as dn

NO_PREPASS: dict[str, Any] = {"diffuse_prepass_radius": 0, "specular_prepass_radius": 0}
NO_FIX: dict[str, Any] = {**NO_PREPASS, "history_fix_frames": 0}
OPEN: dict[str, Any] = {
    **NO_FIX,
    "diffuse_min_luminance_weight": 1,
    "specular_min_luminance_weight": 1,
    "plane_sensitivity": 0.02,
}
# No level filters: what accumulation got is what comes out.
CLOSED: dict[str, Any] = {
    "history_fix_frames": 0,
    "atrous_iterations": 2,
    "diffuse_phi_luminance": 0.01,
    "specular_phi_luminance": 0.01,
    "luminance_relaxation": 0,
    "spatial_variance_frames": 0,
}
DARK: dict[str, Any] = {"relight": False}


def lag_of(lobe: str) -> Any:
    """What is left of the old light in that lobe after 6 frames of a new one, under noise."""

    def measure(settings: Any) -> float:
        rng = np.random.default_rng(22)
        levels = [4.0] * 24 + [1.0] * 6
        result = last((reblur.wall(level * scenes.noise("uniform", rng, SHAPE)) for level in levels), settings)
        return float(luma(getattr(result, lobe)).mean() - 1) / 3

    return measure


def doubted(settings: Any) -> float:
    """Noise of a frame that may not trust its past."""
    rng = np.random.default_rng(24)
    frames = [reblur.wall(scenes.noise("uniform", rng, SHAPE)) for _ in range(6)]
    frames[-1]["diffuse_confidence"] = np.full(SHAPE, 0.1, np.float32)
    return float(luma(last(frames, settings).diffuse).std())


def doubted_leak(settings: Any) -> float:
    frames = [reblur.wall(halves(1.0, 0.0, *SIZE), normal=BENT) for _ in range(8)]
    for frame in frames:
        frame["diffuse_confidence"] = np.full(SHAPE, 0.5, np.float32)
    return float(luma(last(frames, settings).diffuse)[:, SIZE[0] // 2 + 1].mean())


def believed(settings: Any) -> float:
    """Mean length of the past that a mirror with rough patches believes, seen by a camera that strafes fast: how far
    along its way a reflection's past is searched for a stranger's goes with the time of a frame."""
    rough = scenes.checker(np.arange(scenes.WIDTH), np.arange(scenes.HEIGHT), 16, 1) > 1
    frames = []
    for index in range(12):
        frame, _ = scenes.mirror_wall(1.4, index)
        frames.append({**frame, "roughness": np.where(rough, 0.5, 0.05).astype(np.float32)})
    return float(last(frames, settings, outputs=("history_length",)).specular_history_length.mean())


def stranger(settings: Any) -> float:
    """Noise in a half rough mirror whose reflections keep changing their distance, so that no past is believed, seen by a
    camera that strafes."""
    rng = np.random.default_rng(25)
    frames = []
    for index in range(10):
        view, before = (scenes.View(*SIZE, (0.1 * i, 0, 0)) for i in (index, max(index - 1, 0)))
        light = scenes.signals(scenes.noise("uniform", rng, SHAPE), rng.choice([0.5, 20.0]), SHAPE)
        frames.append({**scenes.guides(view, view.at_depth(reblur.WALL), before, roughness=0.2), **light})
    return float(luma(last(frames, settings).specular).std())


EFFECTS: dict[str, Effect] = {
    **{
        name: reblur.EFFECTS[name]
        for name in (
            "sky_distance",
            "disocclusion_threshold",
            "disocclusion_threshold_alternate",
            "strand_material",
            "strand_thickness",
            "camera_attached_material",
            "split_screen",
        )
    },
    "frame_time": Effect(1 / 240, 1 / 30, believed, RISES),
    "units_per_metre": Effect(1, 100, leak(2, 1, "specular", distance=CONTACT), RISES, CLOSED),
    "diffuse_max_accumulated_frames": Effect(4, 30, noise(32), FALLS, NO_FIX),
    "specular_max_accumulated_frames": Effect(4, 30, noise(32, "specular"), FALLS, NO_FIX),
    "diffuse_max_fast_frames": Effect(2, 20, lag_of("diffuse"), RISES, DARK),
    "specular_max_fast_frames": Effect(2, 20, lag_of("specular"), RISES, DARK),
    "history_fix_frames": Effect(0, 4, noise(2, kind="one in 20"), FALLS, NO_PREPASS),
    "history_fix_stride": Effect(2, 20, leak(8), RISES, NO_PREPASS),
    "history_fix_stride_alternate": Effect(
        2, 20, leak(8, material=MATERIAL), RISES, {**NO_PREPASS, "history_fix_alternate_material": MATERIAL}
    ),
    "history_fix_alternate_material": Effect(
        -1,
        MATERIAL,
        leak(8, material=MATERIAL),
        RISES,
        {**NO_PREPASS, "history_fix_stride": 2, "history_fix_stride_alternate": 20},
    ),
    "history_fix_normal_power": Effect(0, 64, leak(3, normal=BENT), FALLS, {**NO_PREPASS, "plane_sensitivity": 1}),
    "fast_clamp_sigma": Effect(1, 3, lag_of("diffuse"), RISES, {**DARK, "antilag_reset": 0}),
    "antilag_acceleration": Effect(0, 1, lag_of("diffuse"), FALLS, {**DARK, "antilag_reset": 0, "fast_clamp_sigma": 1}),
    "antilag_reset": Effect(0, 1, lag_of("diffuse"), FALLS, {**DARK, "antilag_acceleration": 0}),
    "antilag_spatial_sigma": Effect(0.5, 20, lag_of("diffuse"), RISES, {**DARK, "antilag_acceleration": 0}),
    "antilag_temporal_sigma": Effect(0.2, 20, lag_of("diffuse"), RISES, {**DARK, "antilag_acceleration": 0}),
    "relight": Effect(False, True, lag, FALLS),
    "relight_proof": Effect(1, 100, lag, RISES),
    "hit_distance_offset": Effect(0.1, 100, leak(2, 1, "specular", distance=CONTACT), RISES, CLOSED),
    "hit_distance_depth_scale": Effect(0, 10, leak(2, 1, "specular", distance=CONTACT), RISES, CLOSED),
    "hit_distance_roughness_scale": Effect(1, 100, leak(2, 1, "specular", distance=CONTACT), RISES, CLOSED),
    "hit_distance_reconstruction": Effect("off", "5x5", reblur.distances_found, RISES, NO_FIX),
    "min_hit_distance_weight": Effect(0.001, 0.2, leak(2, 1, "specular", distance=CONTACT), RISES, CLOSED),
    "prepass_tracking_only": Effect(False, True, noise(1, "specular"), RISES, {"history_fix_frames": 0}),
    "diffuse_prepass_radius": Effect(0, 30, noise(1), FALLS, CLOSED),
    "specular_prepass_radius": Effect(0, 50, noise(1, "specular"), FALLS, CLOSED),
    "spatial_variance_frames": Effect(0, 8, noise(2), FALLS, NO_FIX),
    "specular_variance_boost": Effect(
        0, 10, stranger, FALLS, {**CLOSED, "specular_phi_luminance": 1, "specular_max_accumulated_frames": 0}
    ),
    "atrous_iterations": Effect(2, 6, noise(1), FALLS, NO_FIX),
    "diffuse_phi_luminance": Effect(0.2, 8, noise(8), FALLS, NO_FIX),
    "specular_phi_luminance": Effect(0.2, 8, noise(8, "specular"), FALLS, NO_FIX),
    "diffuse_min_luminance_weight": Effect(0, 1, noise(8, kind="one in 20"), FALLS, NO_FIX),
    "specular_min_luminance_weight": Effect(0, 1, noise(8, "specular", kind="one in 20"), FALLS, NO_FIX),
    "lobe_angle_fraction": Effect(0, 1, leak(1, 24, normal=BENT), RISES, OPEN),
    "specular_lobe_angle_slack": Effect(0, 30, noise(8, "specular", roughness=0.02), FALLS, OPEN),
    "roughness_fraction": Effect(0, 1, leak(1, 12, "specular", roughness=halves(0.5, 0.35, *SIZE)), RISES, OPEN),
    "plane_sensitivity": Effect(0.002, 0.1, leak(1, 4, depth=STEP), RISES, {**OPEN, "plane_sensitivity": 0.02}),
    "roughness_stop": Effect(False, True, leak(1, 12, "specular", roughness=halves(0.9, 0.1, *SIZE)), FALLS, OPEN),
    "luminance_relaxation": Effect(0, 1, stranger, FALLS, {**NO_FIX, "specular_phi_luminance": 1}),
    "normal_relaxation": Effect(0, 1, stranger, FALLS, {**OPEN, "lobe_angle_fraction": 0.02}),
    "view_relaxation": Effect(0, 10, noise(8, "specular", roughness=0.08), FALLS, OPEN),
    "confidence_relaxation": Effect(
        0, 1, doubted, FALLS, {**NO_FIX, "confidence_luminance_relaxation": 1, "diffuse_phi_luminance": 1}
    ),
    "confidence_luminance_relaxation": Effect(
        0, 1, doubted, FALLS, {**NO_FIX, "confidence_relaxation": 1, "diffuse_phi_luminance": 1}
    ),
    "confidence_normal_relaxation": Effect(
        0, 1, doubted_leak, RISES, {**OPEN, "confidence_relaxation": 10, "lobe_angle_fraction": 0.05}
    ),
    "min_material_diffuse": Effect(0, 256, leak(1, 4, material=TWO_MATERIALS), RISES, OPEN),
    "min_material_specular": Effect(0, 256, leak(1, 4, "specular", material=TWO_MATERIALS), RISES, OPEN),
    "anti_firefly": Effect(False, True, firefly(0), FALLS, {**CLOSED, **NO_PREPASS}),
}


def test_every_setting_is_in_the_table() -> None:
    assert EFFECTS.keys() == {field.name for field in dn.RelaxSettings.fields()}


@pytest.mark.parametrize("name", EFFECTS)
def test_what_a_setting_does(name: str) -> None:
    """The larger measure is larger by a twentieth at least: no rounding, no chance."""
    effect = EFFECTS[name]
    at_low, at_high = (
        effect.measure(dn.RelaxSettings(**{**effect.beside, name: value})) for value in (effect.low, effect.high)
    )
    print(f"{name}: {effect.low} gives {at_low:.4g}, {effect.high} gives {at_high:.4g}")
    if effect.rises:
        assert at_high > 1.05 * at_low
    else:
        assert at_low > 1.05 * at_high
