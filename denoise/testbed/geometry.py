# SPDX-License-Identifier: Apache-2.0
"""Rays against shapes: which is hit first, and what its surface is like there.

Every shape is a convex body, so a ray is in it for one interval; bodies in which a ray starts are not there for it. To
find the nearest, rays are brought into the spaces of all shapes in float32, several shapes to a SIMD register; the one
found is then computed in float64.
"""

from __future__ import annotations

from math import asin, atan2, pi
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from .kernels import Vec, add, along, compiled, normalized, scale
from .scene import Material, Scene, Shape, View
from .textures import NAMES

SHAPES = 128  # most shapes of a scene, padding included: the nearest one's number is kept in 7 bits of its distance
LANES = 16  # shapes of a kind are padded to a multiple of this
EMITTERS = 16  # most of a scene
LIGHTS = 8  # most of a scene: the sun and lamps
OFFSET = 2e-4  # metres by which a ray starts off the surface
NOTHING = 1e30  # distance of a miss

# float32, so that they widen nothing: the functions of intervals serve both precisions.
ZERO, ONE, SMALL, FAR = (cast(float, np.float32(x)) for x in (0, 1, 1e-12, NOTHING))

# Columns of `World.shapes`: two matrices of 12 numbers, size in metres, numbers of object and material, emitted power.
TO_LOCAL, TO_WORLD, HALF_SIZE, OBJECT, MATERIAL, POWER, SHAPE_COLUMNS = 0, 12, 24, 27, 28, 29, 30

# Columns of `World.materials`: as in `scene.Material`, but for the number of the texture.
COLOR, COLOR2, ROUGHNESS, METAL, F0, TEXTURE, SCALE, EMISSION, TRANSMISSION = 0, 3, 6, 8, 9, 10, 11, 12, 15
MATERIAL_COLUMNS = 18

# Rows of `World.surroundings`.
ZENITH, HORIZON, GROUND = range(3)

# Columns of `World.lights`: position in metres, or direction to a sun; whether it is a lamp; irradiance, of a lamp that
# at 1 m; radius of a lamp in metres, or tangent of a sun's angular radius.
PLACE, LOCAL, IRRADIANCE, SIZE, LIGHT_COLUMNS = 0, 3, 4, 7, 8

WORLD = np.dtype(
    [
        ("lanes", np.float32, (12, SHAPES)),
        ("shapes", np.float64, (SHAPES, SHAPE_COLUMNS)),
        ("materials", np.float64, (SHAPES, MATERIAL_COLUMNS)),
        ("surroundings", np.float64, (3, 3)),
        ("emitters", np.int64, EMITTERS),
        ("lights", np.float64, (LIGHTS, LIGHT_COLUMNS)),
        *((name, np.int64) for name in ("emitter_count", "light_count", "boxes", "spheres", "cylinders", "bounces")),
    ]
)


class World(Protocol):
    """A view as one record of type `WORLD`, which compiled code passes on as one pointer.

    Shapes are ordered boxes, spheres, cylinders, each kind padded with shapes that no ray meets.
    """

    lanes: NDArray[np.float32]  # world to shape: for each entry of the matrix, row after row, all shapes
    shapes: NDArray[np.float64]
    materials: NDArray[np.float64]
    surroundings: NDArray[np.float64]
    emitters: NDArray[np.int64]  # the shapes that emit
    lights: NDArray[np.float64]  # sun and lamps, in the order of `light_names`
    emitter_count: int
    light_count: int
    boxes: int  # shapes below are boxes
    spheres: int  # from there to below here they are spheres
    cylinders: int
    bounces: int


