// SPDX-License-Identifier: Apache-2.0
// What a backend compiles from the list of passes: one entry per pass and variant. No STL here: ISA-specific files include this.
#pragma once
#include "../../shaders/frame_constants.h"
#include "../../shaders/passes.h"

namespace denoise {

struct Rect {
    int x0, y0, x1, y1;
};
struct Kernel {
    // Shades the pixels of `rect`; `scratch` holds planes * tile_floats(rect) floats.
    void (*run)(const void* args, const FrameConstants& frame, Rect rect, float* scratch) = nullptr;
    int planes = 0, halo = 0;
    int block_rows = 0;  // where `rect` is an emulated block of 32 columns; 0: any
};
struct KernelTable {
    Kernel kernels[pass_count][max_variants];
};

// Rows of a tile are padded so that a load of the widest lanes never leaves the scratch.
constexpr int tile_row(Rect r, int halo) { return (r.x1 - r.x0 + 2 * halo + 31) / 16 * 16; }
constexpr int tile_floats(Rect r, int halo) { return tile_row(r, halo) * (r.y1 - r.y0 + 2 * halo) + 16; }

const KernelTable& kernels_scalar();
const KernelTable& kernels_sse42();
const KernelTable& kernels_avx2();
const KernelTable& kernels_avx512();
const KernelTable& kernels_neon();
const KernelTable& kernels_emulated_cuda();

}  // namespace denoise
