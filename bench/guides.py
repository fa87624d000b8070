# SPDX-License-Identifier: Apache-2.0
"""What each missing input costs: sequences with an input withheld, and replaced as `denoise.sequences.guides` does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from math import atan, degrees
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise import metrics
from denoise.sequences import Arrays, Sequence, create, denoise_frame, frame_inputs
from denoise.sequences.find_cameras import camera_from_position, cameras_from_motion
from denoise.sequences.guides import Substitutes, complete, one_signal
from denoise.sequences.view import View

from . import machine, quality
from .report import Report, Row

DENOISERS = ("reblur", "relax")
COLUMNS = ("flip", "psnr", "trmse", "trmse_warped", "energy")


DEFAULT = Substitutes()


@dataclass(frozen=True)
class Mode:
    """An input that is withheld, and what takes its place.

    without  arrays that the files lack
    how      what `complete` does about it; None: nothing, the denoiser gets what is left
    change   of the arrays of a frame, beside that: (arrays, view) -> arrays
    cameras  of a sequence, in place of its own
    """

    without: Collection[str] = ()
    how: Substitutes | None = DEFAULT
    change: Callable[[Arrays, View], Arrays] = lambda arrays, view: arrays
    cameras: Callable[[Sequence], list[Any]] | None = None


def _two_channels(arrays: Arrays, view: View) -> Arrays:
    return {**arrays, "motion": arrays["motion"][..., :2]}


def _picture(arrays: Arrays, view: View) -> Arrays:
    """Everything in one noisy picture, as a renderer has it that knows no lobes."""
    color = metrics.compose(arrays, metrics.noisy_signals(arrays))
    kept = {k: v for k, v in arrays.items() if not k.startswith(("diff", "spec", "shadow", "sun", "unshadowed"))}
    return {**kept, "color": color}


def _both_albedos(arrays: Arrays, view: View) -> Arrays:
    albedo = arrays["albedo"].astype(np.float32) + arrays["spec_factor"]
    return {**_picture(arrays, view), "albedo": albedo}


def _as_diffuse(arrays: Arrays, view: View) -> Arrays:
    picture = _both_albedos(arrays, view)
    parts = one_signal(picture, view)
    kept = {k: v for k, v in picture.items() if k != "roughness"}
    return {**kept, "diff": parts["spec"], "albedo": parts["spec_factor"], "emission": parts["emission"]}


def _no_albedo(arrays: Arrays, view: View) -> Arrays:
    return {k: v for k, v in _picture(arrays, view).items() if k not in ("albedo", "emission")}


def _position(arrays: Arrays, view: View) -> NDArray[np.float32]:
    surface = view.is_surface(arrays["view_z"])[..., None]
    return np.where(surface, view.to_world(view.points(arrays["view_z"])), 0).astype(np.float32)


def _from_position(sequence: Sequence) -> list[Any]:
    views = map(_view, [sequence] * sequence.num_frames, range(sequence.num_frames))
    return [camera_from_position(_position(sequence.frames[i], view)) for i, view in enumerate(views)]


def _from_motion(sequence: Sequence, zoom: float = 1) -> list[Any]:
    lens = float(sequence.meta["cameras"][0]["view_to_clip"][1][1])
    angle = degrees(2 * atan(zoom / abs(lens)))
    return list(cameras_from_motion((sequence.frames[i] for i in range(sequence.num_frames)), angle))


def _standing_still(sequence: Sequence) -> list[Any]:
    """The right lens, but never turned or moved: what one would make up."""
    lens = sequence.meta["cameras"][0]["view_to_clip"]
    return [{"world_to_view": np.eye(4).tolist(), "view_to_clip": lens}] * sequence.num_frames


_PARTS = ("albedo", "spec_factor", "emission", "diff", "spec")
_HITS = ("diff_hit", "spec_hit")
MODES = {
    "everything given": Mode(how=None),
    "hit distances: rays on screen": Mode(_HITS),
    "hit distances: constant": Mode(_HITS, Substitutes(hit_distance="constant")),
    "hit distances: none": Mode(_HITS, None),
    "roughness: 0.3": Mode(("roughness",)),
    "roughness: 0.5": Mode(("roughness",), Substitutes(roughness=0.5)),
    "motion: cameras and object ids": Mode(("motion",)),
    "motion: cameras": Mode(("motion",), None),
    "third of motion: previous depth": Mode(change=_two_channels),
    "third of motion: none": Mode(how=None, change=_two_channels),
    "normals: from depth": Mode(("normal",)),
    "material ids: none": Mode(("material_id",), None),
    "cameras: from position": Mode(how=None, cameras=_from_position),
    "cameras: from motion": Mode(how=None, cameras=_from_motion),
    "cameras: from motion, lens 20 % off": Mode(how=None, cameras=lambda sequence: _from_motion(sequence, 1.2)),
    "cameras: made up": Mode(how=None, cameras=_standing_still),
    "lobes: one picture, both albedos": Mode(change=_both_albedos),
    "lobes: one picture, diffuse albedo": Mode(change=_picture),
    "lobes: one picture, no albedo": Mode(change=_no_albedo),
    "lobes: one picture, no roughness": Mode(("roughness",), change=_both_albedos),
    "lobes: one picture, as diffuse": Mode(change=_as_diffuse),
    "as Blender: no hits, roughness, third": Mode((*_HITS, "roughness"), change=_two_channels),
}


def measure(
    names: Iterable[str],
    *,
    modes: Collection[str] = (),
    denoisers: Collection[str] = DENOISERS,
    device: str = "auto",
    size: tuple[int, int] = quality.SIZE,
    frames: int = quality.FRAMES,
    samples: int = quality.SAMPLES,
    cache: Path | None = None,
    pictures: Path | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Denoises sequences from their first frame on once for each missing input, and scores the results.

    names                  folders or names of testbed scenes; none: "room" and "motion"
    modes                  texts that the names of MODES begin with; none: all
    denoisers              of the lobes; shadows are SIGMA's
    size, frames, samples  of scenes that are rendered
    cache                  where these are kept, default quality.default_cache()
    pictures               a folder for SEQUENCE-DENOISER-NUMBER.png: noisy, denoised, reference, difference, by lobe

    Rows are "denoiser, signal, mode": means over the sequences. What has no lobes has the composite only; what cannot be
    done for a sequence, such as a camera from positions in one plane, is left out.
    """
    chosen = {name: mode for name, mode in MODES.items() if not modes or name.startswith(tuple(modes))}
    if not chosen:
        raise ValueError(f"mode: expected the beginning of one of {', '.join(MODES)}, got {', '.join(modes)}")
    facts = machine.facts()
    found: dict[str, list[Row]] = {}
    measured = []
    for name in list(names) or ["room", "motion"]:
        sequence = quality.opened(name, size, frames, samples, cache or quality.default_cache(), progress)
        measured.append(sequence.name)
        sequence = Sequence(sequence.meta, {i: sequence.frames[i] for i in range(sequence.num_frames)})
        for number, (title, mode) in enumerate(chosen.items()):
            progress(f"{sequence.name}, {title}")
            try:
                given, scored, meta = _prepared(sequence, mode)
            except ValueError as error:
                progress(f"{sequence.name}, {title}: left out: {error}")
                continue
            for denoiser in denoisers:
                outputs = _denoise(sequence, given, meta, denoiser, device)
                scores = metrics.score(outputs, scored)
                for signal in scores["signals"]:
                    row = {column: scores[signal].get(column) for column in COLUMNS}
                    found.setdefault(f"{denoiser}, {signal}, {title}", []).append(row)
                if pictures:
                    _draw(pictures / f"{sequence.name}-{denoiser}-{number:02d}.png", title, outputs, scored)
    order = [f"{d}, {s}, {m}" for d in denoisers for s in ("diff", "spec", "shadow", "composite") for m in chosen]
    rows = {key: _mean(found[key]) for key in order if key in found}
    setup = {"sequences": ",".join(measured), "denoisers": ",".join(denoisers), "device": device}
    return Report("guides", facts, setup, rows)


