// SPDX-License-Identifier: Apache-2.0
// Reduce: the next coarser level of tiles, means of four weighted by their pixels.
#pragma once
#include "tiles.h"

namespace denoise {
struct RelightReduceArgs {
    Image<RGBA16F> now, before;                // in
    Image<RGBA16F> coarse_now, coarse_before;  // out
    template <class V> void io(V& v) { v.in(now), v.in(before), v.out(coarse_now), v.out(coarse_before); }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {
// Sums of tiles' means, to be weighted by their pixels.
struct TileMeans {
    Float4 now = {Float(0.f), Float(0.f), Float(0.f), Float(0.f)}, before = now;
    Float squared_weights = Float(0.f);
    DN_FN void add(const Image<RGBA16F>& now_image, const Image<RGBA16F>& before_image, Int x, Int y, Float weight) {
        const Mask inside = x >= Int(0) && x < Int(now_image.width) && y >= Int(0) && y < Int(now_image.height);
        const Float4 c = gather(now_image, x, y), h = gather(before_image, x, y);
        const Float w = select(inside, h.w * weight, Float(0.f));
        now = now + Float4{c.x, c.y, c.z, c.w * c.w} * w;
        before = before + Float4{h.x * w, h.y * w, h.z * w, w};
        squared_weights = squared_weights + w * weight;
    }
    // Luma squared in now.w; before.w stays the sum of the weights.
    DN_FN void divide() {
        const Float each = Float(1.f) / max(before.w, Float(1e-6f));
        now = now * each;
        before = {before.x * each, before.y * each, before.z * each, before.w};
    }
};

struct RelightReduce {
    using Args = RelightReduceArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants&, const Pixel& p, const Tile&) {
        TileMeans means;
        for (int k = 0; k < 4; k++) means.add(a.now, a.before, p.x * Int(2) + Int(k & 1), Int(p.y * 2 + (k >> 1)), Float(0.25f));
        means.divide();
        means.now.w = sqrt(means.now.w);
        store(a.coarse_now, p, means.now);
        store(a.coarse_before, p, means.before);
    }
};
}  // namespace denoise::DN_TARGET
#endif
