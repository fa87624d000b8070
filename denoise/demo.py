# SPDX-License-Identifier: Apache-2.0
"""The demo: renders an animated scene at 1 ray per pixel, denoises it as a game would, shows and measures the result.

Needs the extra `demo` (numba, pillow, scikit-image, flip-evaluator).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw

from denoise import metrics, testbed
from denoise.overlay import label
from denoise.sequences import Arrays, Sequence, choose, create, denoise_frame, fitting, frame_inputs, write_json

REFERENCES = 2  # the least that temporal errors need
REFERENCE_SAMPLES = 96  # they take most of the time

Image = NDArray[Any]  # (H, W, 3)


@dataclass(frozen=True)
class Demo:
    """What the demo found out, and where its pictures are."""

    scores: dict[str, metrics.Scores]  # of "noisy", "denoised" and "ref_noise", the noise left in the references
    ms_per_frame: float
    device: str
    strip: Path
    animation: Path
    figures: Path


def demo(
    out: str | Path = "denoise-demo",
    *,
    scene: str | None = None,
    size: tuple[int, int] = (480, 270),
    frames: int = 48,
    denoiser: str | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Demo:
    """Render, denoise, and write strip.png, animation.webp and metrics.json into the folder `out`.

    scene     a name of testbed.scenes(), default the first
    size      width and height in pixels
    frames    how many; the last ones are compared with references
    denoiser  names of sequences.run.DENOISERS, separated by commas; by default, all that the scene has signals for
    seed      of the noise
    progress  called with the rays per pixel traced so far and in all, over all frames

    Raises ValueError for arguments that are out of range or unknown.
    """
    if min(size) < 16 or frames < 1:
        raise ValueError(f"size, frames: expected at least 16x16 and 1, got {size[0]}x{size[1]} and {frames}")
    names = choose(denoiser.split(",")) if denoiser else []
    scene = scene or testbed.scenes()[0]
    references = range(max(frames - REFERENCES, 0), frames)
    sequence = testbed.sequence(
        scene, *size, frames=frames, reference_frames=references, reference_samples=REFERENCE_SAMPLES, seed=seed
    )
    stream = iter(sequence.frames.items())
    first = next(stream)
    names = names or fitting(first[1], sequence.meta)
    worker = create(names, sequence.meta, device)
    kept: dict[int, Arrays] = {}
    results: dict[int, Arrays] = {}
    pairs: list[tuple[Image, Image]] = []
    times: list[float] = []
    for index, frame in chain([first], stream):
        signals, milliseconds = denoise_frame(worker, frame_inputs(frame, sequence.meta, index))
        noisy = metrics.noisy_signals(frame)
        pairs.append((metrics.compose(frame, noisy), metrics.compose(frame, {**noisy, **signals})))
        times.append(milliseconds)
        if index in references:
            kept[index], results[index] = frame, signals
        progress(index + 1 + REFERENCE_SAMPLES * len(kept), frames + REFERENCE_SAMPLES * len(references))

    measured = Sequence(sequence.meta, kept)
    scores = {
        "noisy": metrics.score(metrics.noisy_outputs(measured), measured),
        "denoised": metrics.score(results, measured),
        "ref_noise": metrics.score(metrics.reference_noise_outputs(measured), measured),
    }
    exposure = scores["noisy"]["exposure"]["composite"]
    pairs = [(metrics.tonemap(noisy, exposure), metrics.tonemap(clean, exposure)) for noisy, clean in pairs]
    reference = metrics.tonemap(kept[references[-1]]["ref_color"], exposure)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    files = (folder / "strip.png", folder / "animation.webp", folder / "metrics.json")
    found = Demo(scores, median(times), str(worker.device), *files)
    _save_strip(found.strip, *pairs[-1], reference)
    _save_animation(found.animation, pairs, sequence.meta["fps"])
    made_with = {"scene": scene, "size": size, "frames": frames, "seed": seed, "denoiser": ",".join(names)}
    timing = {"device": found.device, "ms_per_frame": round(found.ms_per_frame, 3)}
    write_json(found.figures, {**made_with, **timing, "reference_samples": REFERENCE_SAMPLES, "scores": scores})
    return found


def _save_strip(path: Path, noisy: Image, denoised: Image, reference: Image) -> None:
    error = metrics.flip_map(denoised, reference, colour=True)
    panels = {"1 ray per pixel": noisy, "denoised": denoised, "reference": reference, "error (FLIP)": error}
    captioned(panels).save(path)


def _save_animation(path: Path, pairs: list[tuple[Image, Image]], fps: float) -> None:
    """An animated WebP: every browser plays it, and where a GIF has 256 colours it is a quarter of the size."""
    first, *others = (captioned({"1 ray per pixel": noisy, "denoised": denoised}) for noisy, denoised in pairs)
    first.save(path, save_all=True, append_images=others, duration=round(1000 / fps), loop=0, quality=80, method=2)


def captioned(panels: Mapping[str, Image]) -> Picture.Image:
    """Pictures side by side, each with its caption."""
    picture = Picture.fromarray((np.hstack(list(panels.values())) * 255 + 0.5).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for index, caption in enumerate(panels):
        label(pen, (index * picture.width // len(panels) + 6, 4), caption, max(10, picture.height // 18))
    return picture
