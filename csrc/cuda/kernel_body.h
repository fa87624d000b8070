// SPDX-License-Identifier: Apache-2.0
// The GPU form of every pass: the threads of a block load the tile into shared memory together, then each shades its pixel.
// The two phases are apart so that the host emulation (emulated.cpp) can run the threads of a block in any order between barriers.
#pragma once
#include "../../shaders/passes.h"
#include "kernels.h"

namespace denoise::DN_TARGET {

struct Block {
    int x0, y0;  // first pixel
};
template <class P> constexpr int shared_row = block_width + 2 * P::halo;
template <class P> constexpr int shared_plane = shared_row<P> * (block_height + 2 * P::halo);

template <class P> DN_FN void load_phase(const typename P::Args& args, const FrameConstants& frame, Block b, int thread, float* shared) {
    for (int e = thread; e < shared_plane<P>; e += block_width * block_height) {
        Float value[P::planes];
        P::load(args, frame, pixel_at(b.x0 - P::halo + e % shared_row<P>, b.y0 - P::halo + e / shared_row<P>), value);
        for (int k = 0; k < P::planes; k++) shared[k * shared_plane<P> + e] = value[k];
    }
}
template <class P> DN_FN void shade_phase(const typename P::Args& args, const FrameConstants& frame, Block b, int thread, int width, int height, const float* shared) {
    const int tx = thread % block_width, ty = thread / block_width, x = b.x0 + tx, y = b.y0 + ty;
    if (x >= width || y >= height) return;
    Tile tile;
    if (P::planes > 0) tile = {shared + (ty + P::halo) * shared_row<P> + tx + P::halo, shared_row<P>, shared_plane<P>};
    P::shade(args, frame, pixel_at(x, y), tile);
}

}  // namespace denoise::DN_TARGET
