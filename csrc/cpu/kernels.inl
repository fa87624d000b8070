// SPDX-License-Identifier: Apache-2.0
// The CPU form of every pass: a tile is decoded once into scratch that stays in the L2 cache, then its pixels are shaded row by row.
// Included by the kernels_<isa>.cpp files after they chose DN_TARGET, DN_TABLE and a lane type. No STL here: an inline function shared between
// files of different -march would be kept once, with either's instructions.
#include "../graph/kernel.h"

namespace denoise::DN_TARGET {

template <class P> constexpr int block_rows = 0;
template <class P> void run(const void* pass_args, const FrameConstants& frame, Rect r, float* scratch) {
    const auto& args = *static_cast<const typename P::Args*>(pass_args);
    Tile tile;
    if constexpr (P::planes > 0) {
        tile.pitch = tile_row(r, P::halo);
        tile.plane = tile_floats(r, P::halo);
        for (int y = r.y0 - P::halo; y < r.y1 + P::halo; y++) {
            float* row = scratch + (y - r.y0 + P::halo) * tile.pitch;
            for (int x = 0; x < r.x1 - r.x0 + 2 * P::halo; x += lanes) {
                Float value[P::planes];
                P::load(args, frame, pixel_at(r.x0 - P::halo + x, y), value);
                for (int k = 0; k < P::planes; k++) store_f32(row + k * tile.plane + x, value[k]);
            }
        }
    }
    for (int y = r.y0; y < r.y1; y++)
        for (int x = r.x0; x < r.x1; x += lanes) {
            tile.at = scratch + (y - r.y0 + P::halo) * tile.pitch + x - r.x0 + P::halo;
            P::shade(args, frame, pixel_at(x, y), tile);
        }
}

}  // namespace denoise::DN_TARGET

#include "../graph/kernel_table.inl"
