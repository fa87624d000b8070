# SPDX-License-Identifier: Apache-2.0
"""How far two backends may differ, and how pixels of the engine's formats become numbers that can be compared.

Backends contract a * b + c differently and have their own roots and reciprocals, so the last bits of fp32 differ.
Stored as fp16 that is mostly nothing, sometimes one step; where a value is the difference of larger ones, or drives a
choice of texel, it is more.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

HALF_EPSILON = 2.0**-10  # one step of fp16, relative to the power of two below the value
HALF_SMALLEST = 2.0**-24  # one step of fp16 near zero


def half_steps(a: npt.ArrayLike, b: npt.ArrayLike, magnitude: npt.ArrayLike | None = None) -> Numbers:
    """|a - b| in steps of fp16 at `magnitude`, by default the larger of the two: 1 is the smallest visible difference.

    Equal infinities and two NaN are 0 apart, any other pair with a non-finite member infinitely far."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    size = np.maximum(abs(a), abs(b)) if magnitude is None else np.asarray(magnitude, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        step = np.maximum(2.0 ** np.floor(np.log2(size)) * HALF_EPSILON, HALF_SMALLEST)
        steps = np.where(np.isfinite(a) & np.isfinite(b), abs(a - b) / step, np.inf)
    return np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, steps)


