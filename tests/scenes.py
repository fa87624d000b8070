# SPDX-License-Identifier: Apache-2.0
"""Small scenes with exact guides for the property tests: walls, mirrors and a moving panel, seen by any camera.

The standard set-up is that of the tables the tests hold the denoiser to: 256 x 160 pixels, 60 degrees of vertical field
of view, a wall at depth 5, 60 frames a second. World space: x right, y up, z forward; metres.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

import denoise as dn

Array = npt.NDArray[Any]

WIDTH, HEIGHT = 256, 160
WALL = 5.0  # depth
DISTANCE = 8.0  # hit distance of the wall's samples: more than the frustum's span, so that radii are the full ones
TOWARDS_CAMERA = (0.0, 0.0, -1.0)
RADIUS_SCALE = 0.4  # radii of settings, which are pixels at 1440 lines, are multiplied by it at 576 lines and below
LOBES = ("diffuse", "specular")

# Settings

# What the tables were measured with; radii and strides in pixels of a picture of 160 lines.
TABLE_RADII = {
    "diffuse_prepass_radius": 30,
    "specular_prepass_radius": 50,
    "max_blur_radius": 30,
    "history_fix_stride": 14,
    "history_fix_stride_alternate": 14,
}
TABLE: dict[str, Any] = {
    "frame_time": 1 / 60,
    "disocclusion_threshold": 0.01,
    "disocclusion_threshold_alternate": 0.05,
    "max_accumulated_frames": 30,
    "max_fast_frames": 6,
    "max_stabilized_frames": 63,
    "history_fix_frames": 3,
    "fast_clamp_sigma": 2,
    "antilag_sigma_scale": 2,
    "antilag_sensitivity": 3,
    "responsive_roughness": 0,
    "responsive_min_frames": 3,
    "convergence_scale": 1,
    "convergence_base": 0.2,
    "convergence_period": 0.8,
    "hit_distance_offset": 3,
    "hit_distance_depth_scale": 0.1,
    "hit_distance_roughness_scale": 20,
    "hit_distance_reconstruction": "off",
    "min_hit_distance_weight": 0.1,
    "prepass_tracking_only": False,
    "min_blur_radius": 1,
    "lobe_angle_fraction": 0.15,
    "roughness_fraction": 0.15,
    "plane_sensitivity": 0.02,
    "min_material_diffuse": 0,
    "min_material_specular": 0,
    "anti_firefly": True,
    "firefly_min_scale": 2,
    "relight": False,  # the tables are of accumulation, clamps and anti-lag by themselves
}


def unscaled(**changes: Any) -> dn.ReblurSettings:
    """The settings of the tables. Radii and strides among `changes`, too, are pixels of a picture of 160 lines."""
    radii = {name: changes.pop(name, value) / RADIUS_SCALE for name, value in TABLE_RADII.items()}
    return dn.ReblurSettings(**{**TABLE, **radii, **changes})


# Cameras


def perspective(
    width: int = WIDTH,
    height: int = HEIGHT,
    *,
    vfov: float = 60,
    shift: tuple[float, float] = (0, 0),
    depth: str = "standard",
    near: float = 0.1,
    far: float = 1000,
) -> Array:
    """Left-handed view to clip. `shift` moves the centre of projection by that much of clip space.

    depth  "standard", "reversed", "infinite" or "reversed infinite"
    """
    f = 1 / np.tan(np.radians(vfov) / 2)
    a, b = {
        "standard": (far / (far - near), -near * far / (far - near)),
        "reversed": (-near / (far - near), near * far / (far - near)),
        "infinite": (1, -near),
        "reversed infinite": (0, near),
    }[depth]
    return np.array([[f * height / width, 0, shift[0], 0], [0, f, shift[1], 0], [0, 0, a, b], [0, 0, 1, 0]])


def orthographic(
    width: int = WIDTH,
    height: int = HEIGHT,
    *,
    span: float = 2 * WALL / np.sqrt(3),
    shift: tuple[float, float] = (0, 0),
    depth: str = "standard",
    near: float = 0.1,
    far: float = 1000,
) -> Array:
    """Left-handed view to clip of a camera that sees `span` metres from top to bottom; by default as much as the
    standard perspective sees of its wall."""
    f = 2 / span
    a, b = {"standard": (1, -near), "reversed": (-1, far)}[depth]
    z = [0, 0, a / (far - near), b / (far - near)]
    return np.array([[f * height / width, 0, 0, shift[0]], [0, f, 0, shift[1]], z, [0, 0, 0, 1]])


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """A camera with its picture: turns pixels into rays and points into pixels.

    Angles in degrees: yaw turns right, pitch up, roll clockwise. `mirrored` turns the view's x axis round.
    """

    width: int = WIDTH
    height: int = HEIGHT
    position: tuple[float, float, float] = (0, 0, 0)
    yaw: float = 0
    pitch: float = 0
    roll: float = 0
    lens: Array | None = None  # left-handed view to clip; None: the standard one
    right_handed: bool = False
    jitter: tuple[float, float] = (0, 0)

    @property
    def clip(self) -> Array:
        """Left-handed view to clip."""
        return perspective(self.width, self.height) if self.lens is None else self.lens

    @property
    def rotation(self) -> Array:
        """World to left-handed view."""
        (cy, sy), (cp, sp), (cr, sr) = (
            (np.cos(angle), np.sin(angle)) for angle in np.radians((self.yaw, self.pitch, self.roll))
        )
        yaw = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return roll @ pitch @ yaw

    def camera(self) -> dn.Camera:
        handed = np.diag([1, 1, -1 if self.right_handed else 1, 1])
        view = np.eye(4)
        view[:3, :3] = self.rotation
        view[:3, 3] = -self.rotation @ self.position
        return dn.Camera(world_to_view=handed @ view, view_to_clip=self.clip @ handed, jitter=self.jitter)

    def rays(self) -> tuple[Array, Array]:
        """Origin and step (H, W, 3) of each pixel's ray: origin + d * step lies at view depth d."""
        p = self.clip
        x = (np.arange(self.width) + 0.5) / self.width * 2 - 1
        y = 1 - (np.arange(self.height) + 0.5) / self.height * 2
        column = 2 if p[3, 2] else 3  # of the shift
        xy = np.zeros((self.height, self.width, 3))
        xy[..., 0] = (x - p[0, column]) / p[0, 0]
        xy[..., 1] = ((y - p[1, column]) / p[1, 1])[:, None]
        forward = self.rotation[2]
        if p[3, 2]:
            return np.broadcast_to(np.asarray(self.position, float), xy.shape), xy @ self.rotation + forward
        return xy @ self.rotation + self.position, np.broadcast_to(forward, xy.shape)

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixel positions (..., 2) and view depths (...) of world points (..., 3)."""
        view = (points - np.asarray(self.position)) @ self.rotation.T
        p = self.clip
        clip = view @ p[:2, :3].T + p[:2, 3]
        w = view @ p[3, :3] + p[3, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            ndc = clip / w[..., None]
        pixels = np.stack([(ndc[..., 0] + 1) * self.width / 2, (1 - ndc[..., 1]) * self.height / 2], -1)
        return pixels, view[..., 2]

    def plane(self, point: Any, normal: Any = TOWARDS_CAMERA) -> Array:
        """Where the rays meet a plane, world (H, W, 3); NaN where they do not."""
        origin, step = self.rays()
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = (np.asarray(point) - origin) @ np.asarray(normal) / (step @ np.asarray(normal))
            return origin + np.where(depth > 0, depth, np.nan)[..., None] * step

    def at_depth(self, depth: Any) -> Array:
        """The points at a depth, or at those of an array (H, W)."""
        origin, step = self.rays()
        return origin + np.broadcast_to(depth, step.shape[:2])[..., None] * step


# Frames, as keywords of a denoiser


def guides(
    view: View,
    position: Array,
    before: View | None = None,
    *,
    normal: Any = TOWARDS_CAMERA,
    roughness: Any = 0.5,
    moved: Any = 0,
    motion: str | None = "2.5D",
) -> dict[str, Any]:
    """Camera and guides of the surface points (H, W, 3) that the pixels show; NaN is sky.

    before  the camera of the previous frame, None if it is the same
    moved   the points' previous positions minus the present ones
    motion  "2.5D", "2D", "world", or None to leave it out
    """
    before = before or view
    shape = position.shape[:2]
    pixels, depth = view.project(position)
    previous, previous_depth = before.project(position + moved)
    frame: dict[str, Any] = {
        "camera": view.camera(),
        "view_z": np.where(np.isnan(depth), np.inf, depth).astype(np.float32),
        "normal": np.broadcast_to(np.float32(normal), (*shape, 3)),
        "roughness": np.broadcast_to(np.float32(roughness), shape),
    }
    if motion == "world":
        frame["motion"] = np.broadcast_to(np.float32(moved), (*shape, 3))
        frame["motion_space"] = "world"
    elif motion:
        step = np.nan_to_num(np.dstack([previous - pixels, previous_depth - depth]), posinf=0, neginf=0)
        frame["motion"] = step.astype(np.float32)[..., : 2 if motion == "2D" else 3]
    return frame


def signals(radiance: Any, distance: Any, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> dict[str, Any]:
    """Both lobes with one radiance ((H, W, 3), (H, W), a colour or a number) and hit distance ((H, W) or a number)."""
    radiance = np.asarray(radiance, np.float32)
    if radiance.shape == shape:
        radiance = radiance[..., None]
    rgb, h = np.broadcast_to(radiance, (*shape, 3)), np.broadcast_to(np.float32(distance), shape)
    return {"diffuse": rgb, "diffuse_hit_distance": h, "specular": rgb, "specular_hit_distance": h}


def wall(
    radiance: Any = 1.0,
    *,
    width: int = WIDTH,
    height: int = HEIGHT,
    depth: Any = WALL,
    distance: Any = DISTANCE,
    **guide: Any,
) -> dict[str, Any]:
    """A frame of the standard camera before a wall, at one depth or at those of an array (H, W)."""
    view = View(width, height)
    return {**guides(view, view.at_depth(depth), **guide), **signals(radiance, distance, (height, width))}


def halves(left: Any, right: Any, width: int = WIDTH, height: int = HEIGHT) -> Array:
    """(H, W[, C]): one value in the left half of the picture, another in the right."""
    mask = np.arange(width) < width // 2
    left, right = np.asarray(left), np.asarray(right)
    row = np.where(mask[:, None] if left.ndim else mask, left, right)
    return np.broadcast_to(row, (height, *row.shape))


def run(
    frames: Iterable[dict[str, Any]],
    settings: dn.ReblurSettings | dn.RelaxSettings | None = None,
    *,
    outputs: tuple[str, ...] = (),
    device: str = "auto",
) -> Iterator[dn.Result]:
    """Denoises frames of one size with a new instance of the settings' family, by default ReBLUR."""
    family: Any = dn.Relax if isinstance(settings, dn.RelaxSettings) else dn.Reblur
    denoiser = None
    for frame in frames:
        if denoiser is None:
            height, width = frame["view_z"].shape
            denoiser = family(width, height, device=device, settings=settings, outputs=outputs)
        yield denoiser(**frame)


