# SPDX-License-Identifier: Apache-2.0
"""Lights and their shadows: what may be given and comes back, wrong calls in words, and lights that come and go."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from typing import Any

import numpy as np
import pytest
from test_api import CAMERA, F16, F32, HEIGHT, WIDTH, assert_equal, full, read_only

import denoise as dn

SUN = dn.Light.directional((0, 1, 0.5), 0.02)
LAMP = dn.Light.local((1, 2, 3), 0.1)


def distances(seed: int = 0, dtype: Any = F32) -> np.ndarray:
    """Occluders near and far, lit pixels, and pixels that face away."""
    values = np.array([0, 0.5, 3, 65504, np.inf])
    return values[np.random.default_rng(seed).integers(5, size=(HEIGHT, WIDTH))].astype(dtype)


def inputs(**changes: Any) -> dict[str, Any]:
    """The keywords of a good frame with one light; None leaves one out."""
    keywords = {
        "occluder_distance": distances(),
        "light": SUN,
        "view_z": full(1, 5),
        "normal": full(3, (0, 0, -1)),
        "motion": full(3, 0),
        "camera": CAMERA,
    }
    return {name: value for name, value in {**keywords, **changes}.items() if value is not None}


def several(*keys: str, seed: int = 0, **changes: Any) -> dict[str, Any]:
    """The keywords of a good frame with lights of these keys."""
    lights = [dn.Light.local((1, 2, 3), 0.1, key=key) for key in keys]
    shadows = [distances(10 * seed + ord(key[0])) for key in keys]
    return inputs(**{"light": lights, "occluder_distance": shadows, **changes})


def sigma(**options: Any) -> dn.Sigma:
    return dn.Sigma(WIDTH, HEIGHT, **options)


# Wrong lights


WRONG_DIRECTIONS = {
    "zero": ({"direction": (0, 0, 0)}, ValueError, "direction: expected a vector with a length, got (0, 0, 0)"),
    "NaN": ({"direction": (0, np.nan, 1)}, ValueError, "direction: expected finite numbers, got (0, nan, 1)"),
    "infinite": ({"direction": (0, 1, np.inf)}, ValueError, "direction: expected finite numbers, got (0, 1, inf)"),
    "two": ({"direction": (0, 1)}, TypeError, "direction: expected three numbers (x, y, z), got (0, 1)"),
    "four": ({"direction": [0, 1, 0, 0]}, TypeError, "direction: expected three numbers (x, y, z), got [0, 1, 0, 0]"),
    "word": ({"direction": "up"}, TypeError, "direction: expected three numbers (x, y, z), got 'up'"),
    "number": ({"direction": 1}, TypeError, "direction: expected three numbers (x, y, z), got 1"),
    "negative": ({"tan_angular_radius": -0.1}, ValueError, "tan_angular_radius: expected 0 to 10, got -0.1"),
    "degrees": (
        {"tan_angular_radius": 26.6},
        ValueError,
        "tan_angular_radius: expected 0 to 10, got 26.6; is it an angle in degrees?",
    ),
    "NaN size": ({"tan_angular_radius": np.nan}, ValueError, "tan_angular_radius: expected 0 to 10, got nan"),
    "text size": ({"tan_angular_radius": "0.1"}, TypeError, "tan_angular_radius: expected a number, got '0.1'"),
    "true size": ({"tan_angular_radius": True}, TypeError, "tan_angular_radius: expected a number, got True"),
    "number as key": ({"key": 1}, TypeError, "key: expected a text or None, got 1"),
    "empty key": ({"key": ""}, ValueError, "key: expected letters, digits, _ and -, got ''"),
    "dotted key": ({"key": "a.0"}, ValueError, "key: expected letters, digits, _ and -, got 'a.0'"),
    "key of two lines": ({"key": "a\n"}, ValueError, "key: expected letters, digits, _ and -, got 'a\\n'"),
}
WRONG_PLACES = {
    "one number": ({"position": (1,)}, TypeError, "position: expected three numbers (x, y, z), got (1,)"),
    "far": ({"position": (0, 1e38, 0)}, ValueError, "position: expected finite numbers, got (0, 1e+38, 0)"),
    "negative": ({"radius": -1}, ValueError, "radius: expected world units from 0 on, got -1"),
    "infinite": ({"radius": np.inf}, ValueError, "radius: expected world units from 0 on, got inf"),
    "None": ({"radius": None}, TypeError, "radius: expected a number, got None"),
}


@pytest.mark.parametrize("case", WRONG_DIRECTIONS.values(), ids=WRONG_DIRECTIONS.keys())
def test_a_wrong_directional_light_raises(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        dn.Light.directional(**{"direction": (0, 1, 0), "tan_angular_radius": 0.02, **changes})


@pytest.mark.parametrize("case", WRONG_PLACES.values(), ids=WRONG_PLACES.keys())
def test_a_wrong_local_light_raises(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        dn.Light.local(**{"position": (0, 1, 0), "radius": 0.02, **changes})


def test_a_light() -> None:
    sun = dn.Light.directional(np.array([0, 3, 4], F32), np.float32(0.5), key="sun-1_A")
    assert (sun.kind, sun.vector, sun.size, sun.key) == ("directional", (0, 0.6, 0.8), 0.5, "sun-1_A")
    lamp = dn.Light.local([1, 2, 3], 0)
    assert (lamp.kind, lamp.vector, lamp.size, lamp.key) == ("local", (1, 2, 3), 0, None)
    assert lamp == dn.Light.local((1, 2, 3), 0) != dn.Light.local((1, 2, 3), 0, key="0")
    assert {lamp: "hashable"}[copy.copy(lamp)]
    assert pickle.loads(pickle.dumps(sun)) == sun
    with pytest.raises(dataclasses.FrozenInstanceError):
        lamp.size = 1
    with pytest.raises(TypeError, match=r"Light: made by Light\.directional\(...\) or Light\.local\(...\)"):
        dn.Light()


# Wrong frames: what is changed in a good one with one light, or with lights a and b


WRONG_FRAMES = {
    "no distance": (
        {"occluder_distance": None},
        TypeError,
        "occluder_distance: missing; it is required: (H, W) distance to what the ray",
    ),
    "no light": ({"light": None}, TypeError, "light: missing; it is required with occluder_distance"),
    "no normal": ({"normal": None}, TypeError, "normal: missing; it is required: (H, W, 3)"),
    "tuple as light": ({"light": (0, 1, 0)}, TypeError, "light: expected a Light or a sequence of them, got (0, 1, 0)"),
    "name as light": ({"light": "sun"}, TypeError, "light: expected a Light or a sequence of them, got 'sun'"),
    "arrays for one light": (
        {"occluder_distance": [full(1, 1)]},
        TypeError,
        "occluder_distance: expected an array for the one light, got list",
    ),
    "colour as distance": (
        {"occluder_distance": full(3, 1)},
        ValueError,
        "occluder_distance: expected (24, 40), got (24, 40, 3)",
    ),
    "float64": (
        {"occluder_distance": full(1, 1, np.float64)},
        TypeError,
        "occluder_distance: expected float32 or float16, got float64; cast it with occluder_distance.astype(np.float32)",
    ),
    "mask": ({"occluder_distance": full(1, 1, bool)}, TypeError, "occluder_distance: expected float32 or float16"),
    "grey translucency": ({"translucency": full(1, 1)}, ValueError, "translucency: expected (24, 40, 3), got (24, 40)"),
    "translucencies for one light": (
        {"translucency": [full(3, 1)]},
        TypeError,
        "translucency: expected an array for the one light, got list",
    ),
    "translucency alone": (
        {"occluder_distance": None, "light": None, "translucency": full(3, 1)},
        TypeError,
        "occluder_distance: missing",
    ),
    "misspelt": ({"lights": [SUN]}, TypeError, "no input is called 'lights' (did you mean 'light'?)"),
    "tuple for one light": (
        {"out": {"shadow": (full(1, 1),)}},
        TypeError,
        "out['shadow']: expected a numpy.ndarray or a torch.Tensor on the CPU, got tuple",
    ),
    "coloured out": (
        {"out": {"shadow": full(3, 1)}},
        ValueError,
        "out['shadow']: expected (24, 40), got (24, 40, 3)",
    ),
    "grey out": (
        {"translucency": full(3, 1), "out": {"shadow": full(1, 1)}},
        ValueError,
        "out['shadow']: expected (24, 40, 3), got (24, 40)",
    ),
    "out not asked for": (
        {"out": {"shadow_history_length": full(1, 1)}},
        ValueError,
        "out: this frame has no output 'shadow_history_length'",
    ),
}
_SHARED = full(1, 1)
WRONG_LISTS = {
    "an array for several": (
        {"occluder_distance": full(1, 1)},
        TypeError,
        "occluder_distance: expected a sequence, an array for each light, got ndarray",
    ),
    "one array": (
        {"occluder_distance": [full(1, 1)]},
        ValueError,
        "occluder_distance: expected 2 arrays, one for each light, got 1",
    ),
    "one light": (
        {"light": [SUN]},
        ValueError,
        "occluder_distance: expected 1 arrays, one for each light, got 2",
    ),
    "an array is None": (
        {"occluder_distance": [full(1, 1), None]},
        TypeError,
        "occluder_distance[1]: expected a numpy.ndarray or a torch.Tensor on the CPU, got NoneType",
    ),
    "another size": (
        {"occluder_distance": [np.ones((48, 80), F32), full(1, 1)]},
        ValueError,
        "occluder_distance[0]: expected (24, 40), got (48, 80); this denoiser was made for 40 x 24: resize(80, 48)",
    ),
    "integers": (
        {"occluder_distance": [full(1, 1), full(1, 1, np.int32)]},
        TypeError,
        "occluder_distance[1]: expected float32 or float16, got int32",
    ),
    "one translucency": (
        {"translucency": [full(3, 1)]},
        ValueError,
        "translucency: expected 2 arrays, one for each light, got 1",
    ),
    "translucency for all": (
        {"translucency": full(3, 1)},
        TypeError,
        "translucency: expected a sequence, an array for each light, got ndarray",
    ),
    "translucency first": (
        {"translucency": [None, np.ones((3, HEIGHT, WIDTH), F32)]},
        ValueError,
        "translucency[1]: expected (24, 40, 3), got (3, 24, 40); channels come last: np.moveaxis(translucency[1], 0, -1)",
    ),
    "one is no light": (
        {"light": [SUN, None]},
        TypeError,
        "light: expected a Light or a sequence of them, got [Light(",
    ),
    "one key twice": (
        {"light": [dn.Light.local((0, 0, 0), 1, key="a")] * 2},
        ValueError,
        "light: expected a key of its own for each light, got 'a' twice",
    ),
    "a key that is a place": (
        {"light": [dn.Light.local((0, 0, 0), 1, key="1"), SUN]},
        ValueError,
        "light: expected a key of its own for each light, got '1' twice",
    ),
    "out": (
        {"out": {"shadow": full(1, 1)}},
        TypeError,
        "out['shadow']: expected a sequence, an array for each light, got ndarray",
    ),
    "out too long": (
        {"out": {"shadow": [full(1, 1)] * 3}},
        ValueError,
        "out['shadow']: expected 2 arrays, one for each light, got 3",
    ),
    "out twice": (
        {"out": {"shadow": [_SHARED, _SHARED]}},
        ValueError,
        "out['shadow'][1]: shares memory with shadow.a; expected memory of its own",
    ),
    "out dtype": (
        {"out": {"shadow": [None, full(1, 1, F16)]}},
        TypeError,
        "out['shadow'][1]: expected float32, got float16",
    ),
    "out read-only": (
        {"out": {"shadow": [read_only(full(1, 1)), None]}},
        ValueError,
        "out['shadow'][0]: expected a writeable array, got a read-only one",
    ),
}


@pytest.mark.parametrize("case", WRONG_FRAMES.values(), ids=WRONG_FRAMES.keys())
def test_a_wrong_frame_with_one_light_raises(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        sigma()(**inputs(**changes))


@pytest.mark.parametrize("case", WRONG_LISTS.values(), ids=WRONG_LISTS.keys())
def test_a_wrong_frame_with_several_lights_raises(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        sigma()(**several("a", "b", **changes))


def test_wrong_calls_leave_the_history_alone() -> None:
    disturbed, undisturbed = (sigma(outputs=["history_length"]) for _ in range(2))
    for seed in range(3):
        for changes, error, _ in WRONG_LISTS.values():
            with pytest.raises(error):
                disturbed(**several("a", "b", seed=seed, **changes))
        frame = several("a", "b", seed=seed)
        assert_equal(disturbed(**frame), undisturbed(**frame))


def test_wrong_denoisers() -> None:
    with pytest.raises(TypeError, match="settings: expected SigmaSettings, got ReblurSettings"):
        sigma(settings=dn.ReblurSettings())
    with pytest.raises(ValueError, match="outputs: expected 'history_length', got 'hit_distance'"):
        sigma(outputs=["hit_distance"])
    with pytest.raises(TypeError, match=r"state: expected what Sigma\.save_state returned"):
        sigma().load_state(dn.Reblur(WIDTH, HEIGHT).save_state())


# What comes back


@pytest.mark.parametrize("given", [F16, F32])
@pytest.mark.parametrize("dtype", [None, F16, F32])
def test_one_light(given: Any, dtype: Any) -> None:
    result = sigma(dtype=dtype, outputs=["history_length"])(**inputs(occluder_distance=distances(dtype=given)))
    for array in (result.shadow, result.shadow_history_length):
        assert array.shape == (HEIGHT, WIDTH)
        assert array.dtype == np.dtype(dtype or given)
    assert result.shadow.min() >= 0
    assert result.shadow.max() <= 1
    assert result.diffuse is result.specular is result.diffuse_history_length is None
    coloured = sigma()(**inputs(translucency=full(3, (1, 0.5, 0))))
    assert coloured.shadow.shape == (HEIGHT, WIDTH, 3)
    assert coloured.shadow_history_length is None


def test_several_lights() -> None:
    frame = several("a", "b", "c", translucency=[None, full(3, (1, 0.5, 0)), None])
    result = sigma(outputs=["history_length"])(**frame)
    assert isinstance(result.shadow, tuple)
    assert [array.shape for array in result.shadow] == [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 3), (HEIGHT, WIDTH)]
    assert [array.shape for array in result.shadow_history_length] == [(HEIGHT, WIDTH)] * 3
    for index, light in enumerate(frame["light"]):
        alone = inputs(
            light=light,
            occluder_distance=frame["occluder_distance"][index],
            translucency=frame["translucency"][index],
        )
        np.testing.assert_array_equal(sigma()(**alone).shadow, result.shadow[index])
    # Sequences of one light are sequences, and keys are places by default.
    (one,) = sigma()(**inputs(light=[SUN], occluder_distance=(distances(),))).shadow
    np.testing.assert_array_equal(one, sigma()(**inputs()).shadow)
    assert list(dn.Frame(camera=CAMERA, light=[SUN, LAMP]).lights()) == ["0", "1"]


def test_no_light_at_all() -> None:
    result = sigma(outputs=["history_length"])(**inputs(light=[], occluder_distance=[]))
    assert result.shadow == result.shadow_history_length == ()


def test_lit_and_sky() -> None:
    depth = full(1, 5)
    depth[:, WIDTH // 2 :] = np.inf
    for lit in (65504, np.inf, np.nan):
        shadow = sigma()(**inputs(view_z=depth, occluder_distance=full(1, lit))).shadow
        np.testing.assert_array_equal(shadow[:, : WIDTH // 2], 1)
        np.testing.assert_array_equal(shadow[:, WIDTH // 2 :], 0)
    np.testing.assert_array_equal(sigma()(**inputs(occluder_distance=full(1, 1))).shadow, 0)


def test_out_is_written_and_returned() -> None:
    fresh, reusing = (sigma(outputs=["history_length"]) for _ in range(2))
    buffers = {"shadow": [full(1, np.nan), None], "shadow_history_length": (full(1, np.nan), full(1, np.nan))}
    expected, first = fresh(**several("a", "b")), reusing(**several("a", "b"), out=buffers)
    assert first.shadow[0] is buffers["shadow"][0]
    assert first.shadow_history_length[1] is buffers["shadow_history_length"][1]
    assert_equal(first, expected)
    expected, second = fresh(**several("a", "b", seed=1)), reusing(**several("a", "b", seed=1), out=first)
    assert all(a is b for a, b in zip(first.shadow, second.shadow, strict=True))
    assert_equal(second, expected)
    single = sigma()(**inputs(), out={"shadow": (buffer := full(1, np.nan))})
    assert single.shadow is buffer


def test_inputs_of_other_denoisers_are_ignored() -> None:
    others = {"diffuse": full(7, 1), "roughness": "rough", "albedo": full(1, 1, int)}
    assert_equal(sigma()(**inputs(**others)), sigma()(**inputs()))
    radiance = {"diffuse": full(3, 1), "occluder_distance": full(7, 1), "light": "sun", "translucency": 1}
    assert dn.Reblur(WIDTH, HEIGHT)(**inputs(**radiance)).shadow is None


def test_a_frame_shows_what_it_holds() -> None:
    frame = dn.Frame(**several("a", "b", translucency=[None, full(3, 1)]))
    assert "occluder_distance: [float32 (24, 40), float32 (24, 40)]" in repr(frame)
    assert "translucency: [None, float32 (24, 40, 3)]" in repr(frame)
    assert_equal(sigma()(frame), sigma()(**several("a", "b", translucency=[None, full(3, 1)])))


# Lights come and go


def lengths(denoiser: dn.Sigma, *keys: str, seed: int = 0) -> dict[str, float]:
    """The longest history of each light after a frame with these."""
    result = denoiser(**several(*keys, seed=seed))
    return dict(zip(keys, (float(array.max()) for array in result.shadow_history_length), strict=True))


def test_histories_go_by_key() -> None:
    denoiser = sigma(outputs=["history_length"])
    new = lengths(denoiser, "a", "b")["a"]
    assert lengths(denoiser, "b", "a")["a"] == new + 1  # another place, the same key
    found = lengths(denoiser, "b", "c")
    assert found["c"] == new
    assert found["b"] == new + 2
    assert lengths(denoiser, "a", "b") == {"a": new, "b": new + 3}  # gone for a frame, and forgotten


def test_a_light_that_went_out_leaves_no_memory() -> None:
    denoiser = sigma()
    denoiser(**several("a"))
    one = denoiser.memory
    denoiser(**several("a", "b", "c"))
    assert denoiser.memory.permanent > one.permanent
    denoiser(**several("a"))
    assert denoiser.memory == one
    assert not [name for name in denoiser.save_state()["native"] if re.search(r"\.[bc]\b", name)]
    denoiser(**inputs(light=[], occluder_distance=[]))
    assert denoiser.memory.permanent < one.permanent


def test_states_hold_the_history_of_each_light() -> None:
    one, other = (sigma(outputs=["history_length"]) for _ in range(2))
    for seed in range(3):
        one(**several("a", "b", seed=seed))
    other.load_state(pickle.loads(pickle.dumps(one.save_state())))
    for seed in range(3, 6):
        keys = ("a", "b") if seed < 5 else ("b", "c")
        assert_equal(other(**several(*keys, seed=seed)), one(**several(*keys, seed=seed)))


def test_reset_equals_a_fresh_instance() -> None:
    used, fresh = (sigma(outputs=["history_length"]) for _ in range(2))
    used(**several("a", "b"))
    used(**several("a", "b", seed=1))
    assert_equal(used(**several("a", "b", seed=2), reset=True), fresh(**several("a", "b", seed=2)))
    assert_equal(used(**several("a", "b", seed=3)), fresh(**several("a", "b", seed=3)))


def test_without_history_one_instance_serves_any_number_of_lights() -> None:
    settings = dn.SigmaSettings(max_stabilized_frames=0)
    in_turn, at_once = sigma(settings=settings), sigma(settings=settings)
    for seed in range(3):
        frame = several("a", "b", "c", seed=seed)
        together = at_once(**frame).shadow
        for k in range(3):
            alone = inputs(light=frame["light"][k], occluder_distance=frame["occluder_distance"][k])
            # What turns from frame to frame is the same for all lights of a frame, and not for these.
            np.testing.assert_allclose(in_turn(**alone).shadow.mean(), together[k].mean(), atol=0.02)
    assert "shadow" not in " ".join(in_turn.save_state()["native"])
