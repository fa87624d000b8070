# SPDX-License-Identifier: Apache-2.0
"""The command line. Results go to stdout, progress to stderr; exit code 0: fine, 1: a check failed, 2: wrong use."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoise import DenoiseError, devices, sequences
from denoise.sequences.exr_file import COMPRESSIONS
from denoise.sequences.mapping import PRESETS
from denoise.sequences.run import DENOISERS, version

if TYPE_CHECKING:
    from rich.table import Table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (wrong options leave through argparse, with code 2)."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ModuleNotFoundError as error:
        print(
            f'denoise: {error.name} is not installed; pip install "rt-denoise[{options.extra}]" brings it',
            file=sys.stderr,
        )
    except (DenoiseError, ValueError, OSError) as error:
        print(f"denoise: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 2


def _run(options: argparse.Namespace) -> int:
    encoding = sequences.Encoding(
        compression="" if options.recompress in (None, "same") else options.recompress,
        lossy=options.recompress is not None,
        kind=options.pixel_type or "",
        layers=options.layers,
    )
    with _progress("denoising frames") as progress:
        sequence = _open(options)
        results = sequences.open_results(options.output, sequence, encoding)
        if options.denoiser:
            names = sequences.choose(options.denoiser.split(","))
        else:
            names = sequences.fitting(sequence.frames[0], sequence.meta)
        settings = sequences.parse_settings(options.set, names)
        for note in (*sequence.notes, *results.notes()):
            print(f"note: {note}", file=sys.stderr)
        done = sequences.denoise_sequence(
            sequence,
            results,
            denoisers=names,
            settings=settings,
            frames=options.frames,
            preroll=options.preroll,
            device=options.device,
            force=options.force,
            skip_existing=options.skip_existing,
            dry_run=options.dry_run,
            overlay=options.overlay,
            progress=progress,
        )
    there = f", {done.skipped} were there already" if done.skipped else ""
    if options.dry_run:
        print(*(f"would write {file}" for file in done.files), sep="\n")
        print(f"{options.output}: {done.written} frames to write{there}; {','.join(names)} on {done.device}")
    else:
        written = f"{options.output}: {done.written} frames written{there}"
        print(f"{written}; {done.ms_per_frame:.2f} ms per frame on {done.device}")
        if done.written:
            print(done.seconds)
    return 0


def _open(options: argparse.Namespace) -> sequences.Sequence:
    return sequences.open_sequence(
        options.sequence, preset=options.preset, overrides=options.map, camera=options.camera
    )


def _demo(options: argparse.Namespace) -> int:
    from denoise import demo

    with _progress("rendering and denoising, rays per pixel") as progress:
        found = demo.demo(
            options.output,
            scene=options.scene,
            size=options.size,
            frames=options.frames,
            denoiser=options.denoiser,
            device=options.device,
            seed=options.seed,
            progress=progress,
        )
    _print_table(_score_table(found.scores))
    print(f"{found.ms_per_frame:.2f} ms per frame on {found.device}")
    print(*(found.strip, found.animation, found.figures), sep="\n")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from denoise import metrics

    sequence, outputs = sequences.open_sequence(options.sequence), sequences.open_outputs(options.output)
    scores = {
        "noisy": metrics.score(metrics.noisy_outputs(sequence), sequence),
        "denoised": metrics.score(outputs, sequence),
    }
    if not scores["denoised"]["frames"]:
        raise ValueError(f"{options.output}: holds none of the reference frames {sequence.reference_frames}")
    if noise := metrics.reference_noise_outputs(sequence):
        scores["ref_noise"] = metrics.score(noise, sequence)
    if options.json:
        print(json.dumps(scores, indent=1))
    else:
        _print_table(_score_table(scores), *_lag_tables(scores))
    if scores["denoised"]["missing"]:
        print(f"not scored, because absent: frames {scores['denoised']['missing']}", file=sys.stderr)
    if bad := scores["denoised"]["bad_values"]:
        print(f"check failed: {bad} values of {options.output} are negative or not finite", file=sys.stderr)
    return 1 if bad else 0


def _inspect(options: argparse.Namespace) -> int:
    found = sequences.inspect(options.file, options.preset, options.map)
    print(json.dumps(found, indent=1) if options.json else "\n".join(sequences.report(found)))
    return 0


def _validate(options: argparse.Namespace) -> int:
    from denoise.sequences.files import write_picture
    from denoise.sequences.validate import sheet, validate

    sequence = _open(options)
    found = validate(sequence, options.frames)
    if options.json:
        print(json.dumps([asdict(finding) for finding in found], indent=1))
    else:
        print("\n".join(map(str, found)) or f"{options.sequence}: no mistake found")
    if options.sheet:
        try:
            write_picture(Path(options.sheet), sheet(sequence, options.frames))
        except (TypeError, ValueError) as error:
            print(f"no sheet, because no denoiser takes these frames: {error}", file=sys.stderr)
    return 1 if found else 0


def _devices(options: argparse.Namespace) -> int:
    found = devices()
    print(json.dumps([asdict(device) for device in found], indent=1) if options.json else "\n".join(map(str, found)))
    return 0


def _passes(options: argparse.Namespace) -> int:
    width, height = options.size
    names = options.denoiser.split(",")
    print(sequences.create(names, {"width": width, "height": height}, options.device).describe())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="denoise", description="Denoise ray-traced frame sequences.")
    parser.add_argument("--version", action="version", version=f"rt-denoise {version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Callable[[argparse.Namespace], int], extra: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(command=command, extra=extra)
        return sub

    def source(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("sequence", metavar="SEQ", help='folder with sequence.json, or EXR files "shot.####.exr"')
        mapped(sub)
        sub.add_argument(
            "--camera", metavar="FILE", help="JSON, TOML or USD with the cameras, where EXR files have none"
        )

    def mapped(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--preset",
            metavar="NAME",
            help=f"{', '.join(PRESETS)}, or a TOML file (default: guessed from the channels)",
        )
        sub.add_argument(
            "--map",
            metavar="KEY=VALUE",
            action="append",
            default=[],
            help="of the mapping, as motion.y=up; repeatable",
        )

    run = add("run", _run, "cli", "denoise a sequence, or go on where an earlier run ended")
    source(run)
    run.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="folder for the results and run.json; or EXR files, likewise",
    )
    run.add_argument("--denoiser", metavar="A,B", help=f"of {', '.join(DENOISERS)} (default: all that have inputs)")
    run.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="a setting, or DENOISER.KEY=VALUE; repeatable"
    )
    run.add_argument(
        "--frames", metavar="A-BxN", type=_frames, help="frames to write (default: all); history starts at A"
    )
    run.add_argument("--preroll", metavar="N", type=int, default=0, help="start the history N frames before the first")
    run.add_argument("--device", default="auto", help="auto, cpu, cpu:BACKEND or cuda[:N] (default: auto)")
    run.add_argument("--force", action="store_true", help="write frames that are there already, too")
    run.add_argument("--skip-existing", action="store_true", help="leave frames that are there, however they were made")
    run.add_argument("--dry-run", action="store_true", help="write nothing, say what would be")
    run.add_argument(
        "--layers", action="store_true", help="EXR: add the denoised lobes as layers denoised.diffuse, ..."
    )
    run.add_argument(
        "--recompress",
        metavar="NAME",
        nargs="?",
        const="same",
        choices=("same", *(name for name, _ in COMPRESSIONS.values())),
        help="EXR: compression of changed parts (without NAME: that of the input, even if it loses something)",
    )
    run.add_argument("--pixel-type", choices=("half", "float"), help="EXR: of changed channels (default: as they were)")
    run.add_argument(
        "--overlay",
        action="store_true",
        help="write overlay_0000.png, ..., too: inputs and state of each frame to look at",
    )

    demo = add("demo", _demo, "demo", "render a scene at 1 ray per pixel, denoise it, show it and its figures")
    demo.add_argument("--scene", metavar="NAME", help="a scene of denoise.testbed (default: the first)")
    demo.add_argument("--size", metavar="WxH", type=_size, default=(480, 270), help="(default: 480x270)")
    demo.add_argument("--frames", metavar="N", type=int, default=48, help="(default: 48)")
    demo.add_argument("--denoiser", metavar="A,B", help=f"of {', '.join(DENOISERS)} (default: all that have inputs)")
    demo.add_argument("--device", default="auto", help="(default: auto)")
    demo.add_argument("--seed", metavar="N", type=int, default=0, help="of the noise (default: 0)")
    demo.add_argument("-o", "--output", metavar="DIR", default="denoise-demo", help="(default: denoise-demo)")

    compare = add("compare", _compare, "cli,eval", "score results against the references of their sequence")
    compare.add_argument("output", metavar="OUT", help="folder of results")
    compare.add_argument("sequence", metavar="SEQ", help="folder of the sequence")
    compare.add_argument("--json", action="store_true", help="print JSON instead of a table")

    look = add(
        "inspect", _inspect, "cli", "list what is in an EXR file, what it would be used for, and what is missing"
    )
    look.add_argument("file", metavar="FILE", help="an EXR file")
    mapped(look)
    look.add_argument("--json", action="store_true", help="print JSON")

    check = add("validate", _validate, "cli", "find mistakes in the numbers of a sequence: conventions, units, spaces")
    source(check)
    check.add_argument("--frames", metavar="A-B", type=_frames, help="frames to choose from (default: all)")
    check.add_argument("--json", action="store_true", help="print JSON: one object for each mistake")
    check.add_argument("--sheet", metavar="OUT.png", help="write a picture of the inputs and of what becomes of them")

    listing = add("devices", _devices, "cli", "list what can run here, and why the rest cannot")
    listing.add_argument("--json", action="store_true", help="print JSON")

    passes = add("passes", _passes, "cli", "print the page of a denoiser: passes, images, memory")
    passes.add_argument("denoiser", metavar="A,B", help=f"of {', '.join(DENOISERS)}")
    passes.add_argument("--size", metavar="WxH", type=_size, default=(1920, 1080), help="(default: 1920x1080)")
    passes.add_argument("--device", default="auto", help="(default: auto)")
    return parser


def _frames(text: str) -> range:
    try:
        return sequences.parse_frames(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _size(text: str) -> tuple[int, int]:
    width, x, height = text.partition("x")
    if not (x and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, got {text!r}")
    return int(width), int(height)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left, on stderr, driven by (done, total)."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"))
    bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
    task = bar.add_task(title, total=None)

    def show(done: int, total: int) -> None:
        bar.start()  # now and not before: an early error needs no bar
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


def _score_table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row per signal and method."""
    from rich.table import Table

    from denoise.metrics import COLUMNS

    table = Table("signal", "method", *(title for title, _ in COLUMNS.values()))
    for signal in _shown_signals(scores):
        for method, score in scores.items():
            if signal in score:
                cells = ((score[signal][column], form) for column, (_, form) in COLUMNS.items())
                table.add_row(signal, method, *("-" if value is None else format(value, form) for value, form in cells))
        table.add_section()
    return table


def _lag_tables(scores: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """The lag after each change of light, one row per signal and method."""
    from rich.table import Table

    tables = []
    for change in sorted({row["change"] for row in scores["noisy"]["lag"]}):
        rows = {method: [row for row in score["lag"] if row["change"] == change] for method, score in scores.items()}
        offsets = [row["offset"] for row in rows["noisy"]]
        table = Table(f"lag, light changes at {change}", "method", *(f"+{offset}" for offset in offsets))
        for signal in _shown_signals(scores):
            for method in rows:
                found = {row["offset"]: f"{row[signal]:.2f}" for row in rows[method] if signal in row}
                if found:
                    table.add_row(signal, method, *(found.get(offset, "-") for offset in offsets))
            table.add_section()
        tables.append(table)
    return tables


def _shown_signals(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was denoised, and the composite."""
    return [
        signal for signal in scores["denoised"]["signals"] if signal in ("composite", *scores["denoised"]["denoised"])
    ]


def _print_table(*tables: Table) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a pipe has no width to fit into
    for table in tables:
        console.print(table)
