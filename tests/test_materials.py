# SPDX-License-Identifier: Apache-2.0
"""Demodulation factors: against the integral they stand for, and their floors."""

import numpy as np
import pytest

from denoise.materials import demodulate, demodulation_factors, environment_brdf, remodulate


def reflected(f0: float, roughness: float, n_dot_v: float, samples: int = 200) -> float:
    """What `environment_brdf` fits: GGX with Smith's separable masking and shadowing, and Schlick's Fresnel term.

    Visible normals are sampled as in Heitz, "Sampling the GGX Distribution of Visible Normals" (2018), which leaves the
    mean of Fresnel times shadowing.
    """
    alpha = roughness**2
    u, v = ((np.stack(np.meshgrid(np.arange(samples), np.arange(samples))) + 0.5) / samples).reshape(2, -1)
    view = np.array([np.sqrt(1 - n_dot_v**2), 0, n_dot_v])
    stretched = view * [alpha, alpha, 1]
    stretched /= np.linalg.norm(stretched)
    side = np.array([0.0, 1.0, 0.0])
    up = np.cross(stretched, side)
    radius, angle = np.sqrt(u), 2 * np.pi * v
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    s = 0.5 * (1 + stretched[2])
    p, q = y, (1 - s) * np.sqrt(1 - y * y) + s * x
    half = p[:, None] * side + q[:, None] * up + np.sqrt(np.maximum(0, 1 - p * p - q * q))[:, None] * stretched
    half *= [alpha, alpha, 1]
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    v_dot_h = half @ view
    n_dot_l = (2 * v_dot_h[:, None] * half - view)[:, 2]

    above = n_dot_l > 1e-6
    shadowing = 2 / (1 + np.sqrt(1 + alpha**2 * (1 / np.where(above, n_dot_l, 1) ** 2 - 1)))
    fresnel = f0 + (1 - f0) * (1 - np.clip(v_dot_h, 0, 1)) ** 5
    return float(np.mean(np.where(above, fresnel * shadowing, 0)))


@pytest.mark.parametrize("n_dot_v", [0.15, 0.5, 0.9])
@pytest.mark.parametrize("roughness", [0.1, 0.35, 0.7, 1.0])
@pytest.mark.parametrize("f0", [0.04, 0.5, 0.9])
def test_environment_brdf_is_the_integral(f0: float, roughness: float, n_dot_v: float) -> None:
    (grey, _, _) = environment_brdf(f0, roughness, n_dot_v)
    assert grey == pytest.approx(reflected(f0, roughness, n_dot_v), abs=0.05)


def test_environment_brdf_of_images() -> None:
    rng = np.random.default_rng(0)
    f0, roughness, n_dot_v = rng.random((4, 5, 3), np.float32), rng.random((4, 5)), rng.random((4, 5))
    image = environment_brdf(f0, roughness, n_dot_v)
    assert image.shape == (4, 5, 3)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() <= 1
    np.testing.assert_array_equal(image[2, 3], environment_brdf(f0[2, 3], roughness[2, 3], n_dot_v[2, 3]))
    assert environment_brdf([0.04, 0.5, 1], roughness, n_dot_v).shape == (4, 5, 3)
    assert environment_brdf(0.04, roughness.astype(np.float16), 1).shape == (4, 5, 3)


def test_environment_brdf_stays_finite_everywhere() -> None:
    axis = np.linspace(0, 1, 33)
    f0, roughness, n_dot_v = np.meshgrid(axis, axis, axis, indexing="ij")
    fitted = environment_brdf(f0[..., None], roughness, n_dot_v)
    assert np.isfinite(fitted).all()
    assert fitted.min() >= 0
    assert fitted.max() <= 1
    assert (np.diff(fitted, axis=0) >= 0).all(), "more reflectance reflects more"


def test_factors_keep_their_floors() -> None:
    diffuse, specular = demodulation_factors(np.zeros((2, 3)), 0, [0.0, 1.0], 0.5)
    np.testing.assert_allclose(diffuse, 0.02)
    assert specular.shape == (2, 3)
    assert (specular >= 0.02).all()
    assert (specular < 0.05).all()
    _, mirror = demodulation_factors(1, 1, 0, 1)
    np.testing.assert_allclose(mirror, 0.02 + 0.98 * 0.1 * environment_brdf(1, 0, 1), rtol=1e-6)
    diffuse, _ = demodulation_factors([0.8, 0.4, 0.2], 0.04, 0.5, 0.9)
    expected = 0.02 + 0.98 * np.array([0.8, 0.4, 0.2]) * (1 - environment_brdf(0.04, 0.5, 0.9))
    np.testing.assert_allclose(diffuse, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_demodulation_is_undone(dtype: type) -> None:
    rng = np.random.default_rng(1)
    radiance = rng.random((4, 5, 3)).astype(dtype)
    for factor in demodulation_factors(rng.random((4, 5, 3)), 0.04, rng.random((4, 5)), rng.random((4, 5))):
        signal = demodulate(radiance, factor)
        assert signal.dtype == radiance.dtype
        np.testing.assert_allclose(remodulate(signal, factor), radiance, rtol=3 * np.finfo(dtype).eps)


def test_demodulation_does_not_overflow() -> None:
    assert demodulate(np.full((1, 3), 6e4, np.float16), 0.02).max() == np.finfo(np.float16).max
