# SPDX-License-Identifier: Apache-2.0
"""The host side of the GPU, against a stand-in for the CUDA runtime that runs the emulated kernels, writes every call down
and fails where it is told to; and the same on a real GPU where there is one."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pretended
import pytest
import small_scene
from cuda_stand_in import LEGACY, PER_THREAD, Pixels, StandIn, pixels, values
from pretended import Interface

import denoise

WIDTH, HEIGHT, FRAMES = 83, 45, 5
SIZE = (WIDTH, HEIGHT)
SET = "cudaGraphExecKernelNodeSetParams"
STEADY = ["cudaStreamIsCapturing", "cudaStreamGetId", SET, "cudaGraphLaunch", "cudaEventRecord"]
Array = npt.NDArray[Any]


# ---- what is there


@pytest.mark.parametrize(
    ("machine", "sentence"),
    [
        ((0, 0, 0), "no NVIDIA driver found (libcuda.so.1)"),
        ((12040, 1, 90), "the NVIDIA driver is too old: it is for CUDA 12.4, and this build needs one for CUDA 13.0"),
        ((13000, 0, 0), "no NVIDIA GPU found"),
        (
            (13000, 1, 61),
            "Stand-in GPU, compute capability 6.1, 8192 MiB: too old, this build has code for 7.5 and newer",
        ),
    ],
)
def test_why_there_is_no_gpu(dn: Any, gpu: StandIn, machine: tuple[int, int, int], sentence: str) -> None:
    gpu.machine(*machine)
    cpu, cuda = dn.devices()
    assert cpu.available
    assert not cuda.available
    assert cuda.detail == sentence
    with pytest.raises(dn.DeviceError, match=re.escape(f"device: cannot use 'cuda': {sentence}")):
        dn.Reblur(8, 8, device="cuda")
    assert dn.Reblur(8, 8).device == cpu


def test_devices_that_are_there(dn: Any, gpu: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, cpu = dn.devices()
    assert str(first) == "cuda:0: Stand-in GPU, compute capability 9.0, 8192 MiB"
    assert dn.Reblur(8, 8).device == dn.Reblur(8, 8, device="cuda").device == first
    assert dn.Reblur(8, 8, device="cuda:1").device == second
    monkeypatch.setenv("DENOISE_DEVICE", "cpu")
    assert dn.Reblur(8, 8).device == cpu
    with pytest.raises(dn.DeviceError, match=re.escape("device: no 'cuda:7' here; there are: cuda:0, cuda:1")):
        dn.Reblur(8, 8, device="cuda:7")
    with gpu.failing("cudaGetDeviceCount"):
        assert dn.devices()[1].detail == "cudaGetDeviceCount failed: unknown error (cudaErrorUnknown)"


# ---- results


def make(dn: Any, family: str, device: str, size: tuple[int, int] = SIZE) -> Any:
    if family == "pipeline":
        return dn.Pipeline([dn.Relax(*size, device=device), dn.Sigma(*size, device=device)])
    if family == "reference":
        return dn.Reference(*size, channels=5, device=device, outputs=dn.Reference.OUTPUTS)
    kind = {"reblur": dn.Reblur, "relax": dn.Relax, "sigma": dn.Sigma}[family]
    return kind(*size, device=device, outputs=kind.OUTPUTS)


def frame(family: str, index: int, size: tuple[int, int] = SIZE) -> dict[str, Any]:
    if family == "reference":
        return small_scene.signal(index, *size)
    shadows = small_scene.shadows(index, *size)
    if family == "sigma":
        return shadows
    return {**small_scene.inputs(index, *size), **(shadows if family == "pipeline" else {})}


def planes(result: Any) -> dict[str, Any]:
    """The arrays of a Result by name."""
    found = {}
    for name in type(result).__dataclass_fields__:
        value = getattr(result, name)
        for index, array in enumerate(value if isinstance(value, tuple) else (value,)):
            if array is not None:
                found[f"{name}.{index}"] = array
    return found


def assert_same(result: Any, expected: Any, look: Callable[[Any], Array] = values) -> None:
    found, wanted = planes(result), planes(expected)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(look(found[name]), array, name)


@pytest.mark.parametrize("family", ["reblur", "relax", "sigma", "reference", "pipeline"])
def test_results_are_those_of_the_cpu(dn: Any, gpu: StandIn, family: str) -> None:
    """Bit for bit, since the stand-in runs the emulated kernels. Lights come and go, halves of histories swap."""
    there, here = make(dn, family, "cuda"), make(dn, family, "cpu:emulated_cuda")
    for index in range(FRAMES):
        result = there(**pixels(frame(family, index)), reset=index == 4)
        gpu.drain(LEGACY)
        assert_same(result, here(**frame(family, index), reset=index == 4))
    assert there.memory == here.memory
    assert there.describe().replace("cuda:0", "emulated_cuda") == here.describe()


def test_any_layout(dn: Any, gpu: StandIn) -> None:
    """Strides of all kinds, float32, results into the caller's arrays."""
    plain = frame("reblur", 0)
    there, here = (dn.Reblur(*SIZE, device=device, dtype="float32") for device in ("cuda", "cpu:emulated_cuda"))
    odd = {
        name: Pixels(np.repeat(value.swapaxes(0, 1), 2, 1).swapaxes(0, 1)[::2]) if hasattr(value, "shape") else value
        for name, value in plain.items()
    }
    odd["view_z"] = Pixels(plain["view_z"][::-1].copy()[::-1])
    out = Pixels(np.zeros((HEIGHT, WIDTH, 4), np.float32)[..., 3:0:-1])
    result = there(**odd, out={"diffuse": out})
    gpu.drain(LEGACY)
    assert result.diffuse is out
    expected = here(**plain)
    np.testing.assert_array_equal(out.values, expected.diffuse)
    np.testing.assert_array_equal(values(result.specular), expected.specular)
    again = there(**pixels(plain), reset=True, out=result)
    assert again.specular is result.specular
    gpu.drain(LEGACY)


