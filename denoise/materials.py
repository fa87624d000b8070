# SPDX-License-Identifier: Apache-2.0
"""Demodulation: dividing radiance by what the material does to it, so that a denoiser does not blur textures.

Arrays are broadcast; the last axis of colours is RGB, and roughness and n_dot_v have the same axes without it.
Everything is computed in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

_FLOOR = 0.02  # no factor is smaller, so that dividing by it stays harmless


def environment_brdf(f0: npt.ArrayLike, roughness: npt.ArrayLike, n_dot_v: npt.ArrayLike) -> Float32:
    """Specular albedo: the part of a uniformly white surrounding that GGX with Schlick's Fresnel term reflects.

    f0         (..., 3) reflectance at normal incidence, in [0, 1]; a single number stands for grey
    roughness  (...) linear roughness in [0, 1], the square root of GGX's alpha
    n_dot_v    (...) cosine of the angle between the normal and the direction to the camera, in [0, 1]

    Returns (..., 3) in [0, 1]. It is the rational fit of chapter 32 of Ray Tracing Gems (2019), which stays within 0.05
    of the integral with Smith's separable masking and shadowing; the height-correlated form is brighter when grazing.
    """
    f0 = _colour(f0)
    n = np.clip(_scalar(n_dot_v), 0, 1)
    m = np.clip(_scalar(roughness), 0, 1) ** 2
    n2, n3, m3 = n * n, n * n * n, m * m * m
    bias = (0.99044 - 1.28514 * n) + m * (1.29678 - 0.755907 * n)
    bias /= np.maximum(
        (1 + 2.92338 * n + 59.4188 * n3)
        + m * (20.3225 - 27.0302 * n + 222.592 * n3)
        + m3 * (121.563 + 626.13 * n + 316.627 * n3),
        1e-6,
    )
    scale = (0.0365463 + 3.32707 * n) + m * (9.0632 - 9.04756 * n)
    scale /= np.maximum(
        (1 + 3.59685 * n2 - 1.36772 * n3)
        + m * (9.04401 - 16.3174 * n2 + 9.22949 * n3)
        + m3 * (5.56589 + 19.7886 * n2 - 20.2123 * n3),
        1e-6,
    )
    albedo: Float32 = np.clip(f0 * scale + bias, 0, 1)
    return albedo


def demodulation_factors(
    albedo: npt.ArrayLike, f0: npt.ArrayLike, roughness: npt.ArrayLike, n_dot_v: npt.ArrayLike
) -> tuple[Float32, Float32]:
    """What to divide diffuse and specular radiance by before denoising, and to multiply them with afterwards.

    albedo  (..., 3) diffuse albedo in [0, 1]; the others as in `environment_brdf`

    Returns two arrays (..., 3) in [0.02, 1]. The diffuse factor is albedo times what the specular lobe lets through;
    the specular one is the environment BRDF, made smaller for mirrors, down to a tenth.
    """
    specular = environment_brdf(f0, roughness, n_dot_v)
    diffuse = (1 - specular) * _colour(albedo)
    specular = specular * (0.1 + 0.9 * np.clip(_scalar(roughness), 0, 1))
    return _FLOOR + (1 - _FLOOR) * diffuse, _FLOOR + (1 - _FLOOR) * specular


def demodulate(radiance: npt.NDArray[Any], factor: npt.ArrayLike) -> npt.NDArray[Any]:
    """radiance / factor, (..., 3) in the dtype of radiance; what float16 cannot hold becomes its largest number."""
    return _like(radiance, radiance / _colour(factor))


def remodulate(signal: npt.NDArray[Any], factor: npt.ArrayLike) -> npt.NDArray[Any]:
    """signal * factor, the inverse of `demodulate`."""
    return _like(signal, signal * _colour(factor))


def _colour(value: npt.ArrayLike) -> Float32:
    array = np.asarray(value, np.float32)
    return array if array.ndim else np.broadcast_to(array, (3,))


def _scalar(value: npt.ArrayLike) -> Float32:
    return np.asarray(value, np.float32)[..., None]


def _like(array: npt.NDArray[Any], result: npt.NDArray[Any]) -> npt.NDArray[Any]:
    fitting: npt.NDArray[Any] = np.minimum(result, np.finfo(array.dtype).max).astype(array.dtype, copy=False)
    return fitting
