# SPDX-License-Identifier: Apache-2.0
"""OpenEXR files in and out: what is read, what is changed, and that all else stays bit for bit."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import renderer_files
import tiny_sequence
from renderer_files import BLENDER_5, blender, channels, write_blender

from denoise import cli
from denoise import sequences as sq
from denoise.sequences import beauty, exr_file
from denoise.sequences.exr_file import COMPRESSIONS, LOSSY, ExrFile

PASSES = ("Combined", "DiffDir", "DiffInd", "GlossDir", "GlossInd")  # that change
OLD: dict[str, str] = {}  # Blender before 5 has the short names


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blender(tmp_path_factory.mktemp("shot"))


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("camera") / "cameras.json"
    sq.write_json(path, renderer_files.cameras())
    return path


def run(source: Path, out: Path, *options: str) -> int:
    return cli.main(["run", str(source), "-o", str(out), *options])


def bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def changed(before: Path, after: Path) -> set[str]:
    """The layers of which a channel has other bits, or another type; those that are new as well."""
    old, new = renderer_files.read(before), renderer_files.read(after)
    assert old.keys() <= new.keys()
    before_bits, after_bits = ({name: (f[name].dtype, bits(f[name])) for name in f} for f in (old, new))
    return {name.rpartition(".")[0] for name in new if before_bits.get(name) != after_bits[name]}


# The container


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize(("number", "name"), [(number, name) for number, (name, _) in COMPRESSIONS.items()])
def test_every_compression_is_decoded_copied_and_encoded(number: int, name: str, tiled: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = {"half": random.random((41, 33)).astype(np.float16), "float": random.random((41, 33)).astype(np.float32)}
    pixels["uint"] = random.integers(0, 2**32, (41, 33), dtype=np.uint32)
    header: dict[str, Any] = {"compression": OpenEXR.Compression(number)}
    if tiled:
        header |= {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}
    path = renderer_files.write(tmp_path / "a.exr", pixels, **header)
    with ExrFile(path) as file:
        (part,) = file.parts
        assert (part.compression, part.kind, part.size) == (name, "tiledimage" if tiled else "scanlineimage", (33, 41))
        decoded = file.pixels(part)
        copy, again = io.BytesIO(), io.BytesIO()
        exr_file.write(copy, [file.stored(part)])
        exr_file.write(again, [exr_file.encode(part, decoded)])
    assert copy.getvalue() == path.read_bytes()
    expected = renderer_files.read(path)
    for channel, array in decoded.items():
        assert (array.dtype, bits(array)) == (expected[channel].dtype, bits(expected[channel]))
        if name not in LOSSY:
            assert bits(array) == bits(pixels[channel])
    if name not in LOSSY:
        assert again.getvalue() == path.read_bytes()


@pytest.mark.parametrize("mode", [OpenEXR.LevelMode.MIPMAP_LEVELS, OpenEXR.LevelMode.RIPMAP_LEVELS])
@pytest.mark.parametrize("rounding", [OpenEXR.LevelRoundingMode.ROUND_DOWN, OpenEXR.LevelRoundingMode.ROUND_UP])
def test_levels_are_counted_and_copied(mode: Any, rounding: Any) -> None:
    tiles = struct.pack("<IIB", 16, 16, mode.value | rounding.value << 4)
    part = exr_file.new_part((0, 0, 49, 29), (0, 0, 49, 29), "zip", {"tiles": ("tiledesc", tiles)})
    part = exr_file.Part(part.attributes | {"channels": ("chlist", exr_file._channel_list([exr_file.Channel("Z", 2)]))})
    down = rounding is OpenEXR.LevelRoundingMode.ROUND_DOWN
    across = [50, 25, 12, 6, 3, 1] if down else [50, 25, 13, 7, 4, 2, 1]
    along = [30, 15, 7, 3, 1] if down else [30, 15, 8, 4, 2, 1]
    if mode is OpenEXR.LevelMode.MIPMAP_LEVELS:
        sizes = [(w, along[min(i, len(along) - 1)]) for i, w in enumerate(across)]
    else:
        sizes = [(w, h) for h in along for w in across]
    assert exr_file._chunk_count(part) == sum(-(-w // 16) * -(-h // 16) for w, h in sizes)


def test_attributes_of_unknown_types_stay(shot: Path, tmp_path: Path) -> None:
    source = shot.with_name("shot.0001.exr")
    with ExrFile(source) as file:
        first, *others = map(file.stored, file.parts)
        attributes = {**first.attributes, "studio": ("acmeThing", b"\0\1\2\xff"), "x" * 40: ("string", b"long")}
        with open(tmp_path / "in.exr", "wb") as target:
            exr_file.write(target, [exr_file.Stored(attributes, first.count, first.chunks), *others], True)
    assert run(tmp_path / "in.exr", tmp_path / "out.exr") == 0
    with ExrFile(tmp_path / "in.exr") as before, ExrFile(tmp_path / "out.exr") as after:
        assert [part.attributes for part in after.parts] == [part.attributes for part in before.parts]


def test_deep_parts_are_carried_along(shot: Path, tmp_path: Path) -> None:
    """They cannot be decoded, and need not be."""
    named = {"name": ("string", b"deep"), "type": ("string", b"deepscanline"), "version": ("int", struct.pack("<i", 1))}
    part = exr_file.new_part((0, 0, 31, 17), (0, 0, 31, 17), "zips", named)
    listed = part.attributes | {"channels": ("chlist", exr_file._channel_list([exr_file.Channel("Z", 2)]))}
    chunks = [struct.pack("<iQQQ", y, 3 + y, 5, 40) + bytes(range(3 + y + 5)) for y in range(18)]
    with ExrFile(shot.with_name("shot.0001.exr")) as file, open(tmp_path / "in.exr", "wb") as target:
        exr_file.write(target, [*map(file.stored, file.parts), exr_file.Stored(listed, 18, chunks)], True)
    assert run(tmp_path / "in.exr", tmp_path / "out.exr") == 0
    with ExrFile(tmp_path / "out.exr") as file:
        assert (file.parts[-1].attributes, [*file.chunks(file.parts[-1])]) == (listed, chunks)
        with pytest.raises(sq.SequenceError, match="deep pixels have no one value each"):
            file.pixels(file.parts[-1])
    assert cli.main(["inspect", str(tmp_path / "in.exr")]) == 0


# Blender's files


@pytest.mark.parametrize(("names", "half"), [(BLENDER_5, False), (BLENDER_5, True), (OLD, False), (OLD, True)])
def test_frames_are_those_of_the_native_format(names: dict[str, str], half: bool, camera: Path, tmp_path: Path) -> None:
    sequence = sq.open_sequence(write_blender(tmp_path, names=names, half=half), camera=camera)
    assert (sequence.width, sequence.height, sequence.numbers, sequence.cuts) == (32, 18, [1, 2, 3, 4], [])
    assert sequence.meta["cameras"][2] == tiny_sequence.meta()["cameras"][2]
    for index in sequence.frames:
        expected, found = renderer_files.frame(index), sequence.frames[index]
        assert found["roughness"].min() == found["roughness"].max() == np.float32(0.3)
        for name in ("view_z", "normal", "material_id"):
            np.testing.assert_array_equal(found[name], expected[name])
        np.testing.assert_array_equal(found["motion"], expected["motion"][..., :2])
        for name in ("diff", "spec", "albedo", "spec_factor", "color"):
            np.testing.assert_allclose(found[name], expected[name], 2e-3 if half else 1e-6, 1e-4 if half else 1e-6)


def light_passes(found: dict[str, np.ndarray], names: dict[str, str]) -> np.ndarray:
    """The picture as Blender's compositor puts it together."""

    def layer(name: str) -> np.ndarray:
        return np.stack([found[f"ViewLayer.{names.get(name, name)}.{c}"].astype(np.float64) for c in "RGB"], -1)

    diffuse = (layer("DiffDir") + layer("DiffInd")) * layer("DiffCol")
    return diffuse + (layer("GlossDir") + layer("GlossInd")) * layer("GlossCol") + layer("Emit") + layer("Env")


