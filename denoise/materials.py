# SPDX-License-Identifier: Apache-2.0
"""Demodulation: radiance without what the material does to it, whose textures no denoiser then blurs; and the way back.

Arrays are broadcast; the last axis of colours is RGB, and roughness and n_dot_v have the same axes without it.
Everything but the composite is computed in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
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


def compose(
    *,
    emission: Any = None,
    diffuse: Any = None,
    albedo: Any = None,
    specular: Any = None,
    specular_factor: Any = None,
    lights: Sequence[tuple[Any, Any]] = (),
) -> Any:
    """The picture: emission + diffuse * albedo + specular * specular_factor + sum of unshadowed * shadow over `lights`.

    emission            (H, W, 3) radiance seen directly: emitters and sky
    diffuse, specular   (H, W, 3) denoised radiance of the lobes
    albedo,             (H, W, 3) what they were divided by; without, they are taken as they are, as a denoiser that was
    specular_factor     given the factors returns them
    lights              for each a pair: its light as it were unhidden, (H, W, 3) radiance that the surface reflects of
                        it; and its shadow, visibility in 0..1, (H, W) or one per colour, (H, W, 3)

    Radiance is linear and in any unit that all share. What is left out counts as 0. Arrays are of any kind that has
    operators, numpy's or another, all of the same, on the same device; so is the result, (H, W, 3), which is the
    array itself if only one is given. float16 is summed as float16: convert first if that is too coarse.

    ValueError names an array of another shape, a factor without its signal, and a call without any signal.
    """
    images = {"emission": emission, "diffuse": diffuse, "albedo": albedo}
    images |= {"specular": specular, "specular_factor": specular_factor}
    images |= {f"lights[{i}]: unshadowed": unshadowed for i, (unshadowed, _) in enumerate(lights)}
    shapes = {name: tuple(image.shape) for name, image in images.items() if image is not None}
    if not shapes:
        raise ValueError("compose: expected emission, diffuse, specular or lights, got none of them")
    size = next(iter(shapes.values()))[:2]
    for name, shape in shapes.items():
        if shape != (*size, 3):
            raise ValueError(f"{name}: expected {(*size, 3) if len(size) == 2 else '(H, W, 3)'}, got {shape}")

    terms = [] if emission is None else [emission]
    for signal, factor in (("diffuse", "albedo"), ("specular", "specular_factor")):
        if signal in shapes:
            terms.append(images[signal] * images[factor] if factor in shapes else images[signal])
        elif factor in shapes:
            raise ValueError(f"{factor}: given without {signal}")
    for i, (unshadowed, shadow) in enumerate(lights):
        shape = tuple(shadow.shape)
        if shape not in (size, (*size, 3)):
            raise ValueError(f"lights[{i}]: shadow: expected {size} or {(*size, 3)}, got {shape}")
        terms.append(unshadowed * (shadow[..., None] if shape == size else shadow))
    return reduce(add, terms)


def _colour(value: npt.ArrayLike) -> Float32:
    array = np.asarray(value, np.float32)
    return array if array.ndim else np.broadcast_to(array, (3,))


def _scalar(value: npt.ArrayLike) -> Float32:
    return np.asarray(value, np.float32)[..., None]


def _like(array: npt.NDArray[Any], result: npt.NDArray[Any]) -> npt.NDArray[Any]:
    fitting: npt.NDArray[Any] = np.minimum(result, np.finfo(array.dtype).max).astype(array.dtype, copy=False)
    return fitting
