# SPDX-License-Identifier: Apache-2.0
"""What frames cost on an NVIDIA GPU, against what its memory allows, and beside others on the same card in the same run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

import denoise as dn
from denoise import metrics
from denoise.sequences import Sequence as Frames
from denoise.sequences import fitting

from . import gpu_arrays, gpu_peers, machine, quality
from .denoisers import SIZES as ALL_SIZES
from .frames import ANYTHING, LOBES, SIGNALS, Inputs, Motion, make_frames
from .gpu_arrays import Library, moved
from .measure import WARM_UP, Subject, spread
from .passes import FRAME, page_bytes
from .report import COLUMNS, Report, Row, cell, show_table

SIZES = {name: ALL_SIZES[name] for name in ("1080p", "1440p", "2160p")}
# Family -> what is in its frames.
FAMILIES = {
    "reblur": LOBES,
    "relax": LOBES,
    "sigma": ("shadow",),
    "reblur+sigma": SIGNALS,
    "reference": ANYTHING,
}
# What we want on an H100: row -> column -> at most, or of a share at least.
GOALS = {
    "1440p, reblur, whole frame": ("ms", 0.6),
    "1440p, relax, whole frame": ("ms", 0.6),
    "1440p, sigma, whole frame": ("ms", 0.1),
    "1440p, reblur, temporal_accumulation.both": ("ceiling_share", 0.7),
    "1440p, relax, temporal_accumulation.both": ("ceiling_share", 0.7),
    "a call, reblur, its native part": ("us", 30.0),
    "a call, reblur, through Python": ("us", 150.0),
}
RUNS = 32  # of all that is timed
CEILING_BYTES = 512 << 20  # of each array that is copied or read: ten times the largest cache of today's GPUs

_TINY = (16, 1)  # next to nothing to denoise: what is left is the call
_AHEAD = 8  # frames queued in a row, behind copies that keep the GPU busy until they are
_BLEND_CAP = 30.0


Result = TypeVar("Result")


class NothingToMeasure(Exception):
    """There is no GPU, or nothing to reach it by; says why."""


def measure(
    sizes: Mapping[str, tuple[int, int]] = SIZES,
    families: Iterable[str] = tuple(FAMILIES),
    *,
    device: str = "cuda",
    library: str | None = None,
    motion: Motion = "moving",
    warm_up: int = WARM_UP,
    runs: int = RUNS,
    peers: bool = True,
    sequences: Iterable[Frames] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> Report:
    """Times every pass and the whole frame of each family at each size; what a call costs the host; others; quality.

    device     "cuda" or "cuda:N"
    library    "cupy" or "torch", whose arrays are denoised; None: the first that is installed
    peers      also time what others make of the same images, as far as they are installed
    sequences  with references: denoised on the GPU and on the CPU, and scored

    Passes are timed by `Denoiser.timings()`; bytes are those of `describe()`, each texel of each image read or written
    once, and `ceiling_share` is their GB/s by that of copying memory on the same GPU in the same run; what a cache holds,
    as of small pictures, may come out above 1. The whole frame is the graph without events between its passes, eight
    frames queued at a time while the GPU is still busy with copies, so that it never waits for the host. The host's part
    is the wall time of a call on a picture of 16 x 1 pixels.

    Raises NothingToMeasure where there is no usable GPU, or neither cupy nor torch.
    """
    facts = machine.facts()
    where, arrays = _found(device, library)
    facts |= _gpu_facts(where)
    brake = [arrays.array(np.full(CEILING_BYTES // 4, value, np.float32)) for value in (0, 1)]
    ceilings = measure_ceilings(arrays, *brake)
    left_out: dict[str, str] = {}  # others, and why
    rows: dict[str, Row] = {}
    for size, (width, height) in sizes.items():
        frames: dict[tuple[str, ...], list[Inputs]] = {}
        for family in families:
            progress(f"{size}, {family}")
            signals = FAMILIES[family]
            if signals not in frames:
                plain = make_frames(width, height, motion, signals)
                frames[signals] = [moved(arrays, frame) for frame in plain]
            subject = _subject(family, frames[signals], where.name)
            subject.warm_up(warm_up)
            for name, row in _frame(arrays, subject, runs, ceilings["copy_gb_per_s"], brake).items():
                rows[f"{size}, {family}, {name}"] = row
        if peers:
            progress(f"{size}, others")
            others = _yardsticks(arrays, width, height, runs, ceilings["copy_gb_per_s"], left_out)
            others |= _peers(width, height, runs, left_out)
            rows |= {f"{size}, {name}": row for name, row in others.items()}
    for family in families:
        progress(f"calls of {family}")
        subject = _tiny(arrays, family, where.name)
        for name, times in _calls(arrays, subject, runs).items():
            rows[f"a call, {family}, {name}"] = spread("us", times)
    for sequence in sequences:
        progress(f"quality of {sequence.name}")
        rows |= _quality(sequence, arrays, where.name, gpu_peers.PEERS if peers else {}, left_out)
    setup = {
        "device": str(where),
        "library": arrays.name,
        "sizes": " ".join(sizes),
        "camera": motion,
        "warm_up": warm_up,
        "runs": runs,
        **{name: round(value, 1) for name, value in ceilings.items()},
        **(gpu_peers.versions() if peers else {}),
        **{f"without {name}": why for name, why in left_out.items()},
    }
    return Report("gpu", facts, setup, rows)


def measure_ceilings(library: Library, target: Any, source: Any, runs: int = 20) -> dict[str, float]:
    """GB/s of copying memory (bytes read and bytes written both count) and of reading it, by the library's own copy and
    sum of float32 arrays; the best of `runs`."""
    amount = 4 * len(source) / 1e6
    copies = _timed(library, lambda: library.copy(target, source), runs)
    reads = _timed(library, lambda: library.total(source), runs)
    return {"copy_gb_per_s": 2 * amount / min(copies), "read_gb_per_s": amount / min(reads)}


def _found(device: str, library: str | None) -> tuple[dn.Device, Library]:
    try:
        where = dn.Sigma(*_TINY, device=device).device
    except dn.DeviceError as error:
        raise NothingToMeasure(f"no GPU to measure: {str(error).removeprefix('device: ')}") from None
    try:
        return where, gpu_arrays.library(int(where.name.partition(":")[2]), library)
    except ImportError as error:
        raise NothingToMeasure(f"cannot measure {where.name}: {error}") from None


def _gpu_facts(where: dn.Device) -> dict[str, str]:
    """Name, driver, clocks and power limit, as far as nvidia-smi tells."""
    asked = ("driver_version", "clocks.max.sm", "clocks.max.memory", "power.limit", "temperature.gpu")
    facts = {"gpu": where.detail}
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", f"--id={where.name[5:]}", f"--query-gpu={','.join(asked)}", "--format=csv,noheader"]
        with suppress(OSError, subprocess.SubprocessError, ValueError):
            answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
            facts |= {f"gpu {name}": fact.strip() for name, fact in zip(asked, answer.split(","), strict=True)}
    return facts


def _timed(library: Library, work: Callable[[], Any], runs: int) -> list[float]:
    """Milliseconds on the GPU of each of some runs, after one that warms up."""
    work()
    marks = [(library.mark(), work(), library.mark()) for _ in range(runs)]
    return [library.milliseconds(first, last) for first, _, last in marks]


def _row(ms: Sequence[float], pixels: int, ceiling: float, bytes_per_pixel: float | None) -> dict[str, float]:
    found = spread("ms", ms)
    found["ns_per_pixel"] = found["ms"] * 1e6 / pixels
    if bytes_per_pixel is not None:
        found["bytes_per_pixel"] = bytes_per_pixel
        found["gb_per_s"] = bytes_per_pixel / found["ns_per_pixel"]
        found["ceiling_share"] = found["gb_per_s"] / ceiling
    return found


def _frame(library: Library, subject: Subject, runs: int, ceiling: float, brake: Sequence[Any]) -> dict[str, Row]:
    """The whole frame, and then its passes: the events between these cost a little."""
    whole: list[float] = []
    while len(whole) < runs:
        library.synchronize()
        for _ in range(8):
            library.copy(*brake)
        marks = [library.mark()]
        for _ in range(_AHEAD):
            subject.call()
            marks.append(library.mark())
        whole += [library.milliseconds(*pair) for pair in pairwise(marks)]
    traffic = page_bytes(subject.denoiser.describe())
    samples = _passes(subject, runs)
    row = partial(_row, pixels=subject.pixels, ceiling=ceiling)
    rows: dict[str, Row] = {
        name: row([sample[name] for sample in samples], bytes_per_pixel=traffic[name]) for name in samples[0]
    }
    memory = subject.denoiser.memory
    rows["passes together"] = row([sum(sample.values()) for sample in samples], bytes_per_pixel=sum(traffic.values()))
    rows[FRAME] = {
        **row(whole, bytes_per_pixel=sum(traffic.values())),
        "permanent_mb": memory.permanent / 1e6,
        "transient_mb": memory.transient / 1e6,
    }
    frame_ms = median(whole)
    return {name: {**found, "of_frame": (found["ms"] or 0) / frame_ms} for name, found in rows.items()}


def _passes(subject: Subject, runs: int) -> list[dict[str, float]]:
    subject.denoiser.timings()  # from now on
    samples = []
    for _ in range(runs + 2):
        subject.call()
        samples.append(subject.denoiser.timings())
    return samples[2:]


def _tiny(library: Library, family: str, device: str) -> Subject:
    frames = [moved(library, frame) for frame in make_frames(*_TINY, signals=FAMILIES[family])]
    subject = _subject(family, frames, device)
    subject.warm_up(8)
    return subject


def _subject(family: str, frames: Sequence[Inputs], device: str) -> Subject:
    return Subject(frames, device=device, radiance=dn.Relax if family == "relax" else dn.Reblur)


def _calls(library: Library, subject: Subject, runs: int) -> dict[str, list[float]]:
    """Microseconds of a call through Python, and of its native part alone, which takes what Python prepared."""
    python, native = [], []
    for _ in range(runs):
        library.synchronize()
        began = perf_counter()
        subject.call()
        python.append((perf_counter() - began) * 1e6)
    prepared = subject.prepared()
    for _ in range(runs):
        library.synchronize()
        began = perf_counter()
        prepared()
        native.append((perf_counter() - began) * 1e6)
    return {"through Python": python, "its native part": native}


def _attempt(name: str, left_out: dict[str, str], work: Callable[[], Result]) -> dict[str, Result]:
    """{name: its result}; nothing where it fails, for whatever reason: ours must not be lost for others."""
    if name in left_out:
        return {}
    try:
        return {name: work()}
    except Exception as error:
        left_out[name] = f"{type(error).__name__}: {error}"
        return {}


def _yardsticks(
    library: Library, width: int, height: int, runs: int, ceiling: float, left_out: dict[str, str]
) -> dict[str, Row]:
    """The blend of yardstick.py by cupy's arrays, and as a kernel of numba's."""
    from . import yardstick

    random = np.random.default_rng(0)
    signal, history = (random.random((height, width, 4), np.float32).astype(np.float16) for _ in range(2))
    motion = random.normal(3, 0.2, (height, width, 2)).astype(np.float16)
    frames = np.full((height, width), 8, np.float32)
    given = [library.array(values) for values in (signal, motion, history, frames)]
    results = [library.array(values) for values in (history, frames)]

    def by_arrays() -> list[float]:
        import cupy

        return _timed(library, lambda: yardstick.blend_by_arrays(cupy, *given, _BLEND_CAP), runs)

    def by_kernel() -> list[float]:
        kernel = yardstick.blend_kernel[yardstick.grid(width, height)]
        return _timed(library, lambda: kernel(*given, _BLEND_CAP, *results), runs)

    times = _attempt("blend, numba kernel", left_out, by_kernel)
    if library.name.startswith("cupy"):
        times |= _attempt("blend, cupy arrays", left_out, by_arrays)
    return {name: _row(ms, width * height, ceiling, yardstick.BYTES_PER_PIXEL) for name, ms in times.items()}


def _peers(width: int, height: int, runs: int, left_out: dict[str, str]) -> dict[str, Row]:
    """An image of one of our frames by each peer."""
    frame = make_frames(width, height, "static", ("diffuse",), 1)[0]
    colour, normal = (np.asarray(frame[name], np.float32) for name in ("diffuse", "normal"))
    rows: dict[str, Row] = {}
    for name, make in gpu_peers.PEERS.items():
        work = partial(gpu_peers.timed, make, (colour, np.ones_like(colour), normal), min(runs, 10))
        for ms in _attempt(name, left_out, work).values():
            found = spread("ms", ms)
            rows[f"{name}, one image"] = {**found, "ns_per_pixel": found["ms"] * 1e6 / (width * height)}
    return rows


def _quality(
    sequence: Frames, library: Library, device: str, peers: Mapping[str, gpu_peers.Make], left_out: dict[str, str]
) -> dict[str, Row]:
    """Scores of the families on the GPU and on the CPU, with default settings, and of the peers by lobe."""
    given = fitting(sequence.frames[0], sequence.meta)
    names = [given]
    if "reblur" in given:
        names.append([{"reblur": "relax"}.get(name, name) for name in given])
    outputs = {"noisy": metrics.noisy_outputs(sequence)}
    for denoisers in names:
        for place, arrays in ((device, library), ("cpu", None)):
            found, _ = quality.denoised(sequence, denoisers, place, library=arrays)
            outputs[f"{'+'.join(denoisers)} on {place}"] = found
    for name, make in peers.items():
        outputs |= _attempt(name, left_out, partial(gpu_peers.denoised, make, sequence))
    rows: dict[str, Row] = {}
    for method, found in outputs.items():
        scores = metrics.score(found, sequence)
        # Peers leave out the shadows of the composite.
        for signal in scores["denoised"] if method in peers else scores["signals"]:
            rows[f"{sequence.name}, {signal}, {method}"] = scores[signal]
    return rows


def show_goals(report: Report) -> None:
    """Prints what was aimed at on an H100, and what this GPU reached."""
    lines = []
    for name, (column, goal) in GOALS.items():
        title, form = COLUMNS[column]
        if (reached := report.rows.get(name, {}).get(column)) is not None:
            sign = ">=" if column == "ceiling_share" else "<="
            lines.append((name, title, f"{sign} {cell(goal, form)}", cell(reached, form)))
    show_table(("goals on an H100", "", "goal", "here"), lines)


def picture(report: Report, path: Path) -> None:
    """Writes a roofline as it is for passes that stream: nanoseconds over bytes, both by pixel, above the lines that
    copying and reading memory allow. Raises ImportError without matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 6), dpi=120, layout="constrained")
    colours = {family: f"C{index}" for index, family in enumerate(FAMILIES)}
    markers = dict(zip(report.setup["sizes"].split(), "osD^v<>", strict=False))
    labels: dict[str, tuple[float, float]] = {}  # one for each pass
    for name, row in report.rows.items():
        size, _, rest = name.partition(", ")
        family, _, what = rest.partition(", ")
        if size not in markers or "bytes_per_pixel" not in row or family not in (*colours, "blend"):
            continue
        x, y = float(row["bytes_per_pixel"] or 0), float(row["ns_per_pixel"] or 0)
        colour = colours.get(family, "0.3")
        filled = what in (FRAME, "passes together")
        axes.plot(x, y, markers[size], color=colour, markerfacecolor=colour if filled else "none", markersize=5)
        if size == list(markers)[-1]:
            labels.setdefault(what if family in colours else rest, (x, y))
    for text, place in labels.items():
        axes.annotate(text, place, (4, 2), textcoords="offset points", fontsize=6, color="0.3")
    lowest, highest = axes.get_xlim()
    for name, style in (("copy", "-"), ("read", "--")):
        rate = report.setup[f"{name}_gb_per_s"]
        ends = (max(lowest, 0.5), max(highest, 1.0))
        axes.plot(ends, [end / rate for end in ends], style, color="black", label=f"{name}: {rate:.0f} GB/s")
    for family, colour in colours.items():
        axes.plot([], [], "s", color=colour, label=family)
    for size, marker in markers.items():
        axes.plot([], [], marker, color="0.5", markerfacecolor="none", label=size)
    axes.set(xscale="log", yscale="log", xlabel="bytes per pixel", ylabel="ns per pixel", title=report.setup["device"])
    axes.legend(fontsize=7)
    axes.grid(alpha=0.2, which="both")
    figure.savefig(path)
    pyplot.close(figure)
