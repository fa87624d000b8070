# SPDX-License-Identifier: Apache-2.0
"""Light along paths: what arrives at a primary hit by its diffuse and its specular lobe; and the shadows there.

Noisy signals follow one ray per pixel and lobe, which alone finds the sky and the emitters; from the next vertices on,
emitters are also sampled, weighted by the balance heuristic. References follow many such rays, and sample the emitters
at the primary hit too: the same expectation with less noise. Lights, which are the sun and lamps, are no shapes: rays
towards them find what hides them, at the primary hit for a signal of their own.
"""

from __future__ import annotations

from math import cos, pi, sin, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import geometry as g
from .brdf import cosine_direction, fresnel, reflected, specular, visible_normal
from .geometry import World, nearest, off_surface, surface, texture_coordinates, triple, world_normal
from .kernels import (
    Int,
    Vec,
    add,
    along,
    at,
    compiled,
    dot,
    hashed,
    kernel,
    luminance,
    mix,
    mul,
    normalized,
    put,
    scale,
    sub,
    to_local,
    to_world,
    uniform,
)
from .textures import MEANS, PLAIN, texture

BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
MISS = 65504.0  # hit distance of a ray that leaves the scene
CERTAIN = 1e30  # density of a direction that no other technique could have chosen
CLAMP = 40.0  # luminance that a path may bring from beyond its first hit
ROUGHNESS_FLOOR = 0.04
HORIZON = 1e-4  # cosine below which directions count as below the surface
ROUGH = 0.16  # least alpha that a diffuse lobe sees
SMOOTH = 0.01  # and that a specular one sees
SPREAD = 0.01, 0.5  # texture footprint per metre that a ray goes: of mirrors, and what alpha adds

# Random choices, numbered: of a vertex, and the signals of a pixel. (NumPy's integers spare compilations: numba makes a
# version of a function for each literal.)
CHOICES = 8
LOBE, LOBE_U, LOBE_W, EMITTER_U, EMITTER_W, LIGHT_U, LIGHT_W, SURVIVAL = np.arange(CHOICES, dtype=np.uint64)
DIFFUSE, SPECULAR, SHADOW = np.arange(3, dtype=np.uint64)  # the shadows of all lights are the last
PANES = 8  # of glass that a ray to a light goes through


class Surfaces(NamedTuple):
    """The primary hits of an image, as rays leave them; float64, (H, W[, 3])."""

    shape: NDArray[np.int64]  # -1 where there is nothing to light: sky and emitters
    position: NDArray[np.float64]
    normal: NDArray[np.float64]  # faces the camera
    to_eye: NDArray[np.float64]
    roughness: NDArray[np.float64]
    albedo: NDArray[np.float64]  # of the diffuse lobe, [0, 1]
    f0: NDArray[np.float64]
    albedo_factor: NDArray[np.float64]  # what the signals are divided by
    spec_factor: NDArray[np.float64]


class Signals(NamedTuple):
    """What was found, as sums over the samples; float64, (H, W[, 3]), for each light where it says so."""

    diff: NDArray[np.float64]
    spec: NDArray[np.float64]
    diff_squared: NDArray[np.float64]  # of the luminance
    spec_squared: NDArray[np.float64]
    diff_hit: NDArray[np.float64]  # of the last sample
    spec_hit: NDArray[np.float64]
    shadow: NDArray[np.float64]  # (lights, H, W, 3): what part of each light arrives
    shadow_hit: NDArray[np.float64]  # (lights, H, W): of the last sample


