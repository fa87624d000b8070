# SPDX-License-Identifier: Apache-2.0
"""Image quality against references: PSNR, SSIM, FLIP, relative error, energy, temporal error, lag after light changes.

Needs the extra `eval` (scikit-image, flip-evaluator). Images are (H, W, 3) or (H, W), linear unless a function says
"tone-mapped"; masks are (H, W) bool, None = all pixels. `score` applies them to a sequence like this:

    exposure    one per sequence and signal, 0.18 / geometric mean luminance of the references over surfaces;
                `exposure` in sequence.json replaces that of the composite
    tone map    per-channel Reinhard of the exposed value, then the sRGB curve; shadow is clamped to 0..1 instead
    masks       composite: all pixels; diff, spec: surfaces that have that lobe (demodulation factor > 0.001);
                shadow of each light: surfaces turned to it
    mean        over the reference frames; temporal errors over those whose previous frame is one too

PSNR, SSIM and FLIP of noisy demodulated signals are low by nature: the composite is what is seen. Temporal error
counts flicker and lag alike, and a blurred but steady image does well in it: read it beside FLIP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise import materials
from denoise.sequences import Arrays, Sequence, light_array, lights_with

Image = NDArray[Any]
Mask = NDArray[np.bool_]
Scores = dict[str, Any]

LOBES = {"diff": "albedo", "spec": "spec_factor"}  # and what they were divided by
# Every figure of a signal: its title in a table, with where the better lies, and how it is printed.
COLUMNS = {
    "flip": ("FLIP ↓", ".4f"),
    "psnr": ("PSNR ↑", ".2f"),
    "ssim": ("SSIM ↑", ".4f"),
    "relmse": ("relMSE ↓", ".4f"),
    "energy": ("energy → 1", ".3f"),
    "trmse": ("tRMSE ↓", ".4f"),
    "trmse_static": ("static ↓", ".4f"),
    "trmse_warped": ("warped ↓", ".4f"),
}

_MISS = 65504.0
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_MIN_PIXELS = 100  # below this a mask says nothing
_CHANGED = 0.2  # of visibility, more than the noise of references: where it counts for the lag of a shadow


# Display


def luminance(image: Image) -> Image:
    """Rec. 709 luminance of (H, W, 3); (H, W) is returned as it is."""
    return image @ _LUMINANCE if image.ndim == 3 else image


def auto_exposure(reference: Image, mask: Mask | None = None) -> float:
    """0.18 / geometric mean of the luminance, pixels darker than 1e-4 of the mean left out; 1 for a black image."""
    values = _select(luminance(reference), mask)
    values = values[np.isfinite(values)]
    if not values.size or values.max() <= 0:
        return 1.0
    values = values[values > 1e-4 * float(values.mean())]
    return float(0.18 / np.exp(np.mean(np.log(values))))


def tonemap(image: Image, exposure: float = 1.0) -> Image:
    """Per-channel Reinhard x / (1 + x) of the exposed value, then the sRGB curve: float32 in 0..1."""
    x = np.maximum(np.asarray(image, np.float32) * exposure, 0)
    x = x / (1 + x)
    curve = 1.055 * np.power(np.maximum(x, 1e-8), 1 / 2.4) - 0.055
    return np.asarray(np.where(x <= 0.0031308, 12.92 * x, curve), np.float32)


# One image


def psnr(image: Image, reference: Image, mask: Mask | None = None) -> float:
    """10 log10(1 / mean squared error) [dB] of tone-mapped images; infinite for equal ones."""
    error = _mean_square(image, reference, mask)
    return float("inf") if error == 0 else float(10 * np.log10(1 / error))


def ssim(image: Image, reference: Image, mask: Mask | None = None) -> float:
    """Mean of the structural similarity map of the luminance of tone-mapped images, Gaussian window of sigma 1.5."""
    from skimage.metrics import structural_similarity

    options = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    _, similarity = structural_similarity(luminance(image), luminance(reference), **options)  # type: ignore[no-untyped-call]
    return float(_select(similarity, mask).mean())


def flip(image: Image, reference: Image, mask: Mask | None = None) -> float:
    """Mean LDR-FLIP of tone-mapped images at 67 pixels per degree: 0 equal, 1 worst (Andersson et al. 2020)."""
    return float(_select(flip_map(image, reference), mask).mean())


def flip_map(image: Image, reference: Image, colour: bool = False) -> Image:
    """LDR-FLIP per pixel, (H, W) in 0..1, of tone-mapped images; with `colour` its magma picture, (H, W, 3) in 0..1."""
    import flip_evaluator

    reference, image = (_three_channels(np.clip(x, 0, 1)) for x in (reference, image))
    options = {"inputsRGB": True, "applyMagma": colour, "computeMeanError": False}
    errors = np.asarray(flip_evaluator.evaluate(reference, image, "LDR", **options)[0])
    return errors if colour else errors[..., 0]


def relmse(image: Image, reference: Image, mask: Mask | None = None, trim: float = 0.001) -> float:
    """Mean of (x - r)^2 / (r^2 + 0.01) over exposed linear values without the worst share `trim` of the pixels."""
    reference = np.asarray(reference, np.float64)
    errors = (np.asarray(image, np.float64) - reference) ** 2 / (reference**2 + 0.01)
    errors = _select(errors.mean(axis=2) if errors.ndim == 3 else errors, mask)
    kept = max(int(errors.size * (1 - trim)), 1)
    return float(np.partition(errors, kept - 1)[:kept].mean())


def energy(image: Image, reference: Image, mask: Mask | None = None) -> float:
    """Mean / mean of the reference, linear: below 1 darkens, above 1 brightens."""
    mean, expected = (float(_select(x, mask).mean()) for x in (image, reference))
    return mean / max(expected, 1e-9)


# Two consecutive images


def trmse(image: Image, before: Image, reference: Image, reference_before: Image, mask: Mask | None = None) -> float:
    """Root mean square of (image - before) - (reference - reference_before), tone-mapped: change that is not real."""
    change = np.asarray(image, np.float64) - before
    return sqrt(_mean_square(change, np.asarray(reference, np.float64) - reference_before, mask))


def reproject(before: Image, motion: Image) -> Image:
    """The previous image looked up at pixel + motion: bilinear, clamped to the border. motion: (H, W, 2|3) [pixels]."""
    height, width = motion.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x = np.clip(x + motion[..., 0].astype(np.float32), 0, width - 1)
    y = np.clip(y + motion[..., 1].astype(np.float32), 0, height - 1)
    x0 = np.minimum(x.astype(np.int32), max(width - 2, 0))
    y0 = np.minimum(y.astype(np.int32), max(height - 2, 0))
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = x - x0, y - y0
    if before.ndim == 3:
        fx, fy = fx[..., None], fy[..., None]
    top = before[y0, x0] * (1 - fx) + before[y0, x1] * fx
    bottom = before[y1, x0] * (1 - fx) + before[y1, x1] * fx
    return np.asarray(top * (1 - fy) + bottom * fy, np.float32)


def reprojectable(frame: Mapping[str, Image], before: Mapping[str, Image], view_z_sky: float = 1e7) -> Mask:
    """Surfaces that the previous frame saw too: depth within 2 % and the local slope, normal and object agree."""
    motion = np.asarray(frame["motion"], np.float32)
    height, width = motion.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    x, y = (np.rint(p + motion[..., i]).astype(np.int64) for i, p in enumerate((x, y)))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    surface, surface_before = (surfaces(f, view_z_sky) for f in (frame, before))
    depth = np.asarray(frame["view_z"], np.float32)
    expected = depth + (motion[..., 2] if motion.shape[2] > 2 else 0)
    slope = np.hypot(*np.gradient(np.where(surface, depth, 0)))
    tolerance = 0.02 * expected + 1.5 * np.minimum(slope, 0.1 * depth)
    seen = inside & surface & surface_before[y, x] & (np.abs(before["view_z"][y, x] - expected) < tolerance)
    if "normal" in frame and "normal" in before:
        seen &= (np.asarray(frame["normal"], np.float32) * before["normal"][y, x]).sum(axis=2) > 0.9
    if "object_id" in frame and "object_id" in before:
        seen &= frame["object_id"] == before["object_id"][y, x]
    return np.asarray(seen, np.bool_)


def lag(image: Image, reference: Image, old: Image, mask: Mask | None = None) -> float:
    """Share of the old light left after a change: 0 caught up, 1 still the `old` reference, of exposed linear images.

    Least squares: sum w (x - r)(p - r) / sum w (p - r)^2 with p the old reference and w = 1 / (max(r, p) + 0.05)^2.
    It is linear in the image, so that unbiased noise does not move it. Meant for pixels that see the same surface.
    """
    reference, old = np.asarray(reference, np.float64), np.asarray(old, np.float64)
    weight = 1 / (np.maximum(reference, old) + 0.05)
    change = _select((old - reference) * weight, mask)
    error = _select((np.asarray(image, np.float64) - reference) * weight, mask)
    power = float((change * change).sum())
    return float((change * error).sum() / power) if power > 1e-12 else 0.0


# Frames of a sequence


def surfaces(frame: Mapping[str, Image], view_z_sky: float = 1e7) -> Mask:
    """Pixels that show a surface, not the sky."""
    view_z = np.asarray(frame["view_z"], np.float32)
    return np.asarray(np.isfinite(view_z) & (view_z < 0.5 * view_z_sky), np.bool_)


def noisy_signals(frame: Mapping[str, Image]) -> Arrays:
    """The inputs of a frame as if they were results: diff, spec, and a shadow per light: what its ray brought, 0..1."""
    signals = {name: _float(frame[name]) for name in LOBES if name in frame}
    for light in lights_with("shadow_hit", frame):
        colour, hit = (light_array(kind, light) for kind in ("translucency", "shadow_hit"))
        arrived = frame[colour] if colour in frame else frame[hit] >= 0.99 * _MISS
        signals[light_array("shadow", light)] = _float(arrived)
    return signals


def reference_signals(frame: Mapping[str, Image]) -> Arrays:
    """The references of a frame by the name of their signal."""
    names = [*LOBES, *(light_array("shadow", light) for light in lights_with("ref_shadow", frame))]
    return {name: _float(frame[f"ref_{name}"]) for name in names if f"ref_{name}" in frame}


def reference_noise(frame: Mapping[str, Image], seed: int) -> Arrays:
    """The references with Gaussian noise of their stored standard error: the floor below which scores mean nothing."""
    random = np.random.default_rng(seed)
    signals = reference_signals(frame)
    for name in ("diff", "spec"):
        if name in signals and f"se_{name}" in frame:
            level = luminance(signals[name])
            noise = random.standard_normal(level.shape).astype(np.float32) * _float(frame[f"se_{name}"])
            signals[name] = signals[name] * np.maximum(1 + noise / np.maximum(level, 1e-6), 0)[..., None]
    return signals


def compose(frame: Mapping[str, Image], signals: Mapping[str, Image]) -> Image:
    """`materials.compose` of the signals of a frame, float32 (H, W, 3); what is absent counts 0."""
    black = np.zeros((*frame["view_z"].shape, 3), np.float32)
    factors = {name: _float(frame[factor]) for name, factor in _factors(frame).items() if name in signals}
    given = {name: _float(signals[name]) for name in factors}
    return np.asarray(
        materials.compose(
            emission=_float(frame.get("emission", black)),
            diffuse=given.get("diff"),
            albedo=factors.get("diff"),
            specular=given.get("spec"),
            specular_factor=factors.get("spec"),
            lights=[(factors[name], given[name]) for name in given if name not in LOBES],
        )
    )


def exposures(sequence: Sequence) -> dict[str, float]:
    """Exposure of each signal and of the composite, from about four of the sequence's reference frames."""
    indices = sequence.reference_frames
    found: dict[str, list[float]] = {}
    for index in indices[:: max(1, len(indices) // 4)]:
        frame = sequence.frames[index]
        surface = surfaces(frame, sequence.view_z_sky)
        for name, image in _reference_images(frame).items():
            found.setdefault(name, []).append(auto_exposure(image, surface))
    result = {name: float(np.exp(np.mean(np.log(values)))) for name, values in found.items()}
    result |= {name: 1.0 for name in result if _is_shadow(name)}
    return {**result, "composite": float(sequence.meta.get("exposure", result["composite"]))}


def noisy_outputs(sequence: Sequence) -> dict[int, Arrays]:
    """What `score` takes as the noisy input itself: reference frames without any result."""
    return {index: {} for index in sequence.reference_frames}


def reference_noise_outputs(sequence: Sequence) -> dict[int, Arrays]:
    """References with their own noise as results for `score`; empty if the sequence stores no standard errors."""
    frames = ((index, sequence.frames[index]) for index in sequence.reference_frames)
    return {i: reference_noise(f, seed=1000 + i) for i, f in frames if "se_diff" in f or "se_spec" in f}


# A sequence


def score(outputs: Mapping[int, Mapping[str, Image]], sequence: Sequence) -> Scores:
    """Score results against the references of a sequence.

    outputs   frame number -> any of diff, spec, shadow, shadow_NAME; a signal that is absent is scored as the noisy
              input
    sequence  with reference frames, ValueError without

    Returns `frames` (how many were scored) and `missing` (reference frames that outputs lack), `denoised` (the signals
    that were in outputs), `bad_values` (how many were negative or not finite; they count as 0), `exposure` per signal;
    `signals`: diff, spec, shadow of the sun, shadow_NAME of other lights, composite, as far as there are references;
    then for each of them a dict of `COLUMNS`, where None stands for "no such pixels or frames" and for an infinite
    PSNR; frames whose reference is black have temporal scores only; and `lag`, one row per frame after a change of
    light: {change, frame, offset, and the lag of each signal}. The lag of a shadow is that of the pixels whose
    visibility changed by more than 0.2 on the surface that was seen before; with 100 of them or fewer it has none.
    """
    if not sequence.reference_frames:
        raise ValueError(f"{sequence.name}: has no reference_frames to compare with")
    exposure = exposures(sequence)
    rows: dict[str, list[dict[str, float]]] = {}
    result: Scores = {"frames": 0, "missing": [], "denoised": set(), "bad_values": 0, "exposure": exposure}
    lags: list[dict[str, Any]] = []
    old: dict[int, tuple[Arrays, dict[str, _Pair]]] = {}
    before: tuple[int, Arrays, dict[str, _Pair]] | None = None
    for index in sequence.reference_frames:
        if index not in outputs:
            result["missing"].append(index)
            continue
        frame = sequence.frames[index]
        try:
            signals, bad_values = _clean(outputs[index], frame)
        except ValueError as error:
            raise ValueError(f"frame {index}: {error}") from None
        result["frames"] += 1
        result["bad_values"] += bad_values
        result["denoised"] |= signals.keys()
        pairs = _pairs(frame, {**noisy_signals(frame), **signals}, exposure, sequence.view_z_sky)
        for name, pair in pairs.items():
            rows.setdefault(name, []).append(_spatial_scores(pair))
        if before is not None and before[0] == index - 1:
            for name, scores in _temporal_scores(frame, pairs, *before[1:], sequence.view_z_sky).items():
                rows[name][-1].update(scores)
        before = index, frame, pairs
        for change, following in pairwise([*sequence.lighting_changes, sequence.num_frames]):
            if index < change:
                old[change] = frame, pairs
            elif change in old and index < following:
                row = {"change": change, "frame": index, "offset": index - change}
                lags.append({**row, **_lags(frame, pairs, *old[change], sequence.view_z_sky)})
    means = {name: _means(scores) for name, scores in rows.items()}
    return {**result, "denoised": sorted(result["denoised"]), "signals": list(means), **means, "lag": lags}


@dataclass(frozen=True)
class _Pair:
    """One signal of one frame and its reference: exposed and linear, and tone-mapped with 0 outside the mask."""

    image: Image
    reference: Image
    shown: Image
    shown_reference: Image
    mask: Mask | None
    surface: Mask | None  # the looser mask of temporal scores; None = all pixels, like `mask`


def _pairs(
    frame: Mapping[str, Image], signals: Mapping[str, Image], exposure: Mapping[str, float], view_z_sky: float
) -> dict[str, _Pair]:
    surface = surfaces(frame, view_z_sky)
    images = {**signals, "composite": compose(frame, signals)}
    pairs = {}
    for name, reference in _reference_images(frame).items():
        mask = None if name == "composite" else _signal_mask(name, frame, surface)
        if name not in images or (mask is not None and not mask.any()):
            continue
        exposed = [x * exposure[name] for x in (images[name], reference)]
        shown = [np.clip(x, 0, 1) if _is_shadow(name) else tonemap(x) for x in exposed]
        if mask is not None:
            shown = [np.where(mask[..., None] if x.ndim == 3 else mask, x, 0) for x in shown]
        pairs[name] = _Pair(exposed[0], exposed[1], shown[0], shown[1], mask, None if mask is None else surface)
    return pairs


def _is_shadow(name: str) -> bool:
    return name.split("_")[0] == "shadow"


def _factors(frame: Mapping[str, Image]) -> dict[str, str]:
    """Signal -> what the composite multiplies it with, as far as the frame has that."""
    lights = lights_with("unshadowed", frame)
    shadows = {light_array("shadow", light): light_array("unshadowed", light) for light in lights}
    return {name: factor for name, factor in (LOBES | shadows).items() if factor in frame}


def _signal_mask(name: str, frame: Mapping[str, Image], surface: Mask) -> Mask:
    factor = _factors(frame).get(name)
    if factor is None:
        return surface
    mask = surface & (frame[factor].max(axis=2) > (0 if _is_shadow(name) else 1e-3))
    return mask if mask.sum() > _MIN_PIXELS else surface


def _spatial_scores(pair: _Pair) -> dict[str, float]:
    if not pair.reference.any():
        return {}
    shown = pair.shown, pair.shown_reference, pair.mask
    linear = pair.image, pair.reference, pair.mask
    scores = {"flip": flip(*shown), "psnr": psnr(*shown), "ssim": ssim(*shown)}
    return {**scores, "relmse": relmse(*linear), "energy": energy(*linear)}


def _temporal_scores(
    frame: Arrays, pairs: Mapping[str, _Pair], before: Arrays, pairs_before: Mapping[str, _Pair], view_z_sky: float
) -> dict[str, dict[str, float]]:
    unknown = np.zeros((*frame["view_z"].shape, 2), np.float32)
    motion = np.asarray(frame.get("motion", unknown), np.float32)
    seen = reprojectable(frame, before, view_z_sky) if "motion" in frame else np.zeros(motion.shape[:2], np.bool_)
    still = seen & (np.hypot(motion[..., 0], motion[..., 1]) < 0.25)
    result = {}
    for name in pairs.keys() & pairs_before.keys():
        now, then = pairs[name], pairs_before[name]
        shown, reference = then.shown, then.shown_reference
        scores = {"trmse": trmse(now.shown, shown, now.shown_reference, reference, now.surface)}
        if still.sum() > _MIN_PIXELS:
            scores["trmse_static"] = trmse(now.shown, shown, now.shown_reference, reference, still)
        if seen.sum() > _MIN_PIXELS:
            shown, reference = reproject(shown, motion), reproject(reference, motion)
            scores["trmse_warped"] = trmse(now.shown, shown, now.shown_reference, reference, seen)
        result[name] = scores
    return result


def _lags(
    frame: Arrays, pairs: Mapping[str, _Pair], old_frame: Arrays, old_pairs: Mapping[str, _Pair], view_z_sky: float
) -> dict[str, float]:
    """The lag of each signal."""
    still = {**frame, "motion": np.zeros((*frame["view_z"].shape, 2), np.float32)}
    same = reprojectable(still, old_frame, view_z_sky)
    lags = {}
    for name in sorted(pairs.keys() & old_pairs.keys()):
        now, old = pairs[name], old_pairs[name]
        mask = now.surface
        if _is_shadow(name):
            change = np.abs(now.reference - old.reference)
            changed = (change.max(axis=2) if change.ndim == 3 else change) > _CHANGED
            mask = changed & same if now.mask is None else changed & same & now.mask
            if mask.sum() <= _MIN_PIXELS:
                continue
        lags[name] = lag(now.image, now.reference, old.reference, mask)
    return lags


def _means(rows: list[dict[str, float]]) -> dict[str, float | None]:
    means = {}
    for column in COLUMNS:
        values = [row[column] for row in rows if column in row]
        means[column] = float(np.mean(values)) if values and np.isfinite(values).all() else None
    return means


def _reference_images(frame: Mapping[str, Image]) -> Arrays:
    references = reference_signals(frame)
    colour = _float(frame["ref_color"]) if "ref_color" in frame else compose(frame, references)
    return {**references, "composite": colour}


def _clean(signals: Mapping[str, Image], frame: Mapping[str, Image]) -> tuple[Arrays, int]:
    """The signals with 0 for values that are negative or not finite, and how many those were."""
    cleaned, count = {}, 0
    inputs = {**reference_signals(frame), **noisy_signals(frame)}
    shapes = dict.fromkeys(LOBES, (*frame["view_z"].shape, 3)) | {name: image.shape for name, image in inputs.items()}
    for name, shape in shapes.items():
        if name in signals:
            image = _float(signals[name])
            if image.shape != shape:
                raise ValueError(f"{name}: expected {shape}, got {image.shape}")
            good = np.isfinite(image) & (image >= 0)
            count += int(image.size - good.sum())
            cleaned[name] = np.where(good, image, 0)
    return cleaned, count


def _float(image: Image) -> Image:
    return np.ascontiguousarray(image, np.float32)


def _three_channels(image: Image) -> Image:
    return _float(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))


def _select(image: Image, mask: Mask | None) -> Image:
    return image.ravel() if mask is None else image[mask]


def _mean_square(a: Image, b: Image, mask: Mask | None) -> float:
    return float(_select((np.asarray(a, np.float64) - b) ** 2, mask).mean())
