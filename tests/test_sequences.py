# SPDX-License-Identifier: Apache-2.0
"""The native sequence format, and denoising a whole sequence from and into folders."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sequence

from denoise import Frame, Light, Reblur, ReblurSettings
from denoise import sequences as sq
from denoise.sequences import run as driver


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sequence.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A sequence that a test may damage."""
    return tiny_sequence.write(tmp_path / "seq")


def rewrite(path: Path, **changes: Any) -> None:
    value = json.loads(path.read_text())
    value.update(changes)
    path.write_text(json.dumps(value))


def outputs(folder: Path) -> dict[int, dict[str, bytes]]:
    frames = sq.NpzFrames(folder)
    return {index: {name: array.tobytes() for name, array in frames[index].items()} for index in frames}


# Format


def test_what_is_written_is_read(tiny: Path) -> None:
    sequence = sq.open_sequence(tiny)
    assert (sequence.name, sequence.width, sequence.height, sequence.num_frames) == ("tiny", 32, 18, 4)
    assert sequence.meta["format_version"] == 1
    assert list(sequence.frames) == [0, 1, 2, 3]
    for index in sequence.frames:
        expected, found = tiny_sequence.frame(index), sequence.frames[index]
        assert expected.keys() == found.keys()
        for name in expected:
            assert found[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_zip_compression_is_read(own: Path, compression: int) -> None:
    path = own / "frame_0001.npz"
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    np.testing.assert_array_equal(sq.open_sequence(own).frames[1]["diff"], tiny_sequence.frame(1)["diff"])


def test_absent_version_is_version_1(own: Path) -> None:
    rewrite(own / "sequence.json")
    value = json.loads((own / "sequence.json").read_text())
    del value["format_version"]
    (own / "sequence.json").write_text(json.dumps(value))
    assert sq.open_sequence(own).num_frames == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "format_version: this release reads version 1, got 2"),
        ({"width": 0}, "width: expected a positive integer, got 0"),
        ({"height": "18"}, "height: expected a positive integer, got '18'"),
        ({"num_frames": True}, "num_frames: expected a positive integer, got True"),
        ({"num_frames": 5}, "cameras: expected a list of 5, one per frame, got 4 entries"),
        ({"cameras": None}, "cameras: expected a list of 4, one per frame, got None"),
        ({"cameras": [{}] * 4}, r"cameras\[0\].world_to_view: expected 4 rows of 4 numbers, got None"),
        ({"fps": 0}, "fps: expected a positive number, got 0"),
        ({"reference_frames": [4]}, r"reference_frames: expected a list of frame numbers in 0-3, got \[4\]"),
        ({"lighting_changes": 2}, "lighting_changes: expected a list of frame numbers in 0-3, got 2"),
        ({"sun": {"tan_angular_radius": 0.01}}, "sun.direction_to_light: expected 3 numbers, got None"),
        (
            {"sun": {"direction_to_light": [0, 1, 0], "tan_angular_radius": 0.01, "directions_to_light": [[0, 1, 0]]}},
            r"sun.directions_to_light: expected one row of 3 numbers per frame, got \[\[0, 1, 0\]\]",
        ),
        ({"lights": []}, r"lights: expected an object, got \[\]"),
        ({"lights": {"hit_me": {}}}, "lights: expected names of letters, digits and _, not sun or hit, got 'hit_me'"),
        (
            {"lights": {"lamp": {"radius": 1}}},
            "lights.lamp.positions: expected one row of 3 numbers per frame, got None",
        ),
        ({"lights": {"lamp": {"positions": [[0, 1, 2]] * 4}}}, "lights.lamp.radius: expected a number, got None"),
    ],
)
def test_description_that_cannot_be_meant(own: Path, changes: dict[str, Any], message: str) -> None:
    rewrite(own / "sequence.json", **changes)
    with pytest.raises(sq.SequenceError, match=rf"sequence\.json: {message}"):
        sq.open_sequence(own)


