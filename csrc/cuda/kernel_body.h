// SPDX-License-Identifier: Apache-2.0
// The GPU form of every pass: the threads of a block load the tile into shared memory together, then each shades its pixel.
// The two phases are apart so that the host emulation (emulated.cpp) can run the threads of a block in any order between barriers.
#pragma once
#include "../../shaders/passes.h"
#include "kernels.h"

namespace denoise::DN_TARGET {

// A pass's blocks: how many rows of threads they have, and how many of them a multiprocessor shall hold at least, which limits the registers
// of a thread to 65536 / (threads of these blocks). Chosen by what `python bench/registers.py` prints: as many threads as go without a spill.
struct LaunchShape {
    int rows = most_rows, blocks = 0;  // 0: as the compiler likes
};
template <class P> constexpr LaunchShape launch_shape{};
template <> inline constexpr LaunchShape launch_shape<TemporalAccumulation<Signals::diffuse>>{8, 3};
template <> inline constexpr LaunchShape launch_shape<TemporalAccumulation<Signals::specular>>{8, 2};
template <> inline constexpr LaunchShape launch_shape<TemporalAccumulation<Signals::both>>{6, 2};
template <> inline constexpr LaunchShape launch_shape<PrePass<Lobe::specular>>{8, 2};
template <> inline constexpr LaunchShape launch_shape<Blur<Lobe::specular>>{8, 2};
template <> inline constexpr LaunchShape launch_shape<PostBlur<Lobe::specular>>{8, 2};
template <> inline constexpr LaunchShape launch_shape<HistoryFix<Lobe::specular>>{8, 3};
template <Lobe L> constexpr LaunchShape launch_shape<Stabilize<L>>{8, 6};
template <int Lights, bool Coloured> constexpr LaunchShape launch_shape<FilterShadow<Lights, Coloured>>{6, 2};

template <class P> constexpr int block_rows = launch_shape<P>.rows;
template <class P> constexpr int block_threads = block_width * block_rows<P>;

struct Block {
    int x0, y0;  // first pixel
};
template <class P> constexpr int shared_row = block_width + 2 * P::halo;
template <class P> constexpr int shared_plane = shared_row<P> * (block_rows<P> + 2 * P::halo);

template <class P> DN_FN void load_phase(const typename P::Args& args, const FrameConstants& frame, Block b, int thread, float* shared) {
    for (int e = thread; e < shared_plane<P>; e += block_threads<P>) {
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
