// SPDX-License-Identifier: Apache-2.0
// Measure: means of the new samples and of the history over columns of tile height, where both exist.
#pragma once
#include "tiles.h"

namespace denoise {
struct RelightMeasureArgs {
    Image<RGBA16F> signal;  // in: this frame's samples, unfiltered
    Image<R16U> past;       // in: the history found, see encode_past()
    Image<RGBA16F> now;     // out, width x height / 8: mean of the samples, YCoCg; root of the mean squared luma
    Image<RGBA16F> before;  // out: mean of the history, YCoCg; share of the pixels that have one
    template <class V> void io(V& v) { v.in(signal), v.in(past), v.out(now), v.out(before); }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {
struct RelightMeasure {
    using Args = RelightMeasureArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& column, const Tile&) {
        Float3 now{Float(0.f), Float(0.f), Float(0.f)}, before = now;
        Float squares(0.f), count(0.f);
        for (int k = 0; k < relight_tile; k++) {
            const Pixel p{column.x0, column.y * relight_tile + k, column.x};
            if (p.y >= frame.height) break;
            const Float4 c = fetch(a.signal, p);
            const Int past = fetch(a.past, p);
            const Mask known = !(past == Int(no_past));
            const Float valid = select(known, Float(1.f), Float(0.f));
            now = now + Float3{c.x, c.y, c.z} * valid;
            squares = squares + c.x * c.x * valid;
            before = before + decode_past(select(known, past, Int(0)));
            count = count + valid;
        }
        const Float scale = Float(1.f) / max(count, Float(1.f));
        now = now * scale, before = before * scale;
        store(a.now, column, Float4{now.x, now.y, now.z, sqrt(squares * scale)});
        store(a.before, column, Float4{before.x, before.y, before.z, count * Float(1.f / relight_tile)});
    }
};
}  // namespace denoise::DN_TARGET
#endif
