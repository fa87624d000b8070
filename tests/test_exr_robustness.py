# SPDX-License-Identifier: Apache-2.0
"""Files that are damaged or hostile, disks that are full, runs that are killed."""

from __future__ import annotations

import builtins
import errno
import functools
import io
import multiprocessing
import os
import random
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import renderer_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from renderer_files import write_blender

from denoise import cli
from denoise import sequences as sq
from denoise.sequences import cameras, files, mapping
from denoise.sequences.exr import places
from denoise.sequences.exr_file import COMPRESSIONS, ExrFile

quick = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def refusal(call: Callable[[], object]) -> str:
    """The message with which something is refused, empty if it is not."""
    try:
        call()
    except (sq.SequenceError, ValueError) as error:
        return str(error)
    return ""


def read_all(data: bytes) -> int:
    """Read every channel of a file in memory; how many parts could be read. SequenceError if it cannot be opened."""
    whole = 0
    with ExrFile("fuzzed.exr", io.BytesIO(data)) as file:
        for part in file.parts:
            message = refusal(functools.partial(file.pixels, part))
            assert message == "" or message.startswith("fuzzed.exr: ")
            whole += not message
        if whole:
            places(file)
    return whole


@functools.cache
def sound_files() -> list[bytes]:
    """One of every compression, in lines and in tiles, and one of several parts."""
    random = np.random.default_rng(0)
    found = []
    for number in COMPRESSIONS:
        for kind in (OpenEXR.scanlineimage, OpenEXR.tiledimage):
            pixels = {"Z": random.random((20, 18)).astype(np.float32), "R": random.random((20, 18)).astype(np.float16)}
            header = {"compression": OpenEXR.Compression(number), "type": kind, "tiles": OpenEXR.TileDescription()}
            if kind is OpenEXR.scanlineimage:
                del header["tiles"]
            stream = io.BytesIO()
            OpenEXR.File(header, pixels).write(stream)
            found.append(stream.getvalue())
    stream = io.BytesIO()
    parts = renderer_files.parts_of({name: a for name, a in renderer_files.blender(0).items() if "Diff" in name})
    OpenEXR.File(parts).write(stream)
    return [*found, stream.getvalue()]


def test_sound_files_are_read() -> None:
    for data in sound_files():
        assert read_all(data)


NUMBERS = [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\0\0", b"\x01\0\0\0", b"\0\0\1\0"]
Edit = tuple[float, bytes, int]  # where, what is put there, how much it replaces
EDITS: st.SearchStrategy[Edit] = st.tuples(
    st.floats(0, 1), st.one_of(st.sampled_from(NUMBERS), st.binary(max_size=6)), st.integers(0, 6)
)


@quick
@given(st.integers(0, 100), st.lists(EDITS, min_size=1, max_size=4), st.booleans(), st.floats(0, 1))
def test_damaged_files(which: int, edits: list[Edit], header_only: bool, length: float) -> None:
    """Whatever is in a file, it is read or refused: no crash, and no more memory than a small file may take."""
    sound = sound_files()[which % len(sound_files())]
    data = bytearray(sound)
    for where, new, old in edits:
        at = int(where * (min(len(sound), 500) if header_only else len(sound)))
        data[at : at + old] = new
    if length > 0.9:
        del data[int(len(data) * (length - 0.9) * 10) :]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(lambda: read_all(bytes(data))).partition(": ")[0] in ("", "fuzzed.exr", "view")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KB


@quick
@given(st.binary(max_size=200))
def test_what_is_no_file_at_all(data: bytes) -> None:
    for start in (b"", struct.pack("<II", 20000630, 2), struct.pack("<II", 20000630, 0x1002)):
        with pytest.raises(sq.SequenceError):
            read_all(start + data)


TILES = b"tiledesc\0\x09\0\0\0" + struct.pack("<II", 32, 32)


def patched(old: bytes, new: bytes) -> bytes:
    """A sound file of zip, with lines or if they are meant with tiles, and bytes of its header exchanged."""
    sound = sound_files()[7 if old.startswith(b"tile") else 6]
    assert old in sound
    return sound.replace(old, new, 1)


def window(right: int, bottom: int) -> bytes:
    return b"dataWindow\0box2i\0" + struct.pack("<i4i", 16, 0, 0, right, bottom)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: b"", "the file is cut off"),
        (lambda: b"RIFF" + bytes(40), "this is no OpenEXR file"),
        (lambda: patched(b"\x02\0\0\0channels", b"\x09\0\0\0channels"), "version 9 of the format is not known"),
        (lambda: patched(window(17, 19), window(2**31 - 2, 19)), "bytes that the header promises"),
        (lambda: patched(window(17, 19), window(17, 2**31 - 2)), "the file is cut off"),
        (lambda: patched(window(17, 19), window(-1, 19)), "dataWindow: .* holds no pixels"),
        (lambda: patched(window(17, 19), window(17, 9)), "its pixels are damaged"),
        (lambda: patched(b"chlist\0\x25", b"chlist\0\xff"), "cut off|bytes expected|lacks|damaged"),
        (
            lambda: patched(b"compression\0\x01\0\0\0\x03", b"compression\0\x01\0\0\0\x2a"),
            "compression: number 42 is not known",
        ),
        (lambda: sound_files()[6][:-1], "cut off or damaged"),
        (lambda: sound_files()[6][:400], "cut off"),
        (
            lambda: patched(TILES, b"tiledesc\0\x09\0\0\0\x10\0\0\0\0\0\0\x80"),
            "tiles: of 16 x 2147483648 pixels",
        ),
        (lambda: patched(TILES + b"\0", TILES + b"\xf1"), "tiles: levels of kind 0xf1 are not known"),
    ],
)
def test_hostile_headers(data: Callable[[], bytes], message: str) -> None:
    def read() -> None:
        with ExrFile("fuzzed.exr", io.BytesIO(data())) as file:
            file.pixels(file.parts[0])

    with pytest.raises(sq.SequenceError, match=f"fuzzed.exr: .*({message})"):
        read()


