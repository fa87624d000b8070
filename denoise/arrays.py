# SPDX-License-Identifier: Apache-2.0
"""The only file that knows array libraries: NumPy and torch on the CPU; on a GPU cupy, torch, numba, and all that speak
DLPack."""

from __future__ import annotations

import ctypes
import dataclasses
import sys
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from . import _core

# Of NumPy, or of a library with arrays on GPUs: no common type says that.
Array: TypeAlias = Any
DType: TypeAlias = "np.dtype[Any]"

FLOAT32 = np.dtype(np.float32)
FLOATS = (np.dtype(np.float16), FLOAT32)
BYTES = (np.dtype(np.uint8),)
BOOLS = (np.dtype(np.bool_),)

# Older versions of NumPy refuse to export a read-only array instead of marking it.
_EXPORTS_READ_ONLY = np.lib.NumpyVersion(np.__version__) >= "2.1.0"

# DLPack: device types and type codes.
_DL_CUDA, _DL_CUDA_MANAGED = 2, 13
_DL_DEVICES = {1: "host memory", 3: "pinned host memory", 10: "a ROCm GPU"}
_DL_CODES = {0: "i", 1: "u", 2: "f", 4: "bfloat", 6: "b"}

_LEGACY = 1  # the default stream of all threads; 2 is that of the calling thread


def float_dtype(name: str, dtype: Any) -> DType:
    """`dtype` as a NumPy dtype. TypeError unless it is float16 or float32."""
    try:
        result: DType = np.dtype(dtype)
    except TypeError:
        result = np.dtype(object)
    if result not in FLOATS:
        raise TypeError(f"{name}: expected np.float16, np.float32 or None, got {dtype!r}")
    return result


