# SPDX-License-Identifier: Apache-2.0
"""The surface: Lambert plus GGX with separable Smith shadowing and Schlick's Fresnel term.

Directions are unit vectors in a frame whose z axis is the normal; v points to the viewer, d to the light.
alpha is GGX's width, the square of linear roughness.
"""

from __future__ import annotations

from functools import lru_cache
from math import cos, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from .kernels import Vec, add, compiled, dot, luminance, normalized, scale

Float64 = NDArray[np.float64]


@compiled
def distribution(h_z: float, alpha: float) -> float:
    """GGX's density of microfacet normals at cosine h_z."""
    a2 = alpha * alpha
    spread = h_z * h_z * (a2 - 1.0) + 1.0
    return a2 / (pi * spread * spread)


@compiled
def masking(z: float, alpha: float) -> float:
    """Smith's G1 at cosine z."""
    a2 = alpha * alpha
    return 2.0 * z / (z + sqrt(a2 + (1.0 - a2) * z * z))


@compiled
def fresnel(f0: Vec, cosine: float) -> Vec:
    """Schlick's approximation; surfaces that reflect less than 2 % have no white rim either."""
    f90 = min(max(50.0 * luminance(f0), 0.0), 1.0)
    x = 1.0 - min(max(cosine, 0.0), 1.0)
    w = x * x * x * x * x
    return f0[0] + (f90 - f0[0]) * w, f0[1] + (f90 - f0[1]) * w, f0[2] + (f90 - f0[2]) * w


@compiled
def cosine_direction(u: float, w: float) -> Vec:
    """Direction with density z / pi."""
    radius, phi = sqrt(u), 2.0 * pi * w
    return radius * cos(phi), radius * sin(phi), sqrt(1.0 - u)


@compiled
def visible_normal(v: Vec, alpha: float, u: float, w: float) -> Vec:
    """Microfacet normal as v sees them: a spherical cap, stretched (Dupuy, Benyoub, HPG 2023)."""
    s = normalized((alpha * v[0], alpha * v[1], v[2]))
    phi = 2.0 * pi * u
    z = (1.0 - w) * (1.0 + s[2]) - s[2]
    radius = sqrt(max(1.0 - z * z, 0.0))
    h = (radius * cos(phi) + s[0], radius * sin(phi) + s[1], z + s[2])
    return normalized((alpha * h[0], alpha * h[1], max(h[2], 1e-9)))


@compiled
def reflected(v: Vec, h: Vec) -> Vec:
    twice = 2.0 * dot(v, h)
    return twice * h[0] - v[0], twice * h[1] - v[1], twice * h[2] - v[2]


@compiled
def specular(v: Vec, d: Vec, f0: Vec, alpha: float) -> tuple[Vec, float]:
    """BRDF times cosine of d, and the density with which `visible_normal` and `reflected` give d.

    Both need v and d above the surface.
    """
    h = normalized(add(v, d))
    density = distribution(h[2], alpha) * masking(v[2], alpha) / (4.0 * v[2])
    f = fresnel(f0, dot(v, h))
    value = density * masking(d[2], alpha)
    return scale(f, value), density


def directional_albedo(f0: Float64, roughness: Float64, n_dot_v: Float64) -> Float64:
    """What the specular lobe reflects of white surroundings, to about 1 %: its integral, tabulated on first use.

    f0 (..., 3) reflectance at normal incidence; roughness, n_dot_v (...) in [0, 1]. Returns (..., 3).
    """
    factor, bias = _albedo_table()
    x = np.sqrt(np.clip(n_dot_v, 0, 1)) * (bias.shape[0] - 1)
    y = np.clip(roughness, 0, 1) * (bias.shape[1] - 1)
    i, j = np.minimum(x.astype(int), bias.shape[0] - 2), np.minimum(y.astype(int), bias.shape[1] - 2)
    s, t = x - i, y - j

    def lookup(table: Float64) -> Float64:
        low = table[i, j] * (1 - s) + table[i + 1, j] * s
        high = table[i, j + 1] * (1 - s) + table[i + 1, j + 1] * s
        return np.asarray(low * (1 - t) + high * t)[..., None]

    f90 = np.clip(50 * (f0 @ (0.2126, 0.7152, 0.0722)), 0, 1)[..., None]
    return np.asarray(f0 * lookup(factor) + f90 * lookup(bias))


@lru_cache(maxsize=1)
def _albedo_table(size: int = 32, samples: int = 1024) -> tuple[Float64, Float64]:
    """Factors of F0 and F90, [sqrt(n_dot_v), roughness]: means of F * G1(d) over visible normals."""
    v_z = np.maximum(np.linspace(0, 1, size) ** 2, 1e-4)[:, None, None]
    alpha = np.maximum(np.linspace(0, 1, size) ** 2, 1e-4)[None, :, None]
    v_x = np.sqrt(1 - v_z * v_z)
    i = np.arange(samples)
    u, w = (0.5 + i * 0.7548776662466927) % 1, (0.5 + i * 0.5698402909980532) % 1

    s_x, s_z = alpha * v_x, v_z
    norm = np.sqrt(s_x * s_x + s_z * s_z)
    s_x, s_z = s_x / norm, s_z / norm
    z = (1 - w) * (1 + s_z) - s_z
    radius = np.sqrt(np.maximum(1 - z * z, 0))
    h_x, h_y, h_z = alpha * (radius * np.cos(2 * pi * u) + s_x), alpha * radius * np.sin(2 * pi * u), z + s_z
    norm = np.sqrt(h_x * h_x + h_y * h_y + h_z * h_z)
    h_x, h_z = h_x / norm, h_z / norm

    v_h = v_x * h_x + v_z * h_z
    l_z = 2 * v_h * h_z - v_z
    visible = 2 * l_z / (l_z + np.sqrt(alpha**2 + (1 - alpha**2) * l_z * l_z))
    g = np.where(l_z > 0, visible, 0)
    w5 = np.clip(1 - v_h, 0, 1) ** 5
    return (g * (1 - w5)).mean(-1), (g * w5).mean(-1)
