# SPDX-License-Identifier: Apache-2.0
"""Finds mistakes in the numbers of a sequence: what its arrays are said to be, tested against what they can be.

A few frames are looked at, with their neighbours, at some ten thousand pixels each. Every check states what should hold
if the convention is the native one (`denoise.sequences.npz`), and what would hold instead under each usual mistake; it
finds something only if one of these explains the numbers better by far. What a check has found, it mends in its
copy of the frames, so that several mistakes in one sequence are each named.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from denoise.frame import Camera
from denoise.materials import environment_brdf
from denoise.overlay import world_points

from .probes import Array, Probe, Shot, camera_motion, choose, looked_up, mismatch, pooled, shots, significance
from .run import create, fitting
from .sequence import Arrays, Sequence, described_lights, frame_inputs, light_array, light_geometry, lights_with

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


def sheet(sequence: Sequence, frames: Iterable[int] | None = None, history: int = 8) -> NDArray[np.uint8]:
    """A picture to look at, uint8 (H', W', 3): guides, motion error, hit distances and history length of one frame.

    It is the overlay of the denoisers that fit, of the last frame that `validate` looks at, after some for the history;
    arrays are shown as they are, mistakes and all. ValueError if they are so wrong that no denoiser takes them,
    DenoiseError where Pillow is absent."""
    last = choose(sequence, frames)[-1].now.index
    denoiser = create(fitting(sequence.frames[last], sequence.meta), sequence.meta, overlay=True)
    for index in range(max(0, last - history), last + 1):
        denoiser(**frame_inputs(sequence.frames[index], sequence.meta, index))
    return np.asarray(denoiser.overlay(), np.uint8)


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
            for shot in shots(probes):
                if name in shot.arrays:
                    shot.arrays[name] = np.minimum(shot.arrays[name].astype(np.float32), 50 * _usual(shot))


def _lit(shot: Shot, name: str) -> Array:
    """The brightest channels of the pixels that are not black."""
    light = shot.arrays[name].astype(np.float32).max(-1)[_surface(shot)]
    return np.asarray(light[light > 0])


def _usual(shot: Shot) -> float:
    """How bright a frame is where it is bright: of samples, what 1 % surpass, and the brightest thing seen."""
    bright = [
        np.percentile(lit, 99) for name in ("diff", "spec") if name in shot.arrays and len(lit := _lit(shot, name))
    ]
    if "emission" in shot.arrays:
        bright.append(shot.arrays["emission"].max(initial=0))
    return max(map(float, bright), default=0.0) or 1.0


def _surface(shot: Shot) -> Array:
    z = np.abs(shot.arrays["view_z"].astype(np.float32))
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
        if finding and shot is shots(probes)[0]:
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
        "--map normal.space=view_z_flipped",
    ),
    "inverse": (
        "camera-inverse",
        "world_to_view is inverted (or its rotation transposed)",
        "--map camera.view=to_world",
    ),
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
    return normal, np.asarray(smooth & np.isfinite(normal).all(-1))


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
    matrix: Array = camera.world_to_view
    normal: Array = shot.arrays["normal"].astype(np.float32)
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


# Motion


@dataclass(frozen=True)
class Meaning:
    """What the numbers of motion may mean, in the words of a mapping; the defaults are the native ones."""

    points: str = "previous"
    frames: str = "current"
    y: str = "down"
    unit: str = "pixels"
    jitter: str = "excluded"
    scale: float = 1.0

    def options(self) -> dict[str, str]:
        """What is not native, as it is said on the command line."""
        return {
            key: f"--map motion.{key}={value if isinstance(value, str) else format(value, '.4g')}"
            for key, value in asdict(self).items()
            if value != getattr(Meaning, key)
        }

    def read(self, probe: Probe) -> Array | None:
        """The native motion that is meant, (N, 2 or 3), to the frame before or after; None where there is no such."""
        target = probe.neighbour(self.frames)
        if target is None:
            return None
        height, width = probe.now.shape
        motion = probe.of("motion")
        size = {"pixels": (1, 1), "uv": (width, height), "ndc": (width / 2, height / 2)}[self.unit]
        motion[:, :2] *= np.array(size) * self.scale * (1, -1 if self.y == "up" else 1)
        # "previous - current" of the step to the next frame leads backwards from there, hence forwards by its negative.
        if (self.points == "current") == (self.frames == "current"):
            motion = -motion
        if self.jitter == "included":
            motion[:, :2] -= probe.now.jitter - target.jitter
        return motion


NATIVE = Meaning()
MEANINGS = [
    Meaning(*words)
    for words in itertools.product(
        ("previous", "current"), ("current", "next"), ("down", "up"), ("pixels", "uv", "ndc"), ("excluded", "included")
    )
]


def check_motion(sequence: Sequence, probes: list[Probe]) -> Iterator[Finding]:
    """Motion must lead to the same surface. Still things move as the cameras say: exactly, so that scale and jitter show.

    First, the motion that each meaning gives is compared to the cameras' on all pixels: the right one agrees with it
    wherever things stand still. Then the guides of the other frame are looked up where each meaning leads: the right
    one finds the same texture, normal and number there. This needs no camera, and judges what moves by itself."""
    probes = [p for p in probes if p.before and "motion" in p.now.arrays and p.surface.sum() >= _FEW]
    if not probes:
        return
    jittered = any((p.now.jitter != p.before.jitter).any() for p in probes if p.before)
    longest = max(float(np.abs(p.of("motion")[p.surface, :2]).max(initial=0)) for p in probes)
    meanings = [
        m
        for m in MEANINGS
        if (m.jitter == "excluded" or jittered)
        and (m.unit == "pixels" or longest < 2)
        and (m.frames == "current" or all(p.after for p in probes))
    ]
    best, seen = _by_cameras(probes, meanings)
    # What moves in no meaning tells nothing by its guides.
    reach = 1.0 if longest >= 2 else max(probes[0].now.shape)
    probes = [p.only(p.surface & (jittered | (np.abs(p.of("motion")[:, :2]).max(-1) * reach > 0.2))) for p in probes]
    probes = [p for p in probes if len(p.rows)]
    if best and best != NATIVE and _gain(probes, NATIVE, best)[1] < -_SURE:
        yield Finding(
            "camera-path",
            ERROR,
            f"{seen}; but the guides of the other frame fit motion as it is",
            "the cameras do not move as the picture does: matrices of other frames, or in other units",
        )
        return
    if not best:
        best, seen = _by_guides(probes, meanings)
    for key, option in best.options().items():
        name, meaning = _MOTION_WORDS[key]
        yield Finding(name, ERROR, seen, meaning.format(getattr(best, key)), option)


_SURE = 4  # standard errors that leave no doubt

_MOTION_WORDS = {
    "points": ("motion-sign", "motion is current - previous: its sign is wrong"),
    "frames": ("motion-next", "the motion of a frame leads to the next one, not from the previous one"),
    "y": ("motion-y", "y of motion points up"),
    "unit": ("motion-unit", "motion is in {}, not in pixels"),
    "jitter": ("motion-jitter", "motion includes the jitter of the camera"),
    "scale": ("motion-scale", "motion is too short or too long: it has to be multiplied by {:.4g}"),
}


def _by_cameras(probes: list[Probe], meanings: list[Meaning]) -> tuple[Meaning | None, str]:
    """The meaning that agrees with the cameras on still things; None if none does, or if nothing can be told by it."""
    if any(shot.camera is None for shot in shots(probes)):
        return None, ""
    expected = {
        frames: [camera_motion(p, target) for p in probes if (target := p.neighbour(frames))]
        for frames in {m.frames for m in meanings}
    }

    def off(meaning: Meaning) -> tuple[float, float, float]:
        """The share of pixels that agree, the median error in units of what is tolerated, and the scale that fits."""
        there = np.concatenate(expected[meaning.frames])[:, :2]
        here = np.concatenate([read for p in probes if (read := meaning.read(p)) is not None])[:, :2]
        known = np.isfinite(there).all(-1) & np.isfinite(here).all(-1)
        there, here = there[known], here[known]
        error = np.linalg.norm(here - there, axis=-1) / (0.02 + 0.004 * np.linalg.norm(there, axis=-1))
        square = (here * here).sum(-1)
        moved = square > 0.2**2
        scale = float(np.median((here * there).sum(-1)[moved] / square[moved])) if moved.sum() >= _FEW else 1.0
        return float((error < 1).mean()), float(np.median(error)), scale

    fits = {meaning: off(meaning) for meaning in meanings}
    for meaning, (_, _, scale) in list(fits.items()):
        if meaning.unit == "pixels" and 0.2 < scale < 5 and abs(scale - 1) > 0.01:
            scaled = replace(meaning, scale=scale)
            fits[scaled] = off(scaled)
    shares = [share for share, _, _ in fits.values()]
    most = max(shares)
    if most < 0.4 or min(shares) > most - 0.1:
        return None, ""
    agree = [meaning for meaning, (share, _, _) in fits.items() if share > 0.9 * most]
    best = min(agree, key=lambda meaning: fits[meaning][1] + 0.1 * len(meaning.options()))
    return best, (
        f"{100 * fits[best][0]:.0f} % of the pixels move as the cameras say if motion is read so, "
        f"{100 * fits[NATIVE][0]:.0f} % as it is"
    )


def _by_guides(probes: list[Probe], meanings: list[Meaning]) -> tuple[Meaning, str]:
    """The meaning by which guides are found again in the other frame; the native one unless another is surely better."""
    gains = {meaning: _gain(probes, NATIVE, meaning) for meaning in meanings if meaning != NATIVE}
    better = {meaning: ratio for meaning, (ratio, sure) in gains.items() if ratio < 0.7 and sure > _SURE}
    best = min(better, key=lambda meaning: better[meaning] + 0.02 * len(meaning.options()), default=NATIVE)
    # The way to the next frame and the way back hardly differ: only a sure difference makes one of the other.
    twin = replace(best, frames="current")
    if best != twin and _gain(probes, twin, best)[1] < _SURE:
        best = twin
    seen = f"guides differ by {100 * better.get(best, 1):.0f} % of what they do as it is"
    scale, error = _scale(probes, best)
    scaled = replace(best, scale=scale)
    if abs(scale - 1) > max(0.02, _SURE * error) and _gain(probes, best, scaled, 0.02)[1] > 0:
        best = scaled
        seen = f"guides fit best where motion is {scale:.4g} (+- {error:.2g}) times as long"
    return best, seen


def _gain(probes: list[Probe], one: Meaning, other: Meaning, least: float = 0.3) -> tuple[float, float]:
    """By what factor guides differ less where `other` leads, and by how many standard errors, where the two
    are at least so many pixels apart."""

    def look(probe: Probe) -> Array | None:
        motions, costs = [], []
        for meaning in (one, other):
            motion, target = meaning.read(probe), probe.neighbour(meaning.frames)
            if motion is None or target is None:
                return None
            motions.append(motion[:, :2])
            costs.append(mismatch(probe, target, motion))
        apart = np.linalg.norm(motions[0] - motions[1], axis=-1) > least
        if one.frames != other.frames:
            apart |= np.linalg.norm(motions[0], axis=-1) > least
        return np.where(apart & probe.surface, costs, np.nan).T

    costs, blocks = pooled(probes, look)
    if not len(costs):
        return 1.0, 0.0
    known = np.isfinite(costs).all(-1)
    costs, blocks = costs[known], blocks[known]
    if len(costs) < 50:
        return 1.0, 0.0
    before, after = costs.mean(0)
    return float(after / max(before, 1e-9)), significance(costs[:, 0] - costs[:, 1], blocks)


def _scale(probes: list[Probe], meaning: Meaning) -> tuple[float, float]:
    """By what motion has to be multiplied so that textures fit, by Gauss and Newton, and the standard error of that."""
    scale = 1.0
    for _ in range(5):
        (slope, rest), blocks = _steps(probes, replace(meaning, scale=scale * meaning.scale))
        if len(slope) < 50 or (slope * slope).sum() <= 0:
            return 1.0, np.inf
        step = float((slope * rest).sum() / (slope * slope).sum())
        scale *= 1 + float(np.clip(step, -0.2, 0.2))
    _, number = np.unique(blocks, return_inverse=True)
    sums, weights = np.bincount(number, slope * (rest - step * slope)), np.bincount(number, slope * slope)
    if abs(step) > 0.01 or weights.sum() < 4 * weights.max():  # too few places have a texture
        return 1.0, np.inf
    return scale, float(np.sqrt((sums * sums).sum()) / (slope * slope).sum())


def _steps(probes: list[Probe], meaning: Meaning) -> tuple[tuple[Array, Array], Array]:
    """Of moved pixels whose surface is found again: how a texture changes along the motion, and how much is missing."""

    def look(probe: Probe) -> Array | None:
        motion, target = meaning.read(probe), probe.neighbour(meaning.frames)
        if motion is None or target is None or "albedo" not in probe.now.arrays or "albedo" not in target.arrays:
            return None
        x, y = (place + motion[:, k] - target.jitter[k] for k, place in enumerate(probe.places()))
        albedo = target.arrays["albedo"]
        found = looked_up(albedo, x, y)
        across, down = (
            looked_up(albedo, x + i, y + j) - looked_up(albedo, x - i, y - j) for i, j in ((0.5, 0), (0, 0.5))
        )
        slope = across * motion[:, :1] + down * motion[:, 1:2]
        rest = probe.of("albedo") - found
        judged = (np.linalg.norm(motion[:, :2], axis=-1) > 0.5) & (mismatch(probe, target, motion) < 0.3)
        judged &= (np.abs(rest).max(-1) < 0.2) & probe.surface
        for name in ("object_id", "material_id", "normal"):  # the edges of things move, too, but not all as the things
            for i, j in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                if name in target.arrays:
                    beside = looked_up(target.arrays[name], x + i, y + j) - probe.of(name)
                    judged &= np.abs(beside.reshape(len(x), -1)).max(-1) < 0.3
        return np.where(judged[:, None], np.concatenate([slope, rest], -1), np.nan)

    found, blocks = pooled(probes, look)
    if not len(found):
        return (np.zeros(0), np.zeros(0)), blocks
    judged = np.isfinite(found).all(-1)
    found, blocks = found[judged], blocks[judged]
    return (found[:, :3].ravel(), found[:, 3:].ravel()), np.repeat(blocks, 3)


# Roughness and hit distances


def check_roughness(sequence: Sequence, probes: list[Probe]) -> Iterator[Finding]:
    """The specular factor is the albedo of GGX for a roughness, an angle and a reflectance: one reading must give it.

    Without the reflectance at normal incidence, f0, surfaces with a diffuse colour count as plastic, 0.04."""
    if any(not {"roughness", "spec_factor", "normal"} <= p.now.arrays.keys() or not p.now.camera for p in probes):
        return

    def look(probe: Probe) -> Array:
        with np.errstate(invalid="ignore"):
            n_dot_v = (probe.of("normal") * -_views(probe)).sum(-1)
        coloured = probe.of("albedo").max(-1) > 0.03 if "albedo" in probe.now.arrays else np.ones(len(n_dot_v), bool)
        given = "f0" in probe.now.arrays
        f0 = probe.of("f0") if given else np.full((len(n_dot_v), 3), 0.04)
        factor = probe.of("spec_factor").mean(-1)
        known = probe.surface & (n_dot_v > 0.05) & (f0.max(-1) > 0) & (factor > 0.011) & (given | coloured)
        errors = [
            np.abs(environment_brdf(f0, read(probe.of("roughness")), n_dot_v).mean(-1) / np.maximum(factor, 0.01) - 1)
            for read in _ROUGHNESS.values()
        ]
        return np.where(known, errors, np.nan).T

    errors, _ = pooled(probes, look)
    errors = errors[np.isfinite(errors).all(-1)]
    if len(errors) < _FEW:
        return
    means = dict(zip(_ROUGHNESS, np.minimum(errors, 1).mean(0).tolist(), strict=True))
    kind = min(means, key=lambda key: means[key])
    if means[kind] < 0.12 and means["linear"] > 2 * means[kind]:
        words = {"alpha": "GGX's alpha, the square of linear roughness", "glossiness": "glossiness, 1 - roughness"}[
            kind
        ]
        yield Finding(
            f"roughness-{kind}",
            ERROR,
            f"spec_factor is the specular albedo of that roughness within {100 * means[kind]:.1f} % if it is {words}, "
            f"within {100 * means['linear']:.1f} % as linear roughness",
            f"roughness is {words}",
            f"--map roughness.kind={kind}",
        )
        for shot in shots(probes):
            read = _ROUGHNESS[kind](shot.arrays["roughness"].astype(np.float32))
            shot.arrays["roughness"] = np.where(_surface(shot), read, 1)


_ROUGHNESS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda r: r,
    "alpha": lambda r: np.sqrt(np.maximum(r, 0)),
    "glossiness": lambda r: 1 - r,
}


def _views(probe: Probe) -> Array:
    """(N, 3) unit directions from the eye to the pixels; world space, nan at the sky."""
    path = probe.points() - _eye(probe)
    return np.asarray(path / np.linalg.norm(path, axis=-1, keepdims=True))


def _eye(probe: Probe) -> Array:
    assert probe.now.camera is not None
    matrix = probe.now.camera.world_to_view
    return np.asarray(-matrix[:3, :3].T @ matrix[:3, 3])


def check_hits(sequence: Sequence, probes: list[Probe]) -> Iterator[Finding]:
    """In a corner, many rays are as short as the other wall is near, and none shorter: that tells their unit and origin.

    Corners are pairs of pixels some steps apart that face each other: a ray of the one is rarely shorter than the way
    to the plane of the other, and often no longer than twice the way to its pixel."""
    if any("normal" not in p.now.arrays or not p.now.camera for p in probes):
        return
    for name in ("diff_hit", "spec_hit"):
        if all(name in p.now.arrays for p in probes):
            finding = _hits(probes, name)
            if finding:
                yield finding


def _hits(probes: list[Probe], name: str) -> Finding | None:
    hit, way, plane, eye = _corners(probes, name)
    rays = np.concatenate([p.of(name)[p.surface] for p in probes])
    sights = np.concatenate([np.linalg.norm(p.points() - _eye(p), axis=-1)[p.surface] for p in probes])
    met = (rays > 0) & (rays < _MISS)
    if met.sum() < _FEW:
        return None
    longest, beyond = float(rays[met].max()), float((rays[met] < sights[met]).mean())
    top = float((rays[met] == longest).mean())

    key = "hit_distance"
    if len(hit) < 50:  # no corners: what all rays have in common must do
        if beyond == 0 and ((rays[met] > sights[met]) & (rays[met] < 1.25 * sights[met])).mean() > 0.02:
            seen = f"no ray of {name} is shorter than the way from the eye to where it starts"
            return Finding("hit-total", ERROR, seen, f"{name} includes the way from the eye", f"--map {key}.kind=total")
        if abs(longest - 1) < 1e-3 and top > 0.01 and (rays < _MISS).all():
            seen = f"no ray of {name} is longer than 1, {100 * top:.0f} % are exactly as long"
            return Finding("hit-normalized", ERROR, seen, f"{name} is normalised", f"--map {key}.kind=normalized")
        return None

    def near(read: Array) -> float:
        return float(((read > 0) & (read < way)).mean())

    def short(read: Array) -> float:
        return float((read < 0.7 * plane).mean())

    seen = (
        f"in corners, {100 * near(hit):.0f} % of the rays of {name} are as short as the other wall is near, "
        f"{100 * short(hit):.0f} % are too short to reach it"
    )
    if short(hit) > 0.15 and longest <= 1.001 and (rays < _MISS).all():
        seen += f", none is longer than {longest:.3g}"
        return Finding("hit-normalized", ERROR, seen, f"{name} is normalised", f"--map {key}.kind=normalized")
    if near(hit) > 0.03 and short(hit) < 0.4:
        return None
    if near(hit - eye) > 0.08 and beyond < 0.01:
        seen += (
            f"; {100 * (1 - beyond):.0f} % of all are longer than the way from the eye, and less that way, "
            f"{100 * near(hit - eye):.0f} % are that short"
        )
        return Finding("hit-total", ERROR, seen, f"{name} includes the way from the eye", f"--map {key}.kind=total")
    least, middle = np.percentile(rays[met], (0.5, 50))
    if near(hit) < 0.03 and least > 0.05 * middle and near(hit - 0.999 * least) > 0.08:
        seen += f"; {100 * near(hit - 0.999 * least):.0f} % if all were {least:.3g} shorter"
        return Finding(
            "hit-offset", ERROR, seen, f"{name} does not go to 0 where surfaces meet: about {least:.3g} is added"
        )
    for scale in (0.001, 0.01, 0.1, 10, 100, 1000):
        if near(hit * scale) > 0.08 and short(hit * scale) < 0.1:
            seen += f"; {100 * near(hit * scale):.0f} % and {100 * short(hit * scale):.0f} % if multiplied by {scale:g}"
            meaning = f"{name} is in other units than depth"
            return Finding("hit-scale", ERROR, seen, meaning, f"--map {key}.scale={scale:g}")
    return None


_MISS = 65000.0  # a distance from here on is a miss: 65504, rounded


def _corners(probes: list[Probe], name: str) -> tuple[Array, Array, Array, Array]:
    """Of rays that start deepest in corners: their length, the way to a pixel of the other wall, to its plane, to the
    eye."""
    found = []
    for probe in probes:
        assert probe.now.camera is not None
        points, normal, eye = probe.points(), probe.of("normal"), _eye(probe)
        sight, hit = np.linalg.norm(points - eye, axis=-1), probe.of(name)
        usable = (hit > 0) & probe.surface
        if name == "spec_hit" and "roughness" in probe.now.arrays:
            usable &= probe.of("roughness") > 0.3  # mirrors look one way only
        pixel = 2 * probe.depth() / (probe.now.camera.view_to_clip[1, 1] * probe.now.shape[0])
        for steps in (2, 4, 8):
            for down, right in ((steps, 0), (-steps, 0), (0, steps), (0, -steps)):
                path, other = probe.points(down, right) - points, probe.of("normal", down, right)
                with np.errstate(invalid="ignore"):
                    way, plane = np.linalg.norm(path, axis=-1), -(other * path).sum(-1)
                    corner = usable & ((normal * other).sum(-1) < 0.7) & (way < 4 * steps * pixel)
                    corner &= ((normal * path).sum(-1) > 0.2 * way) & (plane > 0.2 * way)
                found.append(np.stack([hit, way, plane, sight], -1)[corner])
    corners = np.concatenate(found)
    if len(corners):
        corners = corners[corners[:, 1] <= np.percentile(corners[:, 1], 20)]
    hit, way, plane, sight = corners.T
    return hit, way, plane, sight


# Shadows


def check_shadows(sequence: Sequence, probes: list[Probe]) -> Iterator[Finding]:
    """A surface that faces away from a light has no ray to it: 0, not lit and no distance. One that faces it has one."""
    if any("normal" not in p.now.arrays or not p.now.camera for p in probes):
        return
    for light in described_lights(sequence.meta):
        name = light_array("shadow_hit", light)

        def look(probe: Probe, light: str = light, name: str = name) -> Array | None:
            if name not in probe.now.arrays:
                return None
            where = light_geometry(sequence.meta, light, probe.now.index)
            to_light = np.asarray(where["direction"]) if light == "sun" else where["position"] - probe.points()
            to_light = to_light / np.linalg.norm(to_light, axis=-1, keepdims=True)
            return np.where(probe.surface, [(to_light * probe.of("normal")).sum(-1), probe.of(name)], np.nan).T

        found, _ = pooled(probes, look)
        cosine, hit = found[np.isfinite(found[:, 0])].T if len(found) else (np.zeros(0), np.zeros(0))
        away, facing = hit[cosine < -0.05] != 0, hit[cosine > 0.05] != 0
        if len(away) < _FEW or away.mean() < 0.05:
            continue
        seen = f"{100 * away.mean():.0f} % of the surfaces that face away from {light} have a {name} other than 0"
        if len(facing) >= _FEW and facing.mean() < 0.3 and away.mean() > 0.7:
            yield Finding(
                f"light-reversed-{light}",
                ERROR,
                f"{seen}, {100 * facing.mean():.0f} % of those that face it",
                "the direction given leads from the light, not towards it",
            )
        else:
            yield Finding(
                f"shadow-away-{light}",
                ERROR,
                seen,
                f"{name} has to be 0 where N.L <= 0: no ray is traced there, and nothing is lit",
            )


# Radiance


def check_albedo(sequence: Sequence, probes: list[Probe]) -> Iterator[Finding]:
    """The picture is what is emitted, plus each lobe times its factor: with a picture given, that is a sum to check."""
    for shot in shots(probes):
        arrays = shot.arrays
        for picture, prefix in (("beauty", ""), ("ref_color", "ref_")):
            signals = {name: f"{prefix}{name}" for name in _FACTORS if f"{prefix}{name}" in arrays}
            if picture not in arrays or not signals or any(_FACTORS[name] not in arrays for name in signals):
                continue
            errors = {
                kind: _picture_error(arrays, picture, signals, kind)
                for kind in (("linear", "albedo", "both", "modulated") if picture == "beauty" else _ALBEDOS)
            }
            best = min(errors, key=lambda kind: errors[kind])
            if errors[best] > 0.05 or errors["linear"] < 3 * errors[best] + 0.02:
                continue
            seen = (
                f"frame {shot.index}: {picture} is the sum of its parts within {100 * errors[best]:.1f} % if {{}}, within "
                f"{100 * errors['linear']:.1f} % as it is"
            )
            if best == "modulated":
                yield _modulated(seen.format("radiance is not multiplied by albedo"))
                _demodulate(probes, ("diff", "spec"))
                return
            yield Finding(
                "albedo-srgb",
                ERROR,
                seen.format("albedo is decoded from sRGB"),
                "albedo is encoded as sRGB, not linear",
                "--map albedo.encoding=srgb",
            )
            for each in shots(probes):
                for name in ("albedo", "spec_factor")[: 1 + (best == "both")]:
                    if name in each.arrays:
                        each.arrays[name] = _linear(each.arrays[name].astype(np.float32))
            return


_FACTORS = {"diff": "albedo", "spec": "spec_factor"}
_ALBEDOS = ("linear", "albedo", "both")


def _picture_error(arrays: Arrays, picture: str, signals: Mapping[str, str], kind: str) -> float:
    """Relative difference of a picture to the sum of its parts, on average where it is not black."""
    wanted = arrays[picture].astype(np.float32)
    total = arrays["emission"].astype(np.float32) if "emission" in arrays else np.zeros_like(wanted)
    for name, signal in signals.items():
        factor = arrays[_FACTORS[name]].astype(np.float32)
        if kind == "both" or (kind == "albedo" and name == "diff"):
            factor = _linear(factor)
        total = total + arrays[signal].astype(np.float32) * (1 if kind == "modulated" else factor)
    prefix = picture.startswith("ref_")
    for light in lights_with("unshadowed", arrays):
        shadow = arrays.get(light_array("ref_shadow" if prefix else "shadow_hit", light))
        if shadow is not None:
            passed = shadow.astype(np.float32) if prefix else (shadow >= _MISS).astype(np.float32)
            if not prefix and (through := light_array("translucency", light)) in arrays:
                passed = arrays[through].astype(np.float32)
            passed = passed if passed.ndim == 3 else passed[..., None]
            total = total + arrays[light_array("unshadowed", light)].astype(np.float32) * passed
    seen = wanted.max(-1) > 0.02 * max(float(wanted.mean()), 1e-6)
    error = np.abs(total - wanted).max(-1) / np.maximum(wanted.max(-1), 1e-6)
    return float(np.minimum(error[seen], 1).mean()) if seen.any() else 0.0


def _linear(encoded: Array) -> Array:
    """Of sRGB."""
    value = np.maximum(encoded, 0)
    return np.asarray(np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4), np.float32)


def check_radiance(sequence: Sequence, probes: list[Probe]) -> Iterator[Finding]:
    """Signals are linear, divided by albedo and not exposed. Each witness may know another one's lie: the first counts.

    Clipping: some channels are exactly 1 where others are not. Texture: across its edges, light does not change.
    Emitters: a ray that meets one brings exactly what is seen of it. References: the mean of the noise is their mean."""
    for name in _FACTORS:
        if all(name in p.now.arrays for p in probes):
            finding = (
                _clipped(probes, name) or _textured(probes, name) or _emitted(probes, name) or _referred(probes, name)
            )
            if finding:
                yield finding


def _modulated(seen: str) -> Finding:
    return Finding(
        "radiance-modulated",
        ERROR,
        seen,
        "radiance is still multiplied by albedo: textures will be blurred",
        "--map radiance.kind=modulated",
    )


def _exposed(seen: str, exposure: float) -> Finding:
    return Finding(
        "radiance-exposed",
        ERROR,
        seen,
        f"radiance is {exposure:.3g} times what the rest of the frame says it is: it was exposed",
        f"--map radiance.exposure={exposure:.4g}",
    )


def _mapped(seen: str) -> Finding:
    return Finding(
        "radiance-tone-mapped",
        ERROR,
        seen,
        "radiance was made for a screen: tone mapped, clipped or encoded; what is decoded lacks what was clipped",
        "--map radiance.encoding=srgb",
    )


def _demodulate(probes: list[Probe], names: Iterable[str]) -> None:
    for shot in shots(probes):
        for name in names:
            if name in shot.arrays:
                factor = shot.arrays[_FACTORS[name]].astype(np.float32)
                shot.arrays[name] = shot.arrays[name] / np.maximum(factor, 0.01)


def _clipped(probes: list[Probe], name: str) -> Finding | None:
    """Clipped channel by channel: many pixels have exactly 1 in some channels, and anything in the others."""
    light = np.concatenate([p.of(name)[p.surface] for p in probes])
    light = light[light.max(-1) > 0]
    if len(light) < _FEW or abs(light.max() - 1) > 1e-3:
        return None
    full = light > 0.999
    partly = full.any(-1) & ~full.all(-1)
    others = np.unique(np.round(light[partly].min(-1), 2))
    if partly.mean() < 0.002 or partly.sum() < 10 or len(others) < 5:
        return None
    return _mapped(f"{name} ends at 1, where {100 * full.any(-1).mean():.1f} % of its pixels have a channel")


def _textured(probes: list[Probe], name: str) -> Finding | None:
    """Radiance that follows its factor from one pixel of a surface to the next still contains it.

    The exponent is estimated by which it follows: 0 or 1, with a jackknife over blocks."""
    power, error, pairs = _exponent(probes, name)
    if pairs < 50 or (2 * power - 1) / (2 * error * error) < 8:  # how much likelier 1 is than 0, as a logarithm
        return None
    factor = _FACTORS[name]
    _demodulate(probes, (name,))
    return _modulated(
        f"{name} goes with the power {power:.2f} +- {error:.2f} of {factor} across {pairs} edges of texture, not 0"
    )


def _exponent(probes: list[Probe], name: str) -> tuple[float, float, int]:
    """The power of its factor that a signal has across edges of texture, its standard error, and how many there are."""
    brighter, darker, ratio, blocks, first = [], [], [], [], 0
    for probe in probes:
        if _FACTORS[name] not in probe.now.arrays or "normal" not in probe.now.arrays:
            return 0.0, np.inf, 0
        names = [_FACTORS[name], name, *(n for n in ("object_id", "material_id", "roughness") if n in probe.now.arrays)]
        here = {n: probe.of(n) for n in names}
        normal, sampled = probe.of("normal"), _sampled(probe, name)
        for steps in (1, 2, 3):
            for down, right in ((steps * probe.step, 0), (0, steps * probe.step)):
                there = {n: probe.of(n, down, right) for n in names}
                same = probe.surface & sampled & _sampled(probe, name, down, right)
                same &= (probe.of("normal", down, right) * normal).sum(-1) > 0.98
                for n in names[2:]:
                    same &= np.abs(here[n] - there[n]) < 0.02
                factors = np.stack([here[names[0]], there[names[0]]])
                lights = np.maximum(np.stack([here[name], there[name]]), 0)
                low, high = np.minimum(*factors), np.maximum(*factors)
                edge = same[:, None] & (low > 0.03) & (high > 1.3 * low)
                swap = factors[0] > factors[1]
                brighter.append(np.where(swap, lights[0], lights[1])[edge])
                darker.append(np.where(swap, lights[1], lights[0])[edge])
                ratio.append(np.log(high[edge] / low[edge]))
                blocks.append(np.broadcast_to(probe.block[:, None] + first, edge.shape)[edge])
        first += int(probe.block.max()) + 1
    light = np.stack([np.concatenate(brighter), np.concatenate(darker)])
    if light.shape[1] < 50:
        return 0.0, np.inf, light.shape[1]
    light = np.minimum(light, np.percentile(light, 99.5))
    _, number = np.unique(np.concatenate(blocks), return_inverse=True)
    sums = np.stack([np.bincount(number, row) for row in light])
    total = sums.sum(1, keepdims=True)
    if min(total) <= 0 or sums.shape[1] < 4:
        return 0.0, np.inf, 0
    mean = float(np.concatenate(ratio).mean())
    power = float(np.log(total[0] / total[1])[0]) / mean
    left = np.maximum(total - sums, 1e-12)  # without each block
    spread = (np.log(left[0] / left[1]) / mean).var()
    return power, float(np.sqrt((sums.shape[1] - 1) * spread)) + 0.02, light.shape[1]


def _sampled(probe: Probe, name: str, down: int = 0, right: int = 0) -> Array:
    """Whether a diffuse ray was traced at all: black where there is none says nothing."""
    if name == "diff" and "diff_hit" in probe.now.arrays:
        return probe.of("diff_hit", down, right) > 0
    return np.ones(len(probe.rows), bool)


def _emitted(probes: list[Probe], name: str) -> Finding | None:
    """Many samples have the very colour of an emitter in view, 1 times as bright, or `exposure` times, or mapped."""
    if name != "diff" or any("emission" not in p.now.arrays or "albedo" not in p.now.arrays for p in probes):
        return None
    readings = _readings(probes, name)
    counts = dict.fromkeys(readings, 0)
    ratios = []
    for probe in probes:
        seen = probe.of("emission")[probe.surface]
        colours, number = np.unique(seen[seen.max(-1) > 0.05], axis=0, return_counts=True)
        albedo = probe.of("albedo")
        lit = probe.surface & (albedo.max(-1) > 0.03) & (probe.of(name).max(-1) > 0)
        light, albedo = probe.of(name)[lit], albedo[lit]
        for colour in colours[np.argsort(-number)][:4][: (number >= 4).sum()]:
            for kind, read in readings.items():
                ratio = read(light, albedo) / np.maximum(colour, 1e-3)
                middle = ratio.mean(-1)
                same = (ratio.max(-1) - ratio.min(-1) < 0.05 * middle) & (middle > 0.02)
                counts[kind] += int((np.abs(middle[same] - 1) < 0.04).sum())
                if kind == "linear":
                    ratios.append(middle[same])
    best = max(counts, key=lambda kind: counts[kind])
    if counts[best] >= 20 and counts[best] > 4 * counts["linear"]:
        told = f"{counts[best]} samples of {name} have the radiance of an emitter in view"
        told += f" if {{}}, {counts['linear']} as it is"
        if best == "modulated":
            _demodulate(probes, (name,))
            return _modulated(told.format("divided by albedo"))
        return _mapped(told.format("decoded"))
    logs = np.log(np.concatenate(ratios)) if ratios else np.zeros(0)
    if len(logs) < 40:
        return None
    bins, number = np.unique(np.round(logs / 0.04), return_counts=True)
    exposure, share = float(np.exp(0.04 * bins[number.argmax()])), float(number.max() / len(logs))
    if share < 0.5 or abs(exposure - 1) < 0.1:
        return None
    return _exposed(
        f"{100 * share:.0f} % of {len(logs)} samples of {name} in the colour of an emitter in view are {exposure:.3g} times "
        "as bright as it",
        exposure,
    )


_READINGS: dict[str, Callable[[Array, Array], Array]] = {
    "linear": lambda light, factor: light,
    "modulated": lambda light, factor: light / np.maximum(factor, 0.01),
    "mapped": lambda light, factor: light / np.maximum(1 - light, 1e-3),
    "encoded": lambda light, factor: _linear(light),
}


def _readings(probes: list[Probe], name: str) -> dict[str, Callable[[Array, Array], Array]]:
    """Those that can be: only what ends at 1 was made for a screen."""
    bounded = all(p.of(name)[p.surface].max(initial=0) <= 1.001 for p in probes)
    return {kind: read for kind, read in _READINGS.items() if bounded or kind not in ("mapped", "encoded")}


def _referred(probes: list[Probe], name: str) -> Finding | None:
    """The mean of the samples over a block of pixels must be that of the reference; the reading is right that makes it."""
    reference, factor = f"ref_{name}", _FACTORS[name]
    told = [p for p in probes if reference in p.now.arrays and factor in p.now.arrays]
    if not told:
        return None

    def look(probe: Probe) -> Array:
        light = probe.of(name)
        read = [light.mean(-1), (light / np.maximum(probe.of(factor), 0.01)).mean(-1)]
        return np.where(probe.surface, [probe.of(reference).mean(-1), *read], np.nan).T

    found, blocks = pooled(told, look)
    known = np.isfinite(found[:, 0])
    found, blocks = found[known], blocks[known]
    if len(found) < _FEW or not found[:, 0].any():
        return None
    highest, bright = max(float(p.of(name)[p.surface].max()) for p in told), float(found[:, 0].max())
    sums = np.stack([np.bincount(np.unique(blocks, return_inverse=True)[1], column) for column in found.T])
    total = sums.sum(1, keepdims=True)
    scale = float((total[1] / total[0])[0])
    left = (total - sums)[1] / np.maximum(total - sums, 1e-9)[0]  # without each block
    error = float(np.sqrt((len(left) - 1) * np.log(np.maximum(left, 1e-9)).var()))
    if abs(np.log(max(scale, 1e-9))) < max(0.3, _SURE * error):
        return None
    times = f"{name} has {scale:.3g} +- {error * scale:.2g} times the light of {reference}"
    if 0.85 < highest <= 1.001 and bright > 1:
        return _mapped(f"{times}; it ends at {highest:.3g}, where {reference} reaches {bright:.3g}")
    readings = {"modulated": sums[2], "exposed": sums[1] / scale}
    apart = {kind: float(np.abs(read - sums[0]).sum() / total[0, 0]) for kind, read in readings.items()}
    if apart["modulated"] < apart["exposed"]:
        return _modulated(f"{times}; divided by {factor}, it is off by {100 * apart['modulated']:.0f} %")
    return _exposed(times, scale)


CHECKS: tuple[Callable[[Sequence, list[Probe]], Iterator[Finding]], ...] = (
    check_finite,
    check_fireflies,
    check_cameras,
    check_normals,
    check_geometry,
    check_motion,
    check_roughness,
    check_hits,
    check_shadows,
    check_albedo,
    check_radiance,
)