@pytest.mark.parametrize(("names", "half"), [(BLENDER_5, False), (BLENDER_5, True), (OLD, False), (OLD, True)])
def test_only_the_light_changes_and_passes_add_up(
    names: dict[str, str], half: bool, camera: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_blender(tmp_path / "in", names=names, half=half)
    out = tmp_path / "out" / "clean.%04d.exr"
    assert run(source, out, "--camera", str(camera)) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{out}: 4 frames written; ")
    assert "preset blender, guessed from the file: color, " in printed.err
    for number in range(1, 5):
        before, after = source.with_name(f"shot.{number:04d}.exr"), out.with_name(f"clean.{number:04d}.exr")
        assert changed(before, after) == {f"ViewLayer.{names.get(name, name)}" for name in PASSES}
        assert renderer_files.headers(before) == renderer_files.headers(after)
        old, new = renderer_files.read(before), renderer_files.read(after)
        assert bits(old["ViewLayer.Combined.A"]) == bits(new["ViewLayer.Combined.A"])
        combined = np.stack([new[f"ViewLayer.Combined.{c}"] for c in "RGB"], -1)
        np.testing.assert_allclose(light_passes(new, names), combined, 4e-3 if half else 1e-5, 1e-3 if half else 1e-6)
        surface = np.s_[6:, 2:-2]
        noisy = np.stack([old[f"ViewLayer.Combined.{c}"] for c in "RGB"], -1)
        assert combined[surface].std() < 0.5 * noisy[surface].std()
        np.testing.assert_allclose(combined[:4], noisy[:4], 2e-3)  # the sky


def test_results_are_those_of_a_native_run(shot: Path, camera: Path, tmp_path: Path) -> None:
    """Float32 in and out: what comes out of the files is what the denoiser gives for the same arrays."""
    sequence = sq.open_sequence(shot, camera=camera)
    sq.denoise_sequence(sequence, sq.open_results(tmp_path / "c.####.exr", sequence))
    denoiser = sq.create(["reblur"], sequence.meta, dtype=np.float32)
    for index in sequence.frames:
        signals, _ = sq.denoise_frame(denoiser, sq.frame_inputs(sequence.frames[index], sequence.meta, index))
        new = renderer_files.read(tmp_path / f"c.{index + 1:04d}.exr")
        for lobe, passes in {"diff": "Diffuse", "spec": "Glossy"}.items():
            both = [f"ViewLayer.{passes} Direct", f"ViewLayer.{passes} Indirect"]
            total = sum(np.stack([new[f"{name}.{c}"] for c in "RGB"], -1) for name in both)
            np.testing.assert_allclose(total[4:], signals[lobe][4:], 1e-5, 1e-6)


def test_passes_that_are_not_there_stay_in_the_picture(camera: Path, tmp_path: Path) -> None:
    """Glossy passes were not enabled: their light is in Combined, and nowhere else, and it stays."""
    for index in range(2):
        found = {name: array for name, array in blender(index).items() if "Glossy" not in name}
        OpenEXR.File(renderer_files.parts_of(found)).write(str(tmp_path / f"shot.{index + 1:04d}.exr"))
    sq.write_json(tmp_path / "cam.json", {"camera": tiny_sequence.meta()["cameras"][0]})
    out = tmp_path / "c.####.exr"
    assert run(tmp_path / "shot.####.exr", out, "--preset", "blender", "--camera", str(tmp_path / "cam.json")) == 0
    old, new = (renderer_files.read(tmp_path / name) for name in ("shot.0002.exr", "c.0002.exr"))

    def without_diffuse(found: dict[str, np.ndarray], c: str) -> np.ndarray:
        diffuse = found[f"ViewLayer.Diffuse Direct.{c}"] + found[f"ViewLayer.Diffuse Indirect.{c}"]
        return found[f"ViewLayer.Combined.{c}"] - diffuse * found[f"ViewLayer.Diffuse Color.{c}"]

    for c in "RGB":
        np.testing.assert_allclose(without_diffuse(new, c), without_diffuse(old, c), 1e-3, 1e-5)


def test_layers(shot: Path, tmp_path: Path) -> None:
    source, out = shot.with_name("shot.0002.exr"), tmp_path / "out.exr"
    assert run(source, out, "--layers") == 0
    passes = {f"ViewLayer.{BLENDER_5.get(name, name)}" for name in PASSES}
    assert changed(source, out) == passes | {"denoised.diffuse", "denoised.specular"}
    assert run(out, tmp_path / "again.exr", "--layers") == 0  # in place of those that are there
    assert renderer_files.read(tmp_path / "again.exr").keys() == renderer_files.read(out).keys()
    single = write_blender(tmp_path / "old", range(1, 2), OLD).with_name("shot.0001.exr")
    assert run(single, tmp_path / "single.exr", "--layers") == 0
    assert {"denoised.diffuse", "denoised.specular"} < changed(single, tmp_path / "single.exr")


# The picture and its passes


def test_a_bright_sample_leaves_no_rounding_behind() -> None:
    """Half floats of 3000 are 2 apart: what is left of the picture without the noisy light is not light."""
    shape = (6, 5, 3)
    diff = np.full(shape, 0.1, np.float32)
    diff[2, 3] = 7777
    emission = np.zeros(shape, np.float32)
    emission[2, 3] = emission[4, 4] = 0.25
    arrays = {"diff": diff, "albedo": np.full(shape, 0.4, np.float32), "view_z": np.ones(shape[:2], np.float32)}
    arrays["color"] = (diff * arrays["albedo"] + emission).astype(np.float16)
    denoised = {"diff": np.full(shape, 0.5, np.float32)}
    known = beauty.picture({**arrays, "rest": emission}, denoised, 2**-9)
    np.testing.assert_allclose(known, 0.2 + emission, atol=1e-6)
    guessed = beauty.picture(arrays, denoised, 2**-9)
    np.testing.assert_allclose(guessed[2, 3], 0.2, atol=1e-6)  # too little to be told from rounding
    np.testing.assert_allclose(guessed[4, 4], 0.45, atol=1e-3)


def test_shares_of_passes() -> None:
    random = np.random.default_rng(0)
    parts = [random.exponential(scale, (40, 50, 3)).astype(np.float32) for scale in (3, 1)]
    parts[0][:, 30:] = parts[1][:, 40:] = 0  # only indirect light, then none
    parts[1][20, 5] = np.nan
    found = beauty.shares(parts)
    assert (sum(found) == 1).all()
    np.testing.assert_allclose(found[0][10:-10, 10:20].mean(), 0.75, atol=0.02)
    assert found[0][10:-10, 10:20].std() < 0.1
    np.testing.assert_array_equal(found[1][:, 34:40], 1)
    np.testing.assert_array_equal(found[0][:, 46:], 1)
    # 9x9 pixels and nothing else.
    whole = [np.pad(part[2:11, 3:12], ((4, 4), (4, 4), (0, 0))) for part in parts]
    np.testing.assert_allclose(beauty.shares(whole)[1][8, 8], whole[1].sum((0, 1)) / sum(whole).sum((0, 1)), 1e-5)


def test_edges_keep_the_light_that_guides_do_not_show() -> None:
    """Where the guides say sky, there is nothing to denoise by: half a surface must not turn black."""
    noisy = np.full((3, 4, 3), 0.5, np.float32)
    view_z = np.full((3, 4), 1e7, np.float32)
    view_z[:, 2:] = 5
    signals = beauty.on_surfaces({"diff": noisy, "view_z": view_z}, {"diff": np.zeros_like(noisy)}, 1e7)
    np.testing.assert_array_equal(signals["diff"][..., 0], [[0.5, 0.5, 0, 0]] * 3)


# How it is stored


@pytest.mark.parametrize(
    ("options", "compression", "note"),
    [
        ([], "zip", "is written with zip in place of dwaa: dwaa loses something each time; --recompress keeps it"),
        (["--recompress"], "dwaa", ""),
        (["--recompress", "piz"], "piz", "is written with piz in place of dwaa: as asked"),
    ],
)
def test_lossy_compression_is_not_repeated_unasked(
    options: list[str], compression: str, note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_blender(tmp_path, range(1, 2), OLD, half=True, compression=OpenEXR.DWAA_COMPRESSION)
    assert run(source, tmp_path / "out.exr", *options) == 0
    with ExrFile(tmp_path / "out.exr") as file:
        assert file.parts[0].compression == compression
    assert note in capsys.readouterr().err
    if compression != "dwaa":
        assert changed(source.with_name("shot.0001.exr"), tmp_path / "out.exr") == {f"ViewLayer.{n}" for n in PASSES}


def test_what_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_blender(tmp_path, range(1, 2)).with_name("shot.0001.exr")
    assert run(source, tmp_path / "a.exr", "--map", "channels.color=None:RGB") == 0
    assert "no channel is the picture: only light passes are denoised" in capsys.readouterr().err
    assert "ViewLayer.Combined" not in changed(source, tmp_path / "a.exr")
    assert run(source, tmp_path / "b.exr", "--map", "channels.color=Combined:RGB + Emission:RGB") == 2
    assert "channels.color: expected three channels to write" in capsys.readouterr().err
    products = ["--map", "channels.diff=Diffuse Direct:RGB * Diffuse Color:RGB", "--map", "channels.spec=None:RGB"]
    assert run(source, tmp_path / "c.exr", "--map", "channels.color=None:RGB", *products) == 2
    assert "neither the picture nor a light pass is a channel of it" in capsys.readouterr().err


def test_pixel_type(shot: Path, tmp_path: Path) -> None:
    assert run(shot.with_name("shot.0001.exr"), tmp_path / "out.exr", "--pixel-type", "half") == 0
    new = renderer_files.read(tmp_path / "out.exr")
    assert new["ViewLayer.Combined.R"].dtype == new["ViewLayer.Glossy Direct.G"].dtype == np.float16
    assert new["ViewLayer.Diffuse Color.R"].dtype == new["ViewLayer.Combined.A"].dtype == np.float32


@pytest.mark.parametrize(
    ("data", "display"),
    [((2, 1), (0, 0, 39, 24)), ((-4, -3), (0, 0, 23, 11)), ((100, 50), (100, 50, 131, 67)), ((0, 0), (-5, 0, 31, 20))],
)
def test_windows(data: tuple[int, int], display: tuple[int, ...], tmp_path: Path) -> None:
    """A data window within the display window, around it, elsewhere: the same pixels come back in the same place."""
    left, top = data
    window = (np.array(data, np.int32), np.array([left + 31, top + 17], np.int32))
    shown = (np.array(display[:2], np.int32), np.array(display[2:], np.int32))
    source = write_blender(tmp_path, range(1, 2), OLD, dataWindow=window, displayWindow=shown).with_name(
        "shot.0001.exr"
    )
    sequence = sq.open_sequence(source)
    x, y = min(left, display[0]), min(top, display[1])
    right, bottom = max(left + 31, display[2]), max(top + 17, display[3])
    assert (sequence.width, sequence.height) == (right - x + 1, bottom - y + 1)
    inside = np.s_[top - y : top - y + 18, left - x : left - x + 32]
    np.testing.assert_array_equal(sequence.frames[0]["diff"][inside], renderer_files.frame(0)["diff"])
    assert run(source, tmp_path / "out.exr") == 0
    assert renderer_files.headers(source) == renderer_files.headers(tmp_path / "out.exr")
    old, new = renderer_files.read(source), renderer_files.read(tmp_path / "out.exr")
    np.testing.assert_allclose(new["ViewLayer.Combined.G"][:4], old["ViewLayer.Combined.G"][:4])  # the sky


def test_camera_of_a_larger_data_window() -> None:
    """A point is projected to the same pixel, counted from another corner."""
    from denoise.sequences.cameras import cropped

    display, frame = (0, 0, 31, 17), (-6, -2, 33, 29)
    camera = tiny_sequence.meta()["cameras"][1]
    found = []
    for entry, (left, top, right, bottom) in ((camera, display), (cropped(camera, display, frame), frame)):
        x, y, _, w = np.array(entry["view_to_clip"]) @ np.array(entry["world_to_view"]) @ [0.4, -0.7, 3, 1]
        found.append((left + (x / w + 1) / 2 * (right - left + 1), top + (1 - y / w) / 2 * (bottom - top + 1)))
    np.testing.assert_allclose(found[0], found[1])


def test_tiles_and_their_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiles = OpenEXR.TileDescription()
    tiles.xSize = tiles.ySize = 16
    source = write_blender(tmp_path, range(1, 2), OLD, type=OpenEXR.tiledimage, tiles=tiles).with_name("shot.0001.exr")
    assert run(source, tmp_path / "out.exr") == 0
    assert "copies" not in capsys.readouterr().err
    assert renderer_files.headers(source) == renderer_files.headers(tmp_path / "out.exr")
    with ExrFile(tmp_path / "out.exr") as file:
        assert (file.parts[0].kind, len(file.parts[0].offsets)) == ("tiledimage", 4)


@pytest.mark.parametrize("multipart", [False, True])
def test_stereo(multipart: bool, tmp_path: Path) -> None:
    """One eye is denoised and the other one stays; the second run takes the other one of what the first wrote."""
    eyes = {}
    for index, eye in enumerate(("left", "right")):
        named = {name.rpartition(".")[::2]: array for name, array in blender(index).items()}
        eyes[eye] = {f"{layer}.{eye}.{component}": array for (layer, component), array in named.items()}
    source = tmp_path / "shot.exr"
    if multipart:
        parts = [(eye, part) for eye, found in eyes.items() for part in renderer_files.parts_of(found)]
        parts = [OpenEXR.Part({**part.header, "view": eye}, part.channels, part.name()) for eye, part in parts]
        OpenEXR.File(parts).write(str(source))
    else:
        renderer_files.write(source, eyes["left"] | eyes["right"], multiView=["left", "right"])
    assert run(source, tmp_path / "one.exr", "--preset", "blender") == 0
    assert run(tmp_path / "one.exr", tmp_path / "two.exr", "--preset", "blender", "--map", "view=right") == 0
    for old, new, eye in (("shot", "one", "left"), ("one", "two", "right")):
        layers = changed(tmp_path / f"{old}.exr", tmp_path / f"{new}.exr")
        assert f"ViewLayer.Combined.{eye}" in layers
        assert {layer.rpartition(".")[2] for layer in layers} == {eye}
    frames = sq.open_sequence(source, preset="blender", overrides=["view=right"]).frames
    np.testing.assert_allclose(frames[0]["diff"], renderer_files.frame(1)["diff"], 1e-6, 1e-6)
    assert run(source, tmp_path / "no.exr", "--preset", "blender", "--map", "view=middle") == 2


def test_parts_named_like_their_layer(tmp_path: Path) -> None:
    """Parts that are layers, with channels R, G, B: Nuke's way."""
    a, parts = renderer_files.frame(1), []
    layers = {"rgba": ("color", "RGB"), "diff": ("diff", "RGB"), "albedo": ("albedo", "RGB"), "view_z": ("view_z", "Z")}
    for layer, (name, letters) in {**layers, "normal": ("normal", "XYZ"), "motion": ("motion", "XYZ")}.items():
        parts.append(OpenEXR.Part({"type": OpenEXR.scanlineimage}, channels("", a[name], letters), layer))
    OpenEXR.File(parts).write(str(tmp_path / "in.exr"))
    assert run(tmp_path / "in.exr", tmp_path / "out.exr", "--map", "channels.color=rgba:RGB") == 0
    before, after = (OpenEXR.File(str(tmp_path / f"{name}.exr"), separate_channels=True) for name in ("in", "out"))
    other = [
        old.name()
        for old, new in zip(before.parts, after.parts, strict=True)
        if any(bits(old.channels[c].pixels) != bits(new.channels[c].pixels) for c in old.channels)
    ]
    assert other == ["rgba", "diff"]


def test_several_pictures_in_one_file(tmp_path: Path) -> None:
    both = blender(0, layer="Front") | blender(1, layer="Back")
    OpenEXR.File(renderer_files.parts_of(both)).write(str(tmp_path / "in.exr"))
    assert run(tmp_path / "in.exr", tmp_path / "out.exr") == 0
    assert {layer.partition(".")[0] for layer in changed(tmp_path / "in.exr", tmp_path / "out.exr")} == {"Front"}
    assert run(tmp_path / "in.exr", tmp_path / "back.exr", "--map", "layer=Back") == 0
    assert {layer.partition(".")[0] for layer in changed(tmp_path / "in.exr", tmp_path / "back.exr")} == {"Back"}
    assert run(tmp_path / "in.exr", tmp_path / "no.exr", "--map", "layer=Side") == 2


# Sequences


def test_second_run_skips_and_an_interrupted_one_goes_on(shot: Path, tmp_path: Path, capsys: Any) -> None:
    out, whole = tmp_path / "a.####.exr", tmp_path / "whole" / "a.####.exr"
    assert run(shot, out) == run(shot, whole) == 0
    out.with_name("a.0003.exr").unlink()
    assert run(shot, out) == 0
    assert "1 frames written, 3 were there already" in capsys.readouterr().out
    for number in range(1, 5):
        assert out.with_name(f"a.{number:04d}.exr").read_bytes() == whole.with_name(f"a.{number:04d}.exr").read_bytes()
    assert run(shot, out, "--map", "motion.y=down") == 0
    assert "4 frames written" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_many_hands_do_the_same(workers: int, shot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(shot, tmp_path / "one.####.exr") == 0
    monkeypatch.setattr("denoise.sequences.run._workers", lambda: workers)
    assert run(shot, tmp_path / "many.####.exr") == 0
    for number in range(1, 5):
        one, many = (tmp_path / f"{name}.{number:04d}.exr" for name in ("one", "many"))
        assert one.read_bytes() == many.read_bytes()


def test_frames_steps_and_skipping(shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.####.exr"
    assert run(shot, out, "--frames", "1-4x2", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"would write {tmp_path}/a.000{number}.exr" for number in (1, 3)]
    assert not list(tmp_path.iterdir())
    assert run(shot, out, "--frames", "1-4x2") == 0
    assert sorted(path.name for path in tmp_path.glob("*.exr")) == ["a.0001.exr", "a.0003.exr"]
    third = out.with_name("a.0003.exr").read_bytes()
    capsys.readouterr()
    settings = ["--set", "max_accumulated_frames=4"]
    assert run(shot, out, "--skip-existing", *settings) == 0
    assert "2 frames written, 2 were there already" in capsys.readouterr().out
    assert out.with_name("a.0003.exr").read_bytes() == third
    assert run(shot, out, "--frames", "3-9") == 2
    assert "frames 3-9: shot has frames 1-4" in capsys.readouterr().err


def test_history_starts_anew_at_a_gap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_blender(tmp_path / "in", range(1, 5))
    assert run(source, tmp_path / "alone.####.exr", "--frames", "4") == 0
    source.with_name("shot.0003.exr").unlink()
    assert run(source, tmp_path / "out.####.exr") == 0
    assert "the history starts anew at frames 4: the frames before are not there" in capsys.readouterr().err
    assert (tmp_path / "out.0004.exr").read_bytes() == (tmp_path / "alone.0004.exr").read_bytes()
    assert run(source, tmp_path / "out.####.exr", "--frames", "2-4") == 2
    assert "frame 3: shot has none of that number" in capsys.readouterr().err


def test_other_kinds_of_results(shot: Path, tmp_path: Path) -> None:
    from PIL import Image

    assert run(shot, tmp_path / "native") == 0
    assert sq.open_outputs(tmp_path / "native")[3].keys() == {"diff", "spec"}
    native = tiny_sequence.write(tmp_path / "seq")
    for name in ("look.%d.png", "look.####.pfm", "new.####.exr"):
        assert run(native, tmp_path / name, "--layers", "--overlay") == 0
    with Image.open(tmp_path / "look.3.png") as png, Image.open(tmp_path / "new.overlay.0000.png") as sheet:
        assert png.size == (32, 18)
        assert sheet.size > png.size
    new = renderer_files.read(tmp_path / "new.0003.exr")
    assert {name.rpartition(".")[0] for name in new} == {"", "denoised.diffuse", "denoised.specular"}
    header, size, scale, data = (tmp_path / "look.0003.pfm").read_bytes().split(b"\n", 3)
    assert (header, size, scale) == (b"PF", b"32 18", b"-1.0")
    picture = np.frombuffer(data, "<f4").reshape(18, 32, 3)[::-1]
    np.testing.assert_array_equal(picture, np.stack([new[c] for c in "RGB"], -1))
    assert picture[8:].mean() > 0.3
    assert run(native, tmp_path / "one.png") == 2


def test_results_never_replace_their_frames(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shot, shot.with_name("shot.%04d.exr")) == 2
    assert "take the place of the frames" in capsys.readouterr().err


def test_time_is_accounted_for(shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shot, tmp_path / "a.####.exr") == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("denoising ")
    assert "beside it; waited " in line


# inspect


def test_inspect(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(shot.with_name("shot.0001.exr"))
    assert cli.main(["inspect", path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["preset"], found["guessed"], found["width"], found["height"]) == ("blender", True, 32, 18)
    depth = next(part for part in found["parts"] if part["name"] == "ViewLayer.Depth")
    assert depth["channels"] == [
        {"name": "ViewLayer.Depth.Z", "type": "float", "min": 4, "max": 1e10, "nan": 0, "inf": 0, "becomes": ["view_z"]}
    ]
    assert found["inputs"]["motion"] == ["ViewLayer.Vector.X", "ViewLayer.Vector.Y"]
    assert found["missing"].keys() == {"diff_hit", "spec_hit"}
    assert cli.main(["inspect", path]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "preset blender (guessed from the file)" in lines[0]
    assert "  ViewLayer.Depth.Z  float  4 .. 1e+10  -> view_z" in lines
    assert any(line.startswith("missing diff_hit: ") for line in lines)


def test_inspect_counts_what_is_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = np.ones((4, 5), np.float32)
    odd[0, :3] = np.nan, np.inf, -np.inf
    path = renderer_files.write(tmp_path / "odd.exr", {"R": odd, "who.knows": np.full((4, 5), np.nan, np.float16)})
    assert cli.main(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "no preset fits" in lines[0]
    assert "  R  float  1 .. 1  1 nan  2 inf" in lines
    assert "  who.knows  half  no number  20 nan" in lines
    assert any(line.startswith("missing diff: nothing to denoise") for line in lines)
    plain = renderer_files.write(tmp_path / "plain.exr", dict.fromkeys("RGBA", np.ones((4, 5), np.float32)))
    for file in (path, plain):
        assert run(file, tmp_path / "out.exr") == 2
        assert "no preset fits: choose one with --preset" in capsys.readouterr().err
