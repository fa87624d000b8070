# SPDX-License-Identifier: Apache-2.0
"""The only file that knows array libraries: NumPy today; what it lets through, the native side reads through DLPack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    DType = np.dtype[Any]

FLOAT32 = np.dtype(np.float32)
FLOATS = (np.dtype(np.float16), FLOAT32)
BYTES = (np.dtype(np.uint8),)
BOOLS = (np.dtype(np.bool_),)

# Older versions of NumPy refuse to export a read-only array instead of marking it.
_EXPORTS_READ_ONLY = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


def check_kind(name: str, array: Any) -> None:
    """TypeError unless `array` is of an array library that is known here."""
    if not isinstance(array, np.ndarray):
        kind = type(array)
        came = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        raise TypeError(f"{name}: expected a numpy.ndarray, got {came}")


def check_dtype(name: str, array: Array, dtypes: tuple[DType, ...]) -> None:
    """TypeError unless the array has one of `dtypes`, in native byte order; the message names the cast."""
    if array.dtype not in dtypes:
        expected, cast = " or ".join(str(d) for d in reversed(dtypes)), dtypes[-1]
        raise TypeError(f"{name}: expected {expected}, got {array.dtype}; cast it with {name}.astype(np.{cast})")


def float_dtype(name: str, dtype: Any) -> DType:
    """`dtype` as a NumPy dtype. TypeError unless it is float16 or float32."""
    try:
        result: DType = np.dtype(dtype)
    except TypeError:
        result = np.dtype(object)
    if result not in FLOATS:
        raise TypeError(f"{name}: expected np.float16, np.float32 or None, got {dtype!r}")
    return result


def exportable(array: Array) -> Array:
    """The array itself, or a copy of it where DLPack cannot describe it: strides that are no multiple of the item size
    (a field of a structured array), unaligned memory, and read-only arrays with NumPy before 2.1. Truth values are bytes,
    for the native side."""
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


def empty(shape: tuple[int, ...], dtype: DType) -> Array:
    """A new array for an output."""
    return np.empty(shape, dtype)


def overlap(a: Array, b: Array) -> bool:
    """Whether two arrays share an element; True also where that is too hard to tell."""
    if not np.may_share_memory(a, b):
        return False
    effort: Any = 10_000  # an exact answer can take exponential time
    try:
        return np.shares_memory(a, b, max_work=effort)
    except np.exceptions.TooHardError:
        return True