def pack(scene: Scene, view: View) -> World:
    """The arrays for a view. ValueError if it holds too many shapes or lights or a shape that can't emit but does."""
    order: list[int | None] = []
    ends = []
    for kind in ("box", "sphere", "cylinder"):
        order += [i for i, shape in enumerate(view.shapes) if shape.kind == kind]
        order += [None] * (-len(order) % LANES)
        ends.append(len(order))
    if len(order) > SHAPES:
        raise ValueError(f"scene {scene.name}: {len(view.shapes)} shapes are more than {SHAPES} places hold")

    n = len(order)
    unreachable = np.eye(4)
    unreachable[:3, 3] = -1e6
    to_world = np.stack([unreachable if i is None else view.shapes[i].to_world for i in order])
    to_local = np.linalg.inv(to_world)

    world = np.zeros((), WORLD)[()]
    world["lanes"][:, :n] = to_local[:, :3].reshape(n, 12).T
    shapes = world["shapes"][:n]
    shapes[:, TO_LOCAL:TO_WORLD] = to_local[:, :3].reshape(n, 12)
    shapes[:, TO_WORLD:HALF_SIZE] = to_world[:, :3].reshape(n, 12)
    shapes[:, HALF_SIZE:OBJECT] = np.linalg.norm(to_world[:, :3, :3], axis=1)
    names = material_names(view)
    for row, i in zip(shapes, order, strict=True):
        if i is not None:
            shape = view.shapes[i]
            material = names.index(shape.material.name)
            row[OBJECT:SHAPE_COLUMNS] = i + 1, material, _power(scene, shape)
            world["materials"][material] = _material_row(shape.material)
    emitters = np.flatnonzero(shapes[:, POWER])
    if len(emitters) > EMITTERS:
        raise ValueError(f"scene {scene.name}: {len(emitters)} emitters are more than {EMITTERS}")
    world["emitters"][: len(emitters)] = emitters
    world["emitter_count"] = len(emitters)

    lights = [(*lamp.position, 1.0, *lamp.intensity, lamp.radius) for lamp in view.lamps]
    if view.sun:
        direction = np.array(view.sun.direction_to_light) / np.linalg.norm(view.sun.direction_to_light)
        lights.insert(0, (*direction, 0.0, *view.sun.irradiance, view.sun.tan_angular_radius))
    if len(lights) > LIGHTS:
        raise ValueError(f"scene {scene.name}: {len(lights)} lights are more than {LIGHTS}")
    world["lights"][: len(lights)] = np.reshape(lights, (-1, LIGHT_COLUMNS))
    world["light_count"] = len(lights)
    world["surroundings"] = view.sky.zenith, view.sky.horizon, view.sky.ground
    world["boxes"], world["spheres"], world["cylinders"] = ends
    world["bounces"] = scene.bounces
    return cast(World, world)


def _material_row(m: Material) -> list[float]:
    color2 = m.color if m.color2 is None else m.color2
    roughness2 = m.roughness if m.roughness2 is None else m.roughness2
    texture = NAMES.index(m.texture)
    values = [*m.color, *color2, m.roughness, roughness2, m.metal, m.f0, texture, m.scale]
    return [*values, *m.emission, *m.transmission]


def material_names(view: View) -> list[str]:
    """Names of a view's materials, by first appearance; `material_id` is the place in this list, from 1."""
    return list(dict.fromkeys(shape.material.name for shape in view.shapes))


def light_names(view: View) -> list[str]:
    """Names of the lights that have signals of their own, in the order of `World.lights`."""
    return [*(["sun"] if view.sun else []), *(lamp.name for lamp in view.lamps)]


def _power(scene: Scene, shape: Shape) -> float:
    """Emitted power that paths find, but for a factor pi."""
    light = float(np.dot(shape.material.emission, (0.2126, 0.7152, 0.0722)))
    x, y, z = np.linalg.norm(shape.to_world[:3, :3], axis=0)
    if light == 0.0 or shape.material.glow:
        return 0.0
    if shape.kind == "box":
        return light * float(4 * x * y)
    if shape.kind == "sphere" and np.allclose((x, y), z):
        return light * float(4 * np.pi * x * x)
    raise ValueError(f"scene {scene.name}: {shape.material.name} emits, which only boxes and round spheres can")