@kernel
def lobes(
    world: World, hits: Surfaces, seed: int, frame: int, reference_samples: int, out: Signals, y0: int, y1: int
) -> None:
    """Follow a ray of each lobe, and one to each light, at each pixel of the rows y0 <= y < y1.

    seed, frame        choose the random numbers, together with the pixel
    reference_samples  0 for noise; else follow so many, and sample the emitters at the primary hit too; the first
                       choices of all of them are spread evenly: the R2 sequence (Roberts 2018), shifted for each pixel
    """
    reference, samples = reference_samples > 0, max(reference_samples, 1)
    key = hashed(hashed(np.uint64(seed), frame), reference)
    width = hits.shape.shape[1]
    for y in range(y0, y1):
        for x in range(width):
            if hits.shape[y, x] < 0:
                continue
            pixel = hashed(key, y * width + x)
            n, albedo, f0 = at(hits.normal, y, x), at(hits.albedo, y, x), at(hits.f0, y, x)
            origin = off_surface(at(hits.position, y, x), n)
            if luminance(albedo) > 0.0:
                share = divide(albedo, at(hits.albedo_factor, y, x))
                for i in range(samples):
                    light, hit = diffuse_sample(world, origin, n, hashed(pixel, DIFFUSE), i, reference)
                    accumulate(out.diff, out.diff_squared, y, x, mul(light, share))
                    out.diff_hit[y, x] = hit
            if luminance(f0) > 0.0:
                share = divide((1.0, 1.0, 1.0), at(hits.spec_factor, y, x))
                alpha, v = hits.roughness[y, x] ** 2, above(to_local(at(hits.to_eye, y, x), n))
                for i in range(samples):
                    light, hit = specular_sample(world, origin, n, v, f0, alpha, hashed(pixel, SPECULAR), i, reference)
                    accumulate(out.spec, out.spec_squared, y, x, mul(light, share))
                    out.spec_hit[y, x] = hit
            for k in range(world.light_count):
                if dot(n, towards_light(world, k, origin)[0]) > 0.0:
                    for i in range(samples):
                        u, w = even(hashed(pixel, SHADOW + np.uint64(k)), LIGHT_U, LIGHT_W, i)
                        passed, hit = shadow(world, k, origin, u, w)
                        put(out.shadow[k], y, x, add(at(out.shadow[k], y, x), passed))
                        out.shadow_hit[k, y, x] = hit


@compiled
def divide(a: Vec, b: Vec) -> Vec:
    return a[0] / b[0], a[1] / b[1], a[2] / b[2]


@compiled
def accumulate(sums: NDArray[np.float64], squares: NDArray[np.float64], y: int, x: int, light: Vec) -> None:
    put(sums, y, x, add(at(sums, y, x), light))
    squares[y, x] += luminance(light) ** 2


@compiled
def diffuse_sample(world: World, origin: Vec, n: Vec, key: Int, i: int, reference: bool) -> tuple[Vec, float]:
    """What the i-th sample of a white diffuse lobe reflects, and the length of its ray."""
    u, w = even(key, LOBE_U, LOBE_W, i)
    d = cosine_direction(u, w)
    density = d[2] / pi
    light, hit = incoming(
        world, origin, to_world(d, n), density if reference else CERTAIN, hashed(key, CHOICES + i), ROUGH
    )
    if reference:
        u, w = even(key, EMITTER_U, EMITTER_W, i)
        emitted, direction, p = sampled_emitter(world, origin, u, w)
        density = max(dot(direction, n), 0.0) / pi
        light = add(light, scale(emitted, density / (p + density + 1e-30)))
    return light, hit


@compiled
def specular_sample(
    world: World, origin: Vec, n: Vec, v: Vec, f0: Vec, alpha: float, key: Int, i: int, reference: bool
) -> tuple[Vec, float]:
    """What the i-th sample of the specular lobe reflects, and the length of its ray.

    Both are 0 if the microfacet sends the ray below the surface: a sample all the same.
    """
    light, hit = BLACK, 0.0
    u, w = even(key, LOBE_U, LOBE_W, i)
    d = reflected(v, visible_normal(v, alpha, u, w))
    if d[2] > HORIZON:
        value, density = specular(v, d, f0, alpha)
        found, hit = incoming(
            world,
            origin,
            to_world(d, n),
            density if reference else CERTAIN,
            hashed(key, CHOICES + i),
            max(SMOOTH, alpha),
        )
        light = scale(mul(found, value), 1.0 / density)
    if reference:
        u, w = even(key, EMITTER_U, EMITTER_W, i)
        emitted, direction, p = sampled_emitter(world, origin, u, w)
        d = to_local(direction, n)
        if p > 0.0 and d[2] > HORIZON:
            value, density = specular(v, d, f0, alpha)
            light = add(light, scale(mul(emitted, value), 1.0 / (p + density)))
    return light, hit


@compiled
def even(key: Int, u_choice: Int, w_choice: Int, i: int) -> tuple[float, float]:
    """The i-th of a sequence of points that fill the unit square evenly; over many keys each of them is white noise."""
    u = uniform(key, u_choice) + 0.7548776662466927 * i
    w = uniform(key, w_choice) + 0.5698402909980532 * i
    return u - np.floor(u), w - np.floor(w)


