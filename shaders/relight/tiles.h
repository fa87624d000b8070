// SPDX-License-Identifier: Apache-2.0
// Re-lighting: the history follows the light. Per pixel a noisy sample says nothing about whether the light changed; averaged over a
// thousand pixels it does. So the means of the new samples and of the history over the same pixels are compared on a pyramid of tiles,
// coarse to fine; what the noise cannot explain scales the history, whose detail survives. The windows are not guided by geometry: they
// mix surfaces, but the same ones in both means, and edge-stopped windows would hold too few samples for any proof.
//
//   samples, past ─► measure ─► reduce ─► ... ─► reduce
//                       │          │                │
//                      gain ◄──── gain ◄── ... ◄── gain (coarsest)
//                       └─► apply: signal, fast history
//
// Any accumulation can use it: it stores each pixel's past (encode_past) and its history length, and runs `apply` on what it blended.
#pragma once
#include "../image.h"

namespace denoise {
constexpr int relight_tile = 8;  // px, of the finest level; every coarser one doubles it
constexpr int relight_levels = 5;
}  // namespace denoise

#ifdef DN_TARGET
#include "../sampling.h"
namespace denoise::DN_TARGET {

// The history that a pixel found, in 16 bits: luma as fp16 with half its mantissa, chroma over luma in three bits each, all rounded at random
// so that the means over a tile are right.
constexpr int no_past = 0xffff;
DN_FN Int encode_past(Float3 ycocg, Int word) {
    const Float scale = Float(1.f) / max(ycocg.x, Float(1e-6f));
    const Float u = to_float(word & Int(255)) * Float(1.f / 256.f), v = to_float(shift_right(word, 8) & Int(255)) * Float(1.f / 256.f);
    const Int luma = min(shift_right(float_to_half(max(ycocg.x, Float(0.f))) + (shift_right(word, 16) & Int(31)), 5), Int(0x3de));
    const Int co = to_int(clamp(ycocg.y * scale + Float(2.f), Float(0.f), Float(4.f)) * Float(7.f / 4.f) + u);
    const Int cg = to_int(clamp(ycocg.z * scale + Float(1.f), Float(0.f), Float(2.f)) * Float(7.f / 2.f) + v);
    return luma | shift_left(min(co, Int(7)), 10) | shift_left(min(cg, Int(7)), 13);
}
DN_FN Float past_luma(Int past) { return half_to_float(shift_left(past & Int(0x3ff), 5)); }
DN_FN Float3 decode_past(Int past) {
    const Float luma = past_luma(past);
    const Float co = to_float(shift_right(past, 10) & Int(7)) * Float(4.f / 7.f) - Float(2.f), cg = to_float(shift_right(past, 13) & Int(7)) * Float(2.f / 7.f) - Float(1.f);
    return {luma, co * luma, cg * luma};
}

// RGB without the clamp at 0: means may leave the gamut a little.
DN_FN Float3 to_rgb(Float3 ycocg) {
    const Float t = ycocg.x - ycocg.z;
    return {t + ycocg.y, ycocg.x + ycocg.z, t - ycocg.y};
}

// What became of the light at a place: history * gain + add, linear RGB.
struct Relight {
    Float3 gain, add;
};
DN_FN Float3 operator*(Float3 a, Float3 b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }

// True where some tile that the pixels of the call interpolate changed.
DN_FN bool any_change(const Image<R8U>& changed, const Pixel& p) {
    const int left = (p.x0 - relight_tile / 2) / relight_tile, right = (p.x0 + lanes - 1 + relight_tile / 2) / relight_tile;
    const int top = (p.y - relight_tile / 2) / relight_tile, bottom = (p.y + relight_tile / 2) / relight_tile;
    int found = 0;
    for (int y = top < 0 ? 0 : top; y <= clamp_uniform(bottom, changed.height - 1); y++)
        for (int x = left < 0 ? 0 : left; x <= clamp_uniform(right, changed.width - 1); x++) found |= changed.data[int64_t(y) * changed.pitch + x];
    return found != 0;
}
DN_FN Relight relight_at(const Image<RGBA16F>& gain, const Image<RGBA16F>& add, const Pixel& p) {
    const Bilinear b = bilinear_at(p.center_x() * Float(1.f / relight_tile), p.center_y() * Float(1.f / relight_tile));
    Float4 g = gather_tap(gain, b, 0) * b.weight[0], a = gather_tap(add, b, 0) * b.weight[0];
    for (int k = 1; k < 4; k++) g = g + gather_tap(gain, b, k) * b.weight[k], a = a + gather_tap(add, b, k) * b.weight[k];
    return {{g.x, g.y, g.z}, {a.x, a.y, a.z}};
}

}  // namespace denoise::DN_TARGET
#endif
