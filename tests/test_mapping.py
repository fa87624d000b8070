# SPDX-License-Identifier: Apache-2.0
"""Names of files, mappings of channels, conventions of numbers, and cameras from elsewhere."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import renderer_files
import tiny_sequence
from renderer_files import channels

from denoise import cli
from denoise import sequences as sq
from denoise.sequences import cameras, exr_file, mapping
from denoise.sequences.convert import SKY, convert, encode_radiance, native_cameras
from denoise.sequences.exr_file import ExrFile
from denoise.sequences.patterns import Pattern
from denoise.sequences.view import View

# Names of files


@pytest.mark.parametrize(
    ("text", "number", "name"),
    [
        ("a/shot.####.exr", 7, "shot.0007.exr"),
        ("a/shot.####.exr", 12345, "shot.12345.exr"),
        ("a/shot.%04d.exr", 7, "shot.0007.exr"),
        ("a/shot_%d.exr", 7, "shot_7.exr"),
        ("a/shot[1].#.exr", 7, "shot[1].7.exr"),
        ("a/Schuß ##.exr", 7, "Schuß 07.exr"),
        ("a/still.0012.exr", 7, "still.0012.exr"),
    ],
)
def test_patterns(text: str, number: int, name: str, tmp_path: Path) -> None:
    pattern = Pattern.parse(tmp_path / text)
    path = pattern.path(number)
    assert path == tmp_path / "a" / name
    assert pattern.numbers() == []
    path.parent.mkdir()
    for other in (path.name, "shot.x.exr", "shot.-003.exr", ".shot.0001.exr.1.tmp"):
        path.with_name(other).touch()
    assert pattern.numbers() == [12 if pattern.digits == 0 else number]


@pytest.mark.parametrize("text", ["a.##.##.exr", "take##/a.####.exr", "a.%d.%04d.exr"])
def test_a_name_has_one_number(text: str) -> None:
    with pytest.raises(ValueError, match="expected one place for the number"):
        Pattern.parse(text)


# Expressions


NAMES = ["R", "G", "B", "Px", "Py", "View.Depth.Z", "View.Vector.X", "View.Vector.Y", "View.A b.V", "Back.Depth.Z"]


@pytest.mark.parametrize(
    ("text", "picture", "expected"),
    [
        (":RGB", "", [[["R", "G", "B"]]]),
        (":RGB", "View", [[["R", "G", "B"]]]),
        (":BGR", "", [[["B", "G", "R"]]]),
        (":Px,Py", "", [[["Px", "Py"]]]),
        (":RGBA", "", []),
        ("Depth:Z", "View", [[["View.Depth.Z"]]]),
        ("Depth:Z", "Back", [[["Back.Depth.Z"]]]),
        ("Depth:Z", "", []),
        ("(Z|De.*):Z", "Back", [[["Back.Depth.Z"]]]),
        ("Vector:XYZ | Vector:YX", "View", [[["View.Vector.Y", "View.Vector.X"]]]),
        ("A b:V + None:V", "View", [[["View.A b.V"]]]),
        ("A b:V + Depth:Z * Depth:Z", "View", [[["View.A b.V"]], [["View.Depth.Z"], ["View.Depth.Z"]]]),
        ("Depth:Z * None:V", "View", []),
    ],
)
def test_expressions(text: str, picture: str, expected: mapping.Found) -> None:
    assert mapping.find_expression(mapping.parse_expression(text), NAMES, picture) == expected


def test_expressions_are_evaluated() -> None:
    found = mapping.find_expression(mapping.parse_expression(":RGB * :R,G,B + :RGB * :R"), "RGB", "")
    pixels = {name: np.full((2, 3), value, np.float16) for name, value in zip("RGB", (1, 2, 3), strict=True)}
    value = mapping.evaluate(found, pixels)
    assert (value.dtype, value.shape, value[1, 2].tolist()) == (np.float32, (2, 3, 3), [2, 6, 12])


# Mapping files


def test_a_mapping_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'base = "blender"\n[channels]\nroughness = "Rough:V"\n[motion]\nscale = 0.5\n[normal]\nspace = "view"\n'
    )
    own = mapping.load(str(path), ["motion.y=down", "channels.diff=Diff:RGB", "view=left"])
    assert (own.name, own["motion.scale"], own["motion.y"], own["normal.space"], own.view) == (
        "own",
        0.5,
        "down",
        "view",
        "left",
    )
    assert own.channels["roughness"] == "Rough:V"
    assert own.channels["diff"] == "Diff:RGB"
    assert own.channels["albedo"] == mapping.load("blender").channels["albedo"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("motion.y", "--map: expected KEY=VALUE, got 'motion.y'"),
        ("motion.y=left", "motion.y: expected down or up, got 'left'"),
        ("motion.yy=up", r"motion.yy: no such key .did you mean 'motion.y'"),
        ("motion.scale=big", "motion.scale: expected a number, got 'big'"),
        ("motion.scale=nan", "motion.scale: expected a finite number"),
        ("channels.diff=R,G,B", "channels.diff: expected channels as LAYER:COMPONENTS, got 'R,G,B'"),
        ("channels.diff=a:RGB + b:XY", "channels.diff: expected as many components everywhere in a sum"),
        ("channels.diff=(:RGB", r"channels.diff: .* is no regular expression"),
        ("channels.dif=:RGB", r"channels.dif: no such array .did you mean 'diff'"),
        ("layr=x", r"layr: no such key .did you mean 'layer'"),
    ],
)
def test_wrong_overrides(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mapping.load("native", [override])


def test_wrong_mappings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown preset 'blendr' .did you mean 'blender'"):
        mapping.load("blendr")
    with pytest.raises(sq.SequenceError, match=r"none\.toml: .*No such file"):
        mapping.load(str(tmp_path / "none.toml"))
    (tmp_path / "broken.toml").write_text("channels = [")
    with pytest.raises(sq.SequenceError, match=r"broken\.toml: "):
        mapping.load(str(tmp_path / "broken.toml"))


# Presets


def test_presets_are_complete() -> None:
    for preset in mapping.PRESETS:
        loaded = mapping.load(preset)
        assert loaded.name == preset
        assert loaded.summary
        assert loaded.proven
        assert {"color", "view_z"} & loaded.channels.keys()
    unproven = [preset for preset in mapping.PRESETS if mapping.load(preset).proven.startswith("no:")]
    assert unproven == ["arnold", "renderman", "vray"]


def single_signal(index: int) -> renderer_files.Channels:
    """What a renderer without lobes gives: the picture, and guides by names that the callers add."""
    return channels("", renderer_files.frame(index)["color"], "RGB")


def view_of(meta: Any, index: int) -> View:
    return View(meta["cameras"][index], meta["width"], meta["height"])


def positions(index: int) -> np.ndarray:
    """World positions, 0 in the sky."""
    view = view_of(tiny_sequence.meta(), index)
    z = renderer_files.frame(index)["view_z"]
    points = view.points(z) - view.world_to_view[:3, 3]
    return np.where(z[..., None] < 1e6, points, 0).astype(np.float32)


def pbrt(index: int) -> renderer_files.Channels:
    a = renderer_files.frame(index)
    seen = positions(index) + [-tiny_sequence.STEP * index, 0, 0] * (a["view_z"][..., None] < 1e6)
    found = (
        single_signal(index) | channels("Albedo", a["albedo"], "RGB") | channels("P", seen.astype(np.float32), "XYZ")
    )
    found |= channels("Ns", a["normal"], "XYZ") | channels("N", -a["normal"], "XYZ")
    return found | channels("", np.zeros_like(seen[..., :2], np.float32), ("u", "v"))  # type: ignore[arg-type]


def old_pbrt(index: int) -> renderer_files.Channels:
    renamed = {"P.": "P", "Ns.": "Ns", "N.": "N"}
    found = {}
    for name, array in pbrt(index).items():
        layer = next((layer for layer in renamed if name.startswith(layer)), None)
        found[name if layer is None else renamed[layer] + name[-1].lower()] = array
    return found


def mitsuba(index: int) -> renderer_files.Channels:
    a = renderer_files.frame(index)
    distance = np.where(a["view_z"] < 1e6, a["view_z"] * view_of(tiny_sequence.meta(), index).obliqueness(), 0)
    found = (
        single_signal(index)
        | channels("albedo", a["albedo"], "RGB")
        | channels("dd.y", distance.astype(np.float32), "T")
    )
    found |= channels("nn", a["normal"] * np.float32(0.9), "XYZ") | channels("pos", positions(index), "XYZ")
    return found | channels("shape", a["material_id"].astype(np.float32), "I")


def falcor(index: int) -> renderer_files.Channels:
    a = renderer_files.frame(index)
    size = np.array([tiny_sequence.WIDTH, tiny_sequence.HEIGHT], np.float32)

    def four(array: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        return np.concatenate([array, alpha[..., None]], -1).astype(np.float32)

    found = channels("nrdDiffuseRadianceHitDist", four(a["diff"], a["diff_hit"]), "RGBA")
    found |= channels("nrdSpecularRadianceHitDist", four(a["spec"], a["spec_hit"]), "RGBA")
    found |= channels("nrdDiffuseReflectance", a["albedo"], "RGB") | channels(
        "nrdSpecularReflectance", a["spec_factor"], "RGB"
    )
    found |= channels("nrdEmission", a["emission"], "RGB") | channels("mvec", a["motion"][..., :2] / size, "RG")
    found |= channels("linearZ", np.stack([a["view_z"], 0 * a["view_z"]], -1), "RG") | channels(
        "normW", a["normal"], "RGB"
    )
    return (
        found
        | channels("specRough", four(a["spec_factor"], a["roughness"]), "RGBA")
        | channels("color", a["color"], "RGB")
    )


def native(index: int) -> renderer_files.Channels:
    a = renderer_files.frame(index)
    letters = {"view_z": "Z", "diff_hit": "Z", "spec_hit": "Z", "roughness": "Y", "normal": "XYZ", "motion": "XYZ"}
    found = single_signal(index)
    for name in ("diff", "spec", "albedo", "spec_factor", "emission", *letters):
        found |= channels(name, a[name], letters.get(name, "RGB"))
    return found | channels("material_id", a["material_id"].astype(np.uint32), "I")


SIGNALS = ("diff", "spec", "diff_hit", "spec_hit", "albedo", "spec_factor")


@pytest.mark.parametrize(
    ("preset", "write", "arrays"),
    [
        ("pbrt", pbrt, {"view_z", "normal"}),
        ("pbrt", old_pbrt, {"view_z", "normal"}),
        ("mitsuba", mitsuba, {"view_z", "normal", "material_id"}),
        (
            "falcor",
            falcor,
            {"diff", "spec", "diff_hit", "spec_hit", "albedo", "spec_factor", "view_z", "normal", "roughness"},
        ),
        (
            "native",
            native,
            {"diff", "spec", "diff_hit", "spec_hit", "view_z", "normal", "roughness", "motion", "material_id"},
        ),
    ],
)
def test_presets_on_written_files(
    preset: str, write: Callable[[int], renderer_files.Channels], arrays: set[str], tmp_path: Path, capsys: Any
) -> None:
    """Guessed, converted to the native arrays, denoised, and put together again."""
    for index in range(3):
        renderer_files.write(tmp_path / f"a.{index}.exr", write(index))
    camera = tmp_path / "camera.toml"
    entries = tiny_sequence.meta()["cameras"][:3]
    lines = [("[[cameras]]", *(f"{key} = {c[key]}" for key in ("world_to_view", "view_to_clip"))) for c in entries]
    camera.write_text("\n".join(line for entry in lines for line in entry))
    sequence = sq.open_sequence(tmp_path / "a.#.exr", camera=camera)
    assert f"preset {preset}, guessed" in sequence.notes[0]
    found, expected = sequence.frames[2], renderer_files.frame(2)
    for name in arrays:
        tolerance = 1e-3 if name == "view_z" else 1e-5
        np.testing.assert_allclose(found[name], expected[name], tolerance, 1e-5, err_msg=name)
    if preset in ("pbrt", "mitsuba"):
        lit = expected["albedo"] > 0
        np.testing.assert_allclose(found["diff"][lit] * found["albedo"][lit], expected["color"][lit], 1e-5)
    else:
        np.testing.assert_allclose(found["motion"][..., :2], expected["motion"][..., :2], 1e-3, 1e-5)
    assert cli.main(["run", str(tmp_path / "a.#.exr"), "-o", str(tmp_path / "o.#.exr"), "--camera", str(camera)]) == 0
    old, new = (renderer_files.read(tmp_path / f"{name}.2.exr") for name in "ao")
    green = "color.G" if preset == "falcor" else "G"
    assert new[green][6:, 2:-2].std() < 0.6 * old[green][6:, 2:-2].std()
    np.testing.assert_allclose(new[green].mean(), old[green].mean(), rtol=0.15)
    np.testing.assert_allclose(new[green][:4], old[green][:4], 1e-5)  # the sky
    if preset in ("pbrt", "mitsuba"):
        assert {name for name in new if new[name].tobytes() != old[name].tobytes()} == set("RGB")
    else:
        lobes = {"native": ("diff", "spec"), "falcor": ("nrdDiffuseRadianceHitDist", "nrdSpecularRadianceHitDist")}
        factors = {"native": ("albedo", "spec_factor"), "falcor": ("nrdDiffuseReflectance", "nrdSpecularReflectance")}
        emission = new["nrdEmission.G" if preset == "falcor" else "emission.G"]
        pairs = zip(lobes[preset], factors[preset], strict=True)
        np.testing.assert_allclose(
            new[green], emission + sum(new[f"{a}.G"] * new[f"{b}.G"] for a, b in pairs), 1e-4, 1e-5
        )


@pytest.mark.parametrize(
    ("preset", "names"),
    [
        ("arnold", "RGBA.R RGBA.G RGBA.B N.X N.Y N.Z Z.Z diffuse_albedo.R diffuse_albedo.G diffuse_albedo.B"),
        ("renderman", "R G B albedo.R albedo.G albedo.B backward.X backward.Y"),
        ("vray", "R G B rawGI.R rawGI.G rawGI.B velocity.R velocity.G velocity.B"),
        (None, "R G B A"),
        (None, "R G B A Z"),
        (None, "foo.R foo.G foo.B"),
    ],
)
def test_guesses(preset: str | None, names: str) -> None:
    assert mapping.guess(names.split()) == preset


@pytest.mark.parametrize(
    ("preset", "text"),
    [
        ("blender", "Software=Blender 3.6.0"),
        ("mitsuba", "generatedBy=Mitsuba version 3.9.1"),
        ("arnold", "arnold/version=7"),
    ],
)
def test_guesses_from_the_header(preset: str, text: str) -> None:
    names = [*"RGB", *(f"ViewLayer.Combined.{c}" for c in "RGB"), "depth.T"]
    assert mapping.guess(names, ["Date=today", text]) == preset


# Conventions: what a renderer would have written for native arrays, and back


META = tiny_sequence.meta(
    cameras=[{**camera, "jitter": [0.3 - 0.2 * i, 0.1 * i]} for i, camera in enumerate(tiny_sequence.meta()["cameras"])]
)
SIZE = np.array([tiny_sequence.WIDTH, tiny_sequence.HEIGHT], np.float32)
LIGHT, HITS = ("diff", "spec", "color", "emission"), ("diff_hit", "spec_hit")
TURN = np.array([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]], np.float32)


@pytest.mark.parametrize("forward", [1, -1])
def test_device_depth_without_perspective(forward: int) -> None:
    """Of a camera that looks along +z or -z of its view space, from 0 at depth 1 to 1 at depth 11."""
    clip = [[0.2, 0, 0, 0], [0, 0.2, 0, 0], [0, 0, 0.1 * forward, -0.1], [0, 0, 0, 1]]
    meta = tiny_sequence.meta(cameras=[{"world_to_view": np.eye(4).tolist(), "view_to_clip": clip}])
    z = np.linspace(2, 10, tiny_sequence.HEIGHT * tiny_sequence.WIDTH, dtype=np.float32)
    z = z.reshape(tiny_sequence.HEIGHT, tiny_sequence.WIDTH)
    found = convert({"view_z": 0.1 * z - 0.1}, mapping.load("native", ["depth.kind=device"]), meta, 0)
    np.testing.assert_allclose(found["view_z"], z, 1e-4)


def turned() -> dict[str, Any]:
    """Cameras that look elsewhere, so that spaces differ."""
    described = tiny_sequence.meta()
    for camera in described["cameras"]:
        view = np.array(camera["world_to_view"])
        view[:3, :3] = TURN
        camera["world_to_view"] = view.tolist()
    return described


def scaled(name: str, factor: Any) -> Callable[[sq.Arrays], sq.Arrays]:
    def change(a: sq.Arrays) -> sq.Arrays:
        components = np.shape(factor)[0] if np.ndim(factor) else a[name].shape[-1]
        array = a[name].copy()
        array[..., :components] = array[..., :components] * np.float32(factor)
        return {name: array}

    return change


def total(a: sq.Arrays) -> sq.Arrays:
    way = a["view_z"] * view_of(META, 1).obliqueness()
    return {
        name: np.where((a[name] < 65504) & (a[name] > 0), a[name] + way, a[name]).astype(np.float32) for name in HITS
    }


def srgb(x: np.ndarray) -> np.ndarray:
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055).astype(np.float32)


CONVENTIONS: list[tuple[list[str], Callable[[sq.Arrays], sq.Arrays]]] = [
    (["motion.points=current"], scaled("motion", -1)),
    (["motion.y=up"], scaled("motion", [1, -1])),
    (["motion.unit=uv"], scaled("motion", 1 / SIZE)),
    (["motion.unit=ndc"], scaled("motion", 2 / SIZE)),
    (["motion.unit=ndc", "motion.y=up", "motion.points=current"], scaled("motion", [-2 / SIZE[0], 2 / SIZE[1]])),
    (["motion.scale=4"], scaled("motion", 0.25)),
    (["motion.jitter=included"], lambda a: {"motion": a["motion"] + np.float32([-0.2, 0.1, 0])}),
    (["normal.range=unsigned"], lambda a: {"normal": a["normal"] / 2 + np.float32(0.5)}),
    (["normal.length=any"], scaled("normal", 0.7)),
    (["normal.sign=-1"], scaled("normal", -1)),
    (["depth.kind=distance"], lambda a: {"view_z": a["view_z"] * view_of(META, 1).obliqueness().astype(np.float32)}),
    (["depth.kind=inverse"], lambda a: {"view_z": 1 / a["view_z"]}),
    (["depth.kind=device"], lambda a: {"view_z": 1 - np.float32(0.1) / a["view_z"]}),
    (["depth.sign=-1"], lambda a: {"view_z": -a["view_z"]}),
    ([], lambda a: {"view_z": np.where(a["view_z"] > 1e6, np.float32(np.inf), a["view_z"])}),
    (["roughness.kind=alpha"], lambda a: {"roughness": a["roughness"] ** 2}),
    (["roughness.kind=glossiness"], lambda a: {"roughness": 1 - a["roughness"]}),
    (["hit_distance.scale=100"], lambda a: {name: np.where(a[name] < 65504, a[name] / 100, 65504) for name in HITS}),
    (["hit_distance.kind=total"], total),
    (["radiance.kind=modulated"], lambda a: {"diff": a["diff"] * a["albedo"], "spec": a["spec"] * a["spec_factor"]}),
    (["radiance.exposure=8"], lambda a: {name: 8 * a[name] for name in LIGHT}),
    (["radiance.encoding=srgb"], lambda a: {name: srgb(a[name]) for name in LIGHT}),
    (["albedo.encoding=srgb"], lambda a: {name: srgb(a[name]) for name in ("albedo", "spec_factor")}),
]


@pytest.mark.parametrize(
    ("keys", "write"), CONVENTIONS, ids=lambda value: ",".join(value) if isinstance(value, list) else ""
)
def test_conventions(keys: list[str], write: Callable[[sq.Arrays], sq.Arrays]) -> None:
    expected = renderer_files.frame(1)
    expected["spec_hit"][8:] = 3
    found = convert({**expected, **write(expected)}, mapping.load("native", keys), META, 1)
    surface = expected["view_z"] < 1e6
    for name, array in expected.items():
        lost = name in ("view_z", "normal") or ("modulated" in str(keys) and name in ("albedo", "spec_factor"))
        where = surface if lost else np.ones_like(surface)
        np.testing.assert_allclose(found[name][where], array[where], 2e-4, 2e-5, err_msg=name)
    assert (found["view_z"][~surface] == SKY).all()


@pytest.mark.parametrize("space", ["view", "view_z_flipped"])
def test_normals_of_view_space(space: str) -> None:
    expected = renderer_files.frame(1)
    seen = expected["normal"] @ TURN.T * np.float32([1, 1, -1 if space == "view_z_flipped" else 1])
    found = convert({"normal": seen}, mapping.load("native", [f"normal.space={space}"]), turned(), 1)
    np.testing.assert_allclose(found["normal"], expected["normal"], atol=1e-6)


def test_normalized_hit_distances() -> None:
    """As NRD writes them by default: by (3 + 0.1 z), and for a lobe of roughness 0.5 by 1 + 19 / 2^(25 / 4)."""
    keys = mapping.load("native", ["hit_distance.kind=normalized", "roughness.value=0.5"])
    hits = {"view_z": np.full((18, 32), 10, np.float32), "spec_hit": np.full((18, 32), 0.5, np.float32)}
    found = convert({**hits, "diff_hit": hits["spec_hit"]}, keys, META, 1)
    assert found["diff_hit"][0, 0] == pytest.approx(2)
    assert found["spec_hit"][0, 0] == pytest.approx(2 * (1 + 19 / 2**6.25))


def test_motion_that_goes_to_the_next_frame(tmp_path: Path) -> None:
    """A step of two pixels in half of the picture: kept with the earlier frame it is found where it leads to."""
    expected = np.zeros((18, 32, 2), np.float32)
    expected[:, 12:, 0] = -2
    leaving = np.zeros_like(expected)
    leaving[:, 10:, 0] = -2
    keys = mapping.load("native", ["motion.frames=next"])
    found = convert({"motion": 0 * leaving}, keys, META, 1, lambda: {"motion": leaving})["motion"]
    np.testing.assert_array_equal(found[:, 13:], expected[:, 13:])
    np.testing.assert_array_equal(found[:, :10], expected[:, :10])
    assert not convert({"motion": leaving}, keys, META, 0)["motion"].any()  # nothing is known before the first


@pytest.mark.parametrize(
    ("key", "write"),
    [
        ("camera.matrices=row", lambda view, clip: (view.T, clip.T)),
        ("camera.view=to_world", lambda view, clip: (np.linalg.inv(view), clip)),
        ("camera.flip=y", lambda view, clip: (np.diag([1, -1, 1, 1]) @ view, clip)),
    ],
)
def test_cameras_of_other_conventions(key: str, write: Callable[..., Any]) -> None:
    expected = turned()
    written = []
    for camera in expected["cameras"]:
        view, clip = write(np.array(camera["world_to_view"]), np.array(camera["view_to_clip"]))
        written.append({"world_to_view": view.tolist(), "view_to_clip": clip.tolist()})
    found = native_cameras({**expected, "cameras": written}, mapping.load("native", [key]))
    for entry, camera in zip(found["cameras"], expected["cameras"], strict=True):
        for name in ("world_to_view", "view_to_clip"):
            np.testing.assert_allclose(entry[name], camera[name], atol=1e-12)


def test_native_folders_can_be_mapped(tmp_path: Path) -> None:
    folder = tiny_sequence.write(tmp_path / "seq")
    upright = sq.open_sequence(folder, overrides=["motion.scale=-1"])
    np.testing.assert_array_equal(upright.frames[1]["motion"], -tiny_sequence.frame(1)["motion"])
    assert cli.main(["run", str(folder), "-o", str(tmp_path / "a")]) == 0
    assert cli.main(["run", str(folder), "-o", str(tmp_path / "a"), "--map", "motion.scale=2"]) == 0
    assert sq.open_outputs(tmp_path / "a")[3]["diff"].dtype == np.float16


def test_the_picture_goes_back_by_the_way_it_came() -> None:
    keys = mapping.load("native", ["radiance.exposure=4", "radiance.encoding=srgb"])
    stored = srgb(np.linspace(0, 2, 90, dtype=np.float32).reshape(5, 6, 3))
    native = convert({"color": stored}, keys, META, 0)["color"]
    np.testing.assert_allclose(encode_radiance(native, keys), stored, 1e-5, 1e-6)


# Cameras


def write_header(path: Path, **attributes: Any) -> Path:
    return renderer_files.write(path, native(0), **attributes)


@pytest.mark.parametrize("ndc", ["signed", "scaled", "pbrt", "raster"])
def test_camera_of_the_header(ndc: str, tmp_path: Path) -> None:
    """worldToCamera and worldToNDC, for row vectors; NDC of -1..1, of 0..1 by -1..0, and of 0..1 from the top."""
    camera = turned()["cameras"][2]
    view, clip = (np.array(camera[name]) for name in ("world_to_view", "view_to_clip"))
    range_of = {
        "signed": np.eye(4),
        "scaled": np.eye(4),
        "pbrt": np.array([[0.5, 0, 0, 0.5], [0, 0.5, 0, -0.5], [0, 0, 1, 0], [0, 0, 0, 1]]),
        "raster": np.array([[0.5, 0, 0, 0.5], [0, -0.5, 0, 0.5], [0, 0, 1, 0], [0, 0, 0, 1]]),
    }[ndc]
    scale = np.diag([2, 2, 2, 1] if ndc == "scaled" else [1, 1, 1, 1])  # as PBRT's Scale does
    matrices = {"worldToCamera": (scale @ view).T, "worldToNDC": (range_of @ clip @ view).T}
    stored: dict[str, Any] = {name: matrix.astype(np.float32, "C") for name, matrix in matrices.items()}
    path = write_header(tmp_path / "a.exr", **stored)
    sequence = sq.open_sequence(path)
    found = sequence.meta["cameras"][0]
    np.testing.assert_allclose(found["world_to_view"], view, atol=1e-5)
    np.testing.assert_allclose(np.delete(found["view_to_clip"], 2, 0), np.delete(clip, 2, 0), atol=1e-5)
    assert not any("camera" in note for note in sequence.notes)


def test_frame_rate_of_the_header(tmp_path: Path) -> None:
    with ExrFile(write_header(tmp_path / "a.exr")) as file:
        stored = file.stored(file.parts[0])
        rate = {"framesPerSecond": ("rational", struct.pack("<iI", 24000, 1001))}
        with open(tmp_path / "b.exr", "wb") as target:
            exr_file.write(target, [exr_file.Stored(stored.attributes | rate, stored.count, stored.chunks)])
    assert "fps" not in sq.open_sequence(tmp_path / "a.exr").meta
    assert sq.open_sequence(tmp_path / "b.exr").meta["fps"] == pytest.approx(23.976, abs=1e-3)


def test_cameras_from_files(tmp_path: Path) -> None:
    entries = tiny_sequence.meta()["cameras"]
    path = tmp_path / "c.json"
    sq.write_json(path, {"cameras": {"7": entries[1], "9": entries[2]}, "sun": tiny_sequence.SUN, "width": 7})
    assert cameras.described(path, [7, 9], (32, 18)) == {"cameras": entries[1:3], "sun": tiny_sequence.SUN}
    with pytest.raises(sq.SequenceError, match=r"c\.json: cameras: '8' is not there"):
        cameras.described(path, [7, 8], (32, 18))
    sq.write_json(path, {"cameras": entries})
    with pytest.raises(sq.SequenceError, match="expected one for each of 3 frames, got 4"):
        cameras.described(path, [1, 2, 3], (32, 18))
    sq.write_json(path, {"camera": {"world_to_view": entries[0]["world_to_view"], "field_of_view": 90}})
    found = cameras.described(path, [1, 2], (32, 18))["cameras"]
    assert found[0] == found[1]
    assert np.diag(found[0]["view_to_clip"])[:2] == pytest.approx([1, 32 / 18])
    path.write_text("[")
    with pytest.raises(sq.SequenceError, match=r"c\.json: "):
        cameras.described(path, [1], (32, 18))


def test_cameras_from_usd(tmp_path: Path) -> None:
    pxr = pytest.importorskip("pxr.UsdGeom")
    from pxr import Gf, Usd

    stage = Usd.Stage.CreateNew(str(tmp_path / "c.usda"))
    camera = pxr.Camera.Define(stage, "/cam")
    move = camera.AddTranslateOp()
    for frame in (1, 2):
        move.Set(Gf.Vec3d(frame, 0, 5), frame)
    stage.Save()
    found = cameras.described(tmp_path / "c.usda", [1, 2], (32, 18))["cameras"]
    assert [np.array(entry["world_to_view"])[:3, 3].tolist() for entry in found] == [[-1, 0, -5], [-2, 0, -5]]
    assert found[0]["view_to_clip"][3] == [0, 0, -1, 0]