@compiled
def incoming(
    world: World, origin: Vec, direction: Vec, density: float, key: Int, alpha_floor: float
) -> tuple[Vec, float]:
    """Radiance that arrives at `origin` from a direction that was chosen with a density, and how far it came.

    The density is that among techniques which could all have found an emitter; CERTAIN if there was no other. Materials
    are at least as rough as `alpha_floor`, which takes caustics away; textures are blurred.
    """
    seen, scattered, throughput = BLACK, BLACK, (1.0, 1.0, 1.0)
    first, spread = MISS, SPREAD[0] + SPREAD[1] * alpha_floor
    for bounce in range(world.bounces + 1):
        key = hashed(key, bounce)
        s, _ = nearest(world, origin, direction)
        if s < 0:
            light, ends = sky(world, direction), True
        else:
            t, p_local, n_local = surface(world, s, origin, direction)
            light = emission(world, s, n_local)
            ends = luminance(light) > 0.0
            if ends:
                light = scale(light, density / (density + emitter_density(world, s, origin, direction, t)))
        if bounce == 0:
            seen = light
            first = t if s >= 0 else MISS
        else:
            scattered = add(scattered, mul(throughput, light))
        if ends or bounce == world.bounces:
            break

        n = world_normal(world, s, n_local)
        origin = off_surface(along(origin, direction, t), n)
        albedo, f0, roughness = material(world, s, p_local, n_local, spread * t)
        alpha = max(roughness * roughness, alpha_floor)
        v = above(to_local(scale(direction, -1.0), n))
        mirror = specular_share(albedo, f0, v[2])
        light = direct(world, origin, n, v, albedo, f0, alpha, mirror, key)
        scattered = add(scattered, mul(throughput, light))

        if uniform(key, LOBE) < mirror:
            d = reflected(v, visible_normal(v, alpha, uniform(key, LOBE_U), uniform(key, LOBE_W)))
        else:
            d = cosine_direction(uniform(key, LOBE_U), uniform(key, LOBE_W))
        if d[2] < HORIZON:
            break
        value, density = scattering(v, d, albedo, f0, alpha, mirror)
        throughput = scale(mul(throughput, value), 1.0 / density)
        if bounce > 0:
            survival = min(max(throughput[0], throughput[1], throughput[2]), 0.95)
            if uniform(key, SURVIVAL) >= survival:
                break
            throughput = scale(throughput, 1.0 / survival)
        direction = to_world(d, n)
    return add(seen, scale(scattered, min(1.0, CLAMP / max(luminance(scattered), 1e-9)))), first


@compiled
def direct(
    world: World, origin: Vec, n: Vec, v: Vec, albedo: Vec, f0: Vec, alpha: float, mirror: float, key: Int
) -> Vec:
    """What a later vertex reflects of a random point on an emitter, and of a random point of each light."""
    light = BLACK
    emitted, to_emitter, p = sampled_emitter(world, origin, uniform(key, EMITTER_U), uniform(key, EMITTER_W))
    d = to_local(to_emitter, n)
    if p > 0.0 and d[2] > HORIZON:
        value, density = scattering(v, d, albedo, f0, alpha, mirror)
        light = scale(mul(emitted, value), 1.0 / (p + density))
    for k in range(world.light_count):
        to_light, size, irradiance = towards_light(world, k, origin)
        if dot(to_light, n) > HORIZON:
            light_key = hashed(key, CHOICES + k)
            passed, _ = shadow(world, k, origin, uniform(light_key, LIGHT_U), uniform(light_key, LIGHT_W))
            if luminance(passed) > 0.0:
                value, _ = scattering(v, to_local(to_light, n), albedo, f0, widened(alpha, size), mirror)
                light = add(light, mul(mul(value, irradiance), passed))
    return light


@compiled
def specular_share(albedo: Vec, f0: Vec, n_dot_v: float) -> float:
    """Which part of the samples goes to the specular lobe: never few, as some facets reflect far more than most."""
    if luminance(f0) == 0.0:
        return 0.0
    white = luminance(fresnel(f0, n_dot_v))
    return max(white / (white + luminance(albedo)), 0.25)


@compiled
def above(v: Vec) -> Vec:
    return v[0], v[1], max(v[2], HORIZON)


@compiled
def scattering(v: Vec, d: Vec, albedo: Vec, f0: Vec, alpha: float, mirror: float) -> tuple[Vec, float]:
    """BRDF times cosine of d, and the density with which a vertex chooses d; local directions."""
    value = scale(albedo, d[2] / pi)
    density = (1.0 - mirror) * d[2] / pi
    if mirror > 0.0:
        shine, peak = specular(v, d, f0, alpha)
        value, density = add(value, shine), density + mirror * peak
    return value, density


