# SPDX-License-Identifier: Apache-2.0
"""Small files as renderers write them, by the OpenEXR package: the wall of `tiny_sequence` with the channels, names and
conventions that each renderer documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import tiny_sequence
from numpy.typing import NDArray

from denoise.sequences import Arrays

Channels = dict[str, NDArray[Any]]  # full name -> pixels
SKY = 1e10

# What Blender 5 and the versions before it call the same passes.
BLENDER_5 = {
    "DiffDir": "Diffuse Direct",
    "DiffInd": "Diffuse Indirect",
    "DiffCol": "Diffuse Color",
    "GlossDir": "Glossy Direct",
    "GlossInd": "Glossy Indirect",
    "GlossCol": "Glossy Color",
    "Emit": "Emission",
    "Env": "Environment",
    "IndexMA": "Material Index",
}


def frame(index: int) -> Arrays:
    """The wall, in float32, with signals in two passes each and the picture that they make."""
    arrays = {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in tiny_sequence.frame(index).items()
    }
    random = np.random.default_rng([index, 2])
    for lobe in ("diff", "spec"):
        direct = random.uniform(0.2, 0.9, (*arrays[lobe].shape[:2], 1)).astype(np.float32)
        arrays[f"{lobe}_direct"] = arrays[lobe] * direct
        arrays[f"{lobe}_indirect"] = arrays[lobe] - arrays[f"{lobe}_direct"]
    arrays["color"] = arrays["emission"] + arrays["diff"] * arrays["albedo"] + arrays["spec"] * arrays["spec_factor"]
    return arrays


def channels(layer: str, array: NDArray[Any], letters: str) -> Channels:
    """The components of an array as channels "LAYER.LETTER"."""
    planes = [array] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    dot = f"{layer}." if layer else ""
    return {f"{dot}{letter}": np.ascontiguousarray(plane) for letter, plane in zip(letters, planes, strict=True)}


def blender(index: int, names: dict[str, str] = BLENDER_5, layer: str = "ViewLayer", half: bool = False) -> Channels:
    """All passes of a frame; passes that are colours may be half floats, as Blender writes them by default."""
    a = frame(index)
    depth = np.where(a["view_z"] > 1e6, np.float32(SKY), a["view_z"])
    vector = np.zeros((*depth.shape, 4), np.float32)
    vector[..., 0], vector[..., 1] = a["motion"][..., 0], -a["motion"][..., 1]
    colours = {
        "Combined": np.concatenate([a["color"], np.ones((*depth.shape, 1), np.float32)], -1),
        "DiffDir": a["diff_direct"],
        "DiffInd": a["diff_indirect"],
        "DiffCol": a["albedo"],
        "GlossDir": a["spec_direct"],
        "GlossInd": a["spec_indirect"],
        "GlossCol": a["spec_factor"],
        "Emit": np.zeros_like(a["emission"]),
        "Env": a["emission"],
    }
    found: Channels = {}
    for name, array in colours.items():
        letters = "RGBA"[: array.shape[2]]
        found |= channels(f"{layer}.{names.get(name, name)}", array.astype(np.float16 if half else np.float32), letters)
    data = {"Depth": (depth, "Z"), "Normal": (a["normal"], "XYZ"), "Vector": (vector, "XYZW")}
    data["IndexMA"] = (a["material_id"].astype(np.float32), "X")
    data["CryptoObject00"] = (np.random.default_rng(index).random((*depth.shape, 4)).astype(np.float32), "rgba")
    for name, (array, letters) in data.items():
        found |= channels(f"{layer}.{names.get(name, name)}", array, letters)
    return found


def parts_of(found: Channels, **header: Any) -> list[OpenEXR.Part]:
    """A part for each layer, whose channels keep their full names; the header goes to the first one, as in Blender."""
    layers = dict.fromkeys(name.rpartition(".")[0] for name in found)
    return [
        OpenEXR.Part(
            {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **(header if not number else {})},
            {name: array for name, array in found.items() if name.rpartition(".")[0] == layer},
            layer,
        )
        for number, layer in enumerate(layers)
    ]


BLENDER_HEADER = {
    "BlenderMultiChannel": "Blender V2.55.1 and newer",
    "cryptomatte/542cafa/manifest": '{"Wall":"4159b52a"}',
}


def write_blender(
    folder: Path, frames: range = range(1, 5), names: dict[str, str] = BLENDER_5, half: bool = False, **header: Any
) -> Path:
    """shot.0001.exr, ... of the frames, in parts for Blender 5's names and in one part for those before."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in frames:
        found, path = blender(number - 1, names, half=half), str(folder / f"shot.{number:04d}.exr")
        header = {"compression": OpenEXR.ZIP_COMPRESSION, **BLENDER_HEADER, **header}
        if names:
            OpenEXR.File(parts_of(found, **header)).write(path)
        else:
            OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, found).write(path)
    return folder / "shot.####.exr"


def write(path: Path, found: Channels, **header: Any) -> Path:
    """One file of one part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    defaults = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File({**defaults, **header}, dict(found)).write(str(path))  # the package changes what it is given
    return path


def read(path: Path) -> dict[str, NDArray[Any]]:
    """All channels of a file by their full names, by the OpenEXR package."""
    file = OpenEXR.File(str(path), separate_channels=True)
    return {name: channel.pixels for part in file.parts for name, channel in part.channels.items()}


def headers(path: Path) -> list[dict[str, str]]:
    """The attributes of all parts, but for the lists of channels, as text."""
    file = OpenEXR.File(str(path), header_only=True)
    return [{name: repr(value) for name, value in part.header.items() if name != "channels"} for part in file.parts]


def cameras() -> dict[str, Any]:
    """The cameras of `tiny_sequence`, by the numbers of `write_blender`."""
    entries = tiny_sequence.meta()["cameras"]
    return {"cameras": {str(index + 1): camera for index, camera in enumerate(entries)}}