def test_timings_are_measured_once_asked_for(dn: Any, gpu: StandIn) -> None:
    there, here = make(dn, "reblur", "cuda"), make(dn, "reblur", "cpu:scalar")
    there(**pixels(frame("reblur", 0)))
    assert "cudaGraphAddEventRecordNode" not in gpu.calls()
    assert there.timings() == {}
    for index in (1, 2):
        there(**pixels(frame("reblur", index)))
        here(**frame("reblur", index))
    assert there.timings().keys() == here.timings().keys()
    assert min(there.timings().values()) > 0


# ---- a steady frame


def warm(dn: Any, gpu: StandIn, family: str = "pipeline") -> tuple[Any, dict[str, Any]]:
    """A denoiser that has seen both halves of its histories, and results to write into."""
    gpu.eager(1)
    denoiser = make(dn, family, "cuda")
    for index in (1, 2):
        result = denoiser(**pixels(frame(family, index)))
    out = {
        name: [Pixels(values(a)) for a in v] if isinstance(v, tuple) else Pixels(values(v))
        for name, v in fields(result)
    }
    del result
    gpu.log()
    return denoiser, out


def fields(result: Any) -> Iterator[tuple[str, Any]]:
    for name in type(result).__dataclass_fields__:
        if (value := getattr(result, name)) is not None:
            yield name, value


def test_a_steady_frame_sets_arguments_and_launches_one_graph(dn: Any, gpu: StandIn) -> None:
    """No allocation, no synchronisation, no copy, no capture: new arrays, cameras, lights and settings are arguments."""
    denoiser, out = warm(dn, gpu)
    for index in range(12):
        moved = frame("pipeline", 1 + index % 2)
        moved["light"] = [dn.Light.local((index, 2, 3), 0.2, key=light.key) for light in moved["light"]]
        denoiser.members[1].settings.plane_sensitivity = 0.02 + 0.001 * index
        denoiser(**pixels(moved), out=out)
        calls = [call for call in gpu.calls() if call != "cudaGetDevice"]
        assert list(dict.fromkeys(calls)) == STEADY
        assert {calls.count(call) for call in STEADY if call != SET} == {1}


