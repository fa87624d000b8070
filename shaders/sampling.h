// SPDX-License-Identifier: Apache-2.0
// Random numbers, dithered stores, and filtered history fetches.
#pragma once
#include "color.h"
#include "geometry.h"

namespace denoise::DN_TARGET {

// Integer hash with full avalanche (C. Wellons' "lowbias32" search); multiplications wrap.
DN_FN Int hash(Int x) {
    x = x ^ shift_right(x, 16);
    x = x * Int(0x7feb352d);
    x = x ^ shift_right(x, 15);
    x = x * Int(int(0x846ca68bu));
    return x ^ shift_right(x, 16);
}
// One random word a pixel, frame and use.
DN_FN Int random_word(const FrameConstants& frame, const Pixel& p, uint32_t use) {
    return hash(hash(p.x + Int(p.y) * Int(8192)) ^ Int(int(frame.frame_index * 0x9e3779b9u + use * 0x85ebca6bu)));
}
DN_FN Float to_unit(Int word) { return to_float(shift_right(word, 9)) * Float(1.f / 8388608.f); }

// Rounds to fp16 up or down with the probability that keeps the mean: an exponential average in fp16 would otherwise stall half a unit
// in the last place of every update away from its target ("dead zone"). Values that fp16 holds exactly are left alone.
DN_FN Float dither_to_half(Float x, Int noise13) {
    const Float rounded = as_float((as_int(x) + noise13) & Int(int(~0x1fffu)));
    return select(abs(x) < Float(6.2e-5f), x, min(max(rounded, Float(-65504.f)), Float(65504.f)));
}
DN_FN Float4 dither_to_half(Float4 c, Int word) {
    const Int mask(0x1fff);
    return {dither_to_half(c.x, word & mask), dither_to_half(c.y, shift_right(word, 6) & mask), dither_to_half(c.z, shift_right(word, 12) & mask),
            dither_to_half(c.w, shift_right(word, 19) & mask)};
}

// The 2x2 texels around a sample position (pixel units, texel centres at +0.5) and their bilinear weights.
struct Bilinear {
    Window at;  // upper left
    Float weight[4];
};
DN_FN Bilinear bilinear_at(Float px, Float py) {
    const Float sx = px - Float(0.5f), sy = py - Float(0.5f), fx0 = floor(sx), fy0 = floor(sy), fx = sx - fx0, fy = sy - fy0;
    const Float gx = Float(1.f) - fx, gy = Float(1.f) - fy;
    return {window_at(to_int(fx0), to_int(fy0)), {gx * gy, fx * gy, gx * fy, fx * fy}};
}
DN_FN Int tap_x(const Bilinear& b, int k) { return b.at.x + Int(k & 1); }
DN_FN Int tap_y(const Bilinear& b, int k) { return b.at.y + Int(k >> 1); }
template <class F> DN_FN typename Texel<F>::Value gather_tap(const Image<F>& image, const Bilinear& b, int k) { return gather(image, b.at, k & 1, k >> 1); }

// Weighted mean of four values; 0 where nothing weighs.
DN_FN Float weighted_mean(const Float value[4], const Float weight[4]) {
    const Float total = weight[0] + weight[1] + weight[2] + weight[3], sum = value[0] * weight[0] + value[1] * weight[1] + value[2] * weight[2] + value[3] * weight[3];
    return select(total < Float(1e-4f), Float(0.f), sum / max(total, Float(1e-4f)));
}
DN_FN Float4 zero_where(Mask m, Float4 c) { return select(m, Float4{Float(0.f), Float(0.f), Float(0.f), Float(0.f)}, c); }
DN_FN Float zero_where(Mask m, Float c) { return select(m, Float(0.f), c); }

template <class F> DN_FN typename Texel<F>::Value fetch_weighted(const Image<F>& image, const Bilinear& b, const Float weight[4]) {
    using V = typename Texel<F>::Value;
    const Float total = weight[0] + weight[1] + weight[2] + weight[3];
    const Mask none = total < Float(1e-4f);
    const Float scale = Float(1.f) / max(total, Float(1e-4f));
    V sum{};
    for (int k = 0; k < 4; k++) {
        const V texel = gather_tap(image, b, k);
        const V term = texel * (weight[k] * scale);
        sum = k == 0 ? term : sum + term;
    }
    return zero_where(none, sum);
}

// Weights of the four texels around a position between the inner two, `f` of the way from the first to the second.
DN_FN void catmull_rom(Float f, Float w[4]) {
    const Float half(0.5f), one(1.f);
    w[0] = f * (f * (one - half * f) - half);
    w[1] = f * f * (Float(1.5f) * f - Float(2.5f)) + one;
    w[2] = f * (f * (Float(2.f) - Float(1.5f) * f) + half);
    w[3] = f * f * (half * f - half);
}
// Catmull-Rom without its four corner texels, renormalised: 12 texels, sharp. It may overshoot `low` and `high`, the range of the inner four.
template <class F> DN_FN typename Texel<F>::Value fetch_cubic(const Image<F>& image, Float px, Float py, typename Texel<F>::Value& low, typename Texel<F>::Value& high) {
    using V = typename Texel<F>::Value;
    const Float sx = px - Float(0.5f), sy = py - Float(0.5f), fx0 = floor(sx), fy0 = floor(sy);
    const Window at = window_at(to_int(fx0), to_int(fy0));
    Float w[2][4];
    catmull_rom(sx - fx0, w[0]);
    catmull_rom(sy - fy0, w[1]);
    V sum{};
    Float total(0.f);
    bool first = true;
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++) {
            if ((i == 0 || i == 3) && (j == 0 || j == 3)) continue;
            const Float weight = w[0][i] * w[1][j];
            const V texel = gather(image, at, i - 1, j - 1), term = texel * weight;
            sum = first ? term : sum + term;
            first = false;
            total = total + weight;
            if (i == 0 || i == 3 || j == 0 || j == 3) continue;
            low = i == 1 && j == 1 ? texel : min(low, texel);
            high = i == 1 && j == 1 ? texel : max(high, texel);
        }
    return sum * (Float(1.f) / total);
}

}  // namespace denoise::DN_TARGET
