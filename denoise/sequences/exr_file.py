# SPDX-License-Identifier: Apache-2.0
"""One OpenEXR file: its headers, and its compressed chunks, which can be decoded, replaced, or copied as they are.

The OpenEXR package decodes and encodes pixels. The container around them is read and written here, for three reasons:
a part is decoded without the others; a part that stays is copied byte for byte, whatever is in it; and a damaged or
hostile file is refused before memory is allocated for it.

Layout of a file: magic, version and flags, the attributes of each part, a table of file offsets for each part, chunks.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .sequence import SequenceError

Attributes = dict[str, tuple[str, bytes]]  # name -> type and value, in the order of the file
Window = tuple[int, int, int, int]  # x and y of the first and of the last pixel
Pixels = dict[str, NDArray[Any]]  # channel -> (height, width)

# Number in the file -> name, lines of a chunk of scanlines.
COMPRESSIONS = {
    0: ("none", 1),
    1: ("rle", 1),
    2: ("zips", 1),
    3: ("zip", 16),
    4: ("piz", 32),
    5: ("pxr24", 16),
    6: ("b44", 32),
    7: ("b44a", 32),
    8: ("dwaa", 32),
    9: ("dwab", 256),
    10: ("htj2k256", 256),
    11: ("htj2k32", 32),
    13: ("zstd", 1),
}
LOSSY = ("pxr24", "b44", "b44a", "dwaa", "dwab")
DTYPES = (np.dtype(np.uint32), np.dtype(np.float16), np.dtype(np.float32))  # by number in the file
TYPE_NAMES = ("uint", "half", "float")

_MAGIC, _VERSION = 20000630, 2
_TILED, _LONG_NAMES, _DEEP, _MULTIPART = 0x200, 0x400, 0x800, 0x1000
_COORDINATES = {"scanlineimage": 1, "tiledimage": 4, "deepscanline": 1, "deeptile": 4}  # numbers that begin a chunk
_SIZES = {"scanlineimage": "<i", "tiledimage": "<i", "deepscanline": "<QQQ", "deeptile": "<QQQ"}
# All that the library is told of a part.
_ESSENTIAL = (
    *("channels", "compression", "dataWindow", "displayWindow", "lineOrder", "pixelAspectRatio"),
    *("screenWindowCenter", "screenWindowWidth", "tiles", "type"),
)
# A part may unpack to this much without question, and beyond it to as much as zip can make of what is stored.
_UNPACKED_FREE, _UNPACKED_PER_BYTE = 1 << 30, 1100
_LARGE_TILE = 1 << 22  # pixels; larger ones must fit the picture


@dataclass(frozen=True)
class Channel:
    """A channel of a part: its full name, its number format (index of DTYPES) and every how many pixels it has one."""

    name: str
    kind: int
    sampling: tuple[int, int] = (1, 1)
    linear: bytes = bytes(4)  # perceptually linear, and three bytes of reserve, as they were

    @property
    def dtype(self) -> np.dtype[Any]:
        return DTYPES[self.kind]


@dataclass(frozen=True)
class Part:
    """One picture of a file. Raises ValueError for attributes that are absent or cannot be meant.

    offsets  where its chunks begin
    """

    attributes: Attributes
    offsets: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    @property
    def name(self) -> str:
        """The name of the part; empty in files that have but one."""
        return self.text("name")

    @property
    def kind(self) -> str:
        """scanlineimage, tiledimage, deepscanline or deeptile."""
        return self.text("type") or ("tiledimage" if "tiles" in self.attributes else "scanlineimage")

    @property
    def deep(self) -> bool:
        return self.kind.startswith("deep")

    @property
    def compression(self) -> str:
        number = self.value("compression", "<B")[0]
        if number not in COMPRESSIONS:
            raise ValueError(f"compression: number {number} is not known")
        return COMPRESSIONS[number][0]

    @property
    def data_window(self) -> Window:
        return self._window("dataWindow")

    @property
    def display_window(self) -> Window:
        return self._window("displayWindow")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the data window."""
        return window_size(self.data_window)

    @property
    def channels(self) -> list[Channel]:
        data = self.attributes["channels"][1]
        found, at = [], 0
        while data[at : at + 1] != b"\0":
            end = data.find(b"\0", at)
            if end < 0 or end + 17 > len(data):
                raise ValueError("channels: the list is cut off")
            kind, linear, x, y = struct.unpack_from("<i4sii", data, end + 1)
            name = data[at:end].decode("utf-8", "replace")
            if not (0 <= kind < len(DTYPES) and x > 0 and y > 0):
                raise ValueError(f"channels: {name!r} has number format {kind} and sampling {x}, {y}")
            found.append(Channel(name, kind, (x, y), linear))
            at = end + 17
        return found

    @property
    def unpacked_bytes(self) -> int:
        """What its pixels take in memory."""
        width, height = self.size
        return sum(width * height * channel.dtype.itemsize for channel in self.channels)

    @property
    def frame_rate(self) -> float | None:
        """Frames per second, None if it is not said."""
        kind, data = self.attributes.get("framesPerSecond", ("", b""))
        above, below = struct.unpack("<iI", data) if kind == "rational" and len(data) == 8 else (0, 0)
        return above / below if above > 0 and below else None

    def with_compression(self, name: str) -> Part:
        """The same, to be encoded in another way."""
        number = next(number for number, (known, _) in COMPRESSIONS.items() if known == name)
        return Part(self.attributes | {"compression": ("compression", bytes([number]))})

    def text(self, name: str) -> str:
        """A text attribute, empty if it is absent."""
        kind, data = self.attributes.get(name, ("string", b""))
        return data.decode("utf-8", "replace").rstrip("\0") if kind == "string" else ""

    def texts_by_name(self) -> list[str]:
        """All text attributes, as "NAME=VALUE"."""
        return [f"{name}={self.text(name)}" for name, (kind, _) in self.attributes.items() if kind == "string"]

    def texts(self, name: str) -> list[str]:
        """A list of texts, empty if it is absent or damaged."""
        kind, data = self.attributes.get(name, ("", b""))
        found, at = [], 0
        while kind == "stringvector" and at + 4 <= len(data):
            (length,) = struct.unpack_from("<I", data, at)
            found.append(data[at + 4 : at + 4 + length].decode("utf-8", "replace"))
            at += 4 + length
        return found

    def matrix(self, name: str) -> NDArray[np.float64] | None:
        """A 4x4 matrix as it is stored: for row vectors."""
        kind, data = self.attributes.get(name, ("", b""))
        return np.frombuffer(data, "<f4").reshape(4, 4).astype(float) if kind == "m44f" and len(data) == 64 else None

    def value(self, name: str, layout: str) -> tuple[Any, ...]:
        """The numbers of an attribute that every file has. ValueError if it is absent or of another size."""
        data = self.attributes.get(name, ("", b""))[1]
        if len(data) < struct.calcsize(layout):
            raise ValueError(f"{name}: the header lacks it, or it is cut off")
        return struct.unpack_from(layout, data)

    def _window(self, name: str) -> Window:
        left, top, right, bottom = self.value(name, "<4i")
        if right < left or bottom < top:
            raise ValueError(f"{name}: ({left}, {top}) to ({right}, {bottom}) holds no pixels")
        return left, top, right, bottom


