# SPDX-License-Identifier: Apache-2.0
"""One form for all results: JSON with the machine's facts, the same as a table, and the ratios of two of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from denoise import metrics
from denoise.sequences import write_json

# Column of a report -> its title and format, "time" for what goes over many orders of magnitude. Columns that are not
# listed are in the JSON only.
COLUMNS = {
    "ms": ("ms", "time"),
    "wall_ms": ("wall ms", ".1f"),
    "cpu_ms": ("CPU ms", ".1f"),
    "cores": ("cores busy", ".2f"),
    "ns_per_pixel": ("ns/px", "time"),
    "bytes_per_pixel": ("B/px", ".0f"),
    "gb_per_s": ("GB/s", ".2f"),
    "ceiling_share": ("of copy", ".1%"),
    "of_frame": ("of frame", ".1%"),
    "permanent_mb": ("permanent MB", ".1f"),
    "transient_mb": ("transient MB", ".1f"),
    "ratio": ("ratio", ".3f"),
    "us": ("µs", ".1f"),
    "lag": ("lag", ".3f"),
    **metrics.COLUMNS,
}
# What two reports are not compared by: it follows from the rest.
_DERIVED = ("cores", "ns_per_pixel", "gb_per_s", "ceiling_share", "of_frame")
# What is shown of the machine; and what may differ between two reports without a word.
_SHOWN_FACTS = ("processor", "cores_usable", "load_average", "compiler", "version", "revision")
_PASSING = ("date", "load_average", "runs", "copy_gb_per_s", "copy_gb_per_s_median")

Row = Mapping[str, float | None]


@dataclass(frozen=True)
class Report:
    """What one command measured.

    benchmark  the command
    machine    see machine.facts()
    setup      what was measured: size, instruction set, threads, ...
    rows       name -> column -> figure; the first of each kind is the median of its runs
    """

    benchmark: str
    machine: Mapping[str, Any]
    setup: Mapping[str, Any]
    rows: Mapping[str, Row]

    def write(self, path: str | Path) -> None:
        write_json(Path(path), asdict(self))

    def table(self) -> Table:
        titles, *rows = self._cells()
        table = Table(titles[0])
        for title in titles[1:]:
            table.add_column(title, justify="right")
        for row in rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """The setup, the machine, and the table."""
        titles, *rows = self._cells()
        head = [f"`python -m bench {self.benchmark}`: {_words(self.setup)}", f"On {_words(self._facts())}."]
        lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
        return "\n\n".join([*head, "\n".join(f"| {' | '.join(line)} |" for line in lines)]) + "\n"

    def _facts(self) -> dict[str, Any]:
        """What is shown of the machine."""
        return {key: fact for key, fact in self.machine.items() if key in _SHOWN_FACTS or key.startswith("gpu")}

    def _cells(self) -> list[list[str]]:
        """Titles, and a line for each row."""
        shown = [column for column in COLUMNS if any(column in row for row in self.rows.values())]
        spreads = [column for column in ("ms", "us") if any(f"{column}_min" in row for row in self.rows.values())]
        titles = [""]
        for column in shown:
            titles += [COLUMNS[column][0], *(["min to max"] if column in spreads else [])]
        lines = [titles]
        for name, row in self.rows.items():
            cells = [name]
            for column in shown:
                form = COLUMNS[column][1]
                cells.append(cell(row.get(column), form))
                if column in spreads:
                    low, high = row.get(f"{column}_min"), row.get(f"{column}_max")
                    cells.append("" if low is None else f"{cell(low, form)} to {cell(high, form)}")
            lines.append(cells)
        return lines

    def show(self) -> None:
        console = _console()
        console.print(f"{self.benchmark}: {_words(self.setup)}", highlight=False)
        console.print(f"on {_words(self._facts())}", highlight=False)
        console.print(self.table())


def read(path: str | Path) -> Report:
    """A report from its JSON. ValueError if the file holds something else."""
    try:
        return Report(**json.loads(Path(path).read_text()))
    except (TypeError, ValueError):
        raise ValueError(f"{path}: not a report of this program") from None


def ratios(new: Report, old: Report) -> dict[str, dict[str, float]]:
    """new / old of every figure that both have and that can be compared. ValueError for two different benchmarks."""
    if new.benchmark != old.benchmark:
        raise ValueError(f"cannot compare a report of '{new.benchmark}' with one of '{old.benchmark}'")
    found = {}
    for name in new.rows.keys() & old.rows.keys():
        pairs = {column: (new.rows[name].get(column), old.rows[name].get(column)) for column in _compared()}
        found[name] = {column: a / b for column, (a, b) in pairs.items() if a is not None and b}
    return {name: found[name] for name in new.rows if found.get(name)}


def show_ratios(new: Report, old: Report) -> None:
    """Prints the ratios, and what else differs between the two measurements."""
    found = ratios(new, old)
    console = _console()
    for title, a, b in (("setup", new.setup, old.setup), ("machine", new.machine, old.machine)):
        for key in sorted(a.keys() | b.keys()):
            if a.get(key) != b.get(key) and key not in _PASSING:
                console.print(f"{title} {key}: {a.get(key)}, was {b.get(key)}", highlight=False)
    shown = [column for column in _compared() if any(column in row for row in found.values())]
    table = Table("new / old", *(COLUMNS[column][0] for column in shown))
    for name, row in found.items():
        table.add_row(name, *(cell(row.get(column), ".3f") for column in shown))
    console.print(table)


def show_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*titles)
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def _compared() -> list[str]:
    return [column for column in COLUMNS if column not in _DERIVED]


def cell(value: float | None, form: str) -> str:
    """A figure of a column as it is printed."""
    if form == "time":
        form = ".2f" if value is None or abs(value) >= 1 else ".3g"
    return "" if value is None else format(value, form)


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items() if value is not None)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=160)  # a pipe has no width to fit into