def test_hostile_display_window(tmp_path: Path) -> None:
    shown = (np.array([0, 0], np.int32), np.array([2**20, 2**20], np.int32))
    source = write_blender(tmp_path, range(1, 2), {}, displayWindow=shown)
    with pytest.raises(sq.SequenceError, match=r"shot\.0001\.exr: displayWindow: "):
        sq.open_sequence(source)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["cameras", "camera", "1", "world_to_view", "view_to_clip", "field_of_view"]), inner
        ),
    ),
    max_leaves=12,
)


@quick
@given(JSON)
def test_odd_camera_files(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.json"
    sq.write_json(path, value)
    message = refusal(lambda: cameras.described(path, [1], (4, 3)))
    assert message == "" or message.startswith(f"{path}: ")


@quick
@given(st.text(max_size=40))
def test_odd_expressions(text: str) -> None:
    refusal(lambda: mapping.find_expression(mapping.parse_expression(text), ["R", "a.R"], ""))


# Disks and folders


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    return write_blender(tmp_path / "in")


def run(source: Path, out: Path, *options: str) -> int:
    return cli.main(["run", str(source), "-o", str(out), *options])


def test_names_with_spaces_and_other_letters(tmp_path: Path) -> None:
    source = write_blender(tmp_path / "Größe 圖 [1] %")
    out = tmp_path / "fertig é 100%" / "rein #.%04d.exr".replace("#", "№")
    assert run(source, out) == 0
    assert sq.open_sequence(out).num_frames == 4


@pytest.mark.parametrize("how", ["cut", "flipped", "gone", "nothing"])
def test_a_damaged_frame_is_named_and_the_rest_kept(how: str, shot: Path, tmp_path: Path, capfd: Any) -> None:
    path = shot.with_name("shot.0003.exr")
    data = bytearray(path.read_bytes())
    with ExrFile(path) as file:
        depth = next(part for part in file.parts if part.name.endswith("Diffuse Color"))
        at = int(depth.offsets[0])
    if how == "flipped":
        data[at + 12 : at + 20] = b"\xff" * 8  # in compressed pixels
    path.write_bytes({"cut": data[: len(data) // 2], "nothing": b""}.get(how, data))
    if how == "gone":
        sequence = sq.open_sequence(shot)
        path.unlink()
        with pytest.raises(sq.SequenceError, match=r"shot\.0003\.exr: no such file"):
            sq.denoise_sequence(sequence, sq.open_results(tmp_path / "o.####.exr", sequence))
    else:
        assert run(shot, tmp_path / "o.####.exr") == 2
        assert f"denoise: {path}: " in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.glob("o*.exr")) == ["o.0001.exr", "o.0002.exr"]
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def full_after(limit: int, path: Path) -> Callable[..., Any]:
    """`open` on a disk that has room for so many more bytes, for files whose name contains that of `path`."""

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            nonlocal limit
            limit -= len(data)
            if limit < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

    def open_(name: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        return Full(name, mode) if path.stem in str(name) and "w" in mode else builtins.open(name, mode, *more, **named)

    return open_


@pytest.mark.parametrize("limit", [0, 5000, 100_000])
def test_full_disk(
    limit: int, shot: Path, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole" / "o.####.exr"
    assert run(shot, whole) == 0
    out = tmp_path / "out" / "o.####.exr"
    out.parent.mkdir()
    monkeypatch.setattr(files, "open", full_after(limit, out.with_name("o")), raising=False)
    assert run(shot, out) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"{out.parent}/" in message
    assert "No space left on device" in message
    written = sorted(out.parent.glob("*.exr"))
    for path in written:
        assert path.read_bytes() == whole.with_name(path.name).read_bytes()
    assert {path.suffix for path in out.parent.iterdir()} <= {".exr", ".json"}
    monkeypatch.undo()
    assert run(shot, out) == 0
    assert len(list(out.parent.glob("*.exr"))) == 4


def test_folders_that_cannot_be_written(shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(shot, tmp_path / "file" / "o.####.exr") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    if not os.access(locked, os.W_OK):  # as root, it can be written all the same
        assert run(shot, locked / "o.####.exr") == 2
        assert "Permission denied" in capsys.readouterr().err
        assert not list(locked.iterdir())


# Runs that end early


def test_interrupted_run_leaves_whole_files(shot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, out = tmp_path / "whole" / "o.####.exr", tmp_path / "out" / "o.####.exr"
    assert run(shot, whole) == 0
    times = iter(range(100))

    def interrupt(*_: Any) -> Any:
        if next(times) == 2:
            raise KeyboardInterrupt
        return sq.denoise_frame(*_)

    monkeypatch.setattr("denoise.sequences.run.denoise_frame", interrupt)
    assert run(shot, out) == 130
    written = sorted(out.parent.glob("*"))
    assert [path.name for path in written] == ["o.0001.exr", "o.0002.exr", "o.exr.run.json"]
    for path in written[:2]:
        assert path.read_bytes() == whole.with_name(path.name).read_bytes()


def work(source: str, out: str) -> None:
    """In a process of its own."""
    sequence = sq.open_sequence(source)
    sq.denoise_sequence(sequence, sq.open_results(out, sequence))


def test_killed_fifty_times(tmp_path: Path) -> None:
    """Killed at random moments and started again, a run ends with the bits of one that was left alone."""
    source = write_blender(tmp_path / "in", range(1, 5), names={})
    for number in range(5, 17):  # the wall again and again
        os.link(source.with_name(f"shot.{(number - 1) % 4 + 1:04d}.exr"), source.with_name(f"shot.{number:04d}.exr"))
    whole, out = tmp_path / "whole" / "o.####.exr", tmp_path / "out" / "o.####.exr"
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["denoise.cli", "denoise.metrics", "OpenEXR", __name__])
    began = time.perf_counter()
    for _ in range(2):  # the second one is as fast as the others will be
        began = time.perf_counter()
        process = processes.Process(target=work, args=(str(source), str(whole)))
        process.start()
        process.join()
        assert process.exitcode == 0
        if _ == 0:
            first = {path.name: path.read_bytes() for path in whole.parent.glob("*.exr")}
            for path in whole.parent.iterdir():
                path.unlink()
    duration = time.perf_counter() - began
    chance = random.Random(0)
    killed = 0
    while killed < 50:
        process = processes.Process(target=work, args=(str(source), str(out)))
        process.start()
        process.join(chance.uniform(0, 0.8 * duration))
        if process.exitcode is None:
            process.kill()
            process.join()
            killed += 1
        for path in out.parent.glob("o.*.exr"):
            assert path.read_bytes() == first[path.name]
            if chance.random() < 0.5:
                path.unlink()
    work(str(source), str(out))
    assert {path.name: path.read_bytes() for path in out.parent.glob("*.exr")} == first
    assert not list(out.parent.glob(".*"))