def _view(sequence: Sequence, index: int) -> View:
    return View(sequence.meta["cameras"][index], sequence.width, sequence.height)


def _prepared(sequence: Sequence, mode: Mode) -> tuple[list[Arrays], Sequence, dict[str, Any]]:
    """The frames that the denoiser gets, the sequence that its results are scored by, and the description it gets."""
    meta = dict(sequence.meta)
    if mode.cameras:
        meta["cameras"] = mode.cameras(sequence)
    frames, scored = [], dict(sequence.frames)
    previous: Arrays | None = None
    for index in range(max(sequence.reference_frames) + 1):
        whole = dict(sequence.frames[index])
        left = mode.change({k: v for k, v in whole.items() if k not in mode.without}, _view(sequence, index))
        frames.append(complete(left, meta, index, previous, mode.how) if mode.how else left)
        previous = left
        if "color" in left:  # what there is to score is the picture, put together from its own factors
            signals = ("diff", "spec", "shadow", "ref", "se", "sun", "unshadowed")
            kept = {k: v for k, v in whole.items() if not k.startswith((*signals, "albedo"))}
            factors = {k: v for k, v in frames[-1].items() if k in _PARTS}
            scored[index] = {**kept, **factors}
            if index in sequence.reference_frames:
                composed = metrics.compose(whole, metrics.reference_signals(whole))
                scored[index]["ref_color"] = whole.get("ref_color", composed)
    return frames, Sequence(sequence.meta, scored), meta


def _denoise(
    sequence: Sequence, given: list[Arrays], meta: Mapping[str, Any], denoiser: str, device: str
) -> dict[int, Arrays]:
    shadows = ["sigma"] if sequence.lights and "shadow_hit" in given[0] else []
    pipeline = create([denoiser, *shadows], meta, device)
    results = {}
    for index, arrays in enumerate(given):
        signals, _ = denoise_frame(pipeline, frame_inputs(arrays, meta, index))
        if index in sequence.reference_frames:
            results[index] = signals
    return results


def _mean(rows: list[Row]) -> dict[str, float | None]:
    columns = {column: [value for row in rows if (value := row[column]) is not None] for column in COLUMNS}
    return {column: mean(values) if values else None for column, values in columns.items()}


def _draw(path: Path, title: str, outputs: Mapping[int, Arrays], sequence: Sequence) -> None:
    from PIL import Image

    from denoise.demo import captioned

    index = sequence.reference_frames[-1]
    frame, exposure = sequence.frames[index], metrics.exposures(sequence)
    lines = []
    noisy, clean = metrics.noisy_signals(frame), {**metrics.noisy_signals(frame), **outputs[index]}
    references = metrics.reference_signals(frame)
    references["composite"] = frame.get("ref_color", metrics.compose(frame, references))
    for signal in ("diff", "spec", "composite"):
        if (reference := references.get(signal)) is None:
            continue
        images = [metrics.compose(frame, s) if signal == "composite" else s[signal] for s in (noisy, clean)]
        shown = [metrics.tonemap(image, exposure[signal]) for image in (*images, reference)]
        difference = np.clip(0.5 + 2 * (shown[1] - shown[2]), 0, 1)
        captions = (f"{signal}, noisy", title, "reference", "difference x 2")
        lines.append(np.asarray(captioned(dict(zip(captions, (*shown, difference), strict=True)))))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(lines)).save(path)
