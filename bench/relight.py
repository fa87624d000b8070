# SPDX-License-Identifier: Apache-2.0
"""What it brings that histories follow the light: scenes in which the light changes, denoised with and without it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from denoise import metrics
from denoise.demo import captioned
from denoise.sequences import Arrays, Sequence, create, denoise_frame, frame_inputs

from . import machine, quality
from .report import Report, Row

# Scenes of the testbed: a room's light off and on; one lamp, colour, out of the dark; a light, a shadow and a
# reflection that move; flicker, fade, cut, exposure.
SCENES = ("switch", "lamps", "colour", "dark", "torch", "edge", "mirror", "flicker", "fade", "cut", "tenfold")
DENOISERS = ("reblur", "relax")
FRAMES = 28
COLUMNS = ("flip", "psnr", "trmse_warped", "energy")
METHODS = {"on": True, "off": False}  # and the setting `relight`

_CHANGES = 4  # of a scene, at most, that are looked at


def measure(
    names: Iterable[str] = (),
    *,
    denoisers: Collection[str] = DENOISERS,
    device: str = "auto",
    size: tuple[int, int] = quality.SIZE,
    frames: int = FRAMES,
    samples: int = quality.SAMPLES,
    cache: Path | None = None,
    pictures: Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Denoises sequences from their first frame on with re-lighting on and off, and scores both.

    names                  folders or names of testbed scenes; none: SCENES
    size, frames, samples  of scenes that are rendered
    cache                  where these are kept, default quality.default_cache()
    pictures               a folder for SEQUENCE-DENOISER-strip.webp, frames around the first change, and -curve.png,
                           brightness over time

    Rows are "sequence, signal, denoiser on" and "... off", and "... references" for what their noise alone scores. The
    lag is that of the first frame after each change, their mean; with `lag_K` (in the JSON) for K frames later.
    """
    facts = machine.facts()
    rows: dict[str, Row] = {}
    for name in names or SCENES:
        sequence = quality.opened(
            name, size, frames, samples, cache or quality.default_cache(), progress, reference_frames
        )
        if noise := metrics.reference_noise_outputs(sequence):
            rows |= _rows(f"{sequence.name}, {{}}, references", metrics.score(noise, sequence))
        for denoiser in denoisers:
            progress(f"denoising {sequence.name} with {denoiser}")
            outputs: dict[str, dict[int, Arrays]] = {}
            brightness: dict[str, list[float]] = {"samples": []}
            for method, relight in METHODS.items():
                outputs[method], brightness[method] = _denoise(sequence, denoiser, device, relight)
                label = f"{sequence.name}, {{}}, {denoiser} {method}"
                rows |= _rows(label, metrics.score(outputs[method], sequence))
            if pictures:
                brightness["samples"] = [
                    _brightness(frame, metrics.noisy_signals(frame))
                    for frame in (sequence.frames[index] for index in range(len(brightness["on"])))
                ]
                pictures.mkdir(parents=True, exist_ok=True)
                path = pictures / f"{sequence.name}-{denoiser}-"
                strip(sequence, outputs).save(f"{path}strip.webp", quality=85, method=6)
                curve(brightness).save(f"{path}curve.png", optimize=True)
    setup = {
        "denoisers": ",".join(denoisers),
        "size": list(size),
        "frames": frames,
        "samples": samples,
        "device": device,
    }
    return Report("relight", facts, setup, rows)


