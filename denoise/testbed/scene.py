# SPDX-License-Identifier: Apache-2.0
"""The language scenes are written in: materials, shapes with their place in the world, a camera, a sky, sun and lamps.

World space is right-handed with +Y up, in metres. A scene is described whole for each frame by a function of the frame
number, so motion is what differs between the descriptions of two frames; shapes and materials keep their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from math import cos, pi, radians, sin, tan

import numpy as np
from numpy.typing import NDArray

Rgb = tuple[float, float, float]
Point = tuple[float, float, float]
Matrix = NDArray[np.float64]

BLACK: Rgb = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Material:
    """What a surface is made of; its name is its identity, so values may change from frame to frame.

    color         diffuse albedo, for a metal the reflectance at normal incidence; [0, 1]
    color2        what the texture paints over it, default the same
    roughness     linear roughness, the square root of GGX's alpha; [0.04, 1]
    roughness2    where the texture paints, default the same
    metal         metals reflect specularly only
    f0            reflectance of a dielectric at normal incidence; 0 = no specular lobe
    texture       a name of `textures.NAMES`
    scale         cells of the texture per metre; on spheres and cylinders the surface counts as 8 m around, so that
                  textures close up if the scale is a multiple of 1/4
    emission      radiance. Emitters are spheres, and boxes, which emit from their local +z face; they reflect nothing
    glow          only the camera sees the emission: the bulb of a `Lamp`, which is what lights
    transmission  the part of the light of sun and lamps that goes through a shape, straight; [0, 1]. All other rays
                  take it for opaque
    """

    name: str
    color: Rgb = (0.5, 0.5, 0.5)
    color2: Rgb | None = None
    roughness: float = 0.5
    roughness2: float | None = None
    metal: bool = False
    f0: float = 0.04
    texture: str = "plain"
    scale: float = 1.0
    emission: Rgb = BLACK
    glow: bool = False
    transmission: Rgb = BLACK


@dataclass(frozen=True)
class Shape:
    """A box, sphere or cylinder: what fills [-1, 1]^3, the unit ball, or the unit disk in xz times [-1, 1] in y.

    to_world  (4, 4) from that space to the world, for column vectors; affine and invertible
    """

    kind: str
    to_world: Matrix
    material: Material

    def moved(self, matrix: Matrix) -> Shape:
        return replace(self, to_world=matrix @ self.to_world)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera. fov is vertical, in degrees."""

    eye: Point
    target: Point
    fov: float = 45.0

    def world_to_view(self) -> Matrix:
        """(4, 4), for column vectors: view space has x right, y up and looks along +z."""
        eye = np.array(self.eye)
        forward = np.array(self.target) - eye
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 1.0, 0.0))
        right = right / np.linalg.norm(right)
        rotation = np.stack([right, np.cross(right, forward), forward])
        matrix = np.eye(4)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = -rotation @ eye
        return matrix

    def view_to_clip(self, width: int, height: int, near: float = 0.05, far: float = 1000.0) -> Matrix:
        """(4, 4): w = view z, depth 0..1."""
        y = 1.0 / tan(radians(self.fov) / 2)
        depth = far / (far - near)
        return np.array([[y * height / width, 0, 0, 0], [0, y, 0, 0], [0, 0, depth, -near * depth], [0, 0, 1, 0]])


@dataclass(frozen=True)
class Sky:
    """Radiance from straight above, from the horizon, and from below it."""

    zenith: Rgb = BLACK
    horizon: Rgb = BLACK
    ground: Rgb = BLACK


@dataclass(frozen=True)
class Sun:
    """A distant disk that lights but isn't seen: where it stands, its size, and its irradiance facing it."""

    direction_to_light: Point
    irradiance: Rgb
    tan_angular_radius: float = 0.015


@dataclass(frozen=True)
class Lamp:
    """A sphere that lights but isn't seen and hides nothing; a bulb that glows may stand in it.

    name       part of the names of its arrays; letters, digits and _
    position   of its centre
    radius     metres
    intensity  irradiance at 1 m, facing it; it falls with the square of the distance
    """

    name: str
    position: Point
    radius: float
    intensity: Rgb


@dataclass(frozen=True)
class View:
    """All there is at one frame. Sun and lamps are not gathered by the rays of the lobes: each has its own signal."""

    camera: Camera
    shapes: list[Shape]
    sky: Sky = Sky()
    sun: Sun | None = None
    lamps: tuple[Lamp, ...] = ()


@dataclass(frozen=True)
class Scene:
    """An animated scene and how it is meant to be shown.

    at                frame number -> View; also of frame -1, to which the motion of frame 0 refers
    num_frames        length of the animation at 30 frames per second
    lighting_changes  first frames under new lighting, or after a cut
    bounces           vertices after the primary one that scatter light
    exposure          what to multiply radiance with before tone mapping
    jitter            whether the rays of a frame go through a point of a Halton sequence instead of pixel centres
    """

    name: str
    description: str
    at: Callable[[int], View]
    num_frames: int = 28
    lighting_changes: tuple[int, ...] = ()
    bounces: int = 2
    exposure: float = 1.0
    jitter: bool = False


def box(center: Point, size: Point, material: Material, turn: float = 0.0) -> Shape:
    """A box of the given full size, turned by degrees around the vertical."""
    half = np.diag([size[0] / 2, size[1] / 2, size[2] / 2, 1.0])
    return Shape("box", translation(center) @ rotation("y", turn) @ half, material)


def panel(center: Point, facing: Point, size: tuple[float, float], material: Material) -> Shape:
    """A thin box that faces (and emits) in a direction: its width is level, its height as upright as can be."""
    z = np.array(facing) / np.linalg.norm(facing)
    x = np.cross((0.0, 1.0, 0.0), z) if abs(z[1]) < 0.99 else np.array([1.0, 0.0, 0.0])
    x = x / np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([x * size[0] / 2, np.cross(z, x) * size[1] / 2, z * 0.005], axis=1)
    return Shape("box", translation(center) @ matrix, material)


def sphere(center: Point, radius: float, material: Material, turn: float = 0.0) -> Shape:
    """A sphere, turned by degrees around the vertical; its texture has poles above and below."""
    return ellipsoid(center, (radius, radius, radius), material, turn)


def ellipsoid(center: Point, radii: Point, material: Material, turn: float = 0.0) -> Shape:
    """A sphere of three radii."""
    return Shape("sphere", translation(center) @ rotation("y", turn) @ np.diag([*radii, 1.0]), material)


def cylinder(base: Point, radius: float, height: float, material: Material) -> Shape:
    """An upright cylinder that stands on `base`."""
    center = (base[0], base[1] + height / 2, base[2])
    return Shape("cylinder", translation(center) @ np.diag([radius, height / 2, radius, 1.0]), material)


def translation(offset: Point) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def rotation(axis: str, degrees: float) -> Matrix:
    """(4, 4) rotation around x, y or z, counterclockwise seen from the axis' tip."""
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    c, s = cos(radians(degrees)), sin(radians(degrees))
    matrix = np.eye(4)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def moved(shapes: Iterable[Shape], *matrices: Matrix) -> list[Shape]:
    """The shapes moved together, by the last matrix first."""
    matrix = np.eye(4)
    for factor in matrices:
        matrix = matrix @ factor
    return [shape.moved(matrix) for shape in shapes]


def wave(frame: float, period: float, phase: float = 0.0) -> float:
    """A sine of the frame number."""
    return sin(2 * pi * (frame / period + phase))
