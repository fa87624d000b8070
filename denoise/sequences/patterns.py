# SPDX-License-Identifier: Apache-2.0
"""Names of numbered files: `shot.####.exr` or `shot.%04d.exr`; a name without a number stands for one still."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_NUMBER = re.compile(r"#+|%(0\d+)?d")


@dataclass(frozen=True)
class Pattern:
    """The name of a sequence of files.

    folder         where they are
    before, after  what of their names stands around the number; a still has nothing after it
    digits         the least number of digits; 0: a still
    """

    folder: Path
    before: str
    digits: int = 0
    after: str = ""

    @classmethod
    def parse(cls, text: str | os.PathLike[str]) -> Pattern:
        """ValueError if there is more than one place for the number, or one in a folder's name."""
        path = Path(text)
        places = list(_NUMBER.finditer(path.name))
        if len(places) > 1 or _NUMBER.search(str(path.parent)):
            raise ValueError(f"{text}: expected one place for the number, in the name of the file")
        if not places:
            return cls(path.parent, path.name)
        (place,) = places
        digits = len(place[0]) if place[0].startswith("#") else int(place[1] or 1)
        return cls(path.parent, path.name[: place.start()], digits, path.name[place.end() :])

    def __str__(self) -> str:
        return str(self.folder / f"{self.before}{'#' * self.digits}{self.after}")

    @property
    def stem(self) -> str:
        """The name without number and ending."""
        name = self.before if self.digits else Path(self.before).stem
        return name.rstrip("._- ") or self.after.strip("._- ") or "frames"

    @property
    def journal(self) -> Path:
        """The record of a run that writes these files."""
        return self.folder / f"{self.stem}{self.path(0).suffix}.run.json"

    def overlay(self, number: int) -> Path:
        """The picture of inputs and state that belongs to a file."""
        return self.folder / f"{self.stem}.overlay.{number:04d}.png"

    def path(self, number: int) -> Path:
        return self.folder / (f"{self.before}{number:0{self.digits}d}{self.after}" if self.digits else self.before)

    def numbers(self) -> list[int]:
        """The numbers of the files that are there, in order. A still has the last number in its name, or 0."""
        if not self.digits:
            found = re.findall(r"\d+", Path(self.before).stem)
            return [int(found[-1]) if found else 0] if self.path(0).is_file() else []
        name = re.compile(re.escape(self.before) + r"(\d+)" + re.escape(self.after))
        try:
            matches = [name.fullmatch(entry) for entry in os.listdir(self.folder)]
        except OSError:
            return []
        numbers = (int(match[1]) for match in matches if match)
        return sorted(number for number in numbers if self.path(number).is_file())