@dataclass(frozen=True)
class Stored:
    """What is written of a part: its attributes, and as many chunks as `count` says, without the part's number."""

    attributes: Attributes
    count: int
    chunks: Iterable[bytes]


def new_part(data: Window, display: Window, compression: str, more: Attributes) -> Part:
    """A part of scanlines without channels; `encode` makes it a picture.

    more  its other attributes, among them name and type where it is to be one of several
    """
    attributes: Attributes = {
        "channels": ("chlist", b"\0"),
        "compression": ("compression", b"\0"),
        "dataWindow": ("box2i", struct.pack("<4i", *data)),
        "displayWindow": ("box2i", struct.pack("<4i", *display)),
        "lineOrder": ("lineOrder", b"\0"),
        "pixelAspectRatio": ("float", struct.pack("<f", 1)),
        "screenWindowCenter": ("v2f", bytes(8)),
        "screenWindowWidth": ("float", struct.pack("<f", 1)),
    }
    if "name" in more:
        attributes["chunkCount"] = "int", bytes(4)
    return Part(attributes | more).with_compression(compression)


def window_size(window: Window) -> tuple[int, int]:
    """Width and height."""
    left, top, right, bottom = window
    return right - left + 1, bottom - top + 1


class ExrFile:
    """An open file, or one in memory. Use it in a `with`; parts and chunks are read when they are asked for.

    Raises SequenceError that begins with the path for whatever makes it unusable, from here and from every method.
    """

    def __init__(self, path: str | os.PathLike[str], file: IO[bytes] | None = None) -> None:
        self.path = Path(path)
        with blamed(self.path):
            self._file = file or open(path, "rb")  # noqa: SIM115 -- closed by __exit__
            try:
                self._read_headers()
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> ExrFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def pixels(self, part: Part, names: Iterable[str] | None = None) -> Pixels:
        """The channels of a part, or those of `names`, as uint32, float16 or float32 (height, width)."""
        with blamed(self.path, part):
            wanted = [channel.name for channel in part.channels]
            wanted = wanted if names is None else [name for name in wanted if name in set(names)]
            if part.deep:
                raise ValueError("deep pixels have no one value each: flatten them first")
            packed = sum(map(len, chunks := list(self.chunks(part))))
            if part.unpacked_bytes > max(_UNPACKED_FREE, _UNPACKED_PER_BYTE * packed):
                raise ValueError(f"{packed} bytes cannot hold the {part.unpacked_bytes} bytes that the header promises")
            decoded = decode(part, chunks)
            return {name: decoded[name] for name in wanted}

    def chunks(self, part: Part) -> Iterator[bytes]:
        """The chunks of a part as they are stored, without the number of the part, in the order of its table."""
        number = self.parts.index(part)
        lead = 4 if self.multipart else 0
        places = 4 * _COORDINATES[part.kind]
        layout = _SIZES[part.kind]
        for count, offset in enumerate(part.offsets.tolist()):
            with blamed(self.path, part, count):
                self._file.seek(offset)
                head = self._take(lead + places + struct.calcsize(layout))
                if lead and struct.unpack_from("<i", head)[0] != number:
                    raise ValueError("it belongs to another part")
                sizes = struct.unpack_from(layout, head, lead + places)
                stored = sizes[0] + sizes[1] if part.deep else sizes[0]
                body = self._take(stored)
            yield head[lead:] + body

    def stored(self, part: Part) -> Stored:
        """A part as it is, to be written elsewhere."""
        return Stored(part.attributes, len(part.offsets), self.chunks(part))

    def headers(self) -> bytes:
        """All of the file before the first chunk, which says of the pixels what shows in the sizes of their chunks."""
        with blamed(self.path):
            self._file.seek(0)
            return self._take(self._first_chunk)

    def _read_headers(self) -> None:
        self._size = self._file.seek(0, io.SEEK_END)
        self._file.seek(0)
        magic, version = struct.unpack("<II", self._take(8))
        if magic != _MAGIC:
            raise ValueError("this is no OpenEXR file")
        if version & 0xFF != _VERSION:
            raise ValueError(f"version {version & 0xFF} of the format is not known")
        self.multipart = bool(version & _MULTIPART)
        headers = [self._read_header()]
        while self.multipart and (header := self._read_header()):
            headers.append(header)
        parts = [Part(attributes) for attributes in headers]
        counts = [_chunk_count(part) for part in parts]
        self.parts = [
            Part(part.attributes, self._read_offsets(part, count)) for part, count in zip(parts, counts, strict=True)
        ]
        self._first_chunk = self._file.tell()
        for part in self.parts:
            for count, offset in enumerate(part.offsets.tolist()):
                if not self._first_chunk <= offset < self._size:
                    with blamed(self.path, part, count):
                        raise ValueError("it is not there: the file is cut off, or was never finished")

    def _read_header(self) -> Attributes:
        attributes: Attributes = {}
        while name := self._take_text():
            kind = self._take_text()
            (size,) = struct.unpack("<i", self._take(4))
            attributes[name] = kind, self._take(size)
        return attributes

    def _read_offsets(self, part: Part, count: int) -> NDArray[np.uint64]:
        with blamed(self.path, part):
            return np.frombuffer(self._take(8 * count), "<u8")

    def _take(self, size: int) -> bytes:
        """The next bytes of the file, but not more than it has."""
        if not 0 <= size <= self._size - self._file.tell():
            raise ValueError(f"{size} bytes expected at {self._file.tell()}: the file is cut off or damaged")
        return self._file.read(size)

    def _take_text(self) -> str:
        text = bytearray()
        while (byte := self._take(1)) != b"\0":
            text += byte
            if len(text) > 255:
                raise ValueError("a name in the header has no end")
        return text.decode("utf-8", "surrogateescape")


