# SPDX-License-Identifier: Apache-2.0
"""Finds mistakes in the numbers of a sequence: what its arrays are said to be, tested against what they can be.

A few frames are looked at, with their neighbours, at some ten thousand pixels each. Every check states what should hold
if the convention is the native one (`denoise.sequences.npz`), and what would hold instead under each usual mistake; it
finds something only if one of these explains the numbers better by far. What a check has found, it mends in its
copy of the frames, so that several mistakes in one sequence are each named.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from denoise.frame import Camera
from denoise.overlay import world_points

from .probes import Array, Probe, Shot, camera_motion, choose, mismatch, pooled, shots, significance
from .sequence import Sequence, described_lights, light_array, light_geometry

ERROR, WARNING = "error", "warning"

_FEW = 200  # pixels that are too few to judge by


@dataclass(frozen=True)
class Finding:
    """A mistake.

    name      of the mistake, the same in every sequence
    severity  "error": results will be wrong; "warning": they may be
    seen      what the numbers are
    meaning   what that says about the files
    mend      the option that makes up for it; empty: it has to be mended where the frames are made
    """

    name: str
    severity: str
    seen: str
    meaning: str
    mend: str = ""

    def __str__(self) -> str:
        lines = [f"{self.severity}: {self.name}: {self.meaning}", f"    seen: {self.seen}"]
        return "\n".join([*lines, f"    mend: {self.mend}"] if self.mend else lines)


def validate(sequence: Sequence, frames: Iterable[int] | None = None) -> list[Finding]:
    """The mistakes in a sequence, found in a few of `frames` (default: all of its frames)."""
    probes = choose(sequence, frames)
    found: list[Finding] = []
    for check in CHECKS:
        found += check(sequence, probes)
    return found


# Values


def check_finite(sequence: Sequence, probes: list[Probe]) -> Iterator[Finding]:
    """Nothing that is looked at may be NaN; infinite are but depths and distances, where they mean the sky or a miss."""
    for name in sorted({name for shot in shots(probes) for name in shot.arrays}):
        count, first = 0, 0
        for shot in reversed(shots(probes)):
            array = shot.arrays.get(name)
            if array is None or array.dtype.kind != "f" or name == "view_z" or name.startswith("shadow_hit"):
                continue
            bad = np.isnan(array) if name.endswith("_hit") else ~np.isfinite(array)
            if not bad.any():
                continue
            seen = _surface(shot)
            here = int((bad & seen if array.ndim == 2 else bad.any(-1) & seen).sum())
            count, first = count + here, shot.index if here else first
            shot.arrays[name] = np.where(bad, 0, array).astype(array.dtype)
        if count:
            yield Finding(
                f"{name}-not-finite",
                ERROR if name in ("diff", "spec", "normal", "motion") else WARNING,
                f"{count} pixels of {name} on surfaces are NaN or infinite, from frame {first} on",
                "the renderer divided by zero or overflowed; such samples count as no light, such guides as nothing",
            )


def check_fireflies(sequence: Sequence, probes: list[Probe]) -> Iterator[Finding]:
    """No few samples may hold much of the light of a frame: no filter makes up for a sample of a million.

    Noise has bright samples too, but not apart from the others: fireflies are far beyond the brightest per cent."""
    for name in ("diff", "spec"):
        worst = (0.0, 0, 0.0, 0)
        for probe in probes:
            if name not in probe.now.arrays:
                continue
            lit, usual = _lit(probe.now, name), _usual(probe.now)
            apart = lit > 50 * usual
            share = float(lit[apart].sum(dtype=np.float64) / max(lit.sum(dtype=np.float64), 1e-30))
            worst = max(worst, (share, int(apart.sum()), float(lit.max(initial=0) / usual), probe.now.index))
        if worst[0] > 0.05:
            yield Finding(
                f"{name}-fireflies",
                WARNING,
                f"{100 * worst[0]:.0f} % of the light of {name} in frame {worst[3]} comes from {worst[1]} pixels, up to "
                f"{worst[2]:.3g} times as bright as what is bright there",
                "a few samples are so bright that no filter can spread them; clamp radiance in the renderer",
            )


def _lit(shot: Shot, name: str) -> Array:
    """The brightest channels of the pixels that are not black."""
    light = shot.arrays[name].astype(np.float32).max(-1)[_surface(shot)]
    return light[light > 0]


def _usual(shot: Shot) -> float:
    """How bright a frame is where it is bright: of samples, what 1 % surpass, and the brightest thing seen."""
    bright = [np.percentile(lit, 99) for name in ("diff", "spec") if name in shot.arrays and len(lit := _lit(shot, name))]
    if "emission" in shot.arrays:
        bright.append(shot.arrays["emission"].max(initial=0))
    return max(map(float, bright), default=0.0) or 1.0


def _surface(shot: Shot) -> Array:
    z = np.abs(shot.arrays["view_z"])
    return np.asarray(z < shot.sky)  # False for NaN


# Cameras and geometry


def check_cameras(sequence: Sequence, probes: list[Probe]) -> Iterator[Finding]:
    """Matrices must be a rigid motion and a projection, for column vectors; transposed ones are of the other kind."""
    for shot in shots(probes):
        camera = sequence.meta["cameras"][shot.index]
        matrices = {key: np.array(camera[key], np.float64) for key in ("world_to_view", "view_to_clip")}
        finding = None
        try:
            shot.camera = Camera(**matrices, jitter=camera.get("jitter", (0, 0)))
        except (ValueError, TypeError) as error:
            finding = Finding("camera-unusable", ERROR, f"frame {shot.index}: {error}", "this is no camera")
            for keys in (("world_to_view", "view_to_clip"), ("world_to_view",), ("view_to_clip",)):
                turned = {key: matrix.T if key in keys else matrix for key, matrix in matrices.items()}
                try:
                    shot.camera = Camera(**turned, jitter=camera.get("jitter", (0, 0)))
                except (ValueError, TypeError):
                    continue
                finding = Finding(
                    "camera-transposed",
                    ERROR,
                    f"frame {shot.index}: {' and '.join(keys)} make a camera only when transposed",
                    "matrices are for row vectors, or were written column after column",
                    "--map camera.matrices=row",
                )
                break
        if finding:
            if shot is shots(probes)[0]:
                yield finding


def check_normals(sequence: Sequence, probes: list[Probe]) -> Iterator[Finding]:
    """Normals have length 1. Packed into colours, n / 2 + 1/2, none is negative, and unpacked they have length 1."""
    normal, _ = pooled(probes, lambda p: p.of("normal")[p.surface] if "normal" in p.now.arrays else None)
    normal = normal[normal.any(-1)] if len(normal) else normal
    if len(normal) < _FEW:
        return
    lengths, unpacked = np.linalg.norm(normal, axis=-1), np.linalg.norm(2 * normal - 1, axis=-1)
    unit, packed = (float((np.abs(n - 1) < 0.03).mean()) for n in (lengths, unpacked))
    if unit > 0.5:
        return
    if packed > 0.5 and normal.min() > -0.01:
        yield Finding(
            "normal-packed",
            ERROR,
            f"no component of normal is negative (least {normal.min():.3g}), and {100 * packed:.0f} % of 2 n - 1 have "
            "length 1",
            "normals are stored as colours from 0 to 1",
            "--map normal.range=unsigned",
        )
        for shot in shots(probes):
            n = shot.arrays["normal"].astype(np.float32)
            shot.arrays["normal"] = np.where(n.any(-1, keepdims=True), 2 * n - 1, 0)
    else:
        low, middle, high = np.percentile(lengths, (5, 50, 95))
        yield Finding(
            "normal-not-unit",
            ERROR,
            f"normals are {middle:.3g} long, {low:.3g} to {high:.3g} (of 90 %); {100 * unit:.0f} % have length 1",
            "normals were interpolated, filtered or scaled and not normalised",
        )
    for shot in shots(probes):
        n = shot.arrays["normal"].astype(np.float32)
        shot.arrays["normal"] = n / np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-6)


def check_geometry(sequence: Sequence, probes: list[Probe]) -> Iterator[Finding]:
    """Depth has slopes, and normals stand on them: through the camera, both must show the same surfaces.

    The normal from the slopes of depth, in view space, is compared to the normal given, under each meaning that depth
    can have (distances bend planes towards the edges of the picture) and each space that normals can be in. A camera
    that is inverted or mirrored looks like normals in another space."""
    if any("normal" not in p.now.arrays or p.now.camera is None for p in probes):
        return
    angles: dict[tuple[str, str], Array] = {}
    for kind in DEPTHS:
        slopes = [_slopes(probe, kind) for probe in probes]
        for space in SPACES:
            found = [_angle(probe, *slope, space) for probe, slope in zip(probes, slopes, strict=True)]
            angles[kind, space] = np.concatenate(found)
    scores = {
        key: float(np.mean(np.maximum(1 - a[there] / 15, 0)))
        for key, a in angles.items()
        if (there := ~np.isnan(a)).sum() >= _FEW
    }
    if not scores:
        return
    native, best = ("planar", "world"), max(scores, key=lambda key: scores[key])
    if best == native or scores[best] < 0.4:
        return
    # Seen where it makes a difference: where the best meaning is right, it must be right there, and the native one not.
    differ = np.abs(angles[best] - angles[native]) > 0.15
    ours, theirs = angles[native][differ], angles[best][differ]
    won = differ.sum() >= _FEW and (theirs < ours).mean() > 0.85 and np.median(theirs) < 0.5 * np.median(ours)
    if not won and scores.get(native, 0.0) > 0.75 * scores[best]:
        return
    seen = f"within {np.nanmedian(angles[best]):.2g} degrees if {{}}, within {{:.2g}} {{}} (median)"
    kind, space = best
    if kind != "planar":
        words = _DEPTH_WORDS[kind]
        yield Finding(
            f"depth-{kind}",
            ERROR,
            "the slopes of view_z are those of the normals "
            + seen.format(f"it is {words}", np.nanmedian(angles["planar", space]), "as planar depth"),
            f"view_z is {words}",
            f"--map depth.kind={kind}",
        )
        for shot in shots(probes):
            shot.arrays["view_z"] = planar(shot, kind).astype(np.float32)
    if space != "world":
        name, meaning, mend = _SPACE_WORDS[space]
        yield Finding(
            name,
            ERROR,
            "the slopes of view_z are those of the normals "
            + seen.format(meaning, np.nanmedian(angles[kind, "world"]), "otherwise"),
            meaning,
            mend,
        )
        for shot in shots(probes):
            _mend_space(shot, space)


# The meanings that view_z may have, and how they are called.
DEPTHS = ("planar", "distance", "device", "inverse")
_DEPTH_WORDS = {
    "distance": "the distance from the eye",
    "device": "the depth of the projection, 0 to 1",
    "inverse": "1 / depth",
}

# The spaces that normals may be in, seen through the camera given, and what is the matter then.
SPACES = ("world", "view", "view, z flipped", "inverse", "x", "y", "z", "inward")
_SPACE_WORDS = {
    "view": ("normal-view-space", "normals are in view space", "--map normal.space=view"),
    "view, z flipped": (
        "normal-view-space",
        "normals are in a view space that looks along the other z",
        "--map normal.space=view",
    ),
    "inverse": ("camera-inverse", "world_to_view is inverted (or its rotation transposed)", "--map camera.view=to_world"),
    **{
        axis: (
            "camera-handedness",
            f"{axis} of view space points the other way: the cameras are of the other handedness",
            f"--map camera.flip={axis}",
        )
        for axis in "xyz"
    },
    "inward": ("normal-inward", "normals point into the surfaces", "--map normal.sign=-1"),
}


def planar(shot: Shot, kind: str, rows: Array | None = None, columns: Array | None = None) -> Array:
    """The planar depth of a frame, or of some of its pixels, if its view_z is of that kind; inf where there is sky."""
    assert shot.camera is not None
    if rows is None or columns is None:
        rows, columns = np.mgrid[: shot.shape[0], : shot.shape[1]]
    depth = shot.depth(rows, columns)
    clip = shot.camera.view_to_clip
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "distance":
            x, y = columns + 0.5 + shot.jitter[0], rows + 0.5 + shot.jitter[1]
            ray = world_points(_at_origin(shot.camera), np.ones_like(depth), x, y, shot.shape)
            depth = depth / np.linalg.norm(ray, axis=-1)
        elif kind == "device":
            depth = clip[2, 3] / (depth - np.sign(clip[3, 2]) * clip[2, 2])
        elif kind == "inverse":
            depth = 1 / depth
    return np.where((depth > 0) & (depth < shot.sky), depth, np.inf)


def _at_origin(camera: Camera) -> Camera:
    return Camera(world_to_view=np.eye(4), view_to_clip=camera.view_to_clip)


def _slopes(probe: Probe, kind: str) -> tuple[Array, Array]:
    """Normals in view space by the slopes of depth (N, 3), facing the eye, and where the surface is smooth (N,)."""
    shot, given, step = probe.now, probe.of("normal"), probe.step
    assert shot.camera is not None
    smooth = given.any(-1)
    points = []
    for down, right in ((-step, 0), (step, 0), (0, -step), (0, step)):
        smooth &= (probe.of("normal", down, right) * given).sum(-1) > 0.97
        rows, columns = probe.pixels(down, right)
        depth = planar(shot, kind, rows, columns)
        x, y = columns + 0.5 + shot.jitter[0], rows + 0.5 + shot.jitter[1]
        points.append(world_points(_at_origin(shot.camera), np.where(depth < np.inf, depth, np.nan), x, y, shot.shape))
    above, below, left, right_ = points
    normal = np.cross(below - above, right_ - left)
    with np.errstate(invalid="ignore", divide="ignore"):
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        normal *= -np.sign((normal * (above + below)).sum(-1, keepdims=True))
    return normal, smooth & np.isfinite(normal).all(-1)


def _angle(probe: Probe, normal: Array, smooth: Array, space: str) -> Array:
    """Degrees between normals of view space, brought to the space of those given, and those; nan where not smooth."""
    assert probe.now.camera is not None
    there = _to_world(probe.now.camera, normal, space)
    angle = np.degrees(np.arccos(np.clip((there * probe.of("normal")).sum(-1), -1, 1)))
    return np.where(smooth, angle, np.nan)


def _to_world(camera: Camera, vector: Array, space: str) -> Array:
    rotation = camera.world_to_view[:3, :3]
    if space == "inverse":
        return vector @ rotation.T
    if space in ("x", "y", "z"):
        vector = vector * np.where(np.arange(3) == "xyz".index(space), -1, 1)
    if space.startswith("view"):
        return vector * (1, 1, -1 if "flipped" in space else 1)
    return np.asarray(vector @ rotation) * (-1 if space == "inward" else 1)


def _mend_space(shot: Shot, space: str) -> None:
    camera = shot.camera
    assert camera is not None
    matrix, normal = camera.world_to_view, shot.arrays["normal"].astype(np.float32)
    if space == "inverse":
        matrix = np.linalg.inv(matrix)
    elif space in ("x", "y", "z"):
        matrix = np.diag(np.where(np.arange(4) == "xyz".index(space), -1.0, 1.0)) @ matrix
    elif space == "inward":
        normal = -normal
    else:
        normal = (normal * (1, 1, -1 if "flipped" in space else 1)) @ matrix[:3, :3]
    shot.arrays["normal"] = normal
    shot.camera = Camera(world_to_view=matrix, view_to_clip=camera.view_to_clip, jitter=camera.jitter)


CHECKS = (check_finite, check_fireflies, check_cameras, check_normals, check_geometry)