@compiled
def material(world: World, s: int, p_local: Vec, n_local: Vec, footprint: float) -> tuple[Vec, Vec, float]:
    """Diffuse albedo, reflectance at normal incidence, and roughness; footprint in metres."""
    m, row = world.materials, int(world.shapes[s, g.MATERIAL])
    color, roughness, f0 = triple(m, row, g.COLOR), m[row, g.ROUGHNESS], m[row, g.F0]
    kind = int(m[row, g.TEXTURE])
    if kind != PLAIN:
        cells = m[row, g.SCALE] * g.texture_density(world, s)
        if footprint * cells < 1.0:
            u, v = texture_coordinates(world, s, p_local, n_local)
            share = texture(kind, u * cells, v * cells, footprint * cells)
        else:
            share = MEANS[kind]
        color = mix(color, triple(m, row, g.COLOR2), share)
        roughness += (m[row, g.ROUGHNESS + 1] - roughness) * share
    roughness = max(roughness, ROUGHNESS_FLOOR)
    if m[row, g.METAL] > 0.0:
        return BLACK, color, roughness
    return color, (f0, f0, f0), roughness


@compiled
def radiance(world: World, s: int, n_local: Vec) -> Vec:
    """What a shape emits: a box only from its +z face."""
    if s < world.boxes and n_local[2] < 0.5:
        return BLACK
    return triple(world.materials, int(world.shapes[s, g.MATERIAL]), g.EMISSION)


@compiled
def emission(world: World, s: int, n_local: Vec) -> Vec:
    """The radiance that lights: what only glows does not."""
    return radiance(world, s, n_local) if world.shapes[s, g.POWER] > 0.0 else BLACK


@compiled
def sky(world: World, direction: Vec) -> Vec:
    """Radiance of the surroundings: horizon to zenith upwards, and an even ground with a soft edge."""
    horizon = triple(world.surroundings, g.HORIZON, 0)
    if direction[1] > 0.0:
        return mix(horizon, triple(world.surroundings, g.ZENITH, 0), sqrt(direction[1]))
    return mix(horizon, triple(world.surroundings, g.GROUND, 0), min(-8.0 * direction[1], 1.0))


@compiled
def sampled_emitter(world: World, origin: Vec, u: float, w: float) -> tuple[Vec, Vec, float]:
    """A point on an emitter, seen from `origin`: radiance that arrives, direction, and its density; 0 if hidden."""
    nothing = BLACK, (0.0, 0.0, 1.0), 0.0
    if world.emitter_count == 0:
        return nothing
    left = u * total_importance(world, origin)
    s, weight = world.emitters[0], 0.0
    for k in range(world.emitter_count):
        s = world.emitters[k]
        weight = importance(world, s, origin)
        if left < weight:
            break
        left -= weight
    u = min(left / weight, 1.0)
    if s < world.boxes:
        target = g.point(world.shapes, s, g.TO_WORLD, (2.0 * u - 1.0, 2.0 * w - 1.0, 1.0))
        direction = normalized(sub(target, origin))
    else:
        path = sub(g.point(world.shapes, s, g.TO_WORLD, (0.0, 0.0, 0.0)), origin)
        z = 1.0 - w * cone_size(dot(path, path), world.shapes[s, g.HALF_SIZE] ** 2)
        radius, phi = sqrt(max(1.0 - z * z, 0.0)), 2.0 * pi * u
        direction = to_world((radius * cos(phi), radius * sin(phi), z), normalized(path))
    hit, _ = nearest(world, origin, direction)
    if hit != s:
        return nothing
    t, _, n_local = surface(world, s, origin, direction)
    return emission(world, s, n_local), direction, emitter_density(world, s, origin, direction, t)


@compiled
def importance(world: World, s: int, origin: Vec) -> float:
    """Roughly what emitter s does for a point: its power over the square of the distance, but for its size."""
    path = sub(g.point(world.shapes, s, g.TO_WORLD, (0.0, 0.0, 0.0)), origin)
    half = triple(world.shapes, s, g.HALF_SIZE)
    return float(world.shapes[s, g.POWER]) / (dot(path, path) + dot(half, half))


@compiled
def total_importance(world: World, origin: Vec) -> float:
    total = 0.0
    for k in range(world.emitter_count):
        total += importance(world, world.emitters[k], origin)
    return total


