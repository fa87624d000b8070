# SPDX-License-Identifier: Apache-2.0
"""One pass as a user of cupy or of numba would write it, to hold the library's passes against: what an evening gives.

The pass blends a frame into the history that motion points to, as the temporal passes of all denoisers do at their core:
at each pixel, the history of the nearest pixel there becomes history + (signal - history) / frames, with one frame more
behind it than it had, up to `cap`; what was outside of the picture begins anew with the signal. Nothing is validated.

    signal, history  (H, W, 4) float16    motion  (H, W, 2) float16, pixels, previous - current    frames  (H, W) float32
"""

from __future__ import annotations

from typing import Any

from numba import cuda, float32

BYTES_PER_PIXEL = 8 + 4 + 2 * (8 + 4)  # read: signal, motion; read and written: history, frames


def blend_by_arrays(xp: Any, signal: Any, motion: Any, history: Any, frames: Any, cap: float) -> tuple[Any, Any]:
    """In whole-array expressions. xp: cupy, or numpy. Returns the new history and its frames."""
    height, width = frames.shape
    y, x = xp.indices((height, width), dtype=xp.float32)
    was = xp.rint(xp.stack([x, y], axis=-1) + motion).astype(xp.int32)
    inside = ((was >= 0) & (was < xp.asarray([width, height]))).all(axis=-1)
    column, row = was[..., 0].clip(0, width - 1), was[..., 1].clip(0, height - 1)
    count = xp.where(inside, xp.minimum(frames[row, column] + 1, cap), 1)
    before = history[row, column].astype(xp.float32)
    blended = before + (signal.astype(xp.float32) - before) / count[..., None]
    return xp.where(inside[..., None], blended, signal).astype(xp.float16), count.astype(xp.float32)


@cuda.jit
def blend_kernel(
    signal: Any, motion: Any, history: Any, frames: Any, cap: Any, out: Any, out_frames: Any
) -> None:  # pragma: no cover
    """As a kernel: blend_kernel[grid(width, height)](signal, motion, history, frames, cap, out, out_frames)."""
    x, y = cuda.grid(2)
    height, width = frames.shape
    if x >= width or y >= height:
        return
    column, row = round(x + float32(motion[y, x, 0])), round(y + float32(motion[y, x, 1]))
    inside = 0 <= column < width and 0 <= row < height
    count = float32(1)
    if inside:
        count = min(frames[row, column] + float32(1), float32(cap))
    for channel in range(4):
        value = float32(signal[y, x, channel])
        if inside:
            before = float32(history[row, column, channel])
            value = before + (value - before) / count
        out[y, x, channel] = value
    out_frames[y, x] = count


def grid(width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Blocks and threads that cover a picture."""
    return ((width + 31) // 32, (height + 7) // 8), (32, 8)
