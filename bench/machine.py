# SPDX-License-Identifier: Apache-2.0
"""The machine that figures belong to: its facts, and how fast it copies memory, which bounds every pass from below."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from denoise import _core
from denoise.sequences.run import version

_CPU = Path("/sys/devices/system/cpu/cpu0")
_COPIES = 7


def facts() -> dict[str, Any]:
    """What a reader of the figures must know, as JSON; None stands for what this system does not tell.

    load_average is that of the minutes before the measurement: figures of a busy machine are worth little.
    """
    return {
        "processor": _core.cpu_name(),
        "machine": platform.machine(),
        "cores_usable": len(os.sched_getaffinity(0)),
        "caches": caches(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "governor": _read(_CPU / "cpufreq/scaling_governor"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiler": compiler(),
        "version": version(),
        "revision": revision(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def caches() -> dict[str, str]:
    """Size and sharing of the first core's data caches: {"L1": "48K of cpu 0", ...}."""
    found = {}
    for index in sorted(_CPU.glob("cache/index*")):
        if _read(index / "type") != "Instruction":
            found[f"L{_read(index / 'level')}"] = f"{_read(index / 'size')} of cpu {_read(index / 'shared_cpu_list')}"
    return found


def compiler() -> str | None:
    """What compiled the native module, by the note that GCC and Clang leave in it."""
    notes = re.findall(rb"GCC: \([^)]*\) [\d.]+|clang version [\d.]+", Path(str(_core.__file__)).read_bytes())
    return bytes(notes[0]).decode() if notes else None


def revision() -> str | None:
    """Git's name of the sources, with "-dirty" where they were changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    with suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()
    return None


def copy_ceiling(threads: int) -> dict[str, float]:
    """Bytes per second that `threads` threads copy, read and written bytes both counted: the best and the median of 7.

    Each thread copies its part of one numpy array to its part of another. Each array is four times as large as the last
    cache, and at least 64 MB, so that nothing is found there. What a processor reads before it overwrites a line counts
    as nothing, because no pass could spare it either.
    """
    size = max(4 * _last_cache(), 64 << 20)
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)  # written once: no page is missing later on
    parts = list(zip(np.array_split(source, threads), np.array_split(target, threads), strict=True))
    rates = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_COPIES):
            began = perf_counter()
            list(pool.map(lambda part: np.copyto(part[1], part[0]), parts))
            rates.append(2 * size / (perf_counter() - began) / 1e9)
    return {"gb_per_s": max(rates), "gb_per_s_median": float(np.median(rates)), "array_mb": size / 1e6}


def _last_cache() -> int:
    sizes = [_read(index / "size") or "0K" for index in _CPU.glob("cache/index*")]
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return max((int(size[:-1]) * units[size[-1]] for size in sizes), default=32 << 20)


def _read(path: Path) -> str | None:
    with suppress(OSError):
        return path.read_text().strip()
    return None
