// SPDX-License-Identifier: Apache-2.0
// Classify shadow: finds the 16x16 tiles in which one light is neither wholly blocked nor wholly free, and how far their occluders are.
#pragma once
#include "shadow.h"

namespace denoise {
struct ClassifyShadowArgs {
    Array occluder_distance;  // in
    Array translucency;       // in, may be absent
    Image<R16U> tiles;        // out, one texel a tile: 255 = mixed, and the code of the farthest occluder above it
    template <class V> void io(V& v) { v.in(occluder_distance), v.in(translucency), v.out(tiles); }
};
struct SpreadSoftnessArgs {
    Image<R16U> tiles;   // in
    Image<R16U> spread;  // out: weighted mean of mixed tiles around, and the farthest occluder among them
    template <class V> void io(V& v) { v.in(tiles), v.out(spread); }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {
struct ClassifyShadow {
    using Args = ClassifyShadowArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& tile, const Tile&) {
        const Int left = tile.x * Int(shadow_tile), top(tile.y * shadow_tile);
        Mask some_lit(false), some_blocked(false);
        Float farthest(0.f);
        for (int y = 0; y < shadow_tile; y++)
            for (int x = 0; x < shadow_tile; x++) {
                const Int px = left + Int(x), py = top + Int(y);
                const Mask inside = px < Int(frame.width) && py < Int(frame.height);
                const Float distance = occluder_distance(read_at(a.occluder_distance, px, py));
                const Mask blocked = inside && distance > Float(0.f) && distance < Float(lit_distance);
                some_lit = some_lit || (inside && distance >= Float(lit_distance));
                some_blocked = some_blocked || blocked;
                farthest = max(farthest, select(blocked, distance, Float(0.f)));
            }
        if (a.translucency.present()) some_lit = some_lit || some_blocked;  // what passes the occluders may be noisy
        store(a.tiles, tile, select(some_lit && some_blocked, Int(255), Int(0)) | shift_left(encode_distance(farthest), 8));
    }
};

// A penumbra reaches beyond the tile it was seen in.
struct SpreadSoftness {
    using Args = SpreadSoftnessArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants&, const Pixel& tile, const Tile&) {
        Int sum(0), farthest(0);
        for (int y = -1; y <= 1; y++)
            for (int x = -1; x <= 1; x++) {
                const Int word = fetch(a.tiles, tile, x, y), soft = word & Int(255);
                sum = sum + soft * Int((2 - x * x) * (2 - y * y));  // 4, 2, 1 of 16
                farthest = max(farthest, select(soft > Int(0), shift_right(word, 8), Int(0)));
            }
        store(a.spread, tile, min(shift_right(sum + Int(15), 4), Int(255)) | shift_left(farthest, 8));
    }
};
}  // namespace denoise::DN_TARGET
#endif