def _chunk_count(part: Part) -> int:
    """How many chunks a part must have."""
    for name in ("channels", "displayWindow"):
        if name not in part.attributes:
            raise ValueError(f"{name}: the header lacks it")
    if part.kind not in _COORDINATES:
        raise ValueError(f"parts of type {part.kind!r} are not known")
    width, height = part.size
    if not part.channels:
        raise ValueError("channels: there is none")
    if part.kind in ("tiledimage", "deeptile"):
        across, down, mode = part.value("tiles", "<IIB")
        if not 0 < across * down <= max(_LARGE_TILE, width * height):
            raise ValueError(f"tiles: of {across} x {down} pixels in a picture of {width} x {height}")
        levels = _levels(width, height, mode)
        return sum(-(-w // across) * -(-h // down) for w, h in levels)
    number = part.value("compression", "<B")[0]
    if number not in COMPRESSIONS:
        raise ValueError(f"compression: number {number} is not known")
    return -(-height // COMPRESSIONS[number][1])


def _levels(width: int, height: int, mode: int) -> list[tuple[int, int]]:
    """The sizes of the levels of a tiled part: one, each half of the one before, or all halves of both sides."""

    def halves(size: int, upwards: int) -> list[int]:
        sizes = [size]
        while sizes[-1] > 1:
            sizes.append((sizes[-1] + upwards) // 2)
        return sizes

    kind, upwards = mode & 0xF, mode >> 4
    if kind > 2 or upwards > 1:
        raise ValueError(f"tiles: levels of kind {mode:#x} are not known")
    if kind == 0:
        return [(width, height)]
    across, down = halves(width, upwards), halves(height, upwards)
    if kind == 1:
        longest = max(len(across), len(down))
        return [(across[min(i, len(across) - 1)], down[min(i, len(down) - 1)]) for i in range(longest)]
    return [(w, h) for h in down for w in across]


def decode(part: Part, chunks: list[bytes]) -> Pixels:
    """The pixels of chunks, by the OpenEXR package. Only what it must know of the header is shown to it."""
    import OpenEXR

    essential = {name: part.attributes[name] for name in _ESSENTIAL if name in part.attributes}
    stream = io.BytesIO()
    write(stream, [Stored(essential, len(chunks), chunks)])
    stream.seek(0)
    with _library():
        found = OpenEXR.File(stream, separate_channels=True).parts
    if not found:  # it leaves out what it cannot decode
        raise ValueError("its pixels are damaged")
    return {name: channel.pixels for name, channel in found[0].channels.items()}


def encode(part: Part, pixels: Pixels) -> Stored:
    """A part that holds these pixels in place of its own, by the OpenEXR package.

    Number formats are those of the arrays; compression, windows and tiles those of the part. Levels but the first one
    are left out.
    """
    import OpenEXR

    left, top, right, bottom = part.data_window
    header: dict[str, Any] = {
        "type": OpenEXR.scanlineimage,
        "compression": OpenEXR.Compression(part.value("compression", "<B")[0]),
        "dataWindow": (np.array([left, top], np.int32), np.array([right, bottom], np.int32)),
        "lineOrder": OpenEXR.LineOrder(part.value("lineOrder", "<B")[0]),
    }
    if part.kind == "tiledimage":
        tiles = OpenEXR.TileDescription()
        tiles.xSize, tiles.ySize, _ = part.value("tiles", "<IIB")
        header |= {"type": OpenEXR.tiledimage, "tiles": tiles}
    stream = io.BytesIO()
    with _library():
        OpenEXR.File(header, {name: np.ascontiguousarray(array) for name, array in pixels.items()}).write(stream)
    with ExrFile(part.name or "encoded", stream) as file:
        encoded = file.parts[0]
        chunks = list(file.chunks(encoded))
    linear = {channel.name: channel.linear for channel in part.channels}
    channels = [
        Channel(name, DTYPES.index(pixels[name].dtype), linear=linear.get(name, bytes(4))) for name in sorted(pixels)
    ]
    changes = {"channels": ("chlist", _channel_list(channels)), "lineOrder": encoded.attributes["lineOrder"]}
    if "chunkCount" in part.attributes:
        changes["chunkCount"] = "int", struct.pack("<i", len(chunks))
    if part.kind == "tiledimage":
        changes["tiles"] = encoded.attributes["tiles"]
    return Stored(part.attributes | changes, len(chunks), chunks)


def write(file: IO[bytes], parts: Sequence[Stored], multipart: bool = False) -> None:
    """Write a file of parts; more than one, or one that is to be told by its name, need `multipart`."""
    kinds = [Part(part.attributes).kind for part in parts]
    names = [name for part in parts for name in _names(part.attributes)]
    flags = _LONG_NAMES if max(map(len, names)) > 31 else 0
    flags |= _DEEP if any(kind.startswith("deep") for kind in kinds) else 0
    flags |= _MULTIPART if multipart else _TILED if kinds == ["tiledimage"] else 0
    file.write(struct.pack("<II", _MAGIC, _VERSION | flags))
    for part in parts:
        for name, (kind, data) in part.attributes.items():
            file.write(_text(name) + _text(kind) + struct.pack("<i", len(data)) + data)
        file.write(b"\0")
    file.write(b"\0" if multipart else b"")
    table = file.tell()
    file.write(bytes(8 * sum(part.count for part in parts)))
    offsets = []
    for number, part in enumerate(parts):
        for chunk in part.chunks:
            offsets.append(file.tell())
            file.write((struct.pack("<i", number) if multipart else b"") + chunk)
    file.seek(table)
    file.write(struct.pack(f"<{len(offsets)}Q", *offsets))


def _names(attributes: Attributes) -> Iterator[str]:
    yield from attributes
    yield from (kind for kind, _ in attributes.values())
    yield from (channel.name for channel in Part(attributes).channels)


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\0"


def _channel_list(channels: Iterable[Channel]) -> bytes:
    packed = (_text(c.name) + struct.pack("<i4sii", c.kind, c.linear, *c.sampling) for c in channels)
    return b"".join(packed) + b"\0"


@contextmanager
def blamed(path: Path, part: Part | None = None, chunk: int | None = None) -> Iterator[None]:
    """Turn whatever is wrong with a file into a SequenceError that begins with its name and says where."""
    try:
        yield
    except FileNotFoundError:
        raise SequenceError(f"{path}: no such file") from None
    except (OSError, ValueError, struct.error, OverflowError, MemoryError) as error:
        where = f"part {part.name!r}: " if part and part.name else ""
        where += f"chunk {chunk}: " if chunk is not None else ""
        raise SequenceError(f"{path}: {where}{error}") from error


@contextmanager
def _library() -> Iterator[None]:
    """What the OpenEXR package raises, as ValueError; about damaged pixels it writes to stdout and stderr, too."""
    try:
        yield
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"the OpenEXR library cannot do it: {error}") from error