@pytest.mark.parametrize("text", ["", "[]", '{"width": '])
def test_description_that_is_no_description(own: Path, text: str) -> None:
    (own / "sequence.json").write_text(text)
    with pytest.raises(sq.SequenceError, match=r"sequence\.json: "):
        sq.open_sequence(own)


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "bit rot":
        with zipfile.ZipFile(path) as file:
            at = file.getinfo("diff.npy").header_offset + 200
        path.write_bytes(content[:at] + bytes(b ^ 0xFF for b in content[at : at + 8]) + content[at + 8 :])
    elif how == "no zip":
        path.write_bytes(b"not a frame " * 100)
    elif how == "pickle":
        np.savez(path, view_z=np.array([None]))
    elif how == "shape":
        sq.write_arrays(path, {**tiny_sequence.frame(1), "normal": np.zeros((18, 32), np.float16)})
    elif how == "dtype":
        sq.write_arrays(path, {**tiny_sequence.frame(1), "diff": np.zeros((18, 32, 3))})
    elif how == "incomplete":
        sq.write_arrays(path, {name: array for name, array in tiny_sequence.frame(1).items() if name != "view_z"})


DAMAGES = ["missing", "empty", "cut", "bit rot", "no zip", "pickle", "shape", "dtype", "incomplete"]


@pytest.mark.parametrize("how", DAMAGES[:7])
def test_damaged_frame_is_named(own: Path, how: str) -> None:
    damage(own / "frame_0001.npz", how)
    frames = sq.open_sequence(own).frames
    assert frames[0].keys() == tiny_sequence.frame(0).keys()
    with pytest.raises(sq.SequenceError, match=r"frame_0001\.npz: "):
        frames[1]


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "frame_0000.npz"
    sq.write_arrays(path, {"diff": np.ones(3)})
    before = path.read_bytes()

    class Broken:
        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        sq.write_arrays(path, {"diff": np.zeros(3), "spec": Broken()})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_unfinished_sequence_has_no_description(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frames: expected 4, got 2"):
        sq.write_sequence(tmp_path, tiny_sequence.meta(), map(tiny_sequence.frame, range(2)))
    with pytest.raises(sq.SequenceError, match="no such file"):
        sq.open_sequence(tmp_path)


def test_writer_refuses_wrong_shapes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"motion: expected \(18, 32, 2\) or \(18, 32, 3\), got \(18, 32\)"):
        sq.write_sequence(
            tmp_path,
            tiny_sequence.meta(num_frames=1, cameras=tiny_sequence.meta()["cameras"][:1], reference_frames=[]),
            [{"motion": np.zeros((18, 32))}],
        )


@pytest.mark.parametrize(("text", "expected"), [("2-5", range(2, 6)), ("0-0", range(1)), ("7", range(7, 8))])
def test_frame_ranges(text: str, expected: range) -> None:
    assert sq.parse_frames(text) == expected


@pytest.mark.parametrize("text", ["", "a", "1-", "-3", "5-2", "1-2-3", "1,2"])
def test_wrong_frame_ranges(text: str) -> None:
    with pytest.raises(ValueError, match="expected frames as A-B"):
        sq.parse_frames(text)


# Names in the API


def test_frame_inputs_make_a_frame() -> None:
    arrays, meta = tiny_sequence.frame(3), tiny_sequence.meta()
    frame = Frame(**sq.frame_inputs(arrays, meta, 3))
    assert frame.specular_hit_distance is arrays["spec_hit"]
    assert frame.albedo is None  # signals stay demodulated
    np.testing.assert_array_equal(frame.camera.world_to_view, meta["cameras"][3]["world_to_view"])
    frame.check(32, 18, [("diffuse", "specular")])


def test_frame_inputs_leave_out_what_belongs_to_an_absent_signal() -> None:
    arrays = tiny_sequence.frame(0)
    del arrays["spec"]
    inputs = sq.frame_inputs(arrays, tiny_sequence.meta(), 0)
    assert not inputs.keys() & {"specular", "specular_hit_distance", "roughness"}
    Frame(**inputs).check(32, 18, [("diffuse", "specular")])


