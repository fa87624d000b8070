# SPDX-License-Identifier: Apache-2.0
"""Refuses objects of different instruction sets that share a weak symbol. Run by the build on every backend's object.

An inline function that two objects define has one name, and the linker keeps either copy: a machine without the
instructions of the one that it kept dies of SIGILL. What belongs to the backend's own namespace cannot be shared.
"""

import argparse
import subprocess
import sys
from pathlib import Path


def shared_symbols(nm: str, backend: str, path: Path) -> list[str]:
    """Weak definitions in an object file that do not mention the namespace denoise::`backend`."""
    listing = subprocess.run([nm, "-C", "--defined-only", path], check=True, capture_output=True, text=True).stdout
    symbols = (line.split(maxsplit=2) for line in listing.splitlines() if line.strip())
    weak = (name for *_, kind, name in (s for s in symbols if len(s) == 3) if kind in "WVu")
    # DW.ref.* is no code: a pointer to the language runtime that sanitized objects bring along.
    return [name for name in weak if f"denoise::{backend}::" not in name and not name.startswith("DW.ref.")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nm", default="nm", help="the nm of the compiler that made the objects")
    parser.add_argument("--report", type=Path, help="file to write when all is well")
    parser.add_argument("objects", nargs="+", metavar="BACKEND=OBJECT")
    arguments = parser.parse_args()
    lines = []
    for pair in arguments.objects:
        backend, _, path = pair.partition("=")
        shared = shared_symbols(arguments.nm, backend, Path(path))
        if shared:
            print(f"{path}: weak symbols outside denoise::{backend}:", *shared, sep="\n  ", file=sys.stderr)
            return 1
        lines.append(f"{backend}: no weak symbol outside its namespace\n")
    if arguments.report:
        arguments.report.write_text("".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
