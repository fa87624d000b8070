# SPDX-License-Identifier: Apache-2.0
"""The native module, as the Python side sees it."""

from collections.abc import Sequence
from typing import Any

def backends() -> dict[str, str]:
    """Name of a compute backend to "" where this machine runs it, else to the sentence why not."""

def default_backend() -> str:
    """The fastest backend of this machine, or the one DENOISE_ISA names. ValueError lists what this machine can run."""

def cpu_name() -> str:
    """The processor, as the system names it."""

def threads() -> int:
    """Threads that denoise a frame: DENOISE_THREADS, else the usable cores."""

def configure_cpu(threads: int, tile: tuple[int, int]) -> None:
    """Sets the number of threads and the tile shape of the process, for tests and measurements."""

def probe(function: str, inputs: Any, outputs: Any, backend: str) -> None:
    """Applies a shared function of the shaders to each pixel of a float32 array (H, W, K), for tests.

    The names are in shaders/testing/probe.h. ValueError for another one, or for the wrong number of channels."""

def cuda_devices() -> tuple[list[tuple[str, str]], str]:
    """NVIDIA GPUs as (what it is, "" or the sentence why it cannot be used), and the sentence why there are none."""

def cuda_wait(device: int, stream: int, producer: int) -> None:
    """What is queued on `stream` from now on waits for what is queued on `producer` by now."""

def from_dlpack(name: str, capsule: Any) -> tuple[int, int, int, list[int], list[int], int, int, bool]:
    """What is in a capsule of __dlpack__.

    Device type, device, address, shape, strides in bytes, type code, bits, whether it is read-only."""

def to_dlpack(
    owner: Any,
    address: int,
    shape: Sequence[int],
    strides: Sequence[int],
    code: int,
    bits: int,
    device: int,
    versioned: bool,
) -> Any:
    """A capsule of DLPack for memory of a GPU that `owner` keeps alive; strides count elements."""

class CudaMemory:
    """Memory of a GPU, which comes and goes in the order of a stream."""

    def __init__(self, device: int, bytes: int, stream: int) -> None: ...
    @property
    def address(self) -> int: ...

class Denoiser:
    def __init__(self, families: Sequence[str], width: int, height: int, backend: str) -> None: ...
    def denoise(
        self,
        inputs: dict[str, Any],
        outputs: dict[str, Any],
        camera: dict[str, Any],
        lights: list[tuple[str, bool, tuple[float, float, float], float]],
        settings: dict[str, dict[str, float]],
        reset: bool,
        stream: int = 0,
        after: tuple[int, ...] = (),
    ) -> None:
        """Denoises one frame into the arrays of `outputs`, which like those of `inputs` offer __dlpack__, or for a GPU are
        tuples (address, shape, strides in bytes, bits of an element).

        camera: "world_to_view" and "view_to_clip" as 16 floats in row-major order, "jitter" as (x, y), "world_motion"
        as bool; empty where there is none. lights: key, local, vector and size of each; the key ends the names of its
        arrays. settings: family to setting to number. On a GPU the frame is queued on `stream`, after what the streams
        of `after` hold by now. Shapes, dtypes and values were checked before."""

    def crosscheck(
        self,
        inputs: dict[str, Any],
        outputs: dict[str, Any],
        camera: dict[str, Any],
        lights: list[tuple[str, bool, tuple[float, float, float], float]],
        settings: dict[str, dict[str, float]],
        reset: bool,
        backend: str,
    ) -> list[dict[str, Any]]:
        """Denoises one frame like `denoise` and runs every pass on `backend` too, from the same inputs, for tests.

        Returns what each pass wrote, in order: "pass", "image", "format", "width", "height", "channels", and the pixels
        by this denoiser's backend ("first") and by the other one ("second") as bytes, rows packed."""

    def describe(self, settings: dict[str, dict[str, float]]) -> str:
        """The page of the last frame as text; before the first, of a typical one with these settings."""

    def timings(self) -> list[tuple[str, float]]:
        """Name and milliseconds of each pass of the last frame. A GPU measures from the first call on, and gives none
        until then."""

    def memory(self) -> tuple[int, int]:
        """Bytes of permanent and of transient images."""

    def resize(self, width: int, height: int) -> None: ...
    def save_state(self) -> dict[str, Any]: ...
    def load_state(self, state: dict[str, Any]) -> None: ...
