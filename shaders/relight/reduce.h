// SPDX-License-Identifier: Apache-2.0
// Reduce: the next coarser level, means over blocks of texels weighted by the pixels that have a history.
#pragma once
#include "tiles.h"

namespace denoise {
struct RelightReduceArgs {
    Image<RGBA16F> now, before;          // in
    Image<RGBA16F> now_out, before_out;  // out
    int columns = 0, rows = 0;           // texels of a block
    template <class V> void io(V& v) { v.in(now), v.in(before), v.out(now_out), v.out(before_out); }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {
struct RelightReduce {
    using Args = RelightReduceArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants&, const Pixel& p, const Tile&) {
        const Float zero(0.f);
        Float4 now{zero, zero, zero, zero}, before = now;
        for (int j = 0; j < a.rows; j++)
            for (int i = 0; i < a.columns; i++) {
                const Int x = p.x * Int(a.columns) + Int(i), y(p.y * a.rows + j);
                const Mask inside = x < Int(a.now.width) && y < Int(a.now.height);
                const Float4 c = gather(a.now, x, y), h = gather(a.before, x, y);
                const Float weight = select(inside, h.w, zero);
                now = now + Float4{c.x, c.y, c.z, c.w * c.w} * weight;
                before = before + Float4{h.x * weight, h.y * weight, h.z * weight, weight};
            }
        const Float scale = Float(1.f) / max(before.w, Float(1e-6f));
        store(a.now_out, p, Float4{now.x * scale, now.y * scale, now.z * scale, sqrt(now.w * scale)});
        store(a.before_out, p, Float4{before.x * scale, before.y * scale, before.z * scale, before.w * Float(1.f / float(a.columns * a.rows))});
    }
};
}  // namespace denoise::DN_TARGET
#endif