def test_frame_inputs_have_the_lights_of_their_frame() -> None:
    meta = tiny_sequence.meta(sun=tiny_sequence.SUN, lights={"lamp": tiny_sequence.LAMP})
    sun = Light.directional((0.3, 1, -1), 0.05, key="sun")
    assert sq.frame_inputs(tiny_sequence.shaded(0), meta, 0)["light"] == [sun]
    arrays = tiny_sequence.shaded(3)
    inputs = sq.frame_inputs(arrays, meta, 3)
    assert inputs["light"] == [sun, Light.local((0, 1, 2.3), 0.2, key="lamp")]
    assert inputs["occluder_distance"][1] is arrays["shadow_hit_lamp"]
    assert inputs["translucency"][0] is None
    assert inputs["translucency"][1] is arrays["translucency_lamp"]
    Frame(**inputs).check(32, 18, [("diffuse", "specular"), ("shadow",)])
    meta["sun"]["directions_to_light"] = [[0, 1, index] for index in range(4)]
    assert sq.frame_inputs(arrays, meta, 3)["light"][0].vector == pytest.approx((0, 0.1**0.5, 0.9**0.5))
    meta.pop("lights")
    assert len(sq.frame_inputs(arrays, meta, 3)["light"]) == 1
    meta.pop("sun")  # a shadow without a light is none
    assert not sq.frame_inputs(arrays, meta, 3).keys() & {"light", "occluder_distance", "translucency"}


def test_the_default_takes_all_that_has_inputs() -> None:
    meta, shaded = tiny_sequence.meta(sun=tiny_sequence.SUN), tiny_sequence.shaded(0)
    assert sq.fitting(shaded, meta) == ["reblur", "sigma"]
    assert sq.fitting(tiny_sequence.frame(0), meta) == ["reblur"]
    shadows = {name: array for name, array in shaded.items() if name not in ("diff", "spec")}
    assert sq.fitting(shadows, meta) == ["sigma"]
    with pytest.raises(
        ValueError, match="the first frame has nothing to denoise: expected diff, spec, or the shadow_hit"
    ):
        sq.fitting({"view_z": shaded["view_z"]}, meta)


def test_sequence_implies_settings() -> None:
    for settings in (
        member.settings
        for member in sq.create(["reblur", "sigma"], tiny_sequence.meta(fps=60, view_z_sky=1000.0)).members
    ):
        assert settings.frame_time == 1 / 60
        assert settings.sky_distance == 1000
    (reblur,) = sq.create(["reblur"], tiny_sequence.meta()).members
    assert reblur.settings == ReblurSettings()


# Runs


def test_run_is_a_render_loop(tiny: Path, tmp_path: Path) -> None:
    result = sq.denoise_sequence(tiny, tmp_path)
    denoiser = Reblur(32, 18, dtype=np.float16)
    sequence, found = sq.open_sequence(tiny), sq.open_outputs(tmp_path)
    for index in range(4):
        expected = denoiser(**sq.frame_inputs(sequence.frames[index], sequence.meta, index))
        assert found[index].keys() == {"diff", "spec"}
        np.testing.assert_array_equal(found[index]["diff"], expected.diffuse)
        np.testing.assert_array_equal(found[index]["spec"], expected.specular)
    record = json.loads((tmp_path / "run.json").read_text())
    assert (result.written, result.skipped) == (4, 0)
    assert record["ms_per_frame"] == result.ms_per_frame > 0
    assert record["settings"]["reblur"]["max_accumulated_frames"] == 30
    assert record["denoiser"] == "reblur"
    assert list(record["frames"]) == ["0", "1", "2", "3"]
    assert {"device", "version"} <= record.keys()


