// SPDX-License-Identifier: Apache-2.0
// Re-lighting: the history follows the light. What one noisy sample cannot tell, the mean of a thousand can: the means of the new samples and
// of the history over the same pixels are compared on a pyramid of tiles, coarse to fine, and where the noise cannot explain their ratio, the
// history takes it over. Its detail survives, only its light moves, in the very frame in which the light does.
//
//     samples, past ─► measure ─► reduce ─► reduce ─► ...
//                         ▼          ▼         ▼
//                       gain  ◄──  gain  ◄── gain ◄── ...
//                         └─► apply ─► blended signal, fast history
//
// Windows are not guided by geometry: they mix surfaces, but the same ones in both means, so that the ratio stays meaningful; and windows that
// stop at edges would hold too few samples to prove anything. Any accumulation can use this: see csrc/denoisers/relight.h.
#pragma once
#include "../image.h"

namespace denoise {
constexpr int relight_tile_bits = 3, relight_tile = 1 << relight_tile_bits;  // px, of the finest level; each coarser one doubles it
constexpr int relight_levels = 5;
// What happened to a tile: its light moved; pixels that no light had ever reached are lit.
constexpr int light_moved = 1, darkness_lit = 2;
}  // namespace denoise

#ifdef DN_TARGET
#include "../sampling.h"
namespace denoise::DN_TARGET {

// ---- a sample, or the history that a pixel found, in 16 bits: luma as fp16 with half its mantissa, chroma over luma in three bits each, rounded at random
// so that means over a tile come out right

constexpr int no_past = 0xffff;
DN_FN Int encode_light(Float3 ycocg, Int word) {
    const Int luma = shift_right(float_to_half(max(ycocg.x, Float(0.f))) + (word & Int(31)), 5);
    const Float per_luma = Float(1.f) / max(ycocg.x, Float(1e-6f)), byte(1.f / 256.f);
    const Int co = to_int(clamp(ycocg.y * per_luma + Float(2.f), Float(0.f), Float(4.f)) * Float(7.f / 4.f) + to_float(shift_right(word, 5) & Int(255)) * byte);
    const Int cg = to_int(clamp(ycocg.z * per_luma + Float(1.f), Float(0.f), Float(2.f)) * Float(7.f / 2.f) + to_float(shift_right(word, 13) & Int(255)) * byte);
    return min(luma, Int(0x3df)) | shift_left(min(co, Int(7)), 10) | shift_left(min(cg, Int(7)), 13);
}
DN_FN Float light_luma(Int past) { return half_to_float(shift_left(past & Int(0x3ff), 5)); }
DN_FN Float3 decode_light(Int past) {
    const Float luma = light_luma(past), co = to_float(shift_right(past, 10) & Int(7)), cg = to_float(shift_right(past, 13) & Int(7));
    return {luma, luma * (co * Float(4.f / 7.f) - Float(2.f)), luma * (cg * Float(2.f / 7.f) - Float(1.f))};
}

// ---- what became of the light at a place: radiance * gain + add, RGB

struct Relight {
    Float3 gain, add;
};
DN_FN Float3 scale(Float3 a, Float3 b) { return {a.x * b.x, a.y * b.y, a.z * b.z}; }
DN_FN Float luma_of(Float3 rgb) { return Float(0.25f) * (rgb.x + rgb.z) + Float(0.5f) * rgb.y; }

// True where some tile that the pixels of the call interpolate changed: a uniform early-out.
DN_FN bool light_changed(const Image<R8U>& changed, const Pixel& p) {
    constexpr int half = relight_tile / 2;
    const int left = clamp_uniform((p.x0 - half) / relight_tile, changed.width - 1), right = clamp_uniform((p.x0 + lanes - 1 + half) / relight_tile, changed.width - 1);
    const int top = clamp_uniform((p.y - half) / relight_tile, changed.height - 1), bottom = clamp_uniform((p.y + half) / relight_tile, changed.height - 1);
    int found = 0;
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) found |= changed.data[int64_t(y) * changed.pitch + x];
    return found != 0;
}
DN_FN Relight relight_at(const Image<RGBA16F>& gain, const Image<RGBA16F>& add, const Pixel& p) {
    const Bilinear b = bilinear_at(p.center_x() * Float(1.f / relight_tile), p.center_y() * Float(1.f / relight_tile));
    Float4 g = gather_tap(gain, b, 0) * b.weight[0], a = gather_tap(add, b, 0) * b.weight[0];
    for (int k = 1; k < 4; k++) g = g + gather_tap(gain, b, k) * b.weight[k], a = a + gather_tap(add, b, k) * b.weight[k];
    return {{g.x, g.y, g.z}, {a.x, a.y, a.z}};
}
// How much a history whose light moved is still worth: its pattern moved, too, and it keeps half of its length for a factor of 2.
DN_FN Float confidence_in(const Relight& r, Float3 history) {
    const Float before = luma_of(history), after = luma_of(scale(history, r.gain) + r.add), tiny(1e-6f);
    return Float(1.f) / (Float(1.f) + abs(log2(max(after, tiny) / max(before, tiny))));
}
// A luma in the new light, of which only its place's new colour is known.
DN_FN Float relit_luma(const Relight& r, Float luma, Float3 color) {
    const Float3 scaled = {max(color.x - r.add.x, Float(1e-6f)), max(color.y - r.add.y, Float(1e-6f)), max(color.z - r.add.z, Float(1e-6f))};
    const Float before = luma_of({scaled.x / r.gain.x, scaled.y / r.gain.y, scaled.z / r.gain.z});
    return min(luma * luma_of(scaled) / before + luma_of(r.add), Float(65504.f));
}

}  // namespace denoise::DN_TARGET
#endif