def test_a_reset_is_data(dn: Any, gpu: StandIn) -> None:
    denoiser, out = warm(dn, gpu, "reblur")
    denoiser(**pixels(frame("reblur", 3)), out=out, reset=True)
    denoiser(**pixels(frame("reblur", 4)), out=out)
    assert "cudaGraphInstantiate" not in gpu.calls()


def test_a_page_of_another_shape_has_a_graph_of_its_own_once(dn: Any, gpu: StandIn) -> None:
    denoiser, _ = warm(dn, gpu, "sigma")
    graphs = []
    for index in (3, 2, 3, 2):  # two lights, three lights
        denoiser(**pixels(frame("sigma", index)))
        graphs.append(gpu.calls().count("cudaGraphInstantiate"))
    assert graphs == [1, 0, 0, 0]
    for count in range(1, 25):  # of very many, the latest are kept
        lights = [dn.Light.local((0, 1, 2), 0.1, key=str(k)) for k in range(count)]
        few = {name: value for name, value in frame("sigma", 1).items() if name in small_scene.GUIDES}
        distances = [np.full((HEIGHT, WIDTH), np.inf, np.float32)] * count
        denoiser(**pixels({**few, "occluder_distance": distances}), light=lights)
    assert "executables 16" in gpu.alive()


def test_a_caller_who_runs_ahead_does_not_wait(dn: Any, gpu: StandIn) -> None:
    """What is queued keeps its arguments, however many frames that are."""
    there, here = make(dn, "reblur", "cuda"), make(dn, "reblur", "cpu:emulated_cuda")
    kept = []
    gpu.log()
    for index in range(20):
        kept.append(pixels(frame("reblur", index, SIZE)))
        result = there(**kept[-1])
        expected = here(**frame("reblur", index))
    assert not {"cudaEventSynchronize", "cudaStreamSynchronize"} & set(gpu.calls())
    gpu.drain(LEGACY)
    assert_same(result, expected)


# ---- streams


@pytest.fixture
def streams(gpu: StandIn, dn: Any) -> Iterator[list[int]]:
    made = [gpu.stream(), gpu.stream()]
    yield made
    gc.collect()
    for stream in made:
        gpu.destroy_stream(stream)


def test_history_is_guarded_when_the_stream_changes(dn: Any, gpu: StandIn, streams: list[int]) -> None:
    """Nothing runs before the last stream is looked at: without the wait for the frame before, its history is missing."""
    there, here = make(dn, "reblur", "cuda"), make(dn, "reblur", "cpu:emulated_cuda")
    order, kept = [streams[0], streams[0], streams[1], streams[0], LEGACY, streams[1]], []
    gpu.log()
    for index, stream in enumerate(order):
        kept.append((pixels(frame("reblur", index)), stream))
        result = there(**kept[-1][0], stream=stream)
        expected = here(**frame("reblur", index))
    lines = [line for line in gpu.log() if line.startswith(("cudaEventRecord", "cudaStreamWaitEvent"))]
    ids = {stream: f"stream={gpu.stream_id(stream)}" for stream in order}
    wanted, last = [], ""
    for index, (stream, line) in enumerate(
        zip(order, [x for x in lines if x.startswith("cudaEventRecord")], strict=True)
    ):
        if index and stream != order[index - 1]:
            wanted.append(f"cudaStreamWaitEvent {ids[stream]} {last}")
        wanted.append(line)
        assert line.split()[1] == ids[stream]
        last = line.split()[2]
    assert lines == wanted
    gpu.drain(streams[1])
    assert_same(result, expected)


def test_the_default_stream_of_another_thread_is_another_stream(dn: Any, gpu: StandIn) -> None:
    there, here = make(dn, "reblur", "cuda"), make(dn, "reblur", "cpu:emulated_cuda")
    first, second = pixels(frame("reblur", 0)), pixels(frame("reblur", 1))
    thread = threading.Thread(target=lambda: there(**first, stream=PER_THREAD))
    thread.start()
    thread.join()
    gpu.log()
    result = there(**second, stream=PER_THREAD)
    assert gpu.calls().count("cudaStreamWaitEvent") == 1
    gpu.drain(PER_THREAD)
    here(**frame("reblur", 0))
    assert_same(result, here(**frame("reblur", 1)))


