# SPDX-License-Identifier: Apache-2.0
"""Registers, spills and shared memory of every CUDA kernel, as the compiler reports them: `python bench/registers.py`.

Compiles csrc/cuda/kernels.cu for some architectures, which needs nvcc but no GPU. "threads" is how many a multiprocessor
has registers for. Exit code 1: a kernel of a hot pass spills, or nvcc fails; 2: wrong use.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "csrc" / "cuda" / "kernels.cu"
ARCHITECTURES = ("75", "86", "90")
# Passes of every frame of the common pages, by their structs. The rest runs on few pixels, or for several lights at once.
HOT = (
    "PackGuides|PackSignal|ReconstructHitDistance|SpatialFilter|TemporalAccumulation|HistoryFix|Stabilize|ClampHistory"
    "|AtrousLevel|EstimateError|Resolve|RelightMeasure|RelightApply|ReferenceAccumulate|FollowOccluder"
    "|(EstimatePenumbra|FilterShadow)<1, .*"
)

_REGISTERS, _WARP = (
    65536,
    32,
)  # of a multiprocessor, all architectures alike; registers go to warps in steps of 8 a thread
_MOST_THREADS = {"75": 1024, "80": 2048, "86": 1536, "89": 1536, "90": 2048, "100": 2048, "120": 1536}


@dataclass(frozen=True)
class Kernel:
    """What one kernel takes on one architecture."""

    name: str  # the pass's struct
    architecture: str
    registers: int
    spills: int  # bytes stored and loaded again
    stack: int  # bytes of each thread: spills, and local arrays that are indexed at run time
    shared: int  # bytes of a block

    @property
    def hot(self) -> bool:
        return re.match(f"({HOT})(<|$)", self.name) is not None

    @property
    def threads(self) -> int:
        """That the registers of a multiprocessor are enough for."""
        warps = _REGISTERS // (-(-self.registers // 8) * 8 * _WARP)
        return min(warps * _WARP, _MOST_THREADS.get(self.architecture, 2048))


def compile_report(nvcc: str, architectures: Iterable[str]) -> str:
    """What ptxas says of all kernels. CalledProcessError, with nvcc's words, where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        targets = [f"--generate-code=arch=compute_{a},code=sm_{a}" for a in architectures]
        command = [nvcc, "-std=c++17", "-O3", *options(), "-Xptxas", "-v", *targets, "-c", str(SOURCE)]
        answer = subprocess.run(
            [*command, "-o", str(Path(folder) / "kernels.o")], capture_output=True, text=True, check=True
        )
    return answer.stdout + answer.stderr


def options() -> list[str]:
    """nvcc's, as CMakeLists.txt has them."""
    found = re.search(r"target_compile_options\(denoise_cuda PRIVATE ([^)]*)\)", (ROOT / "CMakeLists.txt").read_text())
    assert found, "CMakeLists.txt has no options for denoise_cuda"
    return shlex.split(found[1])


def parse(report: str) -> list[Kernel]:
    """The kernels in the report of ptxas, by name and architecture."""
    entries = re.findall(
        r"Compiling entry function '(\w+)' for 'sm_(\w+)'.*?"
        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)",
        report,
        re.DOTALL,
    )
    names = dict(
        zip(symbols := sorted({entry[0] for entry in entries}), map(_struct, _demangled(symbols)), strict=True)
    )
    return sorted(
        (
            Kernel(names[symbol], architecture, int(registers), int(stores) + int(loads), int(stack), _shared(rest))
            for symbol, architecture, stack, stores, loads, registers, rest in entries
        ),
        key=lambda kernel: (kernel.name, kernel.architecture),
    )


def _shared(text: str) -> int:
    found = re.search(r"(\d+) bytes smem", text)
    return int(found[1]) if found else 0


def _demangled(symbols: Sequence[str]) -> list[str]:
    if not shutil.which("c++filt"):
        return list(symbols)
    answer = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    return answer.stdout.splitlines()


def _struct(signature: str) -> str:
    """void denoise::cuda::kernel<denoise::cuda::Blur<(denoise::Lobe)0> >(...) -> Blur<0>"""
    found = re.search(r"kernel<(.*?)\s*>\(", signature)
    return re.sub(r"\(\w*\)", "", re.sub(r"denoise::(cuda::)?", "", found[1])) if found else signature


def table(kernels: Sequence[Kernel]) -> str:
    """A line for each kernel, a group of columns for each architecture; "!" marks a spill in a hot pass."""
    architectures = sorted({kernel.architecture for kernel in kernels})
    by_name: dict[str, dict[str, Kernel]] = {}
    for kernel in kernels:
        by_name.setdefault(kernel.name, {})[kernel.architecture] = kernel
    width = max(map(len, by_name), default=0) + 2
    lines = [
        " " * width
        + "hot"
        + "".join(f"  | sm_{a}: registers spill stack threads" for a in architectures)
        + "  | shared"
    ]
    for name, found in by_name.items():
        line = f"{name:{width}}{'*' if next(iter(found.values())).hot else '':3}"
        for architecture in architectures:
            k = found[architecture]
            mark = "!" if k.hot and k.spills else " "
            line += f"  | {k.registers:16}{mark}{k.spills:5} {k.stack:5} {k.threads:7}"
        lines.append(f"{line}  | {next(iter(found.values())).shared:6}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=sys.modules[__name__].__doc__)
    parser.add_argument(
        "--architectures", metavar="75,90", default=",".join(ARCHITECTURES), help="(default: %(default)s)"
    )
    parser.add_argument("--nvcc", default="nvcc", help="(default: that on PATH)")
    given = parser.parse_args(arguments)
    if not shutil.which(given.nvcc):
        parser.error(f"no {given.nvcc} on PATH")
    try:
        kernels = parse(compile_report(given.nvcc, given.architectures.split(",")))
    except subprocess.CalledProcessError as error:
        print(error.stdout + error.stderr, file=sys.stderr)
        return 1
    print(table(kernels))
    spilled = [f"{k.name} on sm_{k.architecture}" for k in kernels if k.hot and k.spills]
    if spilled:
        print(f"hot passes that spill: {', '.join(spilled)}", file=sys.stderr)
    return 1 if spilled else 0


if __name__ == "__main__":
    sys.exit(main())