class Host:
    """What the arrays of a frame are to a denoiser on the CPU: NumPy's, or torch's tensors in host memory. One for each
    frame."""

    queue = ()  # there is none, see Gpu.queue

    def __init__(self) -> None:
        self._like: Any = None  # the first array: results are of its kind
        self._tensors: list[tuple[Array, Any]] = []  # views, and the tensors that they are of

    def take(self, name: str, array: Any) -> Array:
        """The array, or a view of the tensor. TypeError for anything else."""
        if isinstance(array, np.ndarray):
            view = array
        elif _library(array) == "torch" and hasattr(array, "device") and array.device.type == "cpu":
            _dtype(name, str(array.dtype).removeprefix("torch."))
            if array.requires_grad:
                raise TypeError(f"{name}: expected a tensor without gradient; pass {name}.detach()")
            view = array.numpy()
            self._tensors.append((view, array))
        else:
            gpu = "; it is on a GPU, this denoiser is not" if _of_gpu(array) else ""
            raise TypeError(f"{name}: expected a numpy.ndarray or a torch.Tensor on the CPU, got {_kind(array)}{gpu}")
        if self._like is None:
            self._like = array
        return view

    def check_dtype(self, name: str, array: Array, dtypes: tuple[DType, ...]) -> None:
        """TypeError unless the array has one of `dtypes`, in native byte order; the message names the cast."""
        _check_dtype(name, array, dtypes, any(view is array for view, _ in self._tensors))

    def exportable(self, name: str, array: Array) -> Array:
        """The array itself, or a copy of it where DLPack cannot describe it: strides that are no multiple of the item
        size (a field of a structured array), unaligned memory, and read-only arrays with NumPy before 2.1. Truth values
        are bytes, for the native side."""
        if array.dtype in BOOLS:
            array = array.view(BYTES[0])
        flags = array.flags
        if not (flags.aligned and (flags.writeable or _EXPORTS_READ_ONLY)):
            return array.copy()
        item = array.itemsize
        for stride in array.strides:
            if stride % item:
                return array.copy()
        return array

    def check_writable(self, name: str, array: Array) -> None:
        """ValueError unless results can be written into the array as it is."""
        if not array.flags.writeable:
            raise ValueError(f"{name}: expected a writeable array, got a read-only one")
        if self.exportable(name, array) is not array:
            raise ValueError(f"{name}: expected aligned memory, got strides {array.strides} that are not")

    def overlap(self, a: Array, b: Array) -> bool:
        """Whether two arrays share an element; True also where that is too hard to tell."""
        if not np.may_share_memory(a, b):
            return False
        effort: Any = 10_000  # an exact answer can take exponential time
        try:
            return np.shares_memory(a, b, max_work=effort)
        except np.exceptions.TooHardError:
            return True

    def empty(self, shape: tuple[int, ...], dtype: DType) -> Array:
        """A new array for an output, of the kind of the first array that was taken."""
        view = np.empty(shape, dtype)
        if _library(self._like) == "torch":
            self._tensors.append((view, sys.modules["torch"].from_numpy(view)))
        return view

    def native(self, arrays: dict[str, Array]) -> dict[str, Any]:
        """The arrays as the native side takes them."""
        return arrays

    def results(self, results: dict[Any, Array]) -> dict[Any, Any]:
        """Arrays as the caller gets them."""
        tensors = {id(view): tensor for view, tensor in self._tensors}
        return {key: tensors.get(id(array), array) for key, array in results.items()} if tensors else results


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class DeviceArray:
    """An array in the memory of a GPU: another library's as it was looked at, or a result for callers whose library is
    not known here. To those it offers __dlpack__ and __cuda_array_interface__, so that `cupy.from_dlpack(result)` and its
    like take it without a copy."""

    address: int
    shape: tuple[int, ...]
    dtype: DType
    strides: tuple[int, ...]  # bytes
    device: int
    read_only: bool
    stream: int  # in whose order it is written
    owner: Any  # keeps the memory
    original: Any = None  # what the caller gave

    def __repr__(self) -> str:
        return f"<DeviceArray {self.dtype} {self.shape} on cuda:{self.device}>"

    def __dlpack_device__(self) -> tuple[int, int]:
        return _DL_CUDA, self.device

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if dl_device not in (None, self.__dlpack_device__()) or copy:
            raise BufferError("a DeviceArray is exported as it is, where it is")
        if stream != -1:  # the consumer's; -1: it sees to the order by itself
            _core.cuda_wait(self.device, _LEGACY if stream is None else stream, self.stream)
        item = self.dtype.itemsize
        strides = [stride // item for stride in self.strides]
        versioned = max_version is not None and max_version[0] >= 1
        return _core.to_dlpack(self, self.address, self.shape, strides, 2, item * 8, self.device, versioned)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, self.read_only),
            "strides": self.strides,
            "stream": self.stream or _LEGACY,
        }

    @property
    def extent(self) -> tuple[int, int]:
        """First address, and the one after the last."""
        steps = [(n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)]
        low, high = sum(step for step in steps if step < 0), sum(step for step in steps if step > 0)
        return self.address + low, self.address + high + self.dtype.itemsize


