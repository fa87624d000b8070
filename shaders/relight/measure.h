// SPDX-License-Identifier: Apache-2.0
// Measure: means of the new samples and of the history over each tile's pixels that have both.
#pragma once
#include "tiles.h"

namespace denoise {
struct RelightMeasureArgs {
    Image<R16U> samples;    // in: this frame's signal, not filtered: neighbours must not share their noise; see encode_light()
    Image<R16U> past;       // in: the same of the history
    Image<RGBA16F> now;     // out, a texel a tile: mean of the samples, YCoCg; root of the mean squared luma
    Image<RGBA16F> before;  // out: mean of the history, YCoCg; share of the tile's pixels
    Image<R8U> changed;     // out: darkness_lit, or 0
    template <class V> void io(V& v) { v.in(samples), v.in(past), v.out(now), v.out(before), v.out(changed); }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {
struct RelightMeasure {
    using Args = RelightMeasureArgs;
    static constexpr int planes = 0, halo = 0;
    // A history of nothing but zeros says that no light comes here, as on a lamp, of which the renderer shows what it emits. That it is out of date,
    // samples tell that are not zero all of a sudden: so many pixels of a tile, and that part of the dark ones. Sparse samples are rarer.
    static constexpr float few_pixels = 4, least_part = 0.6f;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& tile, const Tile&) {
        const Int left = tile.x * Int(relight_tile);
        const int top = tile.y * relight_tile, bottom = top + relight_tile < frame.height ? top + relight_tile : frame.height;
        const Float zero(0.f);
        Float4 now = {zero, zero, zero, zero}, before = now;
        Float dark = zero, lit = zero;
        for (int y = top; y < bottom; y++) {
            Float4 row_now = {zero, zero, zero, zero}, row_before = row_now;  // row by row, which rounds less
            for (int x = 0; x < relight_tile; x++) {
                const Int at = left + Int(x), past = gather(a.past, at, Int(y));
                const Float3 c = decode_light(gather(a.samples, at, Int(y)));
                const Mask known = at < Int(frame.width) && !(past == Int(no_past));
                const Float3 h = decode_light(select(known, past, Int(0)));
                row_now = row_now + zero_where(!known, Float4{c.x, c.y, c.z, c.x * c.x});
                const Mask black = known && h.x <= zero;
                dark = dark + select(black, Float(1.f), zero), lit = lit + select(black && c.x > zero, Float(1.f), zero);
                row_before = row_before + Float4{h.x, h.y, h.z, select(known, Float(1.f), zero)};
            }
            now = now + row_now, before = before + row_before;
        }
        store(a.changed, tile, select(lit >= Float(few_pixels) && lit >= dark * Float(least_part), Int(darkness_lit), Int(0)));
        const Float each = Float(1.f) / max(before.w, Float(1.f));
        store(a.now, tile, Float4{now.x * each, now.y * each, now.z * each, sqrt(now.w * each)});
        store(a.before, tile, Float4{before.x * each, before.y * each, before.z * each, before.w * Float(1.f / (relight_tile * relight_tile))});
    }
};
}  // namespace denoise::DN_TARGET
#endif