def test_a_stream_that_is_gone_is_not_asked_for(dn: Any, gpu: StandIn) -> None:
    denoiser, stream = make(dn, "reblur", "cuda"), gpu.stream()
    out = denoiser(**pixels(frame("reblur", 0)), stream=stream)
    out = {name: Pixels(values(value)) for name, value in fields(out)}
    gc.collect()
    denoiser(**pixels(frame("reblur", 1)), stream=stream, out=out)
    gpu.destroy_stream(stream)
    denoiser(**pixels(frame("reblur", 2)))
    gpu.drain(LEGACY)


def test_producers_are_told_the_stream(dn: Any, gpu: StandIn, streams: list[int]) -> None:
    given = pixels(frame("reblur", 0))
    numba = types.SimpleNamespace(handle=ctypes.c_void_p(None))  # its default stream
    for stream in (0, numba, PER_THREAD, types.SimpleNamespace(ptr=streams[0])):
        make(dn, "reblur", "cuda")(**given, stream=stream)
    for stream in (LEGACY, PER_THREAD, streams[0]):
        gpu.drain(stream)
    arrays = [array for array in given.values() if isinstance(array, Pixels)]
    assert len(arrays) > 10
    for array in arrays:
        assert array.streams == [LEGACY, LEGACY, PER_THREAD, streams[0]]


def test_arrays_are_waited_for_and_results_are(dn: Any, gpu: StandIn, streams: list[int]) -> None:
    """The pixels of an input arrive late, on a stream that its interface names; a consumer of a result names its own."""
    plain = frame("reblur", 0)
    late = np.zeros_like(plain["diffuse"])
    given = {n: Interface(v) if isinstance(v, np.ndarray) else v for n, v in plain.items()}
    given["diffuse"] = Interface(late, streams[0])
    gpu.copy(ctypes.c_void_p(late.ctypes.data), ctypes.c_void_p(plain["diffuse"].ctypes.data), late.nbytes, streams[0])
    result = make(dn, "reblur", "cuda")(**given)
    expected = make(dn, "reblur", "cpu:emulated_cuda")(**plain)
    assert result.diffuse.__dlpack_device__() == (2, 0)
    assert result.diffuse.__cuda_array_interface__["stream"] == LEGACY
    capsule = result.diffuse.__dlpack__(stream=streams[1], max_version=(1, 0))
    gpu.drain(streams[1])
    assert_same(result, expected)
    kind, device, address, shape, strides, *_ = dn._core.from_dlpack("diffuse", capsule)
    assert (kind, device, shape, strides) == (2, 0, [HEIGHT, WIDTH, 3], [WIDTH * 6, 6, 2])
    assert address == result.diffuse.address
    memory = gpu.bytes()
    del result
    gpu.drain(LEGACY)
    assert 0 < gpu.bytes() < memory
    del capsule
    with pytest.raises(BufferError):
        make(dn, "reblur", "cuda")(**given).diffuse.__dlpack__(copy=True)
    gpu.drain(LEGACY)


def test_results_go_in_again(dn: Any, gpu: StandIn) -> None:
    """A result is an input of another denoiser, or of one on the CPU by way of its memory."""
    reference = dn.Reference(*SIZE, device="cuda")
    first = reference(Pixels(np.ones((HEIGHT, WIDTH, 3), np.float32)))
    second = reference(first.mean, stream=PER_THREAD)
    gpu.drain(PER_THREAD)
    np.testing.assert_array_equal(values(second.mean), 1)


# ---- what is refused


def as_is(values: Array) -> Any:
    return values


def unaligned(values: Array) -> Any:
    memory = np.zeros(values.nbytes + 1, np.uint8)
    return Interface(np.ndarray(values.shape, values.dtype, memory.data, offset=1))


