# SPDX-License-Identifier: Apache-2.0
"""The Python API: what comes back, and that every wrong call raises at once, in words, with the history untouched."""

import copy
import dataclasses
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pretended
import pytest

import denoise as dn
from denoise import arrays

WIDTH, HEIGHT = 40, 24
F16, F32 = np.float16, np.float32

VIEW = np.array([[1, 0, 0, 0.5], [0, 1, 0, -1], [0, 0, 1, 2], [0, 0, 0, 1]], np.float64)
PERSPECTIVE = np.array([[1, 0, 0, 0], [0, 5 / 3, 0, 0], [0, 0, 1, -0.1], [0, 0, 1, 0]], np.float64)
ORTHOGRAPHIC = np.array([[0.2, 0, 0, 0.1], [0, 0.3, 0, 0], [0, 0, 0.01, 0], [0, 0, 0, 1]], np.float64)
CAMERA = dn.Camera(world_to_view=VIEW, view_to_clip=PERSPECTIVE)


def changed(matrix: np.ndarray, *entry: tuple[int, int, float]) -> np.ndarray:
    result = matrix.copy()
    for row, column, value in entry:
        result[row, column] = value
    return result


def full(channels: int, value: Any, dtype: Any = F32) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH), value, dtype)


def inputs(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """The keywords of a good frame of noise on a wall; None leaves one out."""
    rng = np.random.default_rng(seed)
    keywords = {
        "diffuse": rng.random((HEIGHT, WIDTH, 3), F32),
        "diffuse_hit_distance": full(1, 2),
        "specular": rng.random((HEIGHT, WIDTH, 3), F32),
        "specular_hit_distance": full(1, 3),
        "view_z": full(1, 5),
        "normal": full(3, (0, 0, -1)),
        "roughness": full(1, 0.5),
        "motion": full(3, 0),
        "material_id": full(1, 1, np.uint8),
        "camera": CAMERA,
    }
    return {name: value for name, value in {**keywords, **changes}.items() if value is not None}


def read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


class Tensor:
    """An array of a library that is not known here."""

    shape = (HEIGHT, WIDTH, 3)
    dtype = F32


# Wrong frames: what is changed in a good one, the error, and its message


WRONG_FRAMES = {
    "channels": ({"motion": full(4, 0)}, ValueError, "motion: expected (24, 40, 2) or (24, 40, 3), got (24, 40, 4)"),
    "no channels": ({"normal": full(1, 0)}, ValueError, "normal: expected (24, 40, 3), got (24, 40)"),
    "rgba": ({"diffuse": full(4, 1)}, ValueError, "diffuse: expected (24, 40, 3), got (24, 40, 4)"),
    "trailing axis": ({"view_z": full(1, 5)[..., None]}, ValueError, "view_z: expected (24, 40), got (24, 40, 1)"),
    "rows last": (
        {"diffuse": np.ones((WIDTH, HEIGHT, 3), F32)},
        ValueError,
        "diffuse: expected (24, 40, 3), got (40, 24, 3); rows come first: (height, width)",
    ),
    "channels first": (
        {"specular": np.ones((3, HEIGHT, WIDTH), F32)},
        ValueError,
        "specular: expected (24, 40, 3), got (3, 24, 40); channels come last: np.moveaxis(specular, 0, -1)",
    ),
    "another size": (
        {"diffuse": np.ones((48, 80, 3), F32)},
        ValueError,
        "diffuse: expected (24, 40, 3), got (48, 80, 3); this denoiser was made for 40 x 24: resize(80, 48)",
    ),
    "one row less": ({"roughness": full(1, 1)[1:]}, ValueError, "roughness: expected (24, 40), got (23, 40)"),
    "hit distance of another size": (
        {"specular_hit_distance": np.ones((12, 20), F32)},
        ValueError,
        "specular_hit_distance: expected (24, 40), got (12, 20)",
    ),
    "empty": ({"view_z": np.empty((0, 0), F32)}, ValueError, "view_z: expected (24, 40), got (0, 0)"),
    "scalar": ({"view_z": np.array(1, F32)}, ValueError, "view_z: expected (24, 40), got ()"),
    "float64": (
        {"diffuse": full(3, 1, np.float64)},
        TypeError,
        "diffuse: expected float32 or float16, got float64; cast it with diffuse.astype(np.float32)",
    ),
    "float64 guide": ({"view_z": full(1, 5, np.float64)}, TypeError, "view_z.astype(np.float32)"),
    "integers": ({"specular": full(3, 1, np.int32)}, TypeError, "specular: expected float32 or float16, got int32"),
    "booleans": ({"roughness": full(1, 1, bool)}, TypeError, "roughness: expected float32 or float16, got bool"),
    "complex": ({"view_z": full(1, 1, np.complex64)}, TypeError, "view_z: expected float32 or float16, got complex64"),
    "byte order": ({"normal": full(3, 0, ">f4")}, TypeError, "normal: expected float32 or float16, got >f4"),
    "objects": ({"diffuse": full(3, 1, object)}, TypeError, "diffuse: expected float32 or float16, got object"),
    "wide material": (
        {"material_id": full(1, 1, np.uint16)},
        TypeError,
        "material_id: expected uint8, got uint16; cast it with material_id.astype(np.uint8)",
    ),
    "float material": ({"material_id": full(1, 1)}, TypeError, "material_id: expected uint8, got float32"),
    "list": (
        {"diffuse": full(3, 1).tolist()},
        TypeError,
        "diffuse: expected a numpy.ndarray or a torch.Tensor on the CPU, got list",
    ),
    "number": (
        {"roughness": 0.5},
        TypeError,
        "roughness: expected a numpy.ndarray or a torch.Tensor on the CPU, got float",
    ),
    "other library": (
        {"diffuse": Tensor()},
        TypeError,
        "diffuse: expected a numpy.ndarray or a torch.Tensor on the CPU, got test_api.Tensor",
    ),
    "no signal": (
        {n: None for n in ("diffuse", "diffuse_hit_distance", "specular", "specular_hit_distance")},
        TypeError,
        "diffuse, specular: both missing, expected at least one of them",
    ),
    "no view_z": ({"view_z": None}, TypeError, "view_z: missing; it is required: (H, W) depth along the camera's axis"),
    "no normal": ({"normal": None}, TypeError, "normal: missing; it is required: (H, W, 3)"),
    "no roughness": ({"roughness": None}, TypeError, "roughness: missing; it is required with specular: (H, W)"),
    "no camera": ({"camera": None}, TypeError, "camera"),
    "hit distance alone": (
        {"specular": None},
        TypeError,
        "specular_hit_distance: given without specular, which it belongs to",
    ),
    "confidence alone": (
        {"diffuse": None, "diffuse_hit_distance": None, "diffuse_confidence": full(1, 1)},
        TypeError,
        "diffuse_confidence: given without diffuse, which it belongs to",
    ),
    "albedo alone": (
        {"specular": None, "specular_hit_distance": None, "specular_albedo": full(3, 1)},
        TypeError,
        "specular_albedo: given without specular, which it belongs to",
    ),
    "misspelt": ({"difuse": full(3, 1)}, TypeError, "no input is called 'difuse' (did you mean 'diffuse'?)"),
    "another name": ({"depth_buffer": full(1, 1)}, TypeError, "no input is called 'depth_buffer'"),
    "camera as matrix": ({"camera": VIEW}, TypeError, "camera: expected a Camera, got ndarray"),
    "motion space": ({"motion_space": "uv"}, ValueError, "motion_space: expected 'screen' or 'world', got 'uv'"),
    "2D motion in the world": (
        {"motion": full(2, 0), "motion_space": "world"},
        ValueError,
        "motion: expected (24, 40, 3) with motion_space='world', got (24, 40, 2)",
    ),
    "a signal less": (
        {"specular": None, "specular_hit_distance": None},
        ValueError,
        "diffuse: the frames so far had diffuse and specular; other signals need reset=True",
    ),
    "reset": ({"reset": 1}, TypeError, "reset: expected True or False, got int"),
    "out": ({"out": full(3, 1)}, TypeError, "out: expected a Result or a dict of arrays, got ndarray"),
    "out name": (
        {"out": {"difuse": full(3, 1)}},
        ValueError,
        "out: this frame has no output 'difuse' (did you mean 'diffuse'?)",
    ),
    "out not asked for": (
        {"out": {"diffuse_hit_distance": full(1, 1)}},
        ValueError,
        "out: this frame has no output 'diffuse_hit_distance'",
    ),
    "out shape": (
        {"out": {"diffuse": full(4, 0)}},
        ValueError,
        "out['diffuse']: expected (24, 40, 3), got (24, 40, 4)",
    ),
    "out dtype": ({"out": {"diffuse": full(3, 0, F16)}}, TypeError, "out['diffuse']: expected float32, got float16"),
    "out list": (
        {"out": {"diffuse": [0]}},
        TypeError,
        "out['diffuse']: expected a numpy.ndarray or a torch.Tensor on the CPU, got list",
    ),
    "out read-only": (
        {"out": {"specular": read_only(full(3, 0))}},
        ValueError,
        "out['specular']: expected a writeable array, got a read-only one",
    ),
    "out strides": (
        {"out": {"diffuse": np.zeros((HEIGHT, WIDTH), [("rgb", F32, 3), ("pad", "u1")])["rgb"]}},
        ValueError,
        "out['diffuse']: expected aligned memory",
    ),
}
_shared = full(3, 1)
WRONG_FRAMES |= {
    "out is an input": (
        {"diffuse": _shared, "out": {"diffuse": _shared}},
        ValueError,
        "out['diffuse']: shares memory with diffuse; expected memory of its own",
    ),
    "out is a part of an input": (
        {"normal": _shared, "out": {"specular": _shared[:, ::-1]}},
        ValueError,
        "out['specular']: shares memory with normal",
    ),
    "out twice": (
        {"out": {"diffuse": _shared, "specular": _shared}},
        ValueError,
        "out['specular']: shares memory with diffuse",
    ),
}


@pytest.fixture(scope="module")
def started() -> dn.Reblur:
    """A denoiser that has seen a frame with both signals."""
    denoiser = dn.Reblur(WIDTH, HEIGHT)
    denoiser(**inputs())
    return denoiser


@pytest.mark.parametrize("case", WRONG_FRAMES.values(), ids=WRONG_FRAMES.keys())
def test_a_wrong_frame_raises(started: dn.Reblur, case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    with pytest.raises(error, match=re.escape(message)):
        started(**inputs(**changes))


def test_wrong_calls_leave_the_history_alone() -> None:
    disturbed, undisturbed = (dn.Reblur(WIDTH, HEIGHT, outputs=["history_length"]) for _ in range(2))
    for seed in range(3):
        for changes, error, _ in WRONG_FRAMES.values():
            if seed:
                with pytest.raises(error):
                    disturbed(**inputs(seed, **changes))
        with pytest.raises(TypeError):
            disturbed.load_state({"family": "reblur"})
        with pytest.raises(ValueError, match="width"):
            disturbed.resize(0, 24)
        assert_equal(disturbed(**inputs(seed)), undisturbed(**inputs(seed)))


# Wrong cameras


WRONG_CAMERAS = {
    "shape": ({"world_to_view": VIEW[:3]}, ValueError, "world_to_view: expected a matrix of shape (4, 4), got (3, 4)"),
    "flat": ({"view_to_clip": PERSPECTIVE.ravel()}, ValueError, "view_to_clip: expected a matrix of shape (4, 4)"),
    "text": ({"world_to_view": "identity"}, TypeError, "world_to_view: expected a 4x4 matrix of numbers"),
    "ragged": ({"view_to_clip": [[1, 2], [3]]}, TypeError, "view_to_clip: expected a 4x4 matrix of numbers"),
    "None": ({"world_to_view": None}, ValueError, "world_to_view"),
    "NaN": ({"world_to_view": changed(VIEW, (0, 3, np.nan))}, ValueError, "world_to_view: expected finite numbers"),
    "inf": ({"view_to_clip": changed(PERSPECTIVE, (2, 3, np.inf))}, ValueError, "view_to_clip: expected finite"),
    "transposed": ({"world_to_view": VIEW.T}, ValueError, "it looks transposed: matrices are for column vectors"),
    "not affine": (
        {"world_to_view": PERSPECTIVE},
        ValueError,
        "world_to_view: expected the last row (0, 0, 0, 1), got (0.0, 0.0, 1.0, 0.0)",
    ),
    "singular": (
        {"world_to_view": changed(VIEW, (1, 1, 0))},
        ValueError,
        "expected a rotation and a translation (rows of length 1, at right angles), got rows of length 1, 0, 1",
    ),
    "scaled": ({"world_to_view": VIEW * [[100], [100], [100], [1]]}, ValueError, "got rows of length 100, 100, 100"),
    "sheared": ({"world_to_view": changed(VIEW, (0, 1, 0.2))}, ValueError, "expected a rotation and a translation"),
    "no projection": ({"view_to_clip": np.zeros((4, 4))}, ValueError, "view_to_clip: expected the last row"),
    "projection transposed": ({"view_to_clip": PERSPECTIVE.T}, ValueError, "it looks transposed"),
    "projection singular": (
        {"view_to_clip": changed(PERSPECTIVE, (1, 1, 0))},
        ValueError,
        "view_to_clip: singular: x and y are scaled by (1, 0), expected both not 0",
    ),
    "projection with skew": (
        {"view_to_clip": changed(PERSPECTIVE, (0, 1, 0.3))},
        ValueError,
        "view_to_clip: expected a projection without skew or roll, got perspective",
    ),
    "oblique": (
        {"view_to_clip": changed(ORTHOGRAPHIC, (0, 2, 0.3))},
        ValueError,
        "view_to_clip: expected a projection without skew or roll, got orthographic",
    ),
    "jitter in clip space": ({"jitter": (12.0, 7.5)}, ValueError, "jitter: expected pixels within -0.5 and 0.5"),
    "negative jitter": (
        {"jitter": (0, -0.51)},
        ValueError,
        "jitter: expected pixels within -0.5 and 0.5, got (0, -0.51)",
    ),
    "jitter NaN": ({"jitter": (np.nan, 0)}, ValueError, "jitter: expected pixels within -0.5 and 0.5"),
    "one jitter": ({"jitter": 0.25}, TypeError, "jitter: expected two numbers (x, y), got 0.25"),
    "three jitters": ({"jitter": (0, 0, 0)}, TypeError, "jitter: expected two numbers (x, y), got (0, 0, 0)"),
}


@pytest.mark.parametrize("case", WRONG_CAMERAS.values(), ids=WRONG_CAMERAS.keys())
def test_a_wrong_camera_raises(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    with pytest.raises(error, match=re.escape(message)):
        dn.Camera(**{"world_to_view": VIEW, "view_to_clip": PERSPECTIVE, **changes})


@pytest.mark.parametrize(
    ("view", "clip"),
    {
        "identity": (np.eye(4), PERSPECTIVE),
        "nested lists": (VIEW.tolist(), PERSPECTIVE.tolist()),
        "single precision": (VIEW.astype(F32), PERSPECTIVE.astype(F32)),
        "mirrored": (changed(VIEW, (0, 0, -1)), PERSPECTIVE),
        "right-handed": (VIEW, changed(PERSPECTIVE, (3, 2, -1))),
        "reversed and infinite": (VIEW, changed(PERSPECTIVE, (2, 2, 0), (2, 3, 0.1))),
        "off-centre": (VIEW, changed(PERSPECTIVE, (0, 2, 0.2), (1, 2, -0.1))),
        "orthographic": (VIEW, ORTHOGRAPHIC),
    }.values(),
)
def test_good_cameras(view: Any, clip: Any) -> None:
    camera = dn.Camera(world_to_view=view, view_to_clip=clip, jitter=(0.5, -0.25))
    np.testing.assert_array_equal(camera.world_to_view, view)
    np.testing.assert_array_equal(camera.view_to_clip, clip)
    assert camera.jitter == (0.5, -0.25)
    dn.Reblur(WIDTH, HEIGHT)(**inputs(camera=camera))


def test_a_camera_cannot_change() -> None:
    view = VIEW.copy()
    camera = dn.Camera(world_to_view=view, view_to_clip=PERSPECTIVE)
    view[0, 3] = np.nan
    assert camera.world_to_view[0, 3] == VIEW[0, 3]
    with pytest.raises(ValueError, match="read-only"):
        camera.world_to_view[0, 3] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        camera.jitter = (0, 0)


# Wrong denoisers


WRONG_DENOISERS = {
    "zero": ({"width": 0}, ValueError, "width: expected 1 to 16384 pixels, got 0"),
    "negative": ({"height": -24}, ValueError, "height: expected 1 to 16384 pixels, got -24"),
    "huge": ({"width": 1 << 40}, ValueError, "width: expected 1 to 16384 pixels"),
    "fraction": ({"width": 40.0}, TypeError, "width: expected an integer, got 40.0"),
    "truth": ({"width": True}, TypeError, "width: expected an integer, got True"),
    "size as tuple": ({"height": (40, 24)}, TypeError, "height: expected an integer, got (40, 24)"),
    "cuda": ({"device": "cuda:99"}, dn.DeviceError, "'cuda:99'"),
    "device": (
        {"device": "gpu"},
        dn.DeviceError,
        "device: expected 'auto', 'cpu', 'cpu:BACKEND' or 'cuda[:N]', got 'gpu'",
    ),
    "backend": ({"device": "cpu:mmx"}, dn.DeviceError, "device: no backend 'mmx' here (unknown); usable: "),
    "device number": ({"device": 0}, TypeError, "device: expected a string, got 0"),
    "settings": ({"settings": {"max_blur_radius": 3}}, TypeError, "settings: expected ReblurSettings, got dict"),
    "dtype": ({"dtype": np.float64}, TypeError, "dtype: expected np.float16, np.float32 or None, got <class"),
    "integer dtype": ({"dtype": "uint8"}, TypeError, "dtype: expected np.float16, np.float32 or None, got 'uint8'"),
    "no dtype": ({"dtype": "half"[:3]}, TypeError, "dtype: expected np.float16, np.float32 or None, got 'hal'"),
    "outputs": (
        {"outputs": ["history_lenght"]},
        ValueError,
        "outputs: expected 'history_length', 'hit_distance', 'confidence', 'gain', got 'history_lenght' "
        "(did you mean 'history_length'?)",
    ),
    "outputs as text": ({"outputs": "hit_distance"}, TypeError, "outputs: expected a sequence of names"),
    "unknown keyword": ({"devcie": "cpu"}, TypeError, "devcie"),
}


@pytest.mark.parametrize("case", WRONG_DENOISERS.values(), ids=WRONG_DENOISERS.keys())
def test_a_wrong_denoiser_raises(case: tuple[dict[str, Any], type[Exception], str]) -> None:
    changes, error, message = case
    with pytest.raises(error, match=re.escape(message)):
        dn.Reblur(**{"width": WIDTH, "height": HEIGHT, **changes})


# Other wrong uses


def test_a_frame_is_given_once() -> None:
    denoiser = dn.Reblur(WIDTH, HEIGHT)
    with pytest.raises(TypeError, match="frame: expected a Frame, got ndarray; arrays are given by keyword"):
        denoiser(full(3, 1))
    with pytest.raises(TypeError, match="motion: given beside a Frame"):
        denoiser(dn.Frame(**inputs()), motion=full(3, 0))


def test_a_frame_is_checked_when_it_is_denoised() -> None:
    frame = dn.Frame(**inputs())
    with pytest.raises(AttributeError, match=r"no input is called 'normals'.*did you mean 'normal'"):
        frame.normals = full(3, 0)
    frame.normal = full(2, 0)
    with pytest.raises(ValueError, match="normal: expected"):
        dn.Reblur(WIDTH, HEIGHT)(frame)


def test_contradicting_settings_raise_when_a_frame_is_denoised() -> None:
    denoiser = dn.Reblur(WIDTH, HEIGHT)
    denoiser.settings.max_blur_radius = 0.5  # below min_blur_radius, until that is lowered too
    with pytest.raises(ValueError, match="min_blur_radius: expected at most max_blur_radius"):
        denoiser(**inputs())
    denoiser.settings.min_blur_radius = 0.25
    denoiser(**inputs())
    with pytest.raises(TypeError, match="settings: expected ReblurSettings"):
        denoiser.settings = None


def test_a_second_thread_raises() -> None:
    denoiser = dn.Reblur(WIDTH, HEIGHT)
    uses = (
        lambda: denoiser(**inputs()),
        lambda: denoiser.resize(8, 8),
        lambda: denoiser.memory,
        denoiser.timings,
        denoiser.describe,
        denoiser.save_state,
    )
    with denoiser._alone():  # as while a frame is denoised
        for use in uses:
            with pytest.raises(dn.DenoiseError, match="already at work in another thread"):
                use()
    denoiser(**inputs())


def test_hit_distance_cannot_be_returned_without_one() -> None:
    with pytest.raises(TypeError, match="diffuse_hit_distance: missing; this denoiser was asked to return it"):
        dn.Reblur(WIDTH, HEIGHT, outputs=("hit_distance",))(**inputs(diffuse_hit_distance=None))


def test_a_wrong_isa_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DENOISE_ISA", "mmx")
    with pytest.raises(dn.DeviceError, match="mmx"):
        dn.Reblur(WIDTH, HEIGHT)


def test_the_bare_source_folder_says_what_is_wrong(tmp_path: Path) -> None:
    package = Path(dn.__file__).parent
    shutil.copytree(package, tmp_path / "denoise", ignore=lambda _, names: [n for n in names if not n.endswith(".py")])
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import denoise"
    answer = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert "ImportError: denoise: the native module denoise._core is missing" in answer.stderr
    assert "pip install --no-build-isolation -e ." in answer.stderr


# What comes back


def assert_equal(a: dn.Result, b: dn.Result) -> None:
    for field in dataclasses.fields(dn.Result):
        one, other = getattr(a, field.name), getattr(b, field.name)
        for x, y in zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]:
            np.testing.assert_array_equal(x, y, err_msg=field.name)


def test_a_result_holds_what_was_asked_for() -> None:
    result = dn.Relax(WIDTH, HEIGHT, outputs=dn.Relax.OUTPUTS)(**inputs())
    for field in dataclasses.fields(result):
        array = getattr(result, field.name)
        if not field.name.startswith(("diffuse", "specular")):
            assert array is None
            continue
        assert array.dtype == F32
        assert array.shape == (
            (HEIGHT, WIDTH, 3) if field.name.endswith(("diffuse", "specular", "gain")) else (HEIGHT, WIDTH)
        )
        assert np.isfinite(array).all()
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.diffuse = None

    result = dn.Reblur(WIDTH, HEIGHT)(**inputs(specular=None, specular_hit_distance=None, roughness=None))
    assert {f.name for f in dataclasses.fields(result) if getattr(result, f.name) is not None} == {"diffuse"}


@pytest.mark.parametrize("given", [F16, F32])
@pytest.mark.parametrize("dtype", [None, F16, F32, "float16"])
def test_the_dtype_of_results(given: Any, dtype: Any) -> None:
    result = dn.Reblur(WIDTH, HEIGHT, dtype=dtype)(**inputs(diffuse=full(3, 0.5, given)))
    assert result.diffuse.dtype == result.specular.dtype == np.dtype(dtype or given)


def test_out_is_written_and_returned() -> None:
    fresh, reusing = (dn.Reblur(WIDTH, HEIGHT, outputs=("history_length",)) for _ in range(2))
    buffers = {"diffuse": full(3, np.nan), "specular": np.full((3, WIDTH, HEIGHT), np.nan, F32).T}
    expected, first = fresh(**inputs()), reusing(**inputs(), out=buffers)
    assert first.diffuse is buffers["diffuse"]
    assert first.specular is buffers["specular"]
    assert_equal(first, expected)
    expected, second = fresh(**inputs(1)), reusing(**inputs(1), out=first)
    assert all(getattr(second, f.name) is getattr(first, f.name) for f in dataclasses.fields(first))
    assert_equal(second, expected)


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A pretended torch, on the CPU."""
    library = pretended.torch()
    monkeypatch.setitem(sys.modules, "torch", library)
    return library


def tensors(torch: Any, frame: dict[str, Any]) -> dict[str, Any]:
    return {n: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for n, v in frame.items()}


def test_tensors_in_tensors_out(torch: Any) -> None:
    """The first array decides; those of out= are written, and come back themselves."""
    denoiser, expected = (dn.Reblur(WIDTH, HEIGHT, outputs=("history_length",)) for _ in range(2))
    result, wanted = denoiser(**tensors(torch, inputs(0))), expected(**inputs(0))
    for name in ("diffuse", "specular", "diffuse_history_length"):
        assert isinstance(getattr(result, name), torch.array)
        np.testing.assert_array_equal(getattr(result, name).values, getattr(wanted, name))
    buffer = torch.zeros((HEIGHT, WIDTH, 3))
    result, wanted = denoiser(**inputs(1), out={"diffuse": buffer}), expected(**inputs(1))
    assert result.diffuse is buffer
    np.testing.assert_array_equal(buffer.values, wanted.diffuse)
    assert type(result.specular) is np.ndarray
    again = denoiser(**tensors(torch, inputs(2)), out=result)
    assert again.diffuse is buffer
    assert again.specular is result.specular


def test_tensors_of_a_reference(torch: Any) -> None:
    reference = dn.Reference(WIDTH, HEIGHT, outputs=("count",))
    signal, mask = np.ones((HEIGHT, WIDTH, 3), F16), np.zeros((HEIGHT, WIDTH), bool)
    for _ in range(2):
        result = reference(torch.from_numpy(signal), mask=torch.from_numpy(mask))
    assert isinstance(result.mean, torch.array)
    np.testing.assert_array_equal(result.count.values, 2)


def test_tensors_that_are_refused(torch: Any) -> None:
    good, denoiser = tensors(torch, inputs()), dn.Reblur(WIDTH, HEIGHT)
    double, brain, graph = (torch.from_numpy(inputs()["diffuse"].astype(dtype)) for dtype in (np.float64, F16, F32))
    brain.dtype, graph.requires_grad = "torch.bfloat16", True
    there = torch.array(inputs()["diffuse"], "cuda")
    for tensor, message in (
        (double, "diffuse: expected float32 or float16, got float64; cast it with diffuse.to(torch.float32)"),
        (brain, "diffuse: expected float32, float16 or uint8, got bfloat16"),
        (graph, "diffuse: expected a tensor without gradient; pass diffuse.detach()"),
        (there, "diffuse: expected a numpy.ndarray or a torch.Tensor on the CPU, got torch."),
    ):
        with pytest.raises(TypeError, match=re.escape(message)):
            denoiser(**{**good, "diffuse": tensor})
    denoiser(**good)


def test_out_may_lie_between_the_elements_of_an_input() -> None:
    both = np.zeros((HEIGHT, WIDTH, 6), F32)
    diffuse, buffer = both[..., :3], both[..., 3:]
    diffuse[:] = inputs()["diffuse"]
    result = dn.Reblur(WIDTH, HEIGHT)(**inputs(diffuse=diffuse), out={"diffuse": buffer})
    assert_equal(result, dn.Reblur(WIDTH, HEIGHT)(**inputs()))


def unaligned(a: np.ndarray) -> np.ndarray:
    layout = np.zeros(a.shape[:2], [("pad", "u1"), ("value", a.dtype, a.shape[2:])])
    layout["value"] = a
    return layout["value"]


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "planes": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, -1, 0)), 0, -1),
    "every second": lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1)[::2, ::2],
    "backwards": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "read-only": lambda a: read_only(a.copy()),
    "unaligned": unaligned,
    "subclass": lambda a: a.view(np.memmap),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_any_layout_of_inputs(layout: Any) -> None:
    plain = inputs()
    other = {n: layout(a) if isinstance(a, np.ndarray) else a for n, a in plain.items()}
    assert_equal(dn.Reblur(WIDTH, HEIGHT)(**other), dn.Reblur(WIDTH, HEIGHT)(**plain))


def test_a_broadcast_input() -> None:
    wide = np.broadcast_to(np.array([0, 0, -1], F32), (HEIGHT, WIDTH, 3))
    assert_equal(dn.Reblur(WIDTH, HEIGHT)(**inputs(normal=wide)), dn.Reblur(WIDTH, HEIGHT)(**inputs()))


def test_read_only_arrays_are_copied_for_old_versions_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    array = read_only(full(3, 1))
    monkeypatch.setattr(arrays, "_EXPORTS_READ_ONLY", False)
    assert arrays.Host().exportable("array", array).flags.writeable
    monkeypatch.setattr(arrays, "_EXPORTS_READ_ONLY", True)
    assert arrays.Host().exportable("array", array) is array


def test_inputs_are_not_written() -> None:
    given = inputs()
    before = copy.deepcopy({name: array for name, array in given.items() if name != "camera"})
    dn.Reblur(WIDTH, HEIGHT)(**given)
    for name, array in before.items():
        np.testing.assert_array_equal(given[name], array)


def test_guides_of_the_sky_may_be_nan() -> None:
    given = inputs()
    for name in ("view_z", "normal", "roughness", "motion"):
        given[name][: HEIGHT // 2] = np.nan
    result = dn.Reblur(WIDTH, HEIGHT)(**given)
    assert np.isfinite(result.diffuse).all()
    assert np.isfinite(result.specular).all()


@pytest.mark.parametrize("name", [n for n, info in dn.Reblur(8, 8).inputs.items() if info.absence])
def test_an_optional_input_may_come_and_go(name: str) -> None:
    extra = {
        "diffuse_confidence": full(1, 1),
        "specular_confidence": full(1, 1),
        "disocclusion_threshold_mix": full(1, 0),
        "albedo": full(3, 0.5),
        "specular_albedo": full(3, 0.5),
    }
    denoiser = dn.Reblur(WIDTH, HEIGHT)
    for seed in range(3):
        left_out = {name: None} if seed == 1 else {}
        denoiser(**inputs(seed, **{**extra, **left_out}))


# The life of a denoiser


def test_a_frame_and_its_keywords_are_the_same() -> None:
    frame = dn.Frame(**inputs())
    assert_equal(dn.Reblur(WIDTH, HEIGHT)(frame), dn.Reblur(WIDTH, HEIGHT)(**inputs()))
    assert "diffuse: float32 (24, 40, 3)" in repr(frame)
    assert copy.copy(frame).diffuse is frame.diffuse
    assert pickle.loads(pickle.dumps(frame)).camera.jitter == (0, 0)


def test_reset_equals_a_fresh_instance() -> None:
    used, fresh = dn.Reblur(WIDTH, HEIGHT), dn.Reblur(WIDTH, HEIGHT)
    used(**inputs(0))
    used(**inputs(1))
    assert_equal(used(**inputs(2), reset=True), fresh(**inputs(2)))
    assert_equal(used(**inputs(3)), fresh(**inputs(3)))


def test_reset_allows_other_signals() -> None:
    used, fresh = dn.Reblur(WIDTH, HEIGHT), dn.Reblur(WIDTH, HEIGHT)
    used(**inputs(0))
    diffuse_only = inputs(1, specular=None, specular_hit_distance=None)
    assert_equal(used(**diffuse_only, reset=True), fresh(**diffuse_only))
    with pytest.raises(ValueError, match="diffuse, specular: the frames so far had diffuse"):
        used(**inputs(2))


def test_resize_drops_the_history() -> None:
    denoiser = dn.Reblur(16, 8)
    with pytest.raises(ValueError, match=r"resize\(40, 24\)"):
        denoiser(**inputs())
    denoiser.resize(WIDTH, HEIGHT)
    assert (denoiser.width, denoiser.height) == (WIDTH, HEIGHT)
    assert_equal(denoiser(**inputs()), dn.Reblur(WIDTH, HEIGHT)(**inputs()))


def test_memory_that_a_frame_has_no_use_for_is_released() -> None:
    denoiser = dn.Reblur(WIDTH, HEIGHT)
    denoiser(**inputs(0))
    before = denoiser.memory.permanent
    denoiser(**inputs(1, material_id=None))
    assert not any(name.startswith(("material", "flip:material")) for name in denoiser.save_state()["native"])
    assert denoiser.memory.permanent < before
    denoiser(**inputs(2))
    assert denoiser.memory.permanent == before


def test_a_state_is_saved_and_loaded() -> None:
    one, other = dn.Reblur(WIDTH, HEIGHT), dn.Reblur(WIDTH, HEIGHT)
    for seed in range(3):
        one(**inputs(seed))
    state = pickle.loads(pickle.dumps(one.save_state()))
    expected = one(**inputs(3))
    other.load_state(state)
    assert_equal(other(**inputs(3)), expected)
    one.load_state(state)
    assert_equal(one(**inputs(3)), expected)
    with pytest.raises(ValueError, match="diffuse: the frames so far had diffuse and specular"):
        other(**inputs(4, specular=None, specular_hit_distance=None))


def test_a_wrong_state_raises() -> None:
    denoiser = dn.Reblur(WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="state: expected one of 40 x 24, got 8 x 8"):
        denoiser.load_state(dn.Reblur(8, 8).save_state())
    for wrong in ({}, {"family": "reblur"}, [1], None):
        with pytest.raises(TypeError, match=r"state: expected what Reblur\.save_state returned"):
            denoiser.load_state(wrong)


def test_what_a_denoiser_tells_of_itself() -> None:
    denoiser = dn.Reblur(WIDTH, HEIGHT)
    assert denoiser.timings() == {}
    denoiser(**inputs())
    timings = denoiser.timings()
    assert timings
    assert all(isinstance(name, str) and ms >= 0 for name, ms in timings.items())
    assert isinstance(denoiser.memory, dn.Memory)
    assert denoiser.memory.total == denoiser.memory.permanent + denoiser.memory.transient > 0
    assert denoiser.describe()
    assert "stabilize" not in dn.Reblur(8, 8, settings=dn.ReblurSettings(max_stabilized_frames=0)).describe()
    assert denoiser.device == dn.devices()[0]
    assert repr(denoiser) == f"<Reblur 40 x 24 on {denoiser.device}>"
    assert denoiser.settings == dn.ReblurSettings()


def test_devices() -> None:
    found = dn.devices()
    (cpu,) = (device for device in found if device.name == "cpu")
    assert cpu.available
    assert cpu.backend
    assert str(cpu).startswith("cpu: ")
    assert f", {cpu.backend}, " in str(cpu)
    assert str(cpu).endswith(("thread", "threads"))
    assert [device for device in found if device.name.startswith("cuda")]  # there, or with the reason why not
    assert dn.Reblur(8, 8, device=f"cpu:{cpu.backend}").device == cpu


def test_inputs_are_explained() -> None:
    explained = {name: str(info) for name, info in dn.Reblur(8, 8).inputs.items()}
    shadows = {name: str(info) for name, info in dn.Sigma(8, 8).inputs.items()}
    arrays_of_a_frame = {f.name for f in dataclasses.fields(dn.Frame)} - {"camera", "light", "motion_space"}
    assert explained.keys() | shadows.keys() == arrays_of_a_frame
    assert explained.keys() & shadows.keys() == {
        "view_z",
        "normal",
        "motion",
        "material_id",
        "disocclusion_threshold_mix",
    }
    assert shadows["occluder_distance"].startswith("required: (H, W) ")
    assert shadows["translucency"].startswith("optional: (H, W, 3) ")
    assert explained["view_z"].startswith("required: (H, W) ")
    assert explained["diffuse"].startswith("required unless specular is given: (H, W, 3) ")
    assert explained["roughness"].startswith("required with specular: (H, W) ")
    assert explained["motion"].startswith("optional: (H, W, 2) or (H, W, 3) ")
    assert all(" Without it " in text for text in explained.values() if text.startswith("optional"))


def test_public_names() -> None:
    assert all(hasattr(dn, name) for name in dn.__all__)
    assert issubclass(dn.DeviceError, dn.DenoiseError)
    assert not issubclass(dn.DenoiseError, (TypeError, ValueError))
