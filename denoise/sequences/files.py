# SPDX-License-Identifier: Apache-2.0
"""What a run needs of the files that frames come from and results go to, whatever their format."""

from __future__ import annotations

import json
import os
import platform
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .sequence import Arrays

_UNFINISHED = ".denoise.tmp"  # ending of files that are being written


class FrameFiles(Mapping[int, Arrays], ABC):
    """The frames of a sequence, one file each; nothing is read before it is asked for.

    Everything raises SequenceError that begins with the path of a file that is missing or damaged.
    """

    indices: list[int]
    made_with: Mapping[str, Any] = {}  # what the arrays depend on beside the files

    @abstractmethod
    def path(self, index: int) -> Path:
        """The file of a frame."""

    @abstractmethod
    def read(self, index: int, names: Iterable[str] | None = None) -> Arrays:
        """The arrays of a frame, or those of `names` that it has."""

    @abstractmethod
    def digest(self, index: int, names: Iterable[str]) -> str:
        """Changes when these arrays do; quick: the file is not read through."""

    @property
    def origin(self) -> FrameFiles:
        """The files themselves, of frames that are made from other ones."""
        return self

    def __getitem__(self, index: int) -> Arrays:
        return self.read(index)

    def __contains__(self, index: object) -> bool:
        return index in self.indices

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


class Results(ABC):
    """Where the results of a run go, one file for each frame.

    journal    the file that says how the frames were made, and which are done
    wants      arrays that are needed beside the inputs of the denoisers
    dtype      of the signals
    made_with  what else the files depend on
    """

    journal: Path
    wants: tuple[str, ...] = ()
    dtype: type[np.floating[Any]] = np.float32
    made_with: Mapping[str, Any] = {}

    @abstractmethod
    def path(self, index: int) -> Path:
        """The file of a frame."""

    @abstractmethod
    def overlay_path(self, index: int) -> Path:
        """The picture of a frame's inputs and of the denoiser's state."""

    @abstractmethod
    def write(self, index: int, signals: Arrays, arrays: Arrays) -> None:
        """Write a frame: its denoised signals and what it had before. The file is there whole or not at all."""

    def notes(self) -> list[str]:
        """What a user should know of them before they are written."""
        return []

    def is_whole(self, index: int) -> bool:
        """Whether the file of a frame is there."""
        return self.path(index).is_file()


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its place when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{_machine()}.{os.getpid()}{_UNFINISHED}")
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say what it was full for
        raise
    finally:
        temporary.unlink(missing_ok=True)


def discard_leftovers(folder: Path) -> None:
    """Remove what `atomic` left behind in processes of this machine that were killed."""
    for path in folder.glob(f".*{_UNFINISHED}"):
        machine, process = path.name.removesuffix(_UNFINISHED).split(".")[-2:]
        if machine == _machine() and not _runs(int(process)):
            path.unlink(missing_ok=True)


def _machine() -> str:
    """The name of this machine, without dots: others may write to the same folder."""
    return platform.node().replace(".", "-")


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def write_json(path: Path, value: object) -> None:
    """Write a JSON file: it is there whole or not at all."""
    with atomic(path) as file:
        file.write((json.dumps(value, indent=1) + "\n").encode())


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a PNG file, of (H, W, 3): it is there whole or not at all. Needs Pillow (extra `cli`)."""
    from PIL import Image

    with atomic(path) as file:
        Image.fromarray(picture).save(file, format="PNG")