def relative_error(a: npt.ArrayLike, b: npt.ArrayLike, floor: float = 0.0) -> Numbers:
    """|a - b| relative to the larger of them and of `floor`; 0 where they are equal."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    difference = abs(a - b)
    return np.divide(
        difference, np.maximum(np.maximum(abs(a), abs(b)), floor), out=np.zeros_like(difference), where=difference > 0
    )


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """At most `outliers` of all pixels may differ by more than `limit`, in the unit of the quantity."""

    limit: float
    outliers: float = 0.0

    def problem(self, difference: npt.ArrayLike) -> str:
        """A sentence when the differences are beyond the tolerance, else nothing."""
        difference = np.asarray(difference, np.float64)
        beyond = ~(difference <= self.limit)  # NaN is beyond
        share = float(beyond.mean()) if difference.size else 0.0
        if share <= self.outliers:
            return ""
        return (
            f"{share:.2%} of the pixels differ by more than {self.limit:g} (allowed: {self.outliers:.2%}); "
            f"the largest difference is {difference.max():g}"
        )


EXACT = Tolerance(0)

# By pass; where none is given, FILTERED. Differences of pixels of integers are absolute, others are steps of fp16.
FILTERED = Tolerance(2, 0.015)  # the angle between nearly equal normals, against a narrow lobe, is known to few digits
PASSES = {
    "pack_guides": Tolerance(1, 0.001),
    "classify_tiles": EXACT,
    "pack_signal": Tolerance(1),
    "temporal_accumulation": Tolerance(2, 0.01),  # looks up another texel where a projection lands on the border of two
    "clamp_history": Tolerance(2, 0.005),
    "resolve": Tolerance(1, 0.001),
    "classify_shadow": Tolerance(1),  # rounds the distance of the farthest occluder up to a code
    "spread_softness": EXACT,
    "estimate_penumbra": Tolerance(1, 0.01),  # as temporal accumulation, and taps that land on the border of two texels
    "filter_shadow": Tolerance(2, 0.01),
    "reference_accumulate": Tolerance(2.0**-10),  # eight steps of fp32
}


# By image, before the pass: differences of near things, in 255ths, that only ReLAX reads.
IMAGES = {"specular_trust": Tolerance(2, 0.015)}


def problems(entries: list[dict[str, Any]]) -> list[str]:
    """A sentence for each image of `Denoiser.crosscheck` entries on which the two backends disagree."""
    sentences = []
    for entry in entries:
        tolerance = IMAGES.get(entry["image"]) or PASSES.get(entry["pass"].partition(".")[0], FILTERED)
        for quantity, difference in differences(entry).items():
            if problem := tolerance.problem(difference):
                sentences.append(f"{entry['pass']}, {entry['image']}, {quantity}: {problem}")
    return sentences


def differences(entry: dict[str, Any]) -> dict[str, Numbers]:
    """How far the two backends of a `Denoiser.crosscheck` entry are apart in every pixel, by quantity."""
    a, b = pixels(entry, "first"), pixels(entry, "second")
    result = {}
    for name in a:
        x, y = a[name], b[name]
        if name == "signal":  # the chroma is a difference of colours as large as the luma
            luma = np.maximum(abs(x[..., :1].astype(float)), abs(y[..., :1].astype(float)))
            color = half_steps(x[..., :3], y[..., :3], luma)
            result[name] = np.concatenate([color, half_steps(x[..., 3:], y[..., 3:])], -1).max(-1)
        elif name == "step":  # differences of positions: known as well as the longest is
            longest = np.maximum(abs(x), abs(y)).max(-1, keepdims=True)
            result[name] = half_steps(x, y, longest).max(-1)
        elif name == "offset":  # pixels: no finer than fp16 at 1
            result[name] = half_steps(x, y, np.maximum(np.maximum(abs(x), abs(y)), 1)).max(-1)
        elif np.issubdtype(x.dtype, np.floating):
            steps = half_steps(x, y)
            result[name] = steps.max(-1) if steps.ndim == 3 else steps
        else:
            result[name] = abs(x.astype(float) - y.astype(float))
    return result


def pixels(entry: dict[str, Any], which: str) -> dict[str, np.ndarray[Any, Any]]:
    """The quantities in one image of `Denoiser.crosscheck`, by name, as (H, W) or (H, W, C) arrays."""
    size, data = (entry["height"], entry["width"]), entry[which]
    match entry["format"]:
        case "R8U":
            return {"integer": np.frombuffer(data, np.uint8).reshape(size)}
        case "R16U":
            word = np.frombuffer(data, np.uint16).reshape(size)
            if entry.get("image", "").endswith(("_past", "_sample")):  # see encode_light()
                return {"luma": word & 1023, "co": word >> 10 & 7, "cg": word >> 13}
            match entry.get("image", "").partition(".")[0]:  # see shaders/sigma/shadow.h
                case "penumbra":
                    return {"visibility": word & 127, "width": word >> 7 & 127, "flags": word >> 14}
                case "past":
                    return {"visibility": word & 4095, "frames": word >> 12}
                case "mixed_tiles" | "soft_tiles":
                    return {"softness": word & 255, "distance": word >> 8}
            # see encode_footprint()
            return {**{f"texel {k}": word >> 2 * k & 3 for k in range(4)}, "cubic": word >> 8}
        case "R16F":
            return {"value": np.frombuffer(data, np.float16).reshape(size)}
        case "R32F":
            return {"value": np.frombuffer(data, np.float32).reshape(size)}
        case "F32X2":  # the value is the sum
            return {"value": np.frombuffer(data, np.float32).reshape(*size, 2).sum(-1, np.float64)}
        case "RGBA16F" if "_steps" in entry.get("image", ""):  # of occluders
            numbers = np.frombuffer(data, np.float16).reshape(*size, 4)
            return {"step": numbers[..., :3], "distance": numbers[..., 3]}
        case "RGBA16F":
            return {"signal": np.frombuffer(data, np.float16).reshape(*size, 4)}
        case "GUIDE64":
            words = np.frombuffer(data, np.uint32).reshape(*size, 2)
            fields = {"normal x": words[..., 1] & 2047, "normal y": words[..., 1] >> 11 & 2047}
            return {"view_z": words[..., 0].view(np.float32), **fields, "roughness": words[..., 1] >> 22}
        case "R32U":
            word = np.frombuffer(data, np.uint32).reshape(size)
            if "_light" in entry.get("image", ""):  # the memory of relight_gain, see pack_memory()
                return {"evidence": word & 255, "noise": word >> 8 & 4095, "drift": word >> 20}
            match entry.get("image", "").partition(".")[0]:  # see shaders/sigma/shadow.h
                case "shadow_history":
                    return {"visibility": word & 4095, "frames": word >> 12 & 15, "depth": word >> 16}
                case "tint" | "past_tint" | "tint_history":
                    return {"red": word & 1023, "green": word >> 10 & 1023, "blue": word >> 20}
            return {"offset": np.frombuffer(data, np.float16).reshape(*size, 2)}
        case "f16" | "f32" as kind:
            values = np.frombuffer(data, np.float16 if kind == "f16" else np.float32)
            return {"value": values.reshape(*size, entry["channels"])}
        case other:
            raise ValueError(f"no such format: {other}")
