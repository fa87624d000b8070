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
from dataclasses import asdict, dataclass, replace

import numpy as np

from denoise.frame import Camera
from denoise.overlay import world_points

from .probes import Array, Probe, Shot, camera_motion, choose, looked_up, mismatch, pooled, shots, significance
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
    if abs(scale - 1) > max(0.02, _SURE * error) and _gain(probes, best, scaled, 0.02)[1] > _SURE / 2:
        best = scaled
        seen = f"guides fit best where motion is {scale:.4g} (+- {error:.2g}) times as long"
    return best, seen


def _gain(probes: list[Probe], one: Meaning, other: Meaning, least: float = 0.3) -> tuple[float, float]:
    """By what factor guides differ less where `other` leads, and by how many standard errors, where the two
    are at least so many pixels apart."""

    def look(probe: Probe) -> Array | None:
        read = [meaning.read(probe) for meaning in (one, other)]
        targets = [probe.neighbour(meaning.frames) for meaning in (one, other)]
        if read[0] is None or read[1] is None or targets[0] is None or targets[1] is None:
            return None
        costs = [mismatch(probe, t, r) for t, r in zip(targets, read, strict=True)]
        apart = np.linalg.norm((read[0] - read[1])[:, :2], axis=-1) > least
        if one.frames != other.frames:
            apart |= np.linalg.norm(read[0][:, :2], axis=-1) > least
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
    sums = np.bincount(number, slope * (rest - step * slope))
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
        across, down = (looked_up(albedo, x + i, y + j) - looked_up(albedo, x - i, y - j) for i, j in ((0.5, 0), (0, 0.5)))
        slope = across * motion[:, :1] + down * motion[:, 1:2]
        rest = probe.of("albedo") - found
        judged = (np.linalg.norm(motion[:, :2], axis=-1) > 0.5) & (mismatch(probe, target, motion) < 0.3)
        judged &= (np.abs(rest).max(-1) < 0.2) & probe.surface
        return np.where(judged[:, None], np.concatenate([slope, rest], -1), np.nan)

    found, blocks = pooled(probes, look)
    if not len(found):
        return (np.zeros(0), np.zeros(0)), blocks
    judged = np.isfinite(found).all(-1)
    found, blocks = found[judged], blocks[judged]
    return (found[:, :3].ravel(), found[:, 3:].ravel()), np.repeat(blocks, 3)


CHECKS = (check_finite, check_fireflies, check_cameras, check_normals, check_geometry, check_motion)
