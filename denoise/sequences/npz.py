# SPDX-License-Identifier: Apache-2.0
"""The native sequence format, version 1: a folder with `sequence.json` and `frame_0000.npz`, `frame_0001.npz`, ...

A frame is whatever `numpy.load` opens: a zip of .npy members under any zip compression, in any memory order.
Row 0 is the top; H, W are height and width. Radiance is linear, scene referred, not exposed. Arrays not listed here
are carried but not read.

Inputs of every frame (one sample per pixel and lobe; all but view_z may be absent where a denoiser can do without):

    view_z          float32 (H, W)     linear view depth of the primary hit, positive; `view_z_sky` = sky
    normal          float16 (H, W, 3)  world-space shading normal, unit length; 0 for sky
    roughness       float16 (H, W)     linear roughness = sqrt(GGX alpha), 0..1
    motion          float32 (H, W, 3)  dx, dy [pixels]: where this surface point was in the previous frame, minus the
                                       pixel centre; y down, object motion included, no jitter; dz = view_z_prev -
                                       view_z. (H, W, 2) without dz. Frame 0 refers to a virtual earlier camera
    diff, spec      float16 (H, W, 3)  noisy radiance of a lobe, divided by albedo / spec_factor
    diff_hit,       float16 (H, W)     length of the first ray of that lobe [world units]; 65504 = left the scene,
    spec_hit                           0 = no distance (no ray, or a sample below the surface)
    material_id     uint8   (H, W)     0 = sky
    shadow_hit      float16 (H, W)     distance from the surface to the first thing in the way of one ray to a random point
                                       of the sun [world units]; 65504 = lit, 0 = facing away (no ray)
    translucency    float16 (H, W, 3)  only if things let light through: linear colour that this ray brings, 1 where lit,
                                       0 behind opaque things and facing away

For compositing and metrics:

    albedo          float16 (H, W, 3)  diffuse demodulation factor; 0 for sky
    spec_factor     float16 (H, W, 3)  specular demodulation factor; 0 for sky
    emission        float16 (H, W, 3)  radiance seen directly: emitters and sky
    sun_unshadowed  float16 (H, W, 3)  light of the sun without visibility
    object_id       uint16  (H, W)     0 = sky
    colour = emission + diff * albedo + spec * spec_factor + sum over the lights of unshadowed * shadow
                                       with shadow = translucency where there is one, else shadow_hit == 65504

In `reference_frames` also:

    ref_diff, ref_spec  float16 (H, W, 3)  expectation of diff and spec on the same pixels
    ref_shadow          float16 (H, W)     visible fraction of the sun; (H, W, 3) with translucency, of each colour
    ref_color           float16 (H, W, 3)  the colour above of these
    se_diff, se_spec    float16 (H, W)     standard error of the luminance of ref_diff and ref_spec

Other lights that have a shadow of their own are spheres with names, of letters, digits and _. The arrays of a light NAME:

    unshadowed_NAME, shadow_hit_NAME, translucency_NAME, ref_shadow_NAME    as those of the sun

`sequence.json`, required: width, height, num_frames, cameras = one per frame of {world_to_view, view_to_clip: four
rows of four numbers, for column vectors, not jittered; jitter: [x right, y down] in pixels, default [0, 0]}. Optional:
format_version (absent = 1), name, fps (30), reference_frames, lighting_changes (first frames under new lighting), cuts
(frames at which the history begins anew), frame_numbers (what the frames are called elsewhere), view_z_sky (1e7),
exposure (of the composite, for metrics; default from the references),
sun = {direction_to_light: [x, y, z] of any length, tan_angular_radius, directions_to_light: one per frame if it moves},
lights = {NAME: {positions: [x, y, z] per frame, radius, intensity: [r, g, b], irradiance at distance 1 facing it}}, in
world units and world space. More entries may follow.

A denoised sequence has the same file names, with `diff`, `spec`, `shadow` of the sun, `shadow_NAME` of other lights: what
was denoised. A shadow is a linear visibility in 0..1, (H, W), or (H, W, 3) with translucency.
"""

from __future__ import annotations

import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import FrameFiles, Results, atomic, write_json
from .sequence import FORMAT_VERSION, Arrays, Sequence, SequenceError, check_arrays, check_meta