def last(*args: Any, **kwargs: Any) -> dn.Result:
    """The last result of `run`."""
    *_, result = run(*args, **kwargs)
    return result


# Signals


def luma(rgb: Array) -> Array:
    """Luma as the denoiser takes it: a quarter of red and blue, half of green."""
    return rgb @ np.array([0.25, 0.5, 0.25])


NOISE = {"uniform": 0.577, "one in 4": 1.732, "one in 20": 4.359}  # kind: standard deviation


def noise(kind: str, rng: np.random.Generator, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Array:
    """Grey noise (H, W), independent from pixel to pixel, whose mean over the picture is exactly 1.

    uniform: in 0..2; one in n: n in every nth pixel, else 0.
    """
    count = shape[0] * shape[1]
    if kind == "uniform":
        values = (np.arange(count) + 0.5) * (2 / count)
    else:
        bright = int(count / float(kind.rsplit(" ", 1)[1]))
        values = np.zeros(count)
        values[:bright] = count / bright
    return rng.permutation(values.astype(np.float32)).reshape(shape)


def checker(x: Array, y: Array, square: float, pixel: float) -> Array:
    """A checkerboard of 0 and 2 at positions x (W,) and y (H,), averaged over square pixels of that size."""

    def wave(at: Array) -> Array:
        def integral(t: Array) -> Array:
            return square * (1 - np.abs(np.mod(t / square, 2) - 1))

        return (integral(at + pixel / 2) - integral(at - pixel / 2)) / pixel

    return 1 + wave(np.asarray(y))[:, None] * wave(np.asarray(x))


def contrast(picture: Array, truth: Array) -> float:
    """How much of the contrast of `truth` a picture shows: the slope of the best fit of one by the other."""
    centred = truth - truth.mean()
    return float((picture * centred).sum() / (centred * centred).sum())


# Moving scenes


def mirror_wall(
    step: float, index: int, *, image: float = 3 * WALL, roughness: float = 0, lens: Array | None = None
) -> tuple[dict[str, Any], Array]:
    """Frame `index` of a camera that strafes by `step` pixels a frame along a mirror, and what the mirror shows (H, W).

    The mirror lies at depth 5 and shows a checkerboard of 9-pixel squares that is at depth `image`, in the mirror. Its
    edges are as soft as to give it the root mean square of the tables, 1.32.
    """
    view, before = (
        View(lens=lens, position=(k * step * pixel_at(lens, WALL), 0, 0)) for k in (index, max(index - 1, 0))
    )
    position = view.plane((0, 0, WALL))
    virtual = view.plane((0, 0, image))
    size = pixel_at(lens, image)
    shown = checker(virtual[0, :, 0], virtual[:, 0, 1], 9 * size, 1.87 * size)
    distance = np.linalg.norm(virtual - position, axis=-1)
    return {**guides(view, position, before, roughness=roughness), **signals(shown, distance)}, shown


def carried_mirror(index: int, width: int, height: int, material: int) -> tuple[dict[str, Any], Array]:
    """Frame `index` of a mirror at depth 1 that the strafing camera carries along, and what it shows (H, W): something
    at depth 6, in the mirror, that the camera carries along, too. All of it is one material."""
    view, before = (View(width, height, (0.2 * i, 0, 0)) for i in (index, max(index - 1, 0)))
    moved = np.array([before.position[0] - view.position[0], 0, 0])
    frame = guides(view, view.at_depth(1), before, moved=moved, roughness=0)
    frame["material_id"] = np.full((height, width), material, np.uint8)
    shown = checker(np.arange(width) + 0.5, np.arange(height) + 0.5, 9, 1.87)
    return {**frame, **signals(shown, 5, shown.shape)}, shown


def pixel_at(lens: Array | None, depth: float) -> float:
    """World size of a pixel of the standard picture at a depth."""
    p = perspective() if lens is None else lens
    return float(2 / (HEIGHT * p[1, 1]) * (depth if p[3, 2] else 1))


PANEL_DEPTH, PANEL_HALF = 4.0, 0.6


def panel_over_wall(
    view: View,
    before: View,
    panel: float,
    panel_before: float,
    *,
    motion: str | None = "2.5D",
    on_panel: Any = (1.0, 0.0, 0.0),
    on_wall: Any = (0.0, 0.0, 1.0),
) -> tuple[dict[str, Any], Array, Array]:
    """A square panel at depth 4 whose middle is at x = `panel`, before a wall at depth 5.

    Returns the frame, where the panel is, and where the wall is newly visible, (H, W) each.
    """

    def covered(points: Array, middle: float) -> Array:
        return (np.abs(points[..., 0] - middle) < PANEL_HALF) & (np.abs(points[..., 1]) < PANEL_HALF)

    front, back = view.plane((0, 0, PANEL_DEPTH)), view.plane((0, 0, WALL))
    there = covered(front, panel)
    position = np.where(there[..., None], front, back)
    moved = there[..., None] * np.array([panel_before - panel, 0, 0])
    # Where the line from the previous camera to the point went through the panel's plane.
    eye = np.asarray(before.position)
    share = (PANEL_DEPTH - eye[2]) / np.where(there, np.inf, position[..., 2] - eye[2])
    hidden = ~there & covered(eye + (position - eye) * share[..., None], panel_before)
    pixels, _ = before.project(position + moved)
    hidden |= ~((pixels >= 0) & (pixels < (view.width, view.height))).all(-1)
    radiance = np.where(there[..., None], on_panel, on_wall)
    frame = guides(view, position, before, moved=moved, motion=motion)
    return {**frame, **signals(radiance, 2, there.shape)}, there, hidden