@compiled
def point(m: NDArray[np.float64], s: int, column: int, p: Vec) -> Vec:
    """A point through the matrix that starts at a column of row s."""
    return (
        m[s, column] * p[0] + m[s, column + 1] * p[1] + m[s, column + 2] * p[2] + m[s, column + 3],
        m[s, column + 4] * p[0] + m[s, column + 5] * p[1] + m[s, column + 6] * p[2] + m[s, column + 7],
        m[s, column + 8] * p[0] + m[s, column + 9] * p[1] + m[s, column + 10] * p[2] + m[s, column + 11],
    )


@compiled
def vector(m: NDArray[np.float64], s: int, column: int, d: Vec) -> Vec:
    """A direction through the matrix that starts at a column of row s."""
    return (
        m[s, column] * d[0] + m[s, column + 1] * d[1] + m[s, column + 2] * d[2],
        m[s, column + 4] * d[0] + m[s, column + 5] * d[1] + m[s, column + 6] * d[2],
        m[s, column + 8] * d[0] + m[s, column + 9] * d[1] + m[s, column + 10] * d[2],
    )


@compiled
def triple(table: NDArray[np.float64], row: int, column: int) -> Vec:
    return table[row, column], table[row, column + 1], table[row, column + 2]


@compiled
def lane_point(m: NDArray[np.float32], s: int, p: Vec) -> Vec:
    """`point` for the transposed matrices. An unsigned index can't count from the end, which would hinder SIMD."""
    i = np.uint64(s)
    return (
        m[0, i] * p[0] + m[1, i] * p[1] + m[2, i] * p[2] + m[3, i],
        m[4, i] * p[0] + m[5, i] * p[1] + m[6, i] * p[2] + m[7, i],
        m[8, i] * p[0] + m[9, i] * p[1] + m[10, i] * p[2] + m[11, i],
    )


@compiled
def lane_vector(m: NDArray[np.float32], s: int, d: Vec) -> Vec:
    i = np.uint64(s)
    return (
        m[0, i] * d[0] + m[1, i] * d[1] + m[2, i] * d[2],
        m[4, i] * d[0] + m[5, i] * d[1] + m[6, i] * d[2],
        m[8, i] * d[0] + m[9, i] * d[1] + m[10, i] * d[2],
    )


@compiled
def single(v: Vec) -> Vec:
    """In float32."""
    return np.float32(v[0]), np.float32(v[1]), np.float32(v[2])  # type: ignore[return-value]


@compiled
def slab(o: float, d: float) -> tuple[float, float]:
    """Where a ray is within [-1, 1] of one axis: (enters, leaves)."""
    inverse = ONE / (d if abs(d) > SMALL else SMALL)
    return -o * inverse - abs(inverse), -o * inverse + abs(inverse)


@compiled
def box_interval(o: Vec, d: Vec) -> tuple[float, float]:
    x, y, z = slab(o[0], d[0]), slab(o[1], d[1]), slab(o[2], d[2])
    return max(max(x[0], y[0]), z[0]), min(min(x[1], y[1]), z[1])


