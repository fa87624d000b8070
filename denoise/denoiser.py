# SPDX-License-Identifier: Apache-2.0
"""Denoisers: each owns a native graph and its history on one device, and denoises one frame a call."""

from __future__ import annotations

import dataclasses
import numbers
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _core, arrays
from .devices import Device, find_device
from .errors import DenoiseError
from .frame import INPUTS, LOBES, Frame, InputInfo
from .settings import ReblurSettings, did_you_mean

if TYPE_CHECKING:
    import numpy.typing as npt

    from .arrays import Array, DType

_LARGEST = 16384  # pixels a side
_STATE = ("family", "width", "height", "lobes", "native")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a frame came out as. What was not there, or not asked for by `outputs=`, is None.

    All are arrays of the caller's kind and of the result's dtype; sky pixels are 0.
    """

    diffuse: Any = None  # (H, W, 3)
    specular: Any = None  # (H, W, 3)
    diffuse_history_length: Any = None  # (H, W) frames behind the pixel, at most max_accumulated_frames
    specular_history_length: Any = None
    diffuse_hit_distance: Any = None  # (H, W) world units, denoised
    specular_hit_distance: Any = None


class Memory(NamedTuple):
    """Bytes of images that a denoiser holds."""

    permanent: int  # kept from frame to frame
    transient: int  # used within a frame
    total: int


class Reblur:
    """ReBLUR: recurrent blur of diffuse and specular radiance, each alone or both together.

    width, height  pixels, 1 to 16384
    device         "auto", "cpu", or "cpu:BACKEND" for one of the backends of this machine
    settings       kept, not copied: change it, or assign another, between frames
    dtype          of the results: np.float16, np.float32, or None for that of each frame's first signal
    outputs        what else to return, for each lobe: "history_length", "hit_distance"

    An instance denoises one sequence, in order, in one thread at a time; other threads run meanwhile. Whatever is wrong
    with a call raises before anything is denoised and leaves the history as it was.

    After D. Zhdan, "ReBLUR: A Hierarchical Recurrent Denoiser", Ray Tracing Gems II (2021), ch. 49. Departures, for the
    sake of energy and sharpness: the pre-pass shrinks as the history grows, and its disc does not hang on the sample it
    averages; specular lobes are as narrow as GGX makes them (r min(1, 2 r) instead of r); a history tap is valid by
    itself, not with its neighbours; surfaces that turn shorten their history; reflections in moving and spinning mirrors
    are followed; samples without a hit distance count with the mean weight of the others; limits allow for sparse noise.

    Raises TypeError and ValueError for wrong arguments, DeviceError for a device that cannot be used.
    """

    OUTPUTS = ("history_length", "hit_distance")

    def __init__(
        self,
        width: int,
        height: int,
        *,
        device: str = "auto",
        settings: ReblurSettings | None = None,
        dtype: npt.DTypeLike | None = None,
        outputs: Sequence[str] = (),
    ) -> None:
        self._width, self._height = _side("width", width), _side("height", height)
        self.settings = ReblurSettings() if settings is None else settings
        self._dtype = None if dtype is None else arrays.float_dtype("dtype", dtype)
        self._outputs = _output_names(outputs)
        self._device = find_device(device)
        self._lobes: tuple[str, ...] = ()  # of the frames so far; empty without history
        self._busy = threading.Lock()
        self._native = _core.Denoiser("reblur", self._width, self._height, self._device.backend)

    def __repr__(self) -> str:
        return f"<Reblur {self._width} x {self._height} on {self._device}>"

    @property
    def settings(self) -> ReblurSettings:
        """The settings of the next frame."""
        return self._settings

    @settings.setter
    def settings(self, settings: ReblurSettings) -> None:
        if not isinstance(settings, ReblurSettings):
            raise TypeError(f"settings: expected ReblurSettings, got {type(settings).__name__}")
        self._settings = settings

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return self._width

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self._height

    @property
    def device(self) -> Device:
        """Where frames are denoised."""
        return self._device

    @property
    def inputs(self) -> Mapping[str, InputInfo]:
        """Name to what that input is, whether it is required, and what its absence costs."""
        return INPUTS

    @property
    def memory(self) -> Memory:
        """Bytes of images held at the current size."""
        with self._alone():
            permanent, transient = self._native.memory()
        return Memory(permanent, transient, permanent + transient)

    def __call__(
        self,
        frame: Frame | None = None,
        /,
        *,
        out: Result | Mapping[str, Array] | None = None,
        reset: bool = False,
        **inputs: Any,
    ) -> Result:
        """Denoises a frame, given as a Frame or by the keywords of one.

        out    arrays to write into, by the names of Result, or an earlier Result; what is missing is allocated
        reset  True after a camera cut: history and motion are ignored, as in a fresh instance

        The first frame decides whether diffuse, specular or both are denoised; others need reset=True.

        Raises TypeError and ValueError for wrong arguments and for settings that contradict each other, DenoiseError
        while another thread uses the instance.
        """
        if frame is None:
            frame = Frame(**inputs)
        elif not isinstance(frame, Frame):
            raise TypeError(f"frame: expected a Frame, got {type(frame).__name__}; arrays are given by keyword")
        elif inputs:
            raise TypeError(f"{', '.join(inputs)}: given beside a Frame; set it in the Frame")
        if not isinstance(reset, bool):
            raise TypeError(f"reset: expected True or False, got {type(reset).__name__}")
        with self._alone():
            given = frame.check(self._width, self._height)
            lobes = tuple(lobe for lobe in LOBES if lobe in given)
            if self._lobes and lobes != self._lobes and not reset:
                raise ValueError(
                    f"{', '.join(lobes)}: the frames so far had {' and '.join(self._lobes)}; "
                    "other signals need reset=True, or an instance of their own"
                )
            self._settings.check()
            results = self._results(out, given, lobes)
            camera = {
                "world_to_view": frame.camera.world_to_view.ravel().tolist(),
                "view_to_clip": frame.camera.view_to_clip.ravel().tolist(),
                "jitter": frame.camera.jitter,
                "world_motion": frame.motion_space == "world",
            }
            self._native.denoise(given, results, camera, self._settings.as_numbers(), reset)
            self._lobes = lobes
        return Result(**results)

    def resize(self, width: int, height: int) -> None:
        """Changes the size of the frames to come; the history is dropped."""
        width, height = _side("width", width), _side("height", height)
        with self._alone():
            self._native.resize(width, height)
            self._width, self._height, self._lobes = width, height, ()

    def save_state(self) -> dict[str, Any]:
        """The history, to go on from later, here or in another instance of the same size. Settings are left out."""
        with self._alone():
            native = self._native.save_state()
        return dict(zip(_STATE, ("reblur", self._width, self._height, self._lobes, native), strict=True))

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what save_state returned. Raises TypeError for anything else, ValueError for another size."""
        if not isinstance(state, Mapping) or state.keys() != set(_STATE) or state["family"] != "reblur":
            raise TypeError(f"state: expected what Reblur.save_state returned, got {type(state).__name__}")
        if (state["width"], state["height"]) != (self._width, self._height):
            raise ValueError(
                f"state: expected one of {self._width} x {self._height}, got {state['width']} x {state['height']}"
            )
        with self._alone():
            self._native.load_state(state["native"])
            self._lobes = tuple(state["lobes"])

    def timings(self) -> dict[str, float]:
        """Milliseconds of each pass in the last frame; empty before the first."""
        with self._alone():
            return dict(self._native.timings())

    def describe(self) -> str:
        """The page of this denoiser as text: passes, images, formats, bytes per pixel, memory."""
        with self._alone():
            return self._native.describe()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise DenoiseError("Reblur: already at work in another thread; use an instance for each thread")
        try:
            yield
        finally:
            self._busy.release()

    def _results(
        self, out: Result | Mapping[str, Array] | None, given: Mapping[str, Array], lobes: tuple[str, ...]
    ) -> dict[str, Array]:
        """The arrays to write into: those of `out` once they are checked, new ones for the rest."""
        names = list(lobes)
        for output in self._outputs:
            names += [f"{lobe}_{output}" for lobe in lobes]
        for name in names:
            if name.endswith("hit_distance") and name not in given:
                raise TypeError(f"{name}: missing; this denoiser was asked to return it denoised (outputs=)")
        dtype = self._dtype or given[lobes[0]].dtype
        buffers = _buffers(out, names)
        results: dict[str, Array] = {}
        for name in names:
            shape = (self._height, self._width, 3) if name in lobes else (self._height, self._width)
            if name in buffers:
                _check_buffer(name, buffers[name], shape, dtype, {**given, **results})
                results[name] = buffers[name]
            else:
                results[name] = arrays.empty(shape, dtype)
        return results


