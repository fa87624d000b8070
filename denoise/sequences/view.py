# SPDX-License-Identifier: Apache-2.0
"""The camera of one frame as arithmetic on whole arrays: pixels to points and back, and what the depth buffer shows.

View space here is the caller's (`world_to_view`), whichever way it looks; `depth` is `view_z`, positive. Pixels are (x, y)
with the centre of the first one at (0.5, 0.5). Points are float64 (..., 3), so that motion keeps its hundredths of pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.settings import FrameSettings

Array = NDArray[Any]
Mask = NDArray[np.bool_]


class View:
    """A camera and the size of its picture.

    camera         world_to_view, view_to_clip, jitter as in `sequence.json`
    width, height  pixels
    sky_distance   depth from which on it is sky
    """

    def __init__(
        self, camera: Mapping[str, Any], width: int, height: int, sky_distance: float = FrameSettings.sky_distance
    ) -> None:
        self.width, self.height = width, height
        self.sky_distance = sky_distance
        self.world_to_view = np.asarray(camera["world_to_view"], np.float64)
        self.view_to_clip = np.asarray(camera["view_to_clip"], np.float64)
        self.jitter = np.asarray(camera.get("jitter", (0, 0)), np.float64)
        clip = self.view_to_clip
        self.orthographic = clip[3, 2] == 0
        # The same rule as that of the native side: an orthographic depth with a positive offset counts as reversed.
        backwards = (clip[2, 2] < 0) != (clip[2, 3] > 0) if self.orthographic else clip[3, 2] < 0
        self.sign = -1.0 if backwards else 1.0  # of z in front of the camera

    @property
    def eye(self) -> Array:
        """World position of the camera."""
        return -self.world_to_view[:3, :3].T @ self.world_to_view[:3, 3]

    @cached_property
    def pixels(self) -> Array:
        """Where the rays went: centres and jitter, (H, W, 2)."""
        y, x = np.mgrid[0 : self.height, 0 : self.width]
        return np.stack([x, y], -1) + 0.5 + self.jitter

    def points(self, view_z: Array, pixels: Array | None = None) -> Array:
        """View-space points at depths `view_z` (...), by default of all pixels."""
        pixels = self.pixels if pixels is None else pixels
        z = self.sign * np.abs(np.asarray(view_z, np.float64))
        clip = self.view_to_clip
        w = clip[3, 2] * z + clip[3, 3]
        x = (2 * pixels[..., 0] / self.width - 1) * w
        y = (1 - 2 * pixels[..., 1] / self.height) * w
        x, y = ((v - clip[k, 2] * z - clip[k, 3]) / clip[k, k] for k, v in enumerate((x, y)))
        return np.stack([x, y, z], -1)

    def obliqueness(self) -> Array:
        """Distance from the eye by depth: (H, W), 1 without perspective."""
        if self.orthographic:
            return np.ones((self.height, self.width))
        return np.asarray(np.linalg.norm(self.points(np.ones((self.height, self.width))), axis=-1))

    def project(self, points: Array) -> tuple[Array, Array]:
        """Pixels (..., 2) of view-space points, and their depths; NaN pixels for what is behind the camera."""
        clip, depth = self.view_to_clip, self.sign * points[..., 2]
        w = clip[3, 2] * points[..., 2] + clip[3, 3]
        w = np.where(depth > 0, w, np.nan)
        x, y = ((clip[k, k] * points[..., k] + clip[k, 2] * points[..., 2] + clip[k, 3]) / w for k in (0, 1))
        return np.stack([(x + 1) * (self.width / 2), (1 - y) * (self.height / 2)], -1), depth

    def to_world(self, points: Array) -> Array:
        return (points - self.world_to_view[:3, 3]) @ self.world_to_view[:3, :3]

    def to_view(self, points: Array) -> Array:
        return points @ self.world_to_view[:3, :3].T + self.world_to_view[:3, 3]

    def rotate(self, directions: Array) -> Array:
        """World directions in view space."""
        return directions @ self.world_to_view[:3, :3].T

    def is_surface(self, view_z: Array) -> Mask:
        """Pixels that show a surface, not the sky; what has no finite depth is sky."""
        depth = np.abs(np.asarray(view_z, np.float64))
        return np.asarray(np.isfinite(depth) & (depth > 0) & (depth < self.sky_distance), np.bool_)

    def span(self, depth: Array) -> Array:
        """Height of what the picture shows at a depth, in world units: a length that no choice of units changes."""
        clip = self.view_to_clip
        one = np.ones_like(depth) * abs(clip[3, 3]) if self.orthographic else depth
        return np.asarray(2 * one / abs(clip[1, 1]))


def inside(pixels: Array, width: int, height: int) -> tuple[Array, Array, Mask]:
    """The column and row of pixel positions, clamped to the picture, and whether they lie in it; NaN does not."""
    with np.errstate(invalid="ignore"):
        x, y = pixels[..., 0], pixels[..., 1]
        seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    column, row = (np.where(seen, v, 0).astype(np.intp) for v in (x, y))
    return column, row, seen


def bilinear(image: Array, pixels: Array) -> Array:
    """An image (H, W[, C]) at pixel positions, clamped to its border; NaN positions give its first pixel."""
    height, width = image.shape[:2]
    x = np.clip(np.nan_to_num(pixels[..., 0]) - 0.5, 0, width - 1)
    y = np.clip(np.nan_to_num(pixels[..., 1]) - 0.5, 0, height - 1)
    x0, y0 = (np.minimum(v.astype(np.intp), max(size - 2, 0)) for v, size in ((x, width), (y, height)))
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = x - x0, y - y0
    if image.ndim == 3:
        fx, fy = fx[..., None], fy[..., None]
    top = image[y0, x0] * (1 - fx) + image[y0, x1] * fx
    bottom = image[y1, x0] * (1 - fx) + image[y1, x1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy)


def turn(vector: Array) -> Array:
    """Rotation matrix of a rotation vector: O. Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