def reference_frames(frames: int, changes: Collection[int]) -> list[int]:
    """The frame before each of the first few changes, and 0, 1, 2 and 4 frames after it; where nothing changes at once,
    three in the middle and the last three."""
    starts = list(changes)[:_CHANGES]
    wanted = {start + offset for start in starts for offset in (-1, 0, 1, 2, 4)}
    if not wanted:
        wanted = {*range(frames // 2 - 1, frames // 2 + 2), *range(frames - 3, frames)}
    return sorted(index for index in wanted if 0 <= index < frames)


def strip(sequence: Sequence, outputs: Mapping[str, Mapping[int, Arrays]]) -> Picture.Image:
    """The frame before the first change and those after it, side by side: re-lit, not re-lit, and the reference below.
    Where nothing changes at once, the last references."""
    exposure = metrics.exposures(sequence)["composite"]
    references = sequence.reference_frames
    first = sequence.lighting_changes[0] if sequence.lighting_changes else None
    if first is None or first - 1 not in references:
        shown, captions = references[-3:], [f"frame {index}" for index in references[-3:]]
    else:
        shown = [index for index in references if first - 1 <= index <= first + 4]
        captions = ["before" if index < first else f"after +{index - first}" for index in shown]
    lines = []
    for method in (*METHODS, "reference"):
        panels = {}
        for index, caption in zip(shown, captions, strict=True):
            frame = sequence.frames[index]
            signals = metrics.reference_signals(frame) if method == "reference" else outputs[method][index]
            title = method if method == "reference" else f"re-lighting {method}"
            picture = metrics.compose(frame, {**metrics.noisy_signals(frame), **signals})
            panels[f"{title}, {caption}"] = metrics.tonemap(picture, exposure)
        lines.append(np.asarray(captioned(panels)))
    return Picture.fromarray(np.vstack(lines))


def curve(brightness: Mapping[str, list[float]], size: tuple[int, int] = (720, 300)) -> Picture.Image:
    """Mean luminance of the composite over the frames: of the noisy samples, which are right on average, and of what was
    made of them."""
    colours = {"samples": (150, 150, 150), "off": (214, 96, 54), "on": (36, 110, 180)}
    titles = {"samples": "samples (the truth, but noisy)", "off": "re-lighting off", "on": "re-lighting on"}
    scale = 2  # drawn large and reduced: lines get smooth
    width, height = (scale * extent for extent in size)
    left, top, right, bottom = 40 * scale, 28 * scale, width - 12 * scale, height - 28 * scale
    highest = 1.1 * max(max(values) for values in brightness.values()) or 1.0
    count = len(brightness["on"])
    picture = Picture.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(11 * scale)

    def place(index: float, value: float) -> tuple[float, float]:
        return left + (right - left) * index / max(count - 1, 1), bottom - (bottom - top) * value / highest

    draw.line([(left, top), (left, bottom), (right, bottom)], fill="black", width=scale)
    for index in range(0, count, max(count // 14, 1)):
        draw.text((place(index, 0)[0], bottom + 4 * scale), str(index), font=font, fill="black", anchor="ma")
    for part in (0.0, 0.5, 1.0):
        value = part * highest / 1.1
        draw.text((left - 5 * scale, place(0, value)[1]), f"{value:.2g}", font=font, fill="black", anchor="rm")
    for column, (method, colour) in enumerate(colours.items()):
        points = [place(index, value) for index, value in enumerate(brightness[method])]
        draw.line(points, fill=colour, width=2 * scale, joint="curve")
        for x, y in points:
            draw.ellipse((x - 3 * scale, y - 3 * scale, x + 3 * scale, y + 3 * scale), fill=colour)
        draw.text((left + 210 * scale * column, 6 * scale), titles[method], font=font, fill=colour)
    return picture.resize(size, Picture.Resampling.LANCZOS)


def _denoise(sequence: Sequence, name: str, device: str, relight: bool) -> tuple[dict[int, Arrays], list[float]]:
    """The results of the reference frames, and the brightness of all frames up to the last of them."""
    denoiser = create([name], sequence.meta, device, {name: {"relight": relight}})
    outputs, brightness = {}, []
    for index in range(max(sequence.reference_frames) + 1):
        frame = sequence.frames[index]
        signals, _ = denoise_frame(denoiser, frame_inputs(frame, sequence.meta, index))
        brightness.append(_brightness(frame, {**metrics.noisy_signals(frame), **signals}))
        if index in sequence.reference_frames:
            outputs[index] = signals
    return outputs, brightness


def _brightness(frame: Arrays, signals: Arrays) -> float:
    return float(metrics.luminance(metrics.compose(frame, signals)).mean())


def _rows(label: str, score: Mapping[str, Any]) -> dict[str, Row]:
    rows = {}
    for signal in (name for name in ("diff", "spec", "composite") if name in score["signals"]):
        row = {column: score[signal][column] for column in COLUMNS}
        for offset in sorted({lag["offset"] for lag in score["lag"] if signal in lag}):
            lags = [lag[signal] for lag in score["lag"] if lag["offset"] == offset and signal in lag]
            row[f"lag_{offset}" if offset else "lag"] = mean(lags)
        rows[label.format(signal)] = row
    return rows
