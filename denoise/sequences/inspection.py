# SPDX-License-Identifier: Apache-2.0
"""What is in an EXR file, what a mapping makes of it, what is missing, and what that costs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise.frame import INPUTS as FRAME_INPUTS

from .exr import choose_mapping, frame_window, places, views
from .exr_file import TYPE_NAMES, ExrFile, Part, blamed, window_size
from .mapping import names_in
from .sequence import INPUTS

_ARRAYS_OF_SIGNALS = {"diffuse": "diff", "specular": "spec"}


def inspect(path: str | os.PathLike[str], preset: str | None = None, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """All that can be said about one file, ready for JSON; `report` puts it into words.

    preset, overrides  as of `open_sequence`

    Reads the file part by part. SequenceError if it is damaged, ValueError for a mapping that is wrong.
    """
    with ExrFile(path) as file, blamed(file.path):
        chosen, guessed = choose_mapping(file, preset, overrides)
        where = places(file, chosen.view)
        found = chosen.find(where)
        inputs = {array: sorted(names_in(expression)) for array, expression in found.items()}
        width, height = window_size(frame_window(file, [where[name] for names in inputs.values() for name in names]))
        becomes: dict[tuple[int, str], list[str]] = {}
        for array, names in inputs.items():
            for name in names:
                becomes.setdefault((where[name].part, where[name].channel.name), []).append(array)
        return {
            "file": str(file.path),
            "preset": chosen.name if preset or guessed else None,
            "guessed": guessed,
            "proven": chosen.proven,
            "picture": chosen.picture(where),
            "views": views(file),
            "width": width,
            "height": height,
            "conventions": dict(chosen.conventions),
            "parts": [_described(file, number, part, becomes) for number, part in enumerate(file.parts)],
            "inputs": inputs,
            "missing": missing({*found} | ({"roughness"} if chosen["roughness.value"] is not None else set())),
        }


def missing(arrays: Iterable[str]) -> dict[str, str]:
    """Inputs that these arrays do not bring -> what that costs. Lobes that are absent as a whole are not missing."""
    given = {*arrays}
    lost = {}
    for array, keyword in INPUTS.items():
        info = FRAME_INPUTS[keyword]
        lobe = _ARRAYS_OF_SIGNALS.get(info.signal, "")
        if array in given or array in _ARRAYS_OF_SIGNALS.values() or (lobe and lobe not in given):
            continue
        lost[array] = info.absence or info.need
    if not given & {*_ARRAYS_OF_SIGNALS.values(), "shadow_hit"}:
        lost["diff"] = "nothing to denoise: name the channels with --map channels.diff=LAYER:RGB"
    if lost.get("view_z") and "position" in given:
        del lost["view_z"]  # it follows from position and camera
    return lost


def report(found: dict[str, Any]) -> Iterator[str]:
    """Lines for a reader."""
    how = "guessed from the file" if found["guessed"] else "given"
    named = f"preset {found['preset']} ({how}); proven {found['proven']}" if found["preset"] else "no preset fits"
    yield f"{found['file']}: {found['width']}x{found['height']}; {named}"
    if found["views"]:
        yield f"stereo: {', '.join(found['views'])}; --map view=NAME chooses"
    for part in found["parts"]:
        yield f"part {part['name'] or 0!r}: {part['type']}, {part['compression']}, {part['window']}"
        for channel in part["channels"]:
            yield "  " + _line(channel)
    for array, cost in found["missing"].items():
        yield f"missing {array}: {cost}"


def _line(channel: dict[str, Any]) -> str:
    text = f"{channel['name']}  {channel['type']}"
    if "min" in channel:
        text += f"  {channel['min']:.6g} .. {channel['max']:.6g}" if channel["min"] is not None else "  no number"
        text += "".join(f"  {channel[kind]} {kind}" for kind in ("nan", "inf") if channel[kind])
    return text + (f"  -> {', '.join(channel['becomes'])}" if channel["becomes"] else "")


def _described(file: ExrFile, number: int, part: Part, becomes: dict[tuple[int, str], list[str]]) -> dict[str, Any]:
    pixels = {} if part.deep else file.pixels(part)
    channels = [
        {
            "name": channel.name,
            "type": TYPE_NAMES[channel.kind],
            **(_range(pixels[channel.name]) if channel.name in pixels else {}),
            "becomes": becomes.get((number, channel.name), []),
        }
        for channel in part.channels
    ]
    left, top, right, bottom = part.data_window
    return {
        "name": part.name,
        "type": part.kind,
        "compression": part.compression,
        "data_window": part.data_window,
        "display_window": part.display_window,
        "window": f"{right - left + 1}x{bottom - top + 1} at ({left}, {top})",
        "channels": channels,
    }


def _range(pixels: NDArray[Any]) -> dict[str, Any]:
    """Least and greatest finite value, and how many are not finite."""
    finite = np.isfinite(pixels)
    numbers = pixels[finite]
    return {
        "min": float(numbers.min()) if numbers.size else None,
        "max": float(numbers.max()) if numbers.size else None,
        "nan": int(np.isnan(pixels).sum()),
        "inf": int(pixels.size - finite.sum() - np.isnan(pixels).sum()),
    }
