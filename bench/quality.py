# SPDX-License-Identifier: Apache-2.0
"""How good denoised sequences are: folders in the native format, or scenes of the testbed, rendered once and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

from denoise import metrics, testbed
from denoise.sequences import (
    Arrays,
    Sequence,
    create,
    denoise_frame,
    fitting,
    frame_inputs,
    open_sequence,
    write_sequence,
)

from . import gpu_arrays, machine
from .gpu_arrays import Library, moved
from .report import Report, Row

SIZE, FRAMES, SAMPLES = (320, 180), 32, 64  # of rendered scenes; samples per pixel of the references


def measure(
    names: Iterable[str],
    *,
    denoisers: Collection[str] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "auto",
    size: tuple[int, int] = SIZE,
    frames: int = FRAMES,
    samples: int = SAMPLES,
    cache: Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Denoises sequences from their first frame on and scores them, the noisy input and the noise of the references.

    names                  folders or names of testbed scenes; none: all scenes
    denoisers              names; none: all that a sequence has inputs for
    settings               denoiser -> setting -> value, over the defaults
    size, frames, samples  of scenes that are rendered
    cache                  where these are kept, default default_cache()

    Rows are "sequence, signal, method" with the columns of denoise.metrics.score, and the lag of the denoised signals
    after each change of light.
    """
    facts = machine.facts()
    rows: dict[str, Row] = {}
    for name in names or testbed.scenes():
        sequence = opened(name, size, frames, samples, cache or default_cache(), progress)
        progress(f"denoising {sequence.name}")
        used = denoisers or fitting(sequence.frames[0], sequence.meta)
        outputs, milliseconds = denoised(sequence, used, device, settings, _library(device))
        scores = {
            "noisy": metrics.score(metrics.noisy_outputs(sequence), sequence),
            "denoised": metrics.score(outputs, sequence),
        }
        if noise := metrics.reference_noise_outputs(sequence):
            scores["ref_noise"] = metrics.score(noise, sequence)
        for signal in (*scores["denoised"]["denoised"], "composite"):
            rows |= {f"{sequence.name}, {signal}, {method}": score[signal] for method, score in scores.items()}
        for lag in scores["denoised"]["lag"]:
            when = f"{lag['offset']} frames after the change at {lag['change']}"
            for signal in (*scores["denoised"]["denoised"], "composite"):
                if signal in lag:
                    rows[f"{sequence.name}, {signal}, {when}"] = {"lag": lag[signal]}
        rows[f"{sequence.name}, a frame"] = {"ms": milliseconds}
    setup = {"denoiser": ",".join(denoisers) or "all", "device": device, "settings": dict(settings or {})}
    return Report("quality", facts, setup, rows)


def default_cache() -> Path:
    """The user's cache folder for this program."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rt-denoise"


def denoised(
    sequence: Sequence,
    denoisers: Collection[str],
    device: str,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    library: Library | None = None,
) -> tuple[dict[int, Arrays], float]:
    """The results of the reference frames, and the median of the milliseconds that a call took.

    library  of the arrays, for a GPU; the call then only queues the frame"""
    denoiser = create(denoisers, sequence.meta, device, settings)
    outputs, times = {}, []
    for index in range(max(sequence.reference_frames) + 1):
        inputs = frame_inputs(sequence.frames[index], sequence.meta, index)
        signals, milliseconds = denoise_frame(denoiser, moved(library, inputs) if library else inputs)
        times.append(milliseconds)
        if index in sequence.reference_frames:
            outputs[index] = {name: library.numpy(a) for name, a in signals.items()} if library else signals
    return outputs, median(times)


def _library(device: str) -> Library | None:
    return gpu_arrays.library(int(device[5:] or 0)) if device.startswith("cuda") else None


def opened(
    name: str,
    size: tuple[int, int],
    frames: int,
    samples: int,
    cache: Path,
    progress: Callable[[str], None],
    references: Callable[[int, list[int]], list[int]] | None = None,
) -> Sequence:
    """The sequence in a folder, or a scene's, rendered unless that was done before.

    references  of a number of frames and the changes of light in them: the frames that get a reference, default
                reference_frames
    """
    if name not in testbed.scenes():
        sequence = open_sequence(name)
        if not sequence.reference_frames:
            raise ValueError(f"{name}: has no reference_frames to compare with")
        return sequence
    changes = [change for change in testbed.get_scene(name).lighting_changes if change < frames]
    wanted = (references or reference_frames)(frames, changes)
    folder = cache / f"{name}-{size[0]}x{size[1]}-{frames}-{samples}-{_digest(wanted)}"
    if not (folder / "sequence.json").exists():
        progress(f"rendering {name} into {folder}")
        sequence = testbed.sequence(name, *size, frames=frames, reference_frames=wanted, reference_samples=samples)
        write_sequence(folder, sequence.meta, sequence.frames.values())
    return open_sequence(folder)


def reference_frames(frames: int, changes: Iterable[int]) -> list[int]:
    """Two frames in the middle, the last three, and some around each change of light: what all scores need."""
    wanted = {frames // 2 - 1, frames // 2, *range(frames - 3, frames)}
    for change in changes:
        wanted |= {change - 1, change, change + 1, change + 3, change + 7}
    return sorted(index for index in wanted if 0 <= index < frames)


def _digest(references: list[int]) -> str:
    """Of the sources of the testbed, too: a scene that was changed is rendered again."""
    sources = sorted(Path(str(testbed.__file__)).parent.glob("*.py"))
    return sha256(b"".join(source.read_bytes() for source in sources) + str(references).encode()).hexdigest()[:12]
