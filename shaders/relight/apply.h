// SPDX-License-Identifier: Apache-2.0
// Apply: gives the history in what was just blended the light of today. Tiles without a change are left alone.
#pragma once
#include "tiles.h"

namespace denoise {
struct RelightApplyArgs {
    Image<RGBA16F> gain, add;  // in: finest level
    Image<R8U> changed;        // in
    Image<R16U> past;          // in
    Image<RGBA16F> signal;     // in and out: history and new sample, blended
    Image<R16F> fast;          // in and out: luma of a short history, blended
    Image<R8U> frames;         // in and out: history length
    float max_fast_frames = 0;
    float forget = 0;
    template <class V> void io(V& v) { v.in(gain), v.in(add), v.in(changed), v.in(past), v.inout(signal), v.inout(fast), v.inout(frames); }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {
struct RelightApply {
    using Args = RelightApplyArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile&) {
        if (!any_change(a.changed, p)) return;
        const Relight r = relight_at(a.gain, a.add, p);
        const Float4 blended = fetch(a.signal, p);
        const Float frames = decode_frames(fetch(a.frames, p)), fast = fetch(a.fast, p), one(1.f);
        const Int past = fetch(a.past, p);
        const Float history = select(past == Int(no_past), Float(0.f), past_luma(past));
        const Float speed = one / (one + frames), fast_speed = one / (one + min(frames, Float(a.max_fast_frames)));

        const Float3 c = to_rgb({blended.x, blended.y, blended.z});
        const Float kept = sat((one - speed) * history / max(blended.x, Float(1e-6f)));
        const Float3 lit = {scaled(c.x, r.gain.x, kept, speed), scaled(c.y, r.gain.y, kept, speed), scaled(c.z, r.gain.z, kept, speed)};
        const Float3 result = rgb_to_ycocg(max0(lit + r.add * (one - speed)));
        const Float4 out = {result.x, result.y, result.z, blended.w};
        store(a.signal, p, dither_to_half(out, random_word(frame, p, 16)));

        const Float luma_gain = (Float(0.25f) * c.x * r.gain.x + Float(0.5f) * c.y * r.gain.y + Float(0.25f) * c.z * r.gain.z + Float(1e-6f)) / (blended.x + Float(1e-6f));
        const Float luma_add = Float(0.25f) * r.add.x + Float(0.5f) * r.add.y + Float(0.25f) * r.add.z;
        const Float fast_kept = sat((one - fast_speed) * history / max(fast, Float(1e-6f)));
        const Float fast_lit = scaled(fast, luma_gain, fast_kept, fast_speed) + luma_add * (one - fast_speed);
        store(a.fast, p, dither_to_half(fast_lit, random_word(frame, p, 17) & Int(0x1fff)));
        const Float change = abs(log2(max(result.x, Float(1e-6f)) / max(blended.x, Float(1e-6f)))) * Float(0.69314718f);
        store(a.frames, p, encode_frames(frames / (one + change * Float(a.forget))));
    }

   private:
    DN_FN static Float3 max0(Float3 c) { return {max(c.x, Float(0.f)), max(c.y, Float(0.f)), max(c.z, Float(0.f))}; }
    // Scales the history's part of a blend. Where the light fell that part is what the gain expects; where it rose it is taken from the
    // history itself, or the new sample's noise would be amplified.
    DN_FN static Float scaled(Float blended, Float gain, Float kept, Float speed) {
        const Float expected = (Float(1.f) - speed) / max(Float(1.f) - speed + speed * gain, Float(1e-6f));
        return blended * (Float(1.f) + (gain - Float(1.f)) * select(gain < Float(1.f), expected, kept));
    }
};
}  // namespace denoise::DN_TARGET
#endif
