# SPDX-License-Identifier: Apache-2.0
"""Denoisers: each owns a native graph and its history on one device, and denoises one frame a call."""

from __future__ import annotations

import dataclasses
import numbers
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple

from . import _core, arrays
from .devices import Device, find_device
from .errors import DenoiseError
from .frame import INPUTS, SIGNALS, Camera, Frame, InputInfo, Light
from .overlay import Shot, sheet
from .settings import (
    FrameSettings,
    ReblurSettings,
    ReferenceSettings,
    RelaxSettings,
    SettingsT,
    SigmaSettings,
    did_you_mean,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from .arrays import Array, DType, Place

_LARGEST = 16384  # pixels a side
_STATE = ("family", "width", "height", "signals", "native")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a frame came out as. What was not there, or not asked for by `outputs=`, is None.

    All are arrays of the caller's kind and of the result's dtype; sky pixels are 0. What belongs to lights is a tuple in
    their order where they came as a sequence, and else an array.
    """

    diffuse: Any = None  # (H, W, 3)
    specular: Any = None  # (H, W, 3)
    shadow: Any = None  # (H, W), with translucency (H, W, 3): the part of the light that arrives, linear, 0 to 1
    diffuse_history_length: Any = None  # (H, W) frames behind the pixel, at most max_accumulated_frames
    specular_history_length: Any = None
    shadow_history_length: Any = None  # at most max_stabilized_frames
    diffuse_hit_distance: Any = None  # (H, W) world units, denoised
    specular_hit_distance: Any = None
    diffuse_confidence: Any = (
        None  # (H, W) 0 to 1, of the history: the caller's, or what re-lighting makes of it if less
    )
    specular_confidence: Any = None
    diffuse_gain: Any = None  # (H, W, 3) factor by which re-lighting moved the history's light in this frame
    specular_gain: Any = None
    diffuse_variance: Any = None  # (H, W), float32: estimate of the squared error of the luma R/4 + G/2 + B/4
    specular_variance: Any = None
    mean: Any = None  # (H, W, C), for one channel (H, W): of the signal of a Reference
    variance: Any = None  # (H, W, C): of its samples, unbiased; inf where there are fewer than two
    standard_error: Any = None  # (H, W, C): of its mean, the square root of variance / count
    count: Any = None  # (H, W), float32: samples of equal weight that the mean is worth


class Memory(NamedTuple):
    """Bytes of images that a denoiser holds."""

    permanent: int  # kept from frame to frame
    transient: int  # used within a frame
    total: int


class Denoiser(ABC):
    """What all denoisers have in common.

    An instance denoises one sequence, in order, in one thread at a time; other threads run meanwhile. Whatever is wrong
    with a call raises before anything is denoised and leaves the history as it was.
    """

    def __init__(self, families: Sequence[str], width: int, height: int, device: Device) -> None:
        self._width, self._height = width, height
        self._device = device
        self._signals: tuple[str, ...] = ()  # that there is a history of; empty without history
        self._kept: tuple[str, ...] = ()  # of them, what a history must have to go on from
        self._busy = threading.Lock()
        self._owned = False  # by a Pipeline
        self._families = tuple(families)
        self._gpu = int(device.backend.partition(":")[2]) if device.backend.startswith("cuda:") else None
        self._native = _core.Denoiser(list(families), width, height, device.backend)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._width} x {self._height} on {self._device}>"

    @property
    @abstractmethod
    def inputs(self) -> Mapping[str, InputInfo]:
        """Name to what that input is, whether it is required, and what its absence costs."""

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
    def memory(self) -> Memory:
        """Bytes of images held at the current size."""
        with self._alone():
            permanent, transient = self._native.memory()
        return Memory(permanent, transient, permanent + transient)

    def resize(self, width: int, height: int) -> None:
        """Changes the size of the frames to come; the history is dropped."""
        width, height = _side("width", width), _side("height", height)
        with self._alone():
            self._native.resize(width, height)
            self._signals = ()
            self._width, self._height = width, height

    def save_state(self) -> dict[str, Any]:
        """The history, to go on from later, here or in another instance of the same size. Settings are left out."""
        with self._alone():
            native = self._native.save_state()
        return dict(zip(_STATE, (self._family, self._width, self._height, self._signals, native), strict=True))

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what save_state returned. Raises TypeError for anything else, ValueError for another size."""
        if not isinstance(state, Mapping) or state.keys() != set(_STATE) or state["family"] != self._family:
            raise TypeError(
                f"state: expected what {type(self).__name__}.save_state returned, got {type(state).__name__}"
            )
        if (state["width"], state["height"]) != (self._width, self._height):
            raise ValueError(
                f"state: expected one of {self._width} x {self._height}, got {state['width']} x {state['height']}"
            )
        signals = tuple(state["signals"])
        if signals and not {*self._kept} <= {*signals}:
            raise ValueError(f"state: expected one of {' and '.join(self._kept)}, got {' and '.join(signals)}")
        with self._alone():
            self._native.load_state(state["native"])
            self._signals = signals

    def timings(self) -> dict[str, float]:
        """Milliseconds of each pass in the last frame; empty before the first.

        On a GPU passes are timed once this has been called: the first call returns nothing, and from then on frames have
        events between their passes, which cost them some microseconds. It waits for the last frame."""
        with self._alone():
            return dict(self._native.timings())

    def describe(self) -> str:
        """The page of this denoiser as text: passes, images, formats, bytes per pixel, memory."""
        with self._alone():
            return self._native.describe(self._numbers())

    @property
    def _family(self) -> str:
        return ",".join(self._families)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._owned:
            raise DenoiseError(f"{type(self).__name__}: belongs to a Pipeline; call that instead")
        if not self._busy.acquire(blocking=False):
            raise DenoiseError(
                f"{type(self).__name__}: already at work in another thread; use an instance for each thread"
            )
        try:
            yield
        finally:
            self._busy.release()

    @abstractmethod
    def _numbers(self) -> dict[str, dict[str, float]]:
        """The settings as the native side takes them."""

    def _place(self, stream: Any, given: Callable[[], Iterable[Any]]) -> Place:
        """Where the arrays of a frame must be; `given` lists them."""
        if self._gpu is not None:
            return arrays.Gpu(self._gpu, stream, given())
        if stream is not None:
            raise TypeError(f"stream: expected None, since {self._device.name} has no streams; got {stream!r}")
        return arrays.Host()

    def _run(
        self, slots: _Slots, results: dict[_Slot, Array], call: _Call, signals: tuple[str, ...], place: Place
    ) -> Result:
        self._native.denoise(*call, *place.queue)
        self._signals = signals
        results = place.results(results)
        return Result(
            **{
                name: results[slot] if isinstance(slot, _Slot) else tuple(results[each] for each in slot)
                for name, slot in slots.items()
            }
        )


class FrameDenoiser(Denoiser):
    """A denoiser of one family or of several, which takes frames."""

    _shot: Shot | None = None  # of the last frame, if its overlay may be asked for

    @property
    @abstractmethod
    def members(self) -> tuple[FamilyDenoiser[Any], ...]:
        """The denoisers of single families that this one consists of, whose settings can be changed between frames."""

    @property
    def inputs(self) -> Mapping[str, InputInfo]:
        """Name to what that input is, whether it is required, and what its absence costs."""
        wanted = {"", *(signal for member in self.members for signal in member.SIGNALS)}
        return {name: info for name, info in INPUTS.items() if info.signal in wanted}

    def __call__(
        self,
        frame: Frame | None = None,
        /,
        *,
        out: Result | Mapping[str, Array | Sequence[Array | None]] | None = None,
        reset: bool = False,
        stream: Any = None,
        **inputs: Any,
    ) -> Result:
        """Denoises a frame, given as a Frame or by the keywords of one.

        out     arrays to write into, by the names of Result, or an earlier Result; what is missing is allocated. Of
                several lights: sequences of arrays
        reset   True after a camera cut: history and motion are ignored, as in a fresh instance
        stream  on a GPU: the CUDA stream to work on, an object of cupy, torch or numba or its number; None: the current
                one of the arrays' library (cupy, torch), else the legacy default stream. It must outlive the results

        On a GPU the arrays are on that GPU, and the call returns when the frame is queued; arrays must be kept until the
        stream is past it.

        The first frame decides whether diffuse, specular or both are denoised; others need reset=True. Lights may come
        and go.

        Raises TypeError and ValueError for wrong arguments and for settings that contradict each other, DenoiseError
        while another thread uses the instance, or where it belongs to a Pipeline, DeviceError where the GPU fails: this
        instance is at its end then.
        """
        if frame is None:
            frame = Frame(**inputs)
        elif not isinstance(frame, Frame):
            raise TypeError(f"frame: expected a Frame, got {type(frame).__name__}; arrays are given by keyword")
        elif inputs:
            raise TypeError(f"{', '.join(inputs)}: given beside a Frame; set it in the Frame")
        with self._alone():
            place = self._place(stream, frame.every_array)
            slots, results, call = self._prepare(frame, out, reset, place)
            goes_on = bool(self._signals) and not reset
            result = self._run(slots, results, call, _signals(slots), place)
            if any(member._overlay for member in self.members):
                self._shot = self._seen(frame, call, goes_on)
            return result

    def overlay(self) -> Array:
        """The last frame's validation overlay: uint8 (H', W', 3), a sheet of small labelled pictures.

        It shows the guides, the noisy and the denoised signals, hit and occluder distances, history lengths, what
        re-lighting did, and by how much the depth found where motion points differs from the one expected there. It is
        to be looked at: what is in it, and where, may change.

        Raises DenoiseError before the first frame, without overlay=True, and where Pillow is absent (extra `cli`).
        """
        with self._alone():
            if not any(member._overlay for member in self.members):
                names = ", ".join(type(member).__name__ for member in self.members)
                raise DenoiseError(f"overlay: {names} made without overlay=True, so that nothing is kept to show")
            shot = self._shot
        if shot is None:
            raise DenoiseError("overlay: no frame to show yet; denoise one first")
        return sheet(shot)

    def resize(self, width: int, height: int) -> None:
        """Changes the size of the frames to come; the history is dropped."""
        super().resize(width, height)
        self._shot = None

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what save_state returned. Raises TypeError for anything else, ValueError for another size."""
        super().load_state(state)
        self._shot = None

    def _seen(self, frame: Frame, call: _Call, goes_on: bool) -> Shot:
        """What an overlay needs of the frame just denoised; goes_on: with the history of the one before."""
        last = self._shot if goes_on else None
        return Shot.of(
            call.inputs,
            call.outputs,
            camera=frame.camera,
            world_motion=frame.motion_space == "world",
            histories={
                signal: getattr(member.settings, setting)
                for member in self.members
                for signal, setting in zip(member.SIGNALS, member._LONGEST, strict=True)
            },
            sky_distance=self.members[0].settings.sky_distance,
            before=last and (last.inputs["view_z"], last.camera),
        )

    def _prepare(
        self,
        frame: Frame,
        out: Result | Mapping[str, Any] | None = None,
        reset: bool = False,
        place: Place | None = None,
    ) -> tuple[_Slots, dict[_Slot, Array], _Call]:
        """What the frame comes out as, the arrays for it, and what the native side takes, once all is checked."""
        _check_reset(reset)
        place = place or arrays.Host()
        given = frame.check(self._width, self._height, [member.SIGNALS for member in self.members], place)
        slots = {name: slot for member in self.members for name, slot in member._slots(frame, given).items()}
        signals = _signals(slots)
        if self._signals and signals != self._signals and not reset:
            raise ValueError(
                f"{', '.join(signals)}: the frames so far had {' and '.join(self._signals)}; "
                "other signals need reset=True, or an instance of their own"
            )
        self._check_settings()
        results = _results(out, slots, given, place)
        lights = frame.lights() if "shadow" in signals else {}
        return (
            slots,
            results,
            _Call(
                place.native(given),
                place.native({slot.name: array for slot, array in results.items()}),
                {**_camera(frame.camera), "world_motion": frame.motion_space == "world"},
                [(key, light.kind == "local", light.vector, light.size) for key, light in lights.items()],
                self._numbers(),
                reset,
            ),
        )

    def _numbers(self) -> dict[str, dict[str, float]]:
        """The settings as the native side takes them."""
        return {member.FAMILY: member.settings.as_numbers() for member in self.members}

    def _check_settings(self) -> None:
        for member in self.members:
            member.settings.check()


class _WithSettings(Generic[SettingsT]):
    """What has settings of a kind."""

    _settings_type: type[SettingsT]

    @property
    def settings(self) -> SettingsT:
        """The settings of the next frame."""
        return self._settings

    @settings.setter
    def settings(self, settings: SettingsT) -> None:
        if not isinstance(settings, self._settings_type):
            raise TypeError(f"settings: expected {self._settings_type.__name__}, got {type(settings).__name__}")
        self._settings = settings


class FamilyDenoiser(_WithSettings[SettingsT], FrameDenoiser):
    """A denoiser of one family, with its settings."""

    FAMILY: ClassVar[str]
    SIGNALS: ClassVar[tuple[str, ...]]  # what it can denoise; a frame has at least one of them
    OUTPUTS: ClassVar[tuple[str, ...]]
    _LONGEST: ClassVar[tuple[str, ...]]  # the settings that limit their history lengths

    def __init__(
        self,
        width: int,
        height: int,
        *,
        device: str = "auto",
        settings: SettingsT | None = None,
        dtype: npt.DTypeLike | None = None,
        outputs: Sequence[str] = (),
        overlay: bool = False,
    ) -> None:
        """
        width, height  pixels, 1 to 16384
        device         "auto", "cuda" or "cuda:N" for a GPU, "cpu", or "cpu:BACKEND" for one of the backends of this machine
        settings       kept, not copied: change it, or assign another, between frames
        dtype          of the results: np.float16, np.float32, or None for that of each frame's first signal
        outputs        what else to return, for each signal: names of OUTPUTS
        overlay        True: `overlay()` shows the last frame; for that, a frame is copied, and all OUTPUTS that its
                       inputs allow are returned

        Raises TypeError and ValueError for wrong arguments, DeviceError for a device that cannot be used.
        """
        width, height = _side("width", width), _side("height", height)
        if not isinstance(overlay, bool):
            raise TypeError(f"overlay: expected True or False, got {overlay!r}")
        self._overlay = overlay
        self.settings = self._settings_type() if settings is None else settings
        self._dtype = None if dtype is None else arrays.float_dtype("dtype", dtype)
        self._outputs = _output_names(outputs, self.OUTPUTS)
        super().__init__([self.FAMILY], width, height, find_device(device))
        if overlay and self._gpu is not None:
            raise ValueError(
                f"overlay: expected False, since what is on a GPU stays there; got True for {self._device.name}"
            )

    @property
    def members(self) -> tuple[FamilyDenoiser[Any], ...]:
        """Itself alone."""
        return (self,)

    def _slots(self, frame: Frame, given: Mapping[str, Array]) -> _Slots:
        """What this frame comes out as."""
        size, dtype = (self._height, self._width), self._dtype
        found: _Slots = {}
        for output in ("", *(self.OUTPUTS if self._overlay else self._outputs)):
            for signal in self.SIGNALS:
                primary, of_light = SIGNALS[signal], signal == "shadow"
                if getattr(frame, primary) is None:
                    continue
                name = f"{signal}_{output}" if output else signal
                if output == "hit_distance" and name not in given:
                    if output not in self._outputs:
                        continue
                    raise TypeError(f"{name}: missing; this denoiser was asked to return it denoised (outputs=)")
                slots = []
                for index, key in enumerate([f".{key}" for key in frame.lights()] if of_light else [""]):
                    dtype = dtype or given[primary + key].dtype
                    coloured = output == "gain" or (not output and (not of_light or f"translucency{key}" in given))
                    kind = arrays.FLOAT32 if output == "variance" else dtype
                    slots.append(_Slot(name, name + key, (*size, 3) if coloured else size, kind, index))
                found[name] = tuple(slots) if of_light and not isinstance(frame.light, Light) else slots[0]
        return found


class Reblur(FamilyDenoiser[ReblurSettings]):
    """ReBLUR: recurrent blur of diffuse and specular radiance, each alone or both together.

    After D. Zhdan, "ReBLUR: A Hierarchical Recurrent Denoiser", Ray Tracing Gems II (2021), ch. 49. Departures, for the
    sake of energy and sharpness: the pre-pass shrinks as the history grows, and its disc does not hang on the sample it
    averages; specular lobes are as narrow as GGX makes them (r min(1, 2 r) instead of r); a history tap is valid by
    itself, not with its neighbours; surfaces that turn shorten their history; reflections in moving and spinning mirrors
    are followed; samples without a hit distance count with the mean weight of the others; limits allow for sparse noise.

    Outputs: "history_length", "hit_distance", "confidence" and "gain". Its arguments are explained at `__init__`.
    """

    FAMILY = "reblur"
    SIGNALS = ("diffuse", "specular")
    OUTPUTS = ("history_length", "hit_distance", "confidence", "gain")
    _LONGEST = ("max_accumulated_frames", "max_accumulated_frames")
    _settings_type = ReblurSettings


class Relax(FamilyDenoiser[RelaxSettings]):
    """ReLAX: diffuse and specular radiance, accumulated as it is and filtered afterwards by as much as its variance asks
    for: keeps the detail of lighting, and shows changes at once. Each signal alone or both together, called like Reblur.

    Outputs: "history_length", "hit_distance", "confidence", "gain" and "variance". Its arguments are explained at
    `__init__`.
    """

    FAMILY = "relax"
    SIGNALS = ("diffuse", "specular")
    OUTPUTS = ("history_length", "hit_distance", "confidence", "gain", "variance")
    _LONGEST = ("diffuse_max_accumulated_frames", "specular_max_accumulated_frames")
    _settings_type = RelaxSettings


class Sigma(FamilyDenoiser[SigmaSettings]):
    """SIGMA: shadows of any number of lights, from one visibility ray per pixel and light.

    How wide a penumbra is follows from the distance to the occluder and from the light; see `Light` and the inputs
    `occluder_distance` and `translucency`. The history of a light goes by its key. With max_stabilized_frames=0 there is
    none, and one instance serves any number of lights, in one call or one after the other.

    Output: "history_length". Its arguments are explained at `__init__`.
    """

    FAMILY = "sigma"
    SIGNALS = ("shadow",)
    OUTPUTS = ("history_length",)
    _LONGEST = ("max_stabilized_frames",)
    _settings_type = SigmaSettings


class Pipeline(FrameDenoiser):
    """Several denoisers that work on the same frames and share what is done once for all: the guides are packed once.

    denoisers  of one size and device, with different signals. Each lends its settings, dtype and outputs; its history is
               dropped, and from now on it is called through the Pipeline only

    A frame has the inputs of all of them, and its Result what each would return, bit for bit. Settings of a frame (those
    of `FrameSettings`) must be the same for all.

    Raises TypeError for what is no denoiser of a family, and ValueError for denoisers that do not fit together.
    """

    def __init__(self, denoisers: Sequence[FamilyDenoiser[Any]]) -> None:
        if not isinstance(denoisers, Sequence) or not denoisers:
            came = "none" if isinstance(denoisers, Sequence) else type(denoisers).__name__
            raise TypeError(f"denoisers: expected a sequence of denoisers, got {came}")
        writers: dict[str, str] = {}
        for index, member in enumerate(denoisers):
            place, kind = f"denoisers[{index}]", type(member).__name__
            if not isinstance(member, FamilyDenoiser):
                raise TypeError(f"{place}: expected a denoiser of one family, such as Reblur or Sigma, got {kind}")
            for signal in member.SIGNALS:
                if signal in writers:
                    raise ValueError(f"{place}: {writers[signal]} and {kind} both write {signal}; leave one out")
                writers[signal] = kind
            if member._owned:
                raise ValueError(f"{place}: this {kind} belongs to a Pipeline already")
            first = denoisers[0]
            if (member.width, member.height) != (first.width, first.height):
                raise ValueError(
                    f"{place}: expected {first.width} x {first.height} like the first, got {member.width} x {member.height}"
                )
            if member.device != first.device:
                raise ValueError(f"{place}: expected the device of the first, {first.device}; got {member.device}")
        self._denoisers = tuple(denoisers)
        self._check_settings()
        first = denoisers[0]
        super().__init__([member.FAMILY for member in denoisers], first.width, first.height, first.device)
        for member in denoisers:
            with member._alone():
                member._native.resize(member.width, member.height)  # gives its memory back
                member._shot = None
                member._owned = True

    def __repr__(self) -> str:
        names = ", ".join(type(member).__name__ for member in self.members)
        return f"<Pipeline of {names}, {self._width} x {self._height} on {self._device}>"

    @property
    def members(self) -> tuple[FamilyDenoiser[Any], ...]:
        """Its denoisers, whose settings can be changed between frames."""
        return self._denoisers

    def resize(self, width: int, height: int) -> None:
        """Changes the size of the frames to come; the history is dropped."""
        super().resize(width, height)
        for member in self.members:
            member._width, member._height = self._width, self._height

    def _check_settings(self) -> None:
        super()._check_settings()
        first, *others = self._denoisers
        for field in FrameSettings.fields():
            value = getattr(first.settings, field.name)
            for other in others:
                if (another := getattr(other.settings, field.name)) != value:
                    raise ValueError(
                        f"{field.name}: expected one value for the whole frame, "
                        f"got {value!r} of {type(first).__name__} and {another!r} of {type(other).__name__}"
                    )


class Reference(_WithSettings[ReferenceSettings], Denoiser):
    """The running mean of any signal, to judge everything else by, and how far it can be trusted.

    Needs no guides. The mean is the arithmetic one up to max_accumulated_frames, by default without end and until 2^24
    samples without a loss of precision, and exponential beyond. A sample with a channel that is not finite (or beyond
    +-1e18, whose square would not be) is skipped: the pixel keeps what it has, and its count stays. What has no sample
    yet is 0. It starts anew with reset=True, when a matrix of the camera changes in any bit (jitter may change: that is
    what one averages over), and at the pixels of a mask.

    Outputs: "variance" of the samples, "standard_error" of the mean, "count". Beyond the cap they go by the weights of
    the exponential mean: the variance stays that of one sample, and the count is the number of samples of equal weight
    whose mean would be as exact, which goes from 1 + cap to 1 + 2 cap. Its arguments are explained at
    `__init__`.
    """

    FAMILY = "reference"
    OUTPUTS = ("variance", "standard_error", "count")
    _settings_type = ReferenceSettings

    def __init__(
        self,
        width: int,
        height: int,
        *,
        channels: int = 3,
        device: str = "auto",
        settings: ReferenceSettings | None = None,
        dtype: npt.DTypeLike | None = "float32",
        outputs: Sequence[str] = (),
    ) -> None:
        """
        width, height  pixels, 1 to 16384
        channels       of the signal, 1 to 16; one channel has the shape (H, W)
        device         "auto", "cuda" or "cuda:N" for a GPU, "cpu", or "cpu:BACKEND" for one of the backends of this machine
        settings       kept, not copied: change it, or assign another, between frames
        dtype          of the results but the count: np.float32, since a mean is soon finer than a step of float16;
                       np.float16, or None for that of each frame's signal
        outputs        what else to return: names of OUTPUTS

        Raises TypeError and ValueError for wrong arguments, DeviceError for a device that cannot be used.
        """
        width, height = _side("width", width), _side("height", height)
        self._channels = _integer("channels", channels, 16)
        self.settings = ReferenceSettings() if settings is None else settings
        self._dtype = None if dtype is None else arrays.float_dtype("dtype", dtype)
        self._outputs = _output_names(outputs, self.OUTPUTS)
        super().__init__([self.FAMILY], width, height, find_device(device))
        self._kept = (f"{channels}-channel means", *(["their variance"] if {*self._outputs} - {"count"} else []))

    @property
    def inputs(self) -> Mapping[str, InputInfo]:
        """Name to what that input is, whether it is required, and what its absence costs."""
        signal = InputInfo("signal", (self._channels,), "anything to average; what is not finite is skipped")
        mask = InputInfo(
            "mask",
            (1,),
            "not 0 where a pixel starts anew",
            "none does by itself",
            dtypes=(*arrays.BOOLS, *arrays.BYTES),
        )
        return {"signal": signal, "mask": mask}

    def __call__(
        self,
        signal: Array,
        *,
        camera: Camera | None = None,
        mask: Array | None = None,
        out: Result | Mapping[str, Array] | None = None,
        reset: bool = False,
        stream: Any = None,
    ) -> Result:
        """Adds a sample to every pixel.

        signal  (H, W, C), or (H, W) for one channel; float16 or float32
        camera  None: as in the last frame, or none at all
        mask    (H, W) bool or uint8: not 0 where a pixel starts anew, with this sample
        out     arrays to write into, by the names of Result, or an earlier Result; what is missing is allocated
        reset   True: all pixels start anew
        stream  on a GPU: as of the other denoisers

        Raises TypeError and ValueError for wrong arguments, DenoiseError while another thread uses the instance,
        DeviceError where the GPU fails: this instance is at its end then.
        """
        with self._alone():
            place = self._place(stream, lambda: (signal,))
            return self._run(*self._prepare(signal, camera, mask, out, reset, place), self._kept, place)

    def _prepare(
        self,
        signal: Array,
        camera: Camera | None = None,
        mask: Array | None = None,
        out: Result | Mapping[str, Any] | None = None,
        reset: bool = False,
        place: Place | None = None,
    ) -> tuple[_Slots, dict[_Slot, Array], _Call]:
        """What the frame comes out as, the arrays for it, and what the native side takes, once all is checked."""
        _check_reset(reset)
        place = place or arrays.Host()
        if camera is not None and not isinstance(camera, Camera):
            raise TypeError(f"camera: expected a Camera or None, got {type(camera).__name__}")
        given = {
            name: self.inputs[name].check(name, array, self._width, self._height, place)
            for name, array in {"signal": signal, "mask": mask}.items()
            if name == "signal" or array is not None
        }
        size, dtype = (self._height, self._width), self._dtype or given["signal"].dtype
        slots: _Slots = {
            name: _Slot(name, name, size, arrays.FLOAT32, 0)
            if name == "count"
            else _Slot(name, name, given["signal"].shape, dtype, 0)
            for name in ("mean", *self._outputs)
        }
        results = _results(out, slots, given, place)
        outputs = place.native({slot.name: array for slot, array in results.items()})
        return slots, results, _Call(place.native(given), outputs, _camera(camera), [], self._numbers(), reset)

    def _numbers(self) -> dict[str, dict[str, float]]:
        return {self.FAMILY: self.settings.as_numbers()}


class _Call(NamedTuple):
    """The arguments of the native side, see _core.pyi."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]
    camera: dict[str, Any]
    lights: list[tuple[str, bool, tuple[float, float, float], float]]
    settings: dict[str, dict[str, float]]
    reset: bool


@dataclasses.dataclass(frozen=True, eq=False)
class _Slot:
    """An array that a frame comes out as."""

    attribute: str  # of Result
    name: str  # on the native side
    shape: tuple[int, ...]
    dtype: DType
    index: int  # in the attribute, where it is a tuple


_Slots = dict[
    str, "_Slot | tuple[_Slot, ...]"
]  # by attribute of Result; a tuple, an entry for each light, is one there too


def _signals(slots: _Slots) -> tuple[str, ...]:
    return tuple(name for name in slots if name in SIGNALS)


def _results(
    out: Result | Mapping[str, Any] | None, slots: _Slots, given: Mapping[str, Array], place: Place
) -> dict[_Slot, Array]:
    """The arrays to write into: those of `out` once they are checked, new ones for the rest."""
    buffers = _buffers(out, slots)
    results: dict[_Slot, Array] = {}
    taken = dict(given)
    for slot in slots.values():
        for each in (slot,) if isinstance(slot, _Slot) else slot:
            if each in buffers:
                spoken = f"out['{each.attribute}']" + ("" if each is slot else f"[{each.index}]")
                buffer = place.take(spoken, buffers[each])
                _check_buffer(spoken, buffer, each, taken, place)
                results[each] = taken[each.name] = buffer
            else:
                results[each] = place.empty(each.shape, each.dtype)
    return results


def _camera(camera: Camera | None) -> dict[str, Any]:
    """A camera as the native side takes it; empty for none."""
    if camera is None:
        return {}
    return {
        "world_to_view": camera.world_to_view.ravel().tolist(),
        "view_to_clip": camera.view_to_clip.ravel().tolist(),
        "jitter": camera.jitter,
        "world_motion": False,
    }


def _check_reset(reset: bool) -> None:
    if not isinstance(reset, bool):
        raise TypeError(f"reset: expected True or False, got {type(reset).__name__}")


def _side(name: str, value: int) -> int:
    return _integer(name, value, _LARGEST, " pixels")


def _integer(name: str, value: int, largest: int, unit: str = "") -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if not 1 <= value <= largest:
        raise ValueError(f"{name}: expected 1 to {largest}{unit}, got {value!r}")
    return int(value)


def _output_names(outputs: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    if isinstance(outputs, str) or not isinstance(outputs, Sequence):
        raise TypeError(f"outputs: expected a sequence of names, got {outputs!r}")
    for name in outputs:
        if name not in known:
            expected = ", ".join(map(repr, known))
            raise ValueError(f"outputs: expected {expected}, got {name!r}{did_you_mean(str(name), known)}")
    return tuple(dict.fromkeys(outputs))


def _buffers(out: Result | Mapping[str, Any] | None, slots: _Slots) -> dict[_Slot, Array]:
    """The arrays of `out` by the slots that they are for."""
    if out is None:
        return {}
    if isinstance(out, Result):
        out = {name: getattr(out, name) for name in Result.__dataclass_fields__}
    elif not isinstance(out, Mapping):
        raise TypeError(f"out: expected a Result or a dict of arrays, got {type(out).__name__}")
    buffers: dict[_Slot, Array] = {}
    for name, value in out.items():
        if value is None:
            continue
        if name not in slots:
            raise ValueError(f"out: this frame has no output '{name}'{did_you_mean(str(name), slots)}")
        slot = slots[name]
        if isinstance(slot, _Slot):
            buffers[slot] = value
            continue
        if not isinstance(value, Sequence):
            raise TypeError(f"out['{name}']: expected a sequence, an array for each light, got {type(value).__name__}")
        if len(value) != len(slot):
            raise ValueError(f"out['{name}']: expected {len(slot)} arrays, one for each light, got {len(value)}")
        buffers |= {each: array for each, array in zip(slot, value, strict=True) if array is not None}
    return buffers


def _check_buffer(name: str, buffer: Array, slot: _Slot, others: Mapping[str, Array], place: Place) -> None:
    if buffer.shape != slot.shape:
        raise ValueError(f"{name}: expected {slot.shape}, got {buffer.shape}")
    if buffer.dtype != slot.dtype:
        raise TypeError(f"{name}: expected {slot.dtype}, got {buffer.dtype}")
    place.check_writable(name, buffer)
    for other, array in others.items():
        if place.overlap(buffer, array):
            raise ValueError(f"{name}: shares memory with {other}; expected memory of its own")