def _side(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if not 1 <= value <= _LARGEST:
        raise ValueError(f"{name}: expected 1 to {_LARGEST} pixels, got {value!r}")
    return int(value)


def _output_names(outputs: Sequence[str]) -> tuple[str, ...]:
    if isinstance(outputs, str) or not isinstance(outputs, Sequence):
        raise TypeError(f"outputs: expected a sequence of names, got {outputs!r}")
    for name in outputs:
        if name not in Reblur.OUTPUTS:
            known = " and ".join(map(repr, Reblur.OUTPUTS))
            raise ValueError(f"outputs: expected {known}, got {name!r}{did_you_mean(str(name), Reblur.OUTPUTS)}")
    return tuple(dict.fromkeys(outputs))


def _buffers(out: Result | Mapping[str, Array] | None, names: list[str]) -> dict[str, Array]:
    if out is None:
        return {}
    if isinstance(out, Result):
        out = {f.name: getattr(out, f.name) for f in dataclasses.fields(out)}
    elif not isinstance(out, Mapping):
        raise TypeError(f"out: expected a Result or a dict of arrays, got {type(out).__name__}")
    buffers = {name: array for name, array in out.items() if array is not None}
    for name in buffers:
        if name not in names:
            raise ValueError(f"out: this frame has no output '{name}'{did_you_mean(str(name), names)}")
    return buffers


def _check_buffer(name: str, buffer: Array, shape: tuple[int, ...], dtype: DType, others: Mapping[str, Array]) -> None:
    arrays.check_kind(f"out['{name}']", buffer)
    if buffer.shape != shape:
        raise ValueError(f"out['{name}']: expected {shape}, got {buffer.shape}")
    if buffer.dtype != dtype:
        raise TypeError(f"out['{name}']: expected {dtype}, got {buffer.dtype}")
    if not buffer.flags.writeable:
        raise ValueError(f"out['{name}']: expected a writeable array, got a read-only one")
    if arrays.exportable(buffer) is not buffer:
        raise ValueError(f"out['{name}']: expected aligned memory, got strides {buffer.strides} that are not")
    for other, array in others.items():
        if arrays.overlap(buffer, array):
            raise ValueError(f"out['{name}']: shares memory with {other}; expected memory of its own")