class Named:
    """An array of a type that NumPy does not know."""

    def __init__(self, values: Array) -> None:
        self.__cuda_array_interface__ = {"shape": values.shape, "typestr": "bfloat16", "data": (0, False)}


REFUSED: dict[str, tuple[Callable[[Array], Any], type[Exception], str]] = {
    "host": (
        as_is,
        TypeError,
        "diffuse: expected an array on cuda:0, where this denoiser is, got numpy.ndarray in host memory",
    ),
    "other": (
        lambda v: Pixels(v, 1),
        TypeError,
        "diffuse: expected an array on cuda:0, where this denoiser is, got one on cuda:1",
    ),
    "list": (lambda v: v.tolist(), TypeError, "diffuse: expected an array on cuda:0, where this denoiser is, got list"),
    "dtype": (
        lambda v: Pixels(v.astype(np.float64)),
        TypeError,
        "diffuse: expected float32 or float16, got float64; cast it with diffuse.astype(np.float32)",
    ),
    "unknown dtype": (Named, TypeError, "diffuse: expected float32, float16 or uint8, got bfloat16"),
    "shape": (
        lambda v: Pixels(v[1:]),
        ValueError,
        f"diffuse: expected ({HEIGHT}, {WIDTH}, 3), got ({HEIGHT - 1}, {WIDTH}, 3)",
    ),
    "unaligned": (unaligned, ValueError, "diffuse: expected memory aligned to 2 bytes"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_arrays_that_do_not_fit_are_refused(dn: Any, gpu: StandIn, case: tuple[Any, type[Exception], str]) -> None:
    convert, error, message = case
    plain = frame("reblur", 0)
    denoiser = make(dn, "reblur", "cuda")
    with pytest.raises(error, match=re.escape(message)):
        denoiser(**{**pixels(plain), "diffuse": convert(plain["diffuse"])})
    denoiser(**pixels(plain))  # it is as good as before
    gpu.drain(LEGACY)


def test_mixed_devices_are_refused(dn: Any) -> None:
    plain = frame("reblur", 0)
    elsewhere = Pixels(plain["specular"], 1)
    with pytest.raises(
        TypeError, match=re.escape("specular: expected an array on cuda:0, where this denoiser is, got one on cuda:1")
    ):
        make(dn, "reblur", "cuda")(**{**pixels(plain), "specular": elsewhere})
    with pytest.raises(
        TypeError,
        match=re.escape(
            "expected a numpy.ndarray or a torch.Tensor on the CPU, got cuda_stand_in.Pixels; "
            "it is on a GPU, this denoiser is not"
        ),
    ):
        make(dn, "reblur", "cpu")(**pixels(plain))


def test_outputs_that_do_not_fit_are_refused(dn: Any) -> None:
    plain, denoiser = pixels(frame("reblur", 0)), dn.Reblur(*SIZE, device="cuda")
    fixed = Interface(np.zeros((HEIGHT, WIDTH, 3), np.float16), read_only=True)
    with pytest.raises(ValueError, match=re.escape("out['diffuse']: expected a writeable array")):
        denoiser(**plain, out={"diffuse": fixed})
    with pytest.raises(ValueError, match=re.escape("out['diffuse']: shares memory with specular")):
        denoiser(**plain, out={"diffuse": plain["specular"]})


def test_streams_that_are_none_are_refused(dn: Any, gpu: StandIn) -> None:
    plain = frame("reblur", 0)
    for stream in (-1, True, "0", 1.5):
        with pytest.raises(TypeError, match="stream: expected a CUDA stream or the number of one, got"):
            make(dn, "reblur", "cuda")(**pixels(plain), stream=stream)
    with pytest.raises(TypeError, match="stream: expected None, since cpu has no streams; got 1"):
        make(dn, "reblur", "cpu")(**plain, stream=1)
    denoiser = make(dn, "reblur", "cuda")
    gpu.capturing(1)
    for stream in (LEGACY, PER_THREAD):
        with pytest.raises(ValueError, match="stream: it is being captured into a CUDA graph"):
            denoiser(**pixels(plain), stream=stream)
    gpu.capturing(0)
    denoiser(**pixels(plain))
    gpu.drain(LEGACY)


# ---- states


@pytest.mark.parametrize(
    ("first", "second"), [("cuda", "cuda:0"), ("cuda", "cpu:emulated_cuda"), ("cpu:emulated_cuda", "cuda")]
)
def test_states_go_from_device_to_device(dn: Any, gpu: StandIn, first: str, second: str) -> None:
    there, here = make(dn, "pipeline", first), make(dn, "pipeline", "cpu:emulated_cuda")

    def denoised(denoiser: Any, index: int) -> Any:
        plain = frame("pipeline", index)
        return denoiser(**(pixels(plain) if denoiser.device.name == "cuda:0" else plain))

    for index in range(3):
        denoised(there, index)
        expected = denoised(here, index)
    other = make(dn, "pipeline", second)
    other.load_state(there.save_state())
    del there
    result, expected = denoised(other, 3), denoised(here, 3)
    gpu.drain(LEGACY)
    assert_same(result, expected, values if "cuda" in other.device.name else np.asarray)


def test_resize_gives_memory_back(dn: Any, gpu: StandIn) -> None:
    gpu.eager(1)
    denoiser = make(dn, "reblur", "cuda")
    denoiser(**pixels(frame("reblur", 0)))
    held = gpu.bytes()
    denoiser.resize(8, 8)
    gc.collect()
    assert gpu.bytes() < held / 4
    small = (8, 8)
    result, expected = denoiser(**pixels(frame("reblur", 0, small))), make(dn, "reblur", "cpu:emulated_cuda", small)
    assert_same(result, expected(**frame("reblur", 0, small)))


# ---- failures

TINY = (16, 8)
FAILURE = r"cuda:0: cuda\w+ failed: [\w ]+ \(cudaError\w+\)|cuda\w+ failed: [\w ]+ \(cudaError\w+\)"


def life(dn: Any, tiny: list[dict[str, Any]]) -> None:
    """Everything that a denoiser does, on two streams."""
    denoiser = dn.Sigma(*TINY, device="cuda")
    denoiser(**tiny[0])
    denoiser(**tiny[1], stream=PER_THREAD)
    denoiser.timings()
    denoiser(**tiny[1], stream=LEGACY)
    denoiser.timings()
    state = denoiser.save_state()
    denoiser.resize(*TINY)
    denoiser.load_state(state)
    denoiser(**tiny[2])


@pytest.mark.parametrize("sticky", [False, True])
def test_any_call_may_fail(dn: Any, gpu: StandIn, sticky: bool) -> None:
    """Each call of that life fails once, or is the first of a lost device: a DeviceError names it, or it was the end
    anyway; nothing is left; a new denoiser works."""
    tiny = [pixels(frame("sigma", index, TINY)) for index in range(3)]
    gpu.eager(1)
    life(dn, tiny)
    count, told = len(gpu.calls()), []
    for countdown in range(1, count + 1):
        with gpu.failing("", countdown, sticky):
            try:
                life(dn, tiny)
            except dn.DeviceError as error:
                told.append(str(error))
            if not sticky:
                assert gpu.pending_failure() == 0
                calls = gpu.calls()
                assert gpu.alive() == "", (countdown, calls[countdown - 1])
        if sticky:
            gpu.forget()
    assert [message for message in told if not re.search(FAILURE, message)] == []
    assert len(told) > 0.7 * count
    life(dn, tiny)


def test_a_denoiser_that_failed_says_so(dn: Any, gpu: StandIn) -> None:
    denoiser, plain = make(dn, "reblur", "cuda"), frame("reblur", 0)
    denoiser(**pixels(plain))
    with (
        gpu.failing("cudaGraphLaunch"),
        pytest.raises(dn.DeviceError, match=r"^cuda:0: cudaGraphLaunch failed: unknown error"),
    ):
        denoiser(**pixels(plain))
    for use in (lambda: denoiser(**pixels(plain)), denoiser.save_state, lambda: denoiser(**pixels(plain), reset=True)):
        with pytest.raises(
            dn.DeviceError, match=r"cuda:0: this denoiser stopped when cudaGraphLaunch failed: .*; make a new one"
        ):
            use()
    make(dn, "reblur", "cuda")(**pixels(plain))
    gpu.drain(LEGACY)


def test_out_of_memory(dn: Any, gpu: StandIn) -> None:
    denoiser = make(dn, "reblur", "cuda")
    out_of_memory = r"cudaMallocAsync failed: out of memory \(cudaErrorMemoryAllocation\)"
    with gpu.failing("cudaMallocAsync", 13), pytest.raises(dn.DeviceError, match=out_of_memory):
        denoiser(**pixels(frame("reblur", 0)))


def test_an_overlay_is_for_the_cpu(dn: Any) -> None:
    with pytest.raises(
        ValueError, match="overlay: expected False, since what is on a GPU stays there; got True for cuda:0"
    ):
        dn.Reblur(8, 8, device="cuda", overlay=True)


def test_the_callers_device_stays_current(dn: Any, gpu: StandIn) -> None:
    gpu.set_device(1)
    make(dn, "reblur", "cuda:0")(**pixels(frame("reblur", 0)))
    assert gpu.device() == 1
    gpu.set_device(0)
    gpu.drain(LEGACY)


# ---- threads


def test_denoisers_in_threads(dn: Any, gpu: StandIn) -> None:
    """A denoiser for each thread, each with a stream of its own."""
    frames = [frame("reblur", index) for index in range(4)]
    here = make(dn, "reblur", "cpu:emulated_cuda")
    for plain in frames:
        expected = here(**plain)
    made = [gpu.stream() for _ in range(4)]
    results: list[Any] = [None] * len(made)
    kept = [[pixels(plain) for plain in frames] for _ in made]

    def work(k: int) -> None:
        there = make(dn, "reblur", "cuda")
        for given in kept[k]:
            results[k] = there(**given, stream=made[k])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(made))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for stream, result in zip(made, results, strict=True):
        gpu.drain(stream)
        assert_same(result, expected)
    results.clear()
    del result
    gc.collect()
    for stream in made:
        gpu.destroy_stream(stream)


@pytest.mark.parametrize("ending", ["del", "resize"])
def test_other_threads_run_while_a_denoiser_ends(dn: Any, gpu: StandIn, ending: str) -> None:
    """It waits for a frame that waits for another thread of Python."""
    denoiser, given = make(dn, "reblur", "cuda"), pixels(frame("reblur", 0))
    gpu.gate(LEGACY)
    denoiser(**given)
    opener = threading.Timer(0.05, gpu.open_gate)
    opener.start()
    if ending == "resize":
        gpu.eager(1)  # memory that is given back is written to
        denoiser.resize(8, 8)
    del denoiser
    opener.join()
    assert gpu.in_time()


# ---- libraries that are known: what is used of them, pretended


def test_frames_of_numba(dn: Any, gpu: StandIn, streams: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """They go on the default stream, after that of the arrays; results are numba's, and go in again by out=."""
    numba = pretended.numba(streams[0])
    for name, module in {"numba": numba, "numba.cuda": numba.cuda}.items():
        monkeypatch.setitem(sys.modules, name, module)
    denoiser, here = make(dn, "reblur", "cuda"), make(dn, "reblur", "cpu:emulated_cuda")
    results = None
    for index in range(2):
        plain = frame("reblur", index)
        late = {n: np.zeros_like(v) for n, v in plain.items() if isinstance(v, np.ndarray)}
        given = {n: numba.array(late[n]) if n in late else v for n, v in plain.items()}
        for name, target in late.items():
            source = plain[name]
            assert source.strides == target.strides
            gpu.copy(
                ctypes.c_void_p(target.ctypes.data), ctypes.c_void_p(source.ctypes.data), source.nbytes, streams[0]
            )
        result = denoiser(**given, out=results)
        assert isinstance(result.diffuse, numba.array)
        assert results is None or result.specular is results.specular
        results = result
        gpu.drain(LEGACY)
        assert_same(result, here(**plain), lambda array: array.values)


@pytest.mark.parametrize("pretend", [pretended.cupy, pretended.torch])
def test_frames_go_on_the_current_stream_of_a_library(
    dn: Any, gpu: StandIn, streams: list[int], monkeypatch: pytest.MonkeyPatch, pretend: Callable[..., Any]
) -> None:
    """Results are of the library's kind; with another stream= that one waits for the library's."""
    library = pretend(gpu, streams[0])
    monkeypatch.setitem(sys.modules, library.__name__, library)
    plain, here = frame("reblur", 0), make(dn, "reblur", "cpu:emulated_cuda")
    given = {n: library.array(v) if isinstance(v, np.ndarray) else v for n, v in plain.items()}
    denoiser, expected = make(dn, "reblur", "cuda"), here(**plain)
    result = denoiser(**given)
    assert isinstance(result.diffuse, library.array)
    gpu.drain(streams[0])
    assert_same(result, expected, lambda array: array.values)

    gpu.log()
    result = denoiser(**given, stream=types.SimpleNamespace(__cuda_stream__=lambda: (0, streams[1])), reset=True)
    own, other = (f"stream={gpu.stream_id(stream)}" for stream in streams)
    orders = [line.split()[:2] for line in gpu.log() if line.startswith(("cudaEventRecord", "cudaStreamWaitEvent"))]
    assert ["cudaEventRecord", own] in orders
    assert orders.count(["cudaStreamWaitEvent", other]) == 2  # for the frame before, and for the library's stream
    gpu.drain(streams[1])
    assert_same(result, expected, lambda array: array.values)
    with pytest.raises(TypeError, match=r"cast it with diffuse\.(astype\(np|to\(torch)\.float32\)"):
        denoiser(**{**given, "diffuse": library.array(plain["diffuse"].astype(np.float64))})


# ---- a real GPU


def real_gpu() -> Any:
    """A library with arrays on the first GPU; skips, with the reason, where there is none."""
    device = denoise.devices()[0]
    if not device.name.startswith("cuda:"):
        pytest.skip(next(str(d) for d in denoise.devices() if d.name.startswith("cuda")))
    for name in ("cupy", "torch"):
        try:
            return __import__(name)
        except ImportError:
            continue
    pytest.skip("neither cupy nor torch is installed")


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["reblur", "relax", "sigma", "reference", "pipeline"])
def test_results_on_a_real_gpu(family: str) -> None:
    """Last bits differ and flip a texel here and there: compared by the share of pixels that are off."""
    library = real_gpu()
    torch = library.__name__ == "torch"

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(each) for each in value]
        if not isinstance(value, np.ndarray):
            return value
        return library.from_numpy(value).cuda() if torch else library.asarray(value)

    there, here = make(denoise, family, "cuda"), make(denoise, family, "cpu")
    for index in range(FRAMES):
        plain = frame(family, index)
        result, expected = there(**{n: moved(v) for n, v in plain.items()}), here(**plain)
    for name, array in planes(expected).items():
        found = planes(result)[name]
        pixel = (found.cpu().numpy() if torch else library.asnumpy(found)).astype(np.float32)
        off = ~np.isclose(pixel, array.astype(np.float32), rtol=0.02, atol=0.01)
        assert off.mean() < 0.01, name


@pytest.mark.gpu
def test_memory_of_a_real_gpu_is_given_back() -> None:
    library = real_gpu()
    torch = library.__name__ == "torch"

    def free() -> int:
        """Of the whole device, once all is done."""
        if torch:
            library.cuda.synchronize()
            return int(library.cuda.mem_get_info()[0])
        library.cuda.Device().synchronize()
        return int(library.cuda.runtime.memGetInfo()[0])

    def moved(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        return library.from_numpy(value).cuda() if torch else library.asarray(value)

    given = {name: moved(value) for name, value in frame("reblur", 0).items()}
    make(denoise, "reblur", "cuda")(**given)
    before = free()
    for _ in range(20):
        make(denoise, "reblur", "cuda", (1920, 1080)).describe()
        make(denoise, "reblur", "cuda")(**given)
        free()
    assert free() > before - (64 << 20)