@compiled
def sphere_interval(o: Vec, d: Vec) -> tuple[float, float]:
    inverse = ONE / (d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
    middle = -(o[0] * d[0] + o[1] * d[1] + o[2] * d[2]) * inverse
    x, y, z = o[0] + middle * d[0], o[1] + middle * d[1], o[2] + middle * d[2]
    inside = ONE - (x * x + y * y + z * z)
    half = np.sqrt(max(inside, ZERO) * inverse)
    return middle - half, (middle + half if inside > ZERO else -FAR)


@compiled
def cylinder_interval(o: Vec, d: Vec) -> tuple[float, float]:
    inverse = ONE / max(d[0] * d[0] + d[2] * d[2], SMALL)
    middle = -(o[0] * d[0] + o[2] * d[2]) * inverse
    x, z = o[0] + middle * d[0], o[2] + middle * d[2]
    inside = ONE - (x * x + z * z)
    half = np.sqrt(max(inside, ZERO) * inverse)
    y = slab(o[1], d[1])
    return max(middle - half, y[0]), (min(middle + half, y[1]) if inside > ZERO else -FAR)


@compiled
def keyed(interval: tuple[float, float], s: int) -> int:
    """Distance to a shape and its number as one integer; positive floats sort like their bits."""
    near, far = interval
    key = bits(near if (near > ZERO) & (near <= far) else FAR) & -SHAPES | s
    return np.int32(key)  # type: ignore[return-value]


@compiled
def bits(x: float) -> int:
    return np.float32(x).view(np.int32)  # type: ignore[return-value]


@compiled
def from_bits(x: int) -> float:
    return np.int32(x).view(np.float32)  # type: ignore[return-value]


@compiled
def nearest(world: World, origin: Vec, direction: Vec) -> tuple[int, float]:
    """The first shape that a ray meets, -1 for none, and the distance to it to 5 digits."""
    m = world.lanes
    o, d = single(origin), single(direction)
    first = bits(FAR)
    for s in range(world.boxes):
        first = min(first, keyed(box_interval(lane_point(m, s, o), lane_vector(m, s, d)), s))
    for s in range(world.boxes, world.spheres):
        first = min(first, keyed(sphere_interval(lane_point(m, s, o), lane_vector(m, s, d)), s))
    for s in range(world.spheres, world.cylinders):
        first = min(first, keyed(cylinder_interval(lane_point(m, s, o), lane_vector(m, s, d)), s))
    t = from_bits(first)
    return (first & (SHAPES - 1), t) if t < 0.5 * NOTHING else (-1, NOTHING)


@compiled
def surface(world: World, s: int, origin: Vec, direction: Vec) -> tuple[float, Vec, Vec]:
    """Where a ray meets shape s: distance; position and outward normal, of any length, in the shape's own space."""
    o, d = point(world.shapes, s, TO_LOCAL, origin), vector(world.shapes, s, TO_LOCAL, direction)
    if s < world.boxes:
        x, y, z = slab(o[0], d[0])[0], slab(o[1], d[1])[0], slab(o[2], d[2])[0]
        t = max(max(x, y), z)
        p = along(o, d, t)
        if t == x:
            return t, p, (p[0], 0.0, 0.0)
        return t, p, ((0.0, p[1], 0.0) if t == y else (0.0, 0.0, p[2]))
    if s < world.spheres:
        t, _ = sphere_interval(o, d)
        p = along(o, d, t)
        return t, p, p
    t, _ = cylinder_interval(o, d)
    p = along(o, d, t)
    return t, p, ((p[0], 0.0, p[2]) if p[0] * p[0] + p[2] * p[2] > p[1] * p[1] else (0.0, p[1], 0.0))


@compiled
def texture_coordinates(world: World, s: int, p: Vec, n: Vec) -> tuple[float, float]:
    """u and v of a surface point and normal in the shape's own space; in metres, but for `texture_density`."""
    half = triple(world.shapes, s, HALF_SIZE)
    if s < world.boxes:
        x, y, z = p[0] * half[0], p[1] * half[1], p[2] * half[2]
        if n[0] != 0.0:
            return z, y
        return (x, z) if n[1] != 0.0 else (x, y)
    if s < world.spheres:
        return atan2(p[0], p[2]) * half[0], asin(min(max(p[1], -1.0), 1.0)) * half[0]
    if n[1] != 0.0:
        return p[0] * half[0], p[2] * half[0]
    return atan2(p[0], p[2]) * half[0], p[1] * half[1]


@compiled
def texture_density(world: World, s: int) -> float:
    """By how much textures are denser than in metres: what is round counts as 8 m around."""
    return 1.0 if s < world.boxes else 4.0 / (pi * world.shapes[s, HALF_SIZE])


@compiled
def world_normal(world: World, s: int, n: Vec) -> Vec:
    """A normal of shape s in world space, unit length: through the transposed inverse of its matrix."""
    x, y, z = (
        triple(world.shapes, s, TO_LOCAL),
        triple(world.shapes, s, TO_LOCAL + 4),
        triple(world.shapes, s, TO_LOCAL + 8),
    )
    return normalized(add(add(scale(x, n[0]), scale(y, n[1])), scale(z, n[2])))


@compiled
def off_surface(position: Vec, normal: Vec) -> Vec:
    """Where a ray starts that leaves a surface."""
    return along(position, normal, OFFSET)
