# SPDX-License-Identifier: Apache-2.0
"""The command line of the benchmarks. Tables go to stdout, progress to stderr; exit codes: 1 there is
no GPU to measure, 2 wrong use."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from denoise import DenoiseError, _core
from denoise.sequences import choose, parse_settings
from denoise.sequences.run import DENOISERS

from . import boundary, denoisers, gpu, gpu_arrays, measure, passes, report
from .frames import ANYTHING, LOBES, MOTIONS, SIGNALS, SOFT


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code (wrong options leave through argparse, with code 2)."""
    options = _parser().parse_args(arguments)
    threads = _core.threads()
    try:
        options.command(options)
    except gpu.NothingToMeasure as why:
        print(f"bench: {why}", file=sys.stderr)
        return 1
    except (DenoiseError, ValueError, OSError, ImportError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    finally:
        measure.set_threads(threads)
    return 0


def _passes(options: argparse.Namespace) -> None:
    old = report.read(options.against) if options.against else None
    found = passes.measure(
        *options.size,
        select=options.select,
        isa=options.isa,
        threads=options.threads,
        motion=options.camera,
        signals=options.signals,
        lights=options.lights,
        soft=options.soft,
        radiance=options.radiance,
        warm_up=options.warm_up,
    )
    _finish(found, options)
    if old:
        report.show_ratios(found, old)


def _denoisers(options: argparse.Namespace) -> None:
    from . import peers

    found = denoisers.measure(
        options.sizes, options.threads, motion=options.camera, warm_up=options.warm_up, progress=_say
    )
    _finish(found, options)
    peers.show()


def _quality(options: argparse.Namespace) -> None:
    from . import quality

    names = choose(options.denoiser.split(",")) if options.denoiser else []
    settings = parse_settings(options.set, names or DENOISERS)
    found = quality.measure(
        options.sequences,
        denoisers=names,
        settings={name: values for name, values in settings.items() if values},
        device=options.device,
        size=options.size,
        frames=options.frames,
        samples=options.samples,
        cache=options.cache,
        progress=_say,
    )
    _finish(found, options)


def _relight(options: argparse.Namespace) -> None:
    from . import relight

    found = relight.measure(
        options.sequences,
        denoisers=[options.denoiser] if options.denoiser else relight.DENOISERS,
        device=options.device,
        size=options.size,
        frames=options.frames,
        samples=options.samples,
        cache=options.cache,
        pictures=options.pictures,
        progress=_say,
    )
    _finish(found, options)


def _guides(options: argparse.Namespace) -> None:
    from . import guides

    found = guides.measure(
        options.sequences,
        modes=options.mode,
        denoisers=[options.denoiser] if options.denoiser else guides.DENOISERS,
        device=options.device,
        size=options.size,
        frames=options.frames,
        samples=options.samples,
        cache=options.cache,
        pictures=options.pictures,
        progress=_say,
    )
    _finish(found, options)


def _boundary(options: argparse.Namespace) -> None:
    _finish(boundary.measure(options.runs), options)


def _gpu(options: argparse.Namespace) -> None:
    from . import peers, quality

    opened = (
        quality.opened(name, quality.SIZE, quality.FRAMES, quality.SAMPLES, quality.default_cache(), _say)
        for name in options.quality
    )
    found = gpu.measure(
        options.sizes,
        options.families,
        device=options.device,
        library=options.library,
        motion=options.camera,
        warm_up=options.warm_up,
        runs=options.runs,
        peers=options.peers,
        sequences=opened,
        progress=_say,
    )
    _finish(found, options)
    gpu.show_goals(found)
    peers.show()
    if options.markdown:
        options.markdown.write_text(found.markdown())
    if options.picture:
        gpu.picture(found, options.picture)


def _compare(options: argparse.Namespace) -> None:
    report.show_ratios(report.read(options.new), report.read(options.old))


def _finish(found: report.Report, options: argparse.Namespace) -> None:
    found.show()
    if options.json:
        found.write(options.json)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=sys.modules["bench"].__doc__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(command=command)
        return sub

    def add_common(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--json", metavar="FILE", type=Path, help="write the report, with the machine's facts")

    def add_timing(sub: argparse.ArgumentParser, warm_up: int) -> None:
        sub.add_argument("--camera", choices=MOTIONS, default="moving", help="(default: moving)")
        sub.add_argument("--warm-up", metavar="N", type=_natural, default=warm_up, help=f"frames (default: {warm_up})")
        add_common(sub)

    one = add("passes", _passes, "time every pass, against the speed of copying memory")
    one.add_argument("--size", metavar="1080p|WxH", type=_size, default="1080p", help="(default: 1080p)")
    one.add_argument("-k", dest="select", metavar="REGEX", type=_regex, default="", help="only passes with such names")
    one.add_argument("--isa", metavar="NAME", help=f"of {', '.join(_core.backends())} (default: the fastest)")
    one.add_argument("--threads", metavar="N", type=_natural, help="(default: all usable cores)")
    one.add_argument(
        "--signals",
        metavar="A,B",
        type=_signals,
        default=LOBES,
        help=f"of {', '.join(SIGNALS)}, or {ANYTHING[0]}, to average it (default: both lobes)",
    )
    one.add_argument("--radiance", choices=("reblur", "relax"), default="reblur", help="(default: reblur)")
    one.add_argument("--lights", metavar="N", type=_natural, default=1, help="that have a shadow (default: 1)")
    one.add_argument("--soft", metavar="SHARE", type=_share, default=SOFT, help=f"of tiles (default: {SOFT})")
    one.add_argument("--against", metavar="OLD.json", help="also print the ratios to an earlier report")
    add_timing(one, measure.WARM_UP)

    whole = add("denoisers", _denoisers, "time whole frames by size, threads, signals and instruction set; memory")
    whole.add_argument("--sizes", metavar="A,B", type=_sizes, default=denoisers.SIZES, help="(default: 180p to 2160p)")
    whole.add_argument("--threads", metavar="N,M", type=_numbers, default=[1, 2], help="(default: 1,2)")
    add_timing(whole, denoisers.WARM_UP)

    def add_rendering(sub: argparse.ArgumentParser, frames: int) -> None:
        sub.add_argument("--device", default="auto", help="(default: auto)")
        sub.add_argument("--size", metavar="1080p|WxH", type=_size, default="180p", help="of scenes (default: 180p)")
        sub.add_argument("--frames", metavar="N", type=_natural, default=frames, help=f"of scenes (default: {frames})")
        sub.add_argument("--samples", metavar="N", type=_natural, default=64, help="of references (default: 64)")
        sub.add_argument("--cache", metavar="DIR", type=Path, help="for scenes (default: in the user's cache folder)")
        add_common(sub)

    good = add("quality", _quality, "denoise sequences and score them against their references")
    good.add_argument(
        "sequences", metavar="SEQ", nargs="*", help="a folder, or a testbed scene (default: all of these)"
    )
    good.add_argument("--denoiser", metavar="A,B", help=f"of {', '.join(DENOISERS)} (default: all that have inputs)")
    good.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="a setting; repeatable")
    add_rendering(good, 32)

    light = add("relight", _relight, "score sequences in which the light changes, with and without re-lighting")
    light.add_argument(
        "sequences", metavar="SEQ", nargs="*", help="a folder, or a testbed scene (default: those made for it)"
    )
    light.add_argument("--denoiser", metavar="NAME", choices=("reblur", "relax"), help="(default: both)")
    light.add_argument(
        "--pictures", metavar="FOLDER", type=Path, help="write frames side by side, and curves of brightness"
    )
    add_rendering(light, 28)

    card = add("gpu", _gpu, "time passes, frames and calls on an NVIDIA GPU, beside others; needs cupy or torch")
    card.add_argument("--sizes", metavar="A,B", type=_sizes, default=gpu.SIZES, help="(default: 1080p,1440p,2160p)")
    card.add_argument(
        "--families",
        metavar="A,B",
        type=_families,
        default=list(gpu.FAMILIES),
        help=f"of {', '.join(gpu.FAMILIES)} (default: all)",
    )
    card.add_argument("--device", metavar="cuda:N", type=_cuda, default="cuda", help="(default: the first)")
    card.add_argument("--library", choices=gpu_arrays.LIBRARIES, help="of arrays (default: the first installed)")
    card.add_argument("--runs", metavar="N", type=_natural, default=gpu.RUNS, help=f"(default: {gpu.RUNS})")
    card.add_argument(
        "--quality",
        metavar="SEQ",
        nargs="*",
        default=["room"],
        help="score folders or testbed scenes on the GPU and on the CPU (default: room)",
    )
    card.add_argument("--no-peers", dest="peers", action="store_false", help="leave out OIDN, OptiX, cupy and numba")
    card.add_argument("--markdown", metavar="FILE", type=Path, help="write the table")
    card.add_argument("--picture", metavar="FILE", type=Path, help="draw the passes against what the memory allows")
    add_timing(card, measure.WARM_UP)

    lacking = add("guides", _guides, "score sequences with one input after the other withheld and replaced")
    lacking.add_argument(
        "sequences", metavar="SEQ", nargs="*", help="a folder, or a testbed scene (default: room, motion)"
    )
    lacking.add_argument("--mode", metavar="TEXT", action="append", default=[], help="only what begins so; repeatable")
    lacking.add_argument("--denoiser", metavar="NAME", choices=("reblur", "relax"), help="(default: both)")
    lacking.add_argument("--pictures", metavar="FOLDER", type=Path, help="write noisy, denoised, reference, difference")
    add_rendering(lacking, 32)

    edge = add("boundary", _boundary, "time what a call costs beside its passes")
    edge.add_argument("--runs", metavar="N", type=_natural, default=boundary.RUNS, help=f"(default: {boundary.RUNS})")
    add_common(edge)

    both = add("compare", _compare, "print the ratios of two reports, the first by the second")
    both.add_argument("new", metavar="NEW.json")
    both.add_argument("old", metavar="OLD.json")
    return parser


def _size(text: str) -> tuple[int, int]:
    if text in denoisers.SIZES:
        return denoisers.SIZES[text]
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT or one of {', '.join(denoisers.SIZES)}, got {text!r}")
    return int(match[1]), int(match[2])


def _sizes(text: str) -> dict[str, tuple[int, int]]:
    return {name: _size(name) for name in text.split(",")}


def _families(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= set(gpu.FAMILIES):
        raise argparse.ArgumentTypeError(f"expected one or more of {', '.join(gpu.FAMILIES)}, got {text!r}")
    return names


def _cuda(text: str) -> str:
    if not re.fullmatch(r"cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"expected cuda or cuda:N, got {text!r}")
    return text


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def _numbers(text: str) -> list[int]:
    return [_natural(number) for number in text.split(",")]


def _signals(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not (set(names) <= set(SIGNALS) or names == ANYTHING):
        raise argparse.ArgumentTypeError(
            f"expected one or more of {', '.join(SIGNALS)}, or {ANYTHING[0]} alone, got {text!r}"
        )
    return names


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, up to 1, got {text!r}")
    return share


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{error}, in {text!r}") from None
    return text


if __name__ == "__main__":
    sys.exit(main())