class Gpu:
    """What the arrays of a frame are to a denoiser on a GPU: on that GPU, of any library. One for each frame.

    The frame goes on the stream that it is given, else on the current one of the first array's library (cupy, torch), else
    on the legacy default stream. Arrays of other streams are waited for."""

    def __init__(self, device: int, stream: Any, arrays: Iterable[Any]) -> None:
        self._device = device
        self._like: Any = None  # the first array: results are of its kind
        self._current: dict[str, int] = {}  # streams by library
        self._after: set[int] = set()
        if stream is not None:
            self._stream = _handle(stream)
        else:
            libraries = filter(None, map(self._current_stream, arrays))
            self._stream = next(libraries, _LEGACY)

    @property
    def queue(self) -> tuple[int, tuple[int, ...]]:
        """The stream of the frame, and those whose work so far comes first."""
        return self._stream, tuple(sorted(self._after - {self._stream}))

    def take(self, name: str, array: Any) -> DeviceArray:
        """The array, looked at. TypeError unless it is one on this GPU."""
        if (current := self._current_stream(array)) is not None:
            found = (
                _of_torch(name, array) if _library(array) == "torch" else _of_interface(name, array, array.device.id)
            )
            self._after.add(current)
        elif isinstance(array, DeviceArray):
            found = dataclasses.replace(array, original=array)
            self._after.add(found.stream)
        elif hasattr(array, "__dlpack__") and hasattr(array, "__dlpack_device__"):
            kind, device = map(int, array.__dlpack_device__())
            if kind not in (_DL_CUDA, _DL_CUDA_MANAGED):
                where = _DL_DEVICES.get(kind, f"the memory of DLPack's device type {kind}")
                raise TypeError(
                    f"{name}: expected an array on {self}, where this denoiser is, got {_kind(array)} in {where}"
                )
            self._check_device(name, device)
            found = _of_dlpack(name, array, self._stream)
        elif hasattr(array, "__cuda_array_interface__"):
            found = _of_interface(name, array, self._device)
            if found.stream:
                self._after.add(found.stream)
        else:
            raise TypeError(f"{name}: expected an array on {self}, where this denoiser is, got {_kind(array)}")
        self._check_device(name, found.device)
        if self._like is None:
            self._like = array
        return found

    def check_dtype(self, name: str, array: DeviceArray, dtypes: tuple[DType, ...]) -> None:
        """TypeError unless the array has one of `dtypes`; the message names the cast."""
        _check_dtype(name, array, dtypes, _library(array.original) == "torch")

    def exportable(self, name: str, array: DeviceArray) -> DeviceArray:
        """The array itself. ValueError where its memory is not aligned."""
        item = array.dtype.itemsize
        if array.address % item or any(stride % item for stride in array.strides):
            raise ValueError(f"{name}: expected memory aligned to {item} bytes, got strides {array.strides}")
        return array

    def check_writable(self, name: str, array: DeviceArray) -> None:
        """ValueError unless results can be written into the array."""
        if array.read_only:
            raise ValueError(f"{name}: expected a writeable array, got a read-only one")
        self.exportable(name, array)

    def overlap(self, a: DeviceArray, b: DeviceArray) -> bool:
        """Whether two arrays may share an element."""
        (first, last), (other_first, other_last) = a.extent, b.extent
        return first < other_last and other_first < last

    def empty(self, shape: tuple[int, ...], dtype: DType) -> DeviceArray:
        """A new array for an output, of the kind of the first array that was taken."""
        library = _library(self._like)
        if library == "cupy":
            cupy = sys.modules["cupy"]
            with cupy.cuda.Device(self._device):
                return self.take("out", cupy.empty(shape, dtype))
        if library == "torch":
            torch = sys.modules["torch"]
            return self.take("out", torch.empty(shape, dtype=getattr(torch, dtype.name), device=self._like.device))
        if library == "numba":
            cuda = sys.modules["numba.cuda"]
            with cuda.gpus[self._device]:
                return self.take("out", cuda.device_array(shape, dtype))
        strides: list[int] = []
        size = dtype.itemsize
        for n in reversed(shape):
            strides.insert(0, size)
            size *= n
        memory = _core.CudaMemory(self._device, size, self._stream)
        return DeviceArray(memory.address, shape, dtype, tuple(strides), self._device, False, self._stream, memory)

    def native(self, arrays: dict[str, DeviceArray]) -> dict[str, Any]:
        """The arrays as the native side takes them."""
        return {name: (a.address, a.shape, a.strides, a.dtype.itemsize * 8) for name, a in arrays.items()}

    def results(self, results: dict[Any, DeviceArray]) -> dict[Any, Any]:
        """Arrays as the caller gets them."""
        return {key: array if array.original is None else array.original for key, array in results.items()}

    def __str__(self) -> str:
        return f"cuda:{self._device}"

    def _check_device(self, name: str, device: int) -> None:
        if device != self._device:
            raise TypeError(f"{name}: expected an array on {self}, where this denoiser is, got one on cuda:{device}")

    def _current_stream(self, array: Any) -> int | None:
        """The current stream of the array's library on this GPU; None for libraries without one and arrays elsewhere."""
        library = _library(array)
        if library not in ("cupy", "torch") or (library == "torch" and not array.is_cuda):
            return None
        if library not in self._current:
            cuda = sys.modules[library].cuda
            if library == "torch":
                handle = cuda.current_stream(self._device).cuda_stream
            else:
                with cuda.Device(self._device):
                    handle = cuda.get_current_stream().ptr
            self._current[library] = int(handle) or _LEGACY
        return self._current[library]


