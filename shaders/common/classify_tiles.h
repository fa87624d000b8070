// SPDX-License-Identifier: Apache-2.0
// Classify tiles: marks the 16x16 tiles that hold nothing but sky, so that later passes skip them.
#pragma once
#include "../image.h"

namespace denoise {
struct ClassifyTilesArgs {
    Image<Guide> guide;  // in
    Image<R8U> tiles;    // out, one texel a tile: 1 = only sky
    template <class V> void io(V& v) { v.in(guide), v.out(tiles); }
};
constexpr int tile_size = 16;
}  // namespace denoise

#ifdef DN_TARGET
#include "../geometry.h"
namespace denoise::DN_TARGET {
struct ClassifyTiles {
    using Args = ClassifyTilesArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& tile, const Tile&) {
        const Int left = tile.x * Int(tile_size), top(tile.y * tile_size);
        Mask sky(true);
        for (int y = 0; y < tile_size; y++)
            for (int x = 0; x < tile_size; x++) {
                sky = sky && !is_surface(frame, gather(a.guide, left + Int(x), top + Int(y)).view_z);
                if (!any(sky)) break;
            }
        store(a.tiles, tile, select(sky, Int(1), Int(0)));
    }
};

// True where all pixels of the call lie in a sky tile: a uniform early-out.
DN_FN bool in_sky_tile(const Image<R8U>& tiles, const Pixel& p) {
    static_assert(tile_size % lanes == 0, "the lanes of one call share a tile");
    return tiles.data[int64_t(p.y / tile_size) * tiles.pitch + p.x0 / tile_size] != 0;
}
}  // namespace denoise::DN_TARGET
#endif
