# SPDX-License-Identifier: Apache-2.0
"""The shared functions of the shaders, on every backend, against tabulated values and twins in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import BACKENDS
from numpy.testing import assert_allclose, assert_array_equal

from denoise import _core

Numbers = npt.NDArray[np.float64]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)

# Values in and out of every function, as in shaders/testing/probe.h.
CHANNELS = {
    "pow": (2, 1),
    "lobe_tangent": (2, 1),
    "dominant_factor": (2, 1),
    "dither_to_half": (2, 1),
    "half_texel": (4, 4),
    "surface": (4, 4),
    "rgb_to_ycocg": (3, 3),
    "ycocg_to_rgb": (3, 3),
    "bilinear": (2, 6),
    "cubic": (18, 1),
    "virtual_point": (17, 3),
    "sun_penumbra": (5, 1),
    "lamp_penumbra": (5, 1),
    "light_plane": (9, 3),
    "to_pixels": (5, 2),
    "penumbra_word": (4, 4),
    "past_word": (2, 2),
    "history_word": (3, 4),
    "tint_word": (3, 3),
}


def probe(backend: str, function: str, *columns: npt.ArrayLike) -> Any:
    """The function of the columns, row by row; a column is a number, (N,) or (N, k)."""
    parts = [np.atleast_1d(np.asarray(c, np.float32)) for c in columns]
    parts = [c if c.ndim == 2 else c[:, None] for c in parts]
    rows = max(len(c) for c in parts)
    inputs = np.concatenate([np.broadcast_to(c, (rows, c.shape[1])) for c in parts], 1)
    channels_in, channels_out = CHANNELS.get(function, (1, 1))
    assert inputs.shape[1] == channels_in
    outputs = np.empty((1, rows, channels_out), np.float32)
    _core.probe(function, np.ascontiguousarray(inputs)[None], outputs, backend)
    return outputs[0, :, 0] if channels_out == 1 else outputs[0]


def grid(*axes: npt.ArrayLike) -> list[Numbers]:
    """All combinations, a flat column for each axis, as the fp32 numbers that the shader sees."""
    return [g.ravel().astype(np.float32).astype(np.float64) for g in np.meshgrid(*axes)]


def random_vectors(count: int, seed: int) -> Numbers:
    v = np.random.default_rng(seed).normal(size=(count, 3))
    return v / np.linalg.norm(v, axis=1, keepdims=True)


# ---- elementary functions


def test_exp2(backend: str) -> None:
    (x,) = grid(np.linspace(-126, 127, 4001))
    assert_allclose(probe(backend, "exp2", x), np.exp2(x), rtol=4e-7)
    assert_allclose(probe(backend, "exp2", [0, 1, -1, 10]), [1, 2, 0.5, 1024], rtol=1e-7)
    assert_array_equal(probe(backend, "exp2", [-127, -1e30, -np.inf]), 0)


def test_log2(backend: str) -> None:
    (x,) = grid(np.exp2(np.linspace(-125, 126, 4001)))
    assert_allclose(probe(backend, "log2", x), np.log2(x), rtol=2e-7, atol=2e-6)
    assert_array_equal(probe(backend, "log2", [1, 2, 1024, 0.25]), [0, 1, 10, -2])


def test_pow(backend: str) -> None:
    x, e = grid(np.linspace(0.01, 1, 100), [0.25, 0.5, 1, 2, 10.8649, 32])
    assert_allclose(probe(backend, "pow", x, e), x**e, rtol=1e-4, atol=1e-30)
    assert_array_equal(probe(backend, "pow", [0, -1], 2), [0, 0])


def test_atan(backend: str) -> None:
    (x,) = grid(np.concatenate([np.linspace(0, 3, 1000), np.geomspace(3, 1e6, 100)]))
    assert_allclose(probe(backend, "atan", x), np.arctan(x), atol=2e-5)


def test_acos_acute(backend: str) -> None:
    (c,) = grid(np.linspace(0, 1, 2001))
    assert_allclose(probe(backend, "acos_acute", c), np.arccos(c), atol=0.0091)
    (c,) = grid(np.cos(np.linspace(1e-3, 0.02, 50)))
    assert_allclose(probe(backend, "acos_acute", c), np.arccos(c), rtol=2e-3)
    assert (probe(backend, "acos_acute", [-1e-6, -1]) > 100).all(), "obtuse: rejected by every weight"


@pytest.mark.parametrize("function", ["rcp", "rsqrt"])
def test_reciprocals(backend: str, function: str) -> None:
    (x,) = grid(np.geomspace(1e-30, 1e30, 3001))
    assert_allclose(probe(backend, function, x), 1 / x if function == "rcp" else x**-0.5, rtol=1e-6)


# ---- weights and curves


def test_smooth_step(backend: str) -> None:
    assert_allclose(
        probe(backend, "smooth_step", [-1, 0, 0.25, 0.5, 0.75, 1, 2]), [0, 0, 0.15625, 0.5, 0.84375, 1, 1], rtol=1e-6
    )


def test_compact_weight(backend: str) -> None:
    assert_allclose(
        probe(backend, "compact_weight", [0, 0.25, -0.25, 0.5, 0.75, 1, 5, -5]),
        [1, 0.863738, 0.863738, 0.514806, 0.132769, 0, 0, 0],
        rtol=1e-5,
    )


def test_long_tailed_weight(backend: str) -> None:
    assert_allclose(
        probe(backend, "long_tailed_weight", [0, 1 / 3, -1 / 3, 1, 10]), [1, 1 / 3, 1 / 3, 1 / 13, 1 / 931], rtol=1e-6
    )


@pytest.mark.parametrize(("function", "power"), [("lobe_spread_half", 0.5), ("lobe_spread_quarter", 0.25)])
def test_lobe_spread(backend: str, function: str, power: float) -> None:
    (r,) = grid(np.linspace(0, 1, 501))
    assert_allclose(probe(backend, function, r), (1 - 2 ** (-200 * r * r)) * r**power, rtol=1e-5, atol=1e-6)
    tabulated = {0.5: [0, 0.54771, 0.70711, 1], 0.25: [0, 0.74008, 0.84090, 1]}[power]
    assert_allclose(probe(backend, function, [0, 0.3, 0.5, 1]), tabulated, atol=1e-4)


def test_lobe_tangent(backend: str) -> None:
    """That of the GGX angle alpha = r * r, doubled up to r = 1/2: linear in r from there on."""
    r, v = grid(np.linspace(0, 1, 21), np.linspace(0, 0.99, 21))
    expected = r * np.minimum(2 * r, 1) * np.sqrt(v / (1 - v + 1e-6))
    assert_allclose(probe(backend, "lobe_tangent", r, v), expected, rtol=1e-4)
    assert_allclose(probe(backend, "lobe_tangent", [0.25, 0.5, 1], 0.75), [0.216506, 0.866024, 1.732047], rtol=1e-5)
    assert np.isfinite(probe(backend, "lobe_tangent", 1, [1, 2, -1])).all()


def test_dominant_factor(backend: str) -> None:
    n, r = grid(np.linspace(0, 1, 21), np.linspace(0, 1, 21))
    a = 0.298475 * np.log(39.4115 - 39.0029 * r)
    expected = np.clip((1 - n) ** 10.8649 * (1 - a) + a, 0, 1)
    assert_allclose(probe(backend, "dominant_factor", n, r), expected, atol=2e-6)
    assert_allclose(probe(backend, "dominant_factor", [1, 1, 0], [0, 1, 1]), [1, 0, 1], atol=0.01)


def test_not_converged(backend: str) -> None:
    """The table of the specification, at the defaults (30 frames)."""
    frames = [0, 1, 2, 3, 4, 5, 10, 20, 30]
    table = [1, 0.812, 0.654, 0.530, 0.433, 0.357, 0.161, 0.056, 0.032]
    assert_allclose(probe(backend, "not_converged", frames), table, atol=6e-4)


def test_history_length_is_stored_in_quarters(backend: str) -> None:
    assert_array_equal(
        probe(backend, "history_length", [0, 0.1, 0.13, 1, 1.3, 29.9, 63, 64, -1]), [0, 0, 0.25, 1, 1.25, 30, 63, 63, 0]
    )


# ---- storage


def test_every_half_becomes_the_same_float(backend: str) -> None:
    bits = np.arange(65536, dtype=np.uint16)
    result = probe(backend, "half_to_float", bits.astype(np.float32))
    expected = bits.view(np.float16).astype(np.float32)
    assert_array_equal(np.isnan(result), np.isnan(expected))
    assert_array_equal(result[~np.isnan(expected)].view(np.uint32), expected[~np.isnan(expected)].view(np.uint32))


def floats_for_half() -> npt.NDArray[np.float32]:
    """Floats of all magnitudes, the halves themselves, and the ties between them, where rounding goes to even."""
    random = np.random.default_rng(1)
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = (halves[1:] + halves[:-1]) / 2
    spread = np.exp2(random.uniform(-30, 18, 20000)).astype(np.float32)
    special = np.array([0, 65504, 65519, 65519.998, 65520, 1e6, np.inf, 2**-24, 2**-25, 2**-26, 1e-38], np.float32)
    some = np.concatenate([halves, ties, np.nextafter(ties, np.float32(0)), spread, special])
    return np.concatenate([some, -some])


def test_floats_round_to_the_nearest_half(backend: str) -> None:
    x = floats_for_half()
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16).view(np.uint16)
    assert_array_equal(probe(backend, "float_to_half", x).astype(np.uint16), expected)
    nan = probe(backend, "float_to_half", np.nan).astype(np.uint16).view(np.float16)
    assert np.isnan(nan).all()


def test_signal_texels_are_stored_and_loaded(backend: str) -> None:
    x = floats_for_half()
    x = x[: len(x) // 4 * 4].reshape(-1, 4)
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16).astype(np.float32)
    assert_array_equal(probe(backend, "half_texel", x), expected)


def test_dither_keeps_the_mean(backend: str) -> None:
    values = np.array([0.1, 1 / 3, 0.7001, 1.0002, 3.14159, 777.7, -0.6], np.float32)
    noise = np.arange(0, 8192, dtype=np.float32)
    for value in values:
        dithered = probe(backend, "dither_to_half", np.full_like(noise, value), noise)
        step = np.spacing(np.float16(abs(value))).astype(np.float64)
        assert abs(dithered.mean(dtype=np.float64) - value) < step * 2e-3
        assert_array_equal(dithered.astype(np.float16), dithered, "stored without a further rounding")
        assert (abs(dithered - value) < step).all()


def test_dither_leaves_what_fp16_holds(backend: str) -> None:
    exact = np.array([0, 1, 0.5, -2.25, 1025, 65504, -65504, 6.2e-5, 1e-6], np.float32)
    for noise in (0, 1, 4096, 8191):
        result = probe(backend, "dither_to_half", exact, noise)
        assert_array_equal(result[:-2], exact[:-2])
        assert_allclose(result[-2:], exact[-2:], rtol=1e-3)


def test_normal_and_roughness_survive_packing(backend: str) -> None:
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    normals = np.concatenate([random_vectors(20000, 2), axes])
    roughness = np.linspace(0, 1, len(normals))
    packed = probe(backend, "surface", normals, roughness).astype(np.float64)
    sine = np.linalg.norm(np.cross(packed[:, :3], normals), axis=1)
    assert np.degrees(np.arcsin(sine.max())) <= 0.16
    assert (np.sum(packed[:, :3] * normals, 1) > 0).all()
    assert_allclose(np.linalg.norm(packed[:, :3], axis=1), 1, atol=1e-6)
    assert_allclose(packed[:, 3], roughness, atol=0.51 / 1023)
    assert_allclose(packed[-6:, :3], axes, atol=1e-6)


def test_length_of_the_normal_does_not_matter(backend: str) -> None:
    n = random_vectors(100, 3)
    assert_allclose(probe(backend, "surface", n * 7, 0.5), probe(backend, "surface", n, 0.5), atol=2e-3)


def test_ycocg_round_trip(backend: str) -> None:
    rgb = np.random.default_rng(4).exponential(2, (1000, 3)).astype(np.float32)
    ycocg = probe(backend, "rgb_to_ycocg", rgb)
    matrix = np.array([[0.25, 0.5, 0.25], [0.5, 0, -0.5], [-0.25, 0.5, -0.25]])
    assert_allclose(ycocg, rgb @ matrix.T, rtol=1e-5, atol=1e-6)
    assert_allclose(probe(backend, "ycocg_to_rgb", ycocg), rgb, rtol=1e-5, atol=2e-6)
    assert (probe(backend, "ycocg_to_rgb", [[0.1, 1, -1]]) >= 0).all()


# ---- sampling


def test_bilinear_taps(backend: str) -> None:
    x, y = grid(np.linspace(-1.3, 7.7, 40), np.linspace(0.2, 3.9, 17))
    taps = probe(backend, "bilinear", x, y)
    fx, fy = (x - 0.5) % 1, (y - 0.5) % 1
    assert_array_equal(taps[:, :2], np.stack([np.floor(x - 0.5), np.floor(y - 0.5)], 1))
    assert_allclose(
        taps[:, 2:], np.stack([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy], 1), rtol=1e-4, atol=1e-6
    )


def catmull_rom(f: Numbers) -> Numbers:
    return np.stack([-f + 2 * f**2 - f**3, 2 - 5 * f**2 + 3 * f**3, f + 4 * f**2 - 3 * f**3, f**3 - f**2], 1) / 2


def test_catmull_rom_weights(backend: str) -> None:
    """Impulse by impulse: the product of the two axes without its corners, normalised."""
    fx, fy = grid(np.linspace(0, 0.96875, 32), np.linspace(0, 0.96875, 32))
    expected = catmull_rom(fy)[:, :, None] * catmull_rom(fx)[:, None, :]
    expected[:, ::3, ::3] = 0
    expected /= expected.sum((1, 2), keepdims=True)
    for k in range(16):
        texels = np.zeros(16)
        texels[k] = 1
        weights = probe(backend, "cubic", 1.5 + fx, 1.5 + fy, texels[None])
        assert_allclose(weights, expected[:, k // 4, k % 4], atol=2e-6)
    assert_allclose(probe(backend, "cubic", 1.5 + fx, 1.5 + fy, np.full((1, 16), 3)), 3, rtol=1e-6)


# ---- virtual motion


AHEAD = [[0, 0, 4]]  # a mirror 4 m before the camera
NORMAL = [[0, 0, -1]]
STILL = [[0, 0, 0]]


def test_image_in_a_flat_mirror_lies_behind_it(backend: str) -> None:
    count = 50
    random = np.random.default_rng(5)
    world, view, normal = random.normal(0, 3, (count, 3)), random_vectors(count, 6), random_vectors(count, 7)
    factor, h = random.random(count), random.gamma(2, 2, count)
    image = probe(backend, "virtual_point", world, STILL, normal, view, 0.5, 0.7, factor, 0, h)
    assert_allclose(image, world - view * (factor * h)[:, None], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("curvature", [0.5, 2.0, -0.1])
def test_image_in_a_curved_mirror(backend: str, curvature: float) -> None:
    """The thin-lens distance h / (1 + 2 k h cos), damped at the silhouette of a convex mirror."""
    h, n_dot_v, cosine, factor = np.linspace(0.1, 4, 20), 0.6, 0.8, 0.9
    image = probe(backend, "virtual_point", AHEAD, STILL, NORMAL, NORMAL, n_dot_v, cosine, factor, curvature, h)
    behind = factor * h / (1 + 2 * curvature * h * cosine) / (1 + 4 * (1 - n_dot_v) * max(curvature, 0))
    assert_allclose(image, np.stack([0 * h, 0 * h, 4 + behind], 1), rtol=1e-4)


@pytest.mark.parametrize(
    ("step", "curvature", "moved"),
    [
        ([[1, 0, 0]], 0, [0, 0, 0]),  # a flat mirror that slides shows the same image,
        ([[0, 0, 1]], 0, [0, 0, 2]),  # one that approaches brings it along twice as fast
        ([[1, 0, 0]], 1e6, [1, 0, 0]),  # a tiny ball takes its image along
        ([[0, 0, 1]], 1e6, [0, 0, 1]),
    ],
)
def test_a_moving_mirror_takes_its_image_along(
    backend: str, step: list[Any], curvature: float, moved: list[float]
) -> None:
    image, still = (
        probe(backend, "virtual_point", AHEAD, s, NORMAL, NORMAL, 1, 1, 1, curvature, 2) for s in (step, STILL)
    )
    assert_allclose(image - still, [moved], atol=1e-5)


def test_virtual_point_is_finite_at_the_focus(backend: str) -> None:
    image = probe(backend, "virtual_point", AHEAD, STILL, NORMAL, NORMAL, 1, 1, 1, -0.25, 2)
    assert np.isfinite(image).all()


# ---- the probe itself


def test_unknown_functions_and_wrong_channels_are_errors(backend: str) -> None:
    one = np.zeros((1, 4, 1), np.float32)
    with pytest.raises(ValueError, match=r"function: expected one of exp2, log2, .*; got 'exp3'"):
        _core.probe("exp3", one, one.copy(), backend)
    with pytest.raises(ValueError, match=r"pow: expected \(H, W, 2\) inputs and \(H, W, 1\) outputs"):
        _core.probe("pow", one, one.copy(), backend)
    with pytest.raises(TypeError, match="float32"):
        _core.probe("exp2", one.astype(np.float16), one.copy(), backend)