Place: TypeAlias = "Host | Gpu"


def _check_dtype(name: str, array: Array, dtypes: tuple[DType, ...], torch: bool) -> None:
    if array.dtype not in dtypes:
        expected, cast = " or ".join(str(d) for d in reversed(dtypes)), dtypes[-1]
        how = f"to(torch.{cast})" if torch else f"astype(np.{cast})"
        raise TypeError(f"{name}: expected {expected}, got {array.dtype}; cast it with {name}.{how}")


def _library(array: Any) -> str:
    return type(array).__module__.partition(".")[0]


def _kind(array: Any) -> str:
    kind = type(array)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _of_gpu(array: Any) -> bool:
    if hasattr(array, "__dlpack_device__"):
        return array.__dlpack_device__()[0] in (_DL_CUDA, _DL_CUDA_MANAGED)
    return hasattr(array, "__cuda_array_interface__")


def _handle(stream: Any) -> int:
    """A CUDA stream as a number: a number itself, or an object with __cuda_stream__, .ptr (cupy), .cuda_stream (torch) or
    .handle (numba)."""
    if hasattr(stream, "__cuda_stream__"):
        protocol = stream.__cuda_stream__
        handle = (protocol() if callable(protocol) else protocol)[1]
    else:
        handle = next(
            (getattr(stream, name) for name in ("ptr", "cuda_stream", "handle") if hasattr(stream, name)), stream
        )
    if isinstance(handle, ctypes.c_void_p):
        handle = handle.value or 0
    if isinstance(handle, bool) or not isinstance(handle, int) or handle < 0:
        raise TypeError(f"stream: expected a CUDA stream or the number of one, got {stream!r}")
    return handle or _LEGACY


def _dtype(name: str, text: str) -> DType:
    try:
        return np.dtype(text)
    except TypeError:
        raise TypeError(f"{name}: expected float32, float16 or uint8, got {text}") from None


def _of_torch(name: str, tensor: Any) -> DeviceArray:
    dtype = _dtype(name, str(tensor.dtype).removeprefix("torch."))
    strides = tuple(step * dtype.itemsize for step in tensor.stride())
    return DeviceArray(
        tensor.data_ptr(), tuple(tensor.shape), dtype, strides, tensor.device.index, False, 0, tensor, tensor
    )


def _of_interface(name: str, array: Any, device: int) -> DeviceArray:
    """By __cuda_array_interface__, which does not say on which GPU the memory is."""
    interface = array.__cuda_array_interface__
    shape, dtype, strides = tuple(interface["shape"]), _dtype(name, interface["typestr"]), interface.get("strides")
    if strides is None:
        strides = tuple(dtype.itemsize * int(np.prod(shape[k + 1 :])) for k in range(len(shape)))
    address, read_only = interface["data"]
    stream = interface.get("stream") or 0
    return DeviceArray(address, shape, dtype, tuple(strides), device, bool(read_only), stream, array, array)


def _of_dlpack(name: str, array: Any, stream: int) -> DeviceArray:
    """By DLPack: the producer makes `stream` wait until the pixels are there."""
    try:
        capsule = array.__dlpack__(stream=stream, max_version=(1, 0))
    except TypeError:  # a producer older than versions
        capsule = array.__dlpack__(stream=stream)
    _, device, address, shape, strides, code, bits, read_only = _core.from_dlpack(name, capsule)
    kind = _DL_CODES.get(code, f"DLPack's type {code}:")
    dtype = _dtype(name, f"{kind}{bits // 8 if len(kind) == 1 else bits}")
    return DeviceArray(address, tuple(shape), dtype, tuple(strides), device, read_only, 0, capsule, array)