# What numpy and zipfile raise for a file that is not what it should be.
_DAMAGE = (
    OSError,
    EOFError,
    TypeError,
    ValueError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


class NpzFrames(FrameFiles):
    """The frames of a folder, by number.

    folder   holds frame_%04d.npz
    indices  the frames it should hold, default those it does hold
    size     width and height that the arrays are to have, default any
    lights   names of the lights besides the sun, whose arrays are checked too
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        indices: Iterable[int] | None = None,
        size: tuple[int, int] | None = None,
        lights: Iterable[str] = (),
    ) -> None:
        self.folder = folder
        self.size = size
        self.lights = tuple(lights)
        found = (path.stem.removeprefix("frame_") for path in Path(folder).glob("frame_*.npz"))
        self.indices = sorted(indices if indices is not None else (int(i) for i in found if i.isdecimal()))

    def path(self, index: int) -> Path:
        return frame_path(self.folder, index)

    def read(self, index: int, names: Iterable[str] | None = None) -> Arrays:
        path = self.path(index)
        arrays = read_arrays(path, names)
        if self.size:
            with _blamed(path):
                check_arrays(arrays, *self.size, self.lights)
        return arrays

    def digest(self, index: int, names: Iterable[str]) -> str:
        return content_digest(self.path(index), names)


class NpzResults(Results):
    """A folder of frame_%04d.npz with the signals in float16, as `NpzFrames` reads them; and run.json."""

    dtype = np.float16

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.journal = self.folder / "run.json"

    def path(self, index: int) -> Path:
        return frame_path(self.folder, index)

    def overlay_path(self, index: int) -> Path:
        return self.folder / f"overlay_{index:04d}.png"

    def is_whole(self, index: int) -> bool:
        return zipfile.is_zipfile(self.path(index))

    def write(self, index: int, signals: Arrays, arrays: Arrays) -> None:
        write_arrays(self.path(index), signals)


def open_folder(folder: str | os.PathLike[str]) -> Sequence:
    """The sequence in `folder`; frames are read when they are asked for. SequenceError if sequence.json is unusable."""
    path = Path(folder) / "sequence.json"
    with _blamed(path):
        meta = json.loads(path.read_text())
        check_meta(meta)
    size = meta["width"], meta["height"]
    return Sequence(meta, NpzFrames(folder, range(meta["num_frames"]), size, meta.get("lights", {})))


def frame_path(folder: str | os.PathLike[str], index: int) -> Path:
    return Path(folder) / f"frame_{index:04d}.npz"


def read_arrays(path: Path, names: Iterable[str] | None = None) -> Arrays:
    """The arrays of an .npz file, or those of `names` that it holds. SequenceError if it is missing or damaged."""
    with _blamed(path), zipfile.ZipFile(path) as file:
        held = [info.filename.removesuffix(".npy") for info in file.infolist()]
        return {name: _read_member(file, name) for name in (held if names is None else names) if name in held}


def content_digest(path: Path, names: Iterable[str]) -> str:
    """Digest of those arrays `names` that an .npz file holds, from the checksums in it: quick. Errors as above."""
    with _blamed(path), zipfile.ZipFile(path) as file:
        held = {info.filename: (info.CRC, info.file_size) for info in file.infolist()}
    return sha256(repr([held.get(f"{name}.npy") for name in names]).encode()).hexdigest()


def write_sequence(
    folder: str | os.PathLike[str], meta: Mapping[str, Any], frames: Iterable[Mapping[str, NDArray[Any]]]
) -> None:
    """Write a sequence, frame by frame; sequence.json comes last, so that a folder that has it is complete."""
    meta = {"format_version": FORMAT_VERSION, **meta}
    check_meta(meta)
    count = 0
    for count, arrays in enumerate(frames, 1):
        check_arrays(arrays, meta["width"], meta["height"], meta.get("lights", {}))
        write_arrays(frame_path(folder, count - 1), arrays, compress=True)
    if count != meta["num_frames"]:
        raise ValueError(f"frames: expected {meta['num_frames']}, got {count}")
    write_json(Path(folder) / "sequence.json", meta)


def write_arrays(path: Path, arrays: Mapping[str, Any], compress: bool = False) -> None:
    """Write an .npz file: it is there whole or not at all. Compression takes longer than denoising does."""
    with atomic(path) as file:
        (np.savez_compressed if compress else np.savez)(file, **arrays)


def _read_member(file: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with file.open(f"{name}.npy") as member:
        return np.lib.format.read_array(member, allow_pickle=False)


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file into a SequenceError that begins with its name."""
    try:
        yield
    except FileNotFoundError:
        raise SequenceError(f"{path}: no such file") from None
    except _DAMAGE as error:
        raise SequenceError(f"{path}: {error}") from error
