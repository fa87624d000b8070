# SPDX-License-Identifier: Apache-2.0
"""The running mean: exact, exponential beyond the cap, with a true error; nothing poisons it, and it starts anew when it
should and where it should only."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import small_scene
from test_api import assert_equal

import denoise as dn

Array = npt.NDArray[Any]

WIDTH, HEIGHT = 41, 23
ALL = dn.Reference.OUTPUTS


def reference(**options: Any) -> dn.Reference:
    return dn.Reference(WIDTH, HEIGHT, **options)


def samples(count: int, channels: int = 3, seed: int = 0, dtype: Any = np.float32) -> Array:
    """(count, H, W, C), or (count, H, W) for one channel: noise of mean and variance 1."""
    shape = (count, HEIGHT, WIDTH, *([channels] if channels > 1 else []))
    return np.random.default_rng(seed).exponential(size=shape).astype(dtype)


def run(denoiser: dn.Reference, frames: Array, **keywords: Any) -> dn.Result:
    """The result after all frames."""
    for frame in frames:
        result = denoiser(frame, **keywords)
    return result


def weighted(values: Array, caps: list[int]) -> dict[str, Any]:
    """Mean, variance, standard error and count of exponential means with such caps, from the weights of all samples."""
    weights, worth = np.zeros(0), 0.0
    for cap in caps:
        weight = 1 / (1 + min(worth, cap))
        weights = np.append(weights * (1 - weight), weight)
        worth = 1 / (weights**2).sum()
    mean = np.tensordot(weights, values.astype(float), 1)
    variance = np.tensordot(weights, (values - mean) ** 2, 1) / (1 - 1 / worth)
    return {"mean": mean, "variance": variance, "standard_error": np.sqrt(variance / worth), "count": worth}


def assert_close(result: dn.Result, expected: dict[str, Any], tolerance: float = 1e-6) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(result, name), value, rtol=tolerance, err_msg=name)


# The mean and its error


@pytest.mark.parametrize("channels", [*range(1, 9), 16])
def test_the_mean_is_the_arithmetic_one(backend: str, channels: int) -> None:
    denoiser, frames = reference(channels=channels, device=backend, outputs=ALL), samples(40, channels)
    for count, frame in enumerate(frames, 1):
        result = denoiser(frame)
        assert result.mean.shape == result.variance.shape == result.standard_error.shape == frame.shape
        assert result.count.shape == (HEIGHT, WIDTH)
        np.testing.assert_allclose(result.mean, frames[:count].mean(0, np.float64), rtol=1e-6 * count**0.5)
    variance = frames.astype(float).var(0, ddof=1)
    assert_close(result, {"variance": variance, "standard_error": np.sqrt(variance / 40), "count": 40})


def test_any_size(backend: str, edge_size: tuple[int, int]) -> None:
    width, height = edge_size
    denoiser = dn.Reference(width, height, device=backend, outputs=ALL)
    frames = np.random.default_rng(0).random((3, height, width, 3), np.float32)
    assert_close(run(denoiser, frames), {"mean": frames.mean(0, np.float64), "count": 3})


def test_the_first_frame_is_the_input() -> None:
    frame = samples(1)[0] * np.float32(1e3) - 500
    result = reference(outputs=ALL)(frame)
    np.testing.assert_array_equal(result.mean, frame)
    np.testing.assert_array_equal(result.count, 1)
    assert np.isinf(result.variance).all()  # one sample tells nothing of its error
    assert np.isinf(result.standard_error).all()


@pytest.mark.parametrize("cap", [0, 5, 2**24])
def test_a_constant_comes_out_bit_for_bit(backend: str, cap: int) -> None:
    frame = (samples(1)[0] - 1) * np.float32(1 / 3)
    denoiser = reference(device=backend, settings=dn.ReferenceSettings(max_accumulated_frames=cap), outputs=ALL)
    for _ in range(50):
        result = denoiser(frame)
        np.testing.assert_array_equal(result.mean, frame)
    if cap:
        np.testing.assert_array_equal(result.variance, 0)


def test_noise_falls_with_the_number_of_frames() -> None:
    denoiser = dn.Reference(256, 256, outputs=("standard_error",))
    random = np.random.default_rng(1)
    for count in range(1, 65):
        result = denoiser(random.standard_normal((256, 256, 3), np.float32))
        if count in (1, 4, 16, 64):
            assert result.mean.var() * count == pytest.approx(1, rel=0.01)
    error = np.mean(result.mean.astype(float) ** 2)  # against the true mean, 0
    assert np.mean(result.standard_error.astype(float) ** 2) == pytest.approx(error, rel=0.01)


@pytest.mark.parametrize("cap", [0, 1, 7, 30])
def test_beyond_the_cap_the_mean_is_exponential(cap: int) -> None:
    denoiser = reference(outputs=ALL, settings=dn.ReferenceSettings(max_accumulated_frames=cap))
    frames = samples(40)
    result = run(denoiser, frames)
    if cap == 0:
        np.testing.assert_array_equal(result.mean, frames[-1])
        np.testing.assert_array_equal(result.count, 1)
        assert np.isinf(result.variance).all()
        return
    assert_close(result, weighted(frames, [cap] * 40), 2e-5)
    recent = frames[-1] * (1 / (1 + cap)) + (cap / (1 + cap)) * weighted(frames[:-1], [cap] * 39)["mean"]
    np.testing.assert_allclose(result.mean, recent, rtol=1e-5)
    if cap <= 7:
        np.testing.assert_allclose(result.count, 1 + 2 * cap, rtol=1e-3)


def test_the_error_of_an_exponential_mean_is_true() -> None:
    denoiser = dn.Reference(200, 200, outputs=ALL, settings=dn.ReferenceSettings(max_accumulated_frames=9))
    random = np.random.default_rng(2)
    for _ in range(80):
        result = denoiser(random.standard_normal((200, 200, 3), np.float32))
    np.testing.assert_allclose(result.count, 19, rtol=1e-5)
    assert result.variance.mean() == pytest.approx(1, rel=0.015)
    assert result.mean.var() == pytest.approx(1 / 19, rel=0.015)
    assert np.mean(result.standard_error**2) == pytest.approx(1 / 19, rel=0.015)


def test_the_cap_may_change_on_the_way() -> None:
    denoiser, caps, frames = reference(outputs=ALL), [5] * 12 + [30] * 30 + [3] * 4, samples(46)
    for cap, frame in zip(caps, frames, strict=True):
        denoiser.settings.max_accumulated_frames = cap
        result = denoiser(frame)
    assert_close(result, weighted(frames, caps), 2e-5)


def history(denoiser: dn.Reference, count: float, mean: float, spread: float) -> None:
    """Gives all pixels a history of so many samples."""
    denoiser(np.zeros((HEIGHT, WIDTH), np.float32))
    state = denoiser.save_state()
    for name, values in {"samples": [count], "mean.0": [mean, 0], "spread.0": [spread, 0]}.items():
        header, _, data = state["native"][name].partition(b"\n")
        state["native"][name] = header + b"\n" + np.tile(np.float32(values), len(data) // 4 // len(values)).tobytes()
    denoiser.load_state(state)


def test_no_precision_is_lost_up_to_2_to_24_samples(backend: str) -> None:
    """The last 2048 samples of 2^24 still move the mean and the variance by what they should."""
    steps, total = 2048, 2**24
    before = total - steps
    denoiser = reference(channels=1, device=backend, outputs=ALL)
    history(denoiser, before, 1, 0.25)
    pair = np.float32([1.25, 1.75])
    plain = np.float32(1)
    for index in range(steps):
        sample = pair[index % 2]
        result = denoiser(np.full((HEIGHT, WIDTH), sample))
        plain += (sample - plain) / np.float32(before + index + 1)
    mean = (before + 1.5 * steps) / total
    squares = before * (0.25 + (1 - mean) ** 2) + steps * (0.0625 + (1.5 - mean) ** 2)
    assert plain == 1  # in fp32 alone: every step is less than half a bit
    assert mean - 1 > 5e-5
    assert_close(result, {"mean": mean, "variance": squares / (total - 1)}, 1.2e-7)
    np.testing.assert_array_equal(result.count, total)
    np.testing.assert_array_equal(denoiser(np.ones((HEIGHT, WIDTH), np.float32)).count, total)  # the cap


def test_many_frames_one_by_one() -> None:
    """A long run of few pixels: 2^16 frames around a large offset, which a plain sum of squares would not survive."""
    denoiser = dn.Reference(4, 1, channels=1, outputs=ALL)
    frames = 1000 + np.random.default_rng(3).standard_normal((2**16, 1, 4)).astype(np.float32)
    result = run(denoiser, frames)
    exact = frames.astype(float)
    np.testing.assert_allclose(result.mean, exact.mean(0), rtol=6e-8)
    np.testing.assert_allclose(result.variance, exact.var(0, ddof=1), rtol=1e-6)


# What is skipped, and what starts anew


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e18, -3e38])
def test_a_sample_that_is_no_number_is_skipped_and_counted(backend: str, bad: float) -> None:
    denoiser, frames = reference(device=backend, outputs=ALL), samples(12)
    spoilt = np.random.default_rng(4).random((12, HEIGHT, WIDTH)) < 0.3
    spoilt[:, 0, 0], spoilt[:11, 0, 1], spoilt[11, 0, 1] = True, True, False
    frames[spoilt, 1] = bad  # one channel is enough
    results = [denoiser(frame) for frame in frames]
    for before, after, skipped in zip(results, results[1:], spoilt[1:], strict=False):
        for name in ("mean", *ALL):
            np.testing.assert_array_equal(getattr(after, name)[skipped], getattr(before, name)[skipped], name)
    result = results[-1]
    valid = 12 - spoilt.sum(0)
    np.testing.assert_array_equal(result.count, valid)
    used = np.where(spoilt[..., None], 0, frames).astype(float)
    np.testing.assert_allclose(result.mean, used.sum(0) / np.maximum(valid, 1)[..., None], rtol=1e-6)
    assert (valid == 0).sum() == 1
    assert np.isinf(result.variance[valid < 2]).all()
    assert np.isfinite(result.variance[valid >= 2]).all()


def camera(change: Callable[[Array, Array], object] | None = None, jitter: tuple[float, float] = (0, 0)) -> dn.Camera:
    base = small_scene.camera(1, WIDTH, HEIGHT)
    view, clip = base.world_to_view.copy(), base.view_to_clip.copy()
    if change:
        change(view, clip)
    return dn.Camera(world_to_view=view, view_to_clip=clip, jitter=jitter)


def step(matrix: Array, row: int, column: int) -> None:
    """Changes the last bit."""
    matrix[row, column] = np.nextafter(matrix[row, column], np.inf)


@pytest.mark.parametrize("at", [(0, 3), (1, 1), (2, 2)])
@pytest.mark.parametrize("which", [0, 1])
def test_any_change_of_a_matrix_resets(which: int, at: tuple[int, int]) -> None:
    denoiser, frames = reference(outputs=("count",)), samples(6)
    moved = camera(lambda *matrices: step(matrices[which], *at))
    counts = [
        denoiser(frame, camera=view).count.max()
        for frame, view in zip(frames, [camera(), camera(), moved, moved, None, camera()], strict=True)
    ]
    assert counts == [1, 2, 1, 2, 3, 1]


def test_what_is_no_change_of_the_camera() -> None:
    denoiser, frames = reference(outputs=("count",)), samples(6)
    views = [camera(), camera(jitter=(0.3, -0.2)), None, camera(), None, camera(jitter=(-0.5, 0.5))]
    counts = [denoiser(frame, camera=view).count.max() for frame, view in zip(frames, views, strict=True)]
    assert counts == [1, 2, 3, 4, 5, 6]
    unseen = reference(outputs=("count",))
    assert run(unseen, frames).count.max() == 6
    assert unseen(frames[0], camera=camera()).count.max() == 1  # what was seen before is not known


def test_reset_equals_a_fresh_instance() -> None:
    used, fresh, frames = reference(outputs=ALL), reference(outputs=ALL), samples(5)
    run(used, frames)
    assert_equal(used(frames[2], reset=True), fresh(frames[2]))
    assert_equal(used(frames[3]), fresh(frames[3]))


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_a_mask_resets_its_pixels_alone(backend: str, dtype: Any) -> None:
    used, fresh, plain = (reference(device=backend, outputs=ALL) for _ in range(3))
    frames = samples(7)
    marked = np.zeros((HEIGHT, 2 * WIDTH), dtype)[:, ::2]  # any strides
    marked[3:9, 5:30] = 7 if dtype is np.uint8 else True
    run(used, frames[:4])
    run(plain, frames[:4])
    parts = run(fresh, frames[4:5]), run(plain, frames[4:5]), used(frames[4], mask=marked)
    for _ in range(2):
        for name in ("mean", *ALL):
            anew, on, result = (getattr(part, name) for part in parts)
            there = marked.astype(bool)
            np.testing.assert_array_equal(result[there], anew[there], name)
            np.testing.assert_array_equal(result[~there], on[~there], name)
        parts = run(fresh, frames[5:]), run(plain, frames[5:]), run(used, frames[5:])


def test_split_screen() -> None:
    settings = dn.ReferenceSettings(split_screen=1)
    denoiser, frames = reference(settings=settings, outputs=ALL), samples(4)
    frames[3, 2, 2] = np.nan
    for frame in frames:
        np.testing.assert_array_equal(denoiser(frame).mean, frame)
    settings.split_screen = 0.4
    result = denoiser(frames[0])
    whole = run(reference(outputs=ALL), [*frames, frames[0]])
    left = (np.arange(WIDTH) + 0.5) / WIDTH < 0.4
    np.testing.assert_array_equal(result.mean[:, left], frames[0][:, left])
    np.testing.assert_array_equal(result.mean[:, ~left], whole.mean[:, ~left])
    np.testing.assert_array_equal(result.variance, whole.variance)


# The life of a reference


def test_types_and_buffers() -> None:
    frames = samples(3, dtype=np.float16)
    whole = run(reference(outputs=ALL), frames)
    assert {whole.mean.dtype, whole.variance.dtype, whole.count.dtype} == {np.dtype(np.float32)}
    np.testing.assert_allclose(whole.mean, frames.astype(float).mean(0), rtol=1e-6)
    for dtype in (np.float16, None):
        halves = run(reference(outputs=ALL, dtype=dtype), frames)
        assert halves.mean.dtype == halves.standard_error.dtype == np.float16
        assert halves.count.dtype == np.float32
        np.testing.assert_array_equal(halves.mean, whole.mean.astype(np.float16))

    denoiser = reference(outputs=("count",))
    first = denoiser(frames[0][:, ::-1])  # any strides
    assert first.variance is first.standard_error is first.diffuse is None
    second = denoiser(signal=frames[1], out=first)
    assert second.mean is first.mean
    mine = np.empty_like(first.mean)
    assert denoiser(frames[2], out={"mean": mine}).mean is mine


def test_a_state_is_saved_and_loaded() -> None:
    frames, views = samples(6), [camera(), camera(jitter=(0.1, 0.1))]
    one, other = reference(outputs=ALL), reference(outputs=ALL)
    run(one, frames[:4], camera=views[0])
    state = pickle.loads(pickle.dumps(one.save_state()))
    other.load_state(state)
    expected = one(frames[4], camera=views[1])
    assert expected.count.max() == 5
    assert_equal(other(frames[4], camera=views[1]), expected)

    mean_only = reference()
    mean_only.load_state(state)
    np.testing.assert_array_equal(mean_only(frames[4]).mean, expected.mean)
    with pytest.raises(ValueError, match="state: expected one of 3-channel means and their variance, got 3-ch"):
        other.load_state(mean_only.save_state())
    with pytest.raises(ValueError, match="state: expected one of 1-channel means, got 3-channel means and their vari"):
        reference(channels=1).load_state(state)
    with pytest.raises(TypeError, match=r"state: expected what Reference\.save_state returned"):
        other.load_state(dn.Sigma(WIDTH, HEIGHT).save_state())
    assert_equal(other(frames[5]), one(frames[5]))  # what was refused changed nothing


def test_what_it_tells_of_itself() -> None:
    denoiser = reference(outputs=("standard_error",))
    assert list(denoiser.inputs) == ["signal", "mask"]
    assert str(denoiser.inputs["signal"]).startswith("required: (H, W, 3) ")
    assert str(denoiser.inputs["mask"]).startswith("optional: (H, W) ")
    assert repr(denoiser) == f"<Reference {WIDTH} x {HEIGHT} on {denoiser.device}>"
    assert "reference_accumulate" in denoiser.describe()
    assert "guide" not in denoiser.describe()
    denoiser(samples(1)[0])
    assert list(denoiser.timings()) == ["reference_accumulate"]
    assert denoiser.memory.transient == 0
    denoiser.resize(8, 4)
    assert denoiser(np.ones((4, 8, 3), np.float32)).mean.shape == (4, 8, 3)
    assert denoiser.settings == dn.ReferenceSettings(max_accumulated_frames=2**24)
    assert {field.name for field in dn.ReferenceSettings.fields()} == {"max_accumulated_frames", "split_screen"}


FRAME = np.zeros((HEIGHT, WIDTH, 3), np.float32)
WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no signal": (lambda: reference()(), TypeError, "missing 1 required positional argument: 'signal'"),
    "a list": (
        lambda: reference()([1]),
        TypeError,
        "signal: expected a numpy.ndarray or a torch.Tensor on the CPU, got list",
    ),
    "channels": (lambda: reference()(FRAME[..., :2]), ValueError, "signal: expected (23, 41, 3), got (23, 41, 2)"),
    "one channel": (lambda: reference(channels=1)(FRAME), ValueError, "signal: expected (23, 41), got (23, 41, 3)"),
    "size": (lambda: reference()(FRAME[1:]), ValueError, "made for 41 x 23: resize(41, 22) changes that"),
    "double": (lambda: reference()(FRAME.astype(float)), TypeError, "signal: expected float32 or float16, got float64"),
    "camera": (lambda: reference()(FRAME, camera=1), TypeError, "camera: expected a Camera or None, got int"),
    "mask shape": (lambda: reference()(FRAME, mask=FRAME > 0), ValueError, "mask: expected (23, 41), got (23, 41, 3)"),
    "mask": (lambda: reference()(FRAME, mask=FRAME[..., 0]), TypeError, "mask: expected uint8 or bool, got float32"),
    "reset": (lambda: reference()(FRAME, reset=1), TypeError, "reset: expected True or False, got int"),
    "out": (lambda: reference()(FRAME, out={"meen": FRAME}), ValueError, "no output 'meen' (did you mean 'mean'?)"),
    "out itself": (
        lambda: reference()(FRAME, out={"mean": FRAME}),
        ValueError,
        "out['mean']: shares memory with signal",
    ),
    "out dtype": (
        lambda: reference()(FRAME, out={"mean": FRAME.astype(np.float16)}),
        TypeError,
        "out['mean']: expected float32, got float16",
    ),
    "no channels": (lambda: reference(channels=0), ValueError, "channels: expected 1 to 16, got 0"),
    "many channels": (lambda: reference(channels=17), ValueError, "channels: expected 1 to 16, got 17"),
    "half a channel": (lambda: reference(channels=1.5), TypeError, "channels: expected an integer, got 1.5"),
    "outputs": (lambda: reference(outputs=["varance"]), ValueError, "'varance' (did you mean 'variance'?)"),
    "settings": (
        lambda: reference(settings=dn.SigmaSettings()),
        TypeError,
        "settings: expected ReferenceSettings, got SigmaSettings",
    ),
    "a setting": (lambda: dn.ReferenceSettings(sky_distance=1), TypeError, "has no setting 'sky_distance'"),
    "cap": (
        lambda: dn.ReferenceSettings(max_accumulated_frames=2**24 + 1),
        ValueError,
        "max_accumulated_frames: expected an integer in [0, 16777216] frames, got 16777217",
    ),
    "pipeline": (
        lambda: dn.Pipeline([reference()]),  # type: ignore[list-item]
        TypeError,
        "denoisers[0]: expected a denoiser of one family, such as Reblur or Sigma, got Reference",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_wrong_calls_are_named(case: tuple[Callable[[], Any], type[Exception], str]) -> None:
    call, error, message = case
    with pytest.raises(error, match=re.escape(message)):
        call()