@compiled
def emitter_density(world: World, s: int, origin: Vec, direction: Vec, distance: float) -> float:
    """Density per solid angle with which `sampled_emitter` chooses a direction that meets emitter s at a distance."""
    share = importance(world, s, origin) / total_importance(world, origin)
    if s < world.boxes:
        half = triple(world.shapes, s, g.HALF_SIZE)
        n = world_normal(world, s, (0.0, 0.0, 1.0))
        return share * distance * distance / (4.0 * half[0] * half[1] * max(abs(dot(n, direction)), 1e-6))
    path = sub(g.point(world.shapes, s, g.TO_WORLD, (0.0, 0.0, 0.0)), origin)
    return share / (2.0 * pi * cone_size(dot(path, path), world.shapes[s, g.HALF_SIZE] ** 2))


@compiled
def cone_size(distance2: float, radius2: float) -> float:
    """One minus the cosine of the cone in which a sphere is seen, from squares of its distance and its radius."""
    sine2 = min(radius2 / distance2, 1.0)
    return sine2 / (1.0 + sqrt(1.0 - sine2))


@compiled
def towards_light(world: World, k: int, origin: Vec) -> tuple[Vec, float, Vec]:
    """Direction to the middle of light k, tangent of its angular radius, and its irradiance, facing it.

    Inside a lamp it is as on its surface.
    """
    place, size = triple(world.lights, k, g.PLACE), world.lights[k, g.SIZE]
    irradiance = triple(world.lights, k, g.IRRADIANCE)
    if world.lights[k, g.LOCAL] == 0.0:
        return place, size, irradiance
    path = sub(place, origin)
    distance2 = max(dot(path, path), size * size)
    return normalized(path), size / sqrt(distance2), scale(irradiance, 1.0 / distance2)


@compiled
def shadow(world: World, k: int, origin: Vec, u: float, w: float) -> tuple[Vec, float]:
    """What part of light k arrives from a random one of its points, and the distance to what hides it: else MISS.

    All directions in which a lamp is seen are equally likely, and all points of a sun's disk.
    """
    to_light, size, _ = towards_light(world, k, origin)
    radius, phi = sqrt(u), 2.0 * pi * w
    if world.lights[k, g.LOCAL] == 0.0:
        local = normalized((size * radius * cos(phi), size * radius * sin(phi), 1.0))
        return transmitted(world, origin, to_world(local, to_light), g.NOTHING)
    path = sub(triple(world.lights, k, g.PLACE), origin)
    distance2, radius2 = dot(path, path), world.lights[k, g.SIZE] ** 2
    z = 1.0 - u * cone_size(distance2, radius2)
    sine2 = max(1.0 - z * z, 0.0)
    to_sphere = z * sqrt(distance2) - sqrt(max(radius2 - distance2 * sine2, 0.0))
    local = (sqrt(sine2) * cos(phi), sqrt(sine2) * sin(phi), z)
    return transmitted(world, origin, to_world(local, to_light), to_sphere)


@compiled
def transmitted(world: World, origin: Vec, direction: Vec, reach: float) -> tuple[Vec, float]:
    """What part of light comes along a ray from a distance `reach`, and the distance to the first shape before it.

    Glass colours what goes through it, once per shape. MISS if there is no shape.
    """
    passed, first, gone = WHITE, MISS, 0.0
    for _ in range(PANES):
        s, t = nearest(world, origin, direction)
        if s < 0 or gone + t >= reach:
            return passed, first
        if gone == 0.0:
            first = t
        passed = mul(passed, triple(world.materials, int(world.shapes[s, g.MATERIAL]), g.TRANSMISSION))
        if luminance(passed) == 0.0:
            break
        step = t * (1.0 + 1e-4) + g.OFFSET  # into the shape, which is not there for rays that start in it
        origin, gone = along(origin, direction, step), gone + step
    return BLACK, first


@compiled
def widened(alpha: float, size: float) -> float:
    """GGX's width for a light of an angular radius of this tangent."""
    return sqrt(alpha * alpha + 0.25 * size * size)


@compiled
def unshadowed(world: World, k: int, origin: Vec, n: Vec, to_eye: Vec, albedo: Vec, f0: Vec, roughness: float) -> Vec:
    """What a surface reflects of light k when nothing hides it."""
    to_light, size, irradiance = towards_light(world, k, origin)
    if dot(to_light, n) <= 0.0:
        return BLACK
    v, d = above(to_local(to_eye, n)), to_local(to_light, n)
    value, _ = scattering(v, d, albedo, f0, widened(roughness * roughness, size), luminance(f0))
    return mul(value, irradiance)