def test_second_run_skips(tiny: Path, tmp_path: Path) -> None:
    sq.denoise_sequence(tiny, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    steps: list[tuple[int, int]] = []
    result = sq.denoise_sequence(tiny, tmp_path, progress=lambda done, total: steps.append((done, total)))
    assert (result.written, result.skipped, steps) == (0, 4, [])
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    assert sq.denoise_sequence(tiny, tmp_path, force=True).written == 4


@pytest.mark.parametrize("lost", [[3], [1], [2, 3], [0, 2]])
def test_resumed_run_is_bitwise_equal(tiny: Path, tmp_path: Path, lost: list[int]) -> None:
    sq.denoise_sequence(tiny, tmp_path)
    expected = outputs(tmp_path)
    for index in lost:
        (tmp_path / f"frame_{index:04d}.npz").unlink()
    assert sq.denoise_sequence(tiny, tmp_path).written == len(lost)
    assert outputs(tmp_path) == expected


def test_truncated_output_is_written_again(tiny: Path, tmp_path: Path) -> None:
    sq.denoise_sequence(tiny, tmp_path)
    expected = outputs(tmp_path)
    damage(tmp_path / "frame_0002.npz", "cut")
    assert sq.denoise_sequence(tiny, tmp_path).written == 1
    assert outputs(tmp_path) == expected


def test_other_settings_are_done_again(tiny: Path, tmp_path: Path) -> None:
    sq.denoise_sequence(tiny, tmp_path)
    settings = {"reblur": {"max_accumulated_frames": 10}}
    assert sq.denoise_sequence(tiny, tmp_path, settings=settings, frames=range(2)).written == 2
    assert list(sq.open_outputs(tmp_path)) == [0, 1]  # the old frames 2 and 3 are there and not part of this run
    assert sq.denoise_sequence(tiny, tmp_path, settings=settings).skipped == 2


def test_changed_input_is_done_again(own: Path, tmp_path: Path) -> None:
    sq.denoise_sequence(own, tmp_path / "out")
    sq.write_arrays(own / "frame_0002.npz", tiny_sequence.frame(1), compress=True)
    assert sq.denoise_sequence(own, tmp_path / "out").written == 2  # frame 3 has frame 2 in its history


def test_interrupted_run_keeps_no_old_key(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sq.denoise_sequence(tiny, tmp_path, frames=range(2, 4))  # frame 2 without history
    alone = outputs(tmp_path)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(driver._Journal, "record", killed)
        with pytest.raises(KeyboardInterrupt):
            sq.denoise_sequence(tiny, tmp_path, frames=range(2, 4), preroll=2)
    assert outputs(tmp_path)[2] != alone[2]  # written, but not yet recorded
    assert sq.denoise_sequence(tiny, tmp_path, frames=range(2, 4)).written == 2
    assert outputs(tmp_path) == alone


def test_preroll_fills_the_history(tiny: Path, tmp_path: Path) -> None:
    sq.denoise_sequence(tiny, tmp_path / "all")
    sq.denoise_sequence(tiny, tmp_path / "part", frames=range(2, 4), preroll=2)
    sq.denoise_sequence(tiny, tmp_path / "fresh", frames=range(2, 4))
    sq.denoise_sequence(tiny, tmp_path / "more", frames=range(2, 4), preroll=100)
    whole = outputs(tmp_path / "all")
    assert outputs(tmp_path / "part") == outputs(tmp_path / "more") == {index: whole[index] for index in (2, 3)}
    assert outputs(tmp_path / "fresh")[2] != whole[2]


@pytest.mark.parametrize("how", DAMAGES)
def test_unusable_frame_is_named_and_finished_frames_are_kept(own: Path, tmp_path: Path, how: str) -> None:
    sq.denoise_sequence(own, tmp_path / "whole")
    damage(own / "frame_0001.npz", how)
    for _ in range(2):  # the second time, there is nothing to do before it
        with pytest.raises(sq.SequenceError, match=r"frame_0001\.npz: "):
            sq.denoise_sequence(own, tmp_path / "out")
        assert outputs(tmp_path / "out") == {0: outputs(tmp_path / "whole")[0]}
    sq.write_arrays(own / "frame_0001.npz", tiny_sequence.frame(1), compress=True)
    assert sq.denoise_sequence(own, tmp_path / "out").skipped == 1
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


def test_wrong_arguments(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frames 2-4: tiny has frames 0-3"):
        sq.denoise_sequence(tiny, tmp_path, frames=range(2, 5))
    with pytest.raises(ValueError, match="preroll: expected 0 or more, got -1"):
        sq.denoise_sequence(tiny, tmp_path, preroll=-1)
    with pytest.raises(ValueError, match=r"unknown denoiser 'rebur' .did you mean 'reblur'"):
        sq.denoise_sequence(tiny, tmp_path, denoisers=["rebur"])
    with pytest.raises(ValueError, match="reblur and reblur both write diff"):
        sq.denoise_sequence(tiny, tmp_path, denoisers=["reblur", "reblur"])
    assert not list(tmp_path.iterdir())


# Settings as text


def test_settings_are_parsed_by_type() -> None:
    texts = ["max_accumulated_frames=12", "reblur.anti_firefly = off", "fast_clamp_sigma=1.5"]
    texts += ["hit_distance_reconstruction=3x3"]
    assert sq.parse_settings(texts, ["reblur"])["reblur"] == {
        "max_accumulated_frames": 12,
        "anti_firefly": False,
        "fast_clamp_sigma": 1.5,
        "hit_distance_reconstruction": "3x3",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_accumulated_frames", "expected KEY=VALUE, got 'max_accumulated_frames'"),
        ("max_acumulated_frames=3", "no setting 'max_acumulated_frames' .did you mean 'max_accumulated_frames'"),
        ("sigma.max_accumulated_frames=3", "no denoiser 'sigma' in this run, only reblur"),
        ("max_accumulated_frames=3.5", r"expected an integer in \[0, 63\] frames, got '3.5'"),
        ("max_accumulated_frames=64", r"expected an integer in \[0, 63\] frames, got 64"),
        ("fast_clamp_sigma=nan", "fast_clamp_sigma: expected a number"),
        ("anti_firefly=perhaps", "anti_firefly: expected True or False, got 'perhaps'"),
        ("hit_distance_reconstruction=7x7", "hit_distance_reconstruction: expected one of"),
    ],
)
def test_wrong_settings(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sq.parse_settings([text], ["reblur"])


def test_ambiguous_setting_needs_its_denoiser() -> None:
    both = ["reblur", "sigma"]
    with pytest.raises(ValueError, match=r"write reblur\.plane_sensitivity or sigma\.plane_sensitivity"):
        sq.parse_settings(["plane_sensitivity=0.1"], both)
    parsed = sq.parse_settings(["sigma.plane_sensitivity=0.1"], both)
    assert parsed == {"reblur": {}, "sigma": {"plane_sensitivity": 0.1}}
    # A frame has one frame_time.
    assert sq.parse_settings(["frame_time=1"], both) == {"reblur": {"frame_time": 1}, "sigma": {"frame_time": 1}}
    with pytest.raises(ValueError, match=r"reblur and sigma have no setting 'plane_sensitiviti' .did you mean"):
        sq.parse_settings(["plane_sensitiviti=0.1"], both)


def test_denoisers_share_a_frame(tmp_path: Path) -> None:
    shaded = tiny_sequence.write_shaded(tmp_path / "seq")
    for name in ("reblur", "sigma"):
        sq.denoise_sequence(shaded, tmp_path / name, denoisers=[name])
    run = sq.denoise_sequence(shaded, tmp_path / "both")
    assert run.written == 4
    together = outputs(tmp_path / "both")
    alone = [outputs(tmp_path / name) for name in ("reblur", "sigma")]
    for index in range(4):
        lights = ["shadow", "shadow_lamp"] if index else ["shadow"]
        assert list(together[index]) == ["diff", "spec", *lights]
        assert together[index] == {**alone[0][index], **alone[1][index]}
    found = sq.open_outputs(tmp_path / "both")[3]
    assert found["shadow"].shape == (18, 32)
    assert found["shadow_lamp"].shape == (18, 32, 3)
    record = json.loads((tmp_path / "both" / "run.json").read_text())
    assert record["denoiser"] == "reblur,sigma"
    assert record["settings"]["sigma"]["max_stabilized_frames"] == 6
    assert sq.denoise_sequence(shaded, tmp_path / "both").skipped == 4
    with pytest.raises(ValueError, match="frame_time: expected one value for the whole frame"):
        sq.denoise_sequence(shaded, tmp_path / "both", settings={"sigma": {"frame_time": 1}})


def test_a_moved_light_is_done_again(tmp_path: Path) -> None:
    shaded = tiny_sequence.write_shaded(tmp_path / "seq")
    sq.denoise_sequence(shaded, tmp_path / "out")
    meta = json.loads((shaded / "sequence.json").read_text())
    meta["lights"]["lamp"]["positions"][2][0] += 1
    sq.write_json(shaded / "sequence.json", meta)
    assert sq.denoise_sequence(shaded, tmp_path / "out").written == 2  # frame 3 has frame 2 in its history


def test_what_a_denoiser_has_no_use_for_is_not_read(tmp_path: Path) -> None:
    shaded = tiny_sequence.write_shaded(tmp_path / "seq")
    sq.denoise_sequence(shaded, tmp_path / "out", denoisers=["reblur"])
    for index in range(4):
        sq.write_arrays(
            shaded / f"frame_{index:04d}.npz", {**tiny_sequence.shaded(index), "shadow_hit": np.zeros((18, 32))}
        )
    assert sq.denoise_sequence(shaded, tmp_path / "out", denoisers=["reblur"]).skipped == 4
