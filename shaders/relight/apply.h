// SPDX-License-Identifier: Apache-2.0
// Apply: gives the history's part of what was just blended today's light, and forgets some of it; where there was darkness and is none, it begins anew.
// Tiles to which nothing happened are not touched.
#pragma once
#include "tiles.h"

namespace denoise {
struct RelightApplyArgs {
    Image<RGBA16F> gain, add;  // in: of the finest level
    Image<R8U> changed;        // in
    Image<R16U> samples, past;  // in
    Array confidence;          // in, may be absent: the caller's, by which accumulation has already shortened the history
    Image<RGBA16F> signal;     // in and out: history and new sample, blended by 1 / (1 + length)
    Image<R16F> fast;          // in and out, may be absent: the same of a short history's luma
    Image<RGBA16F> responsive;  // in and out, may be absent: of a short history's colour; the samples' standard deviation
    Image<R8U> frames;         // in and out: history length
    float max_fast_frames = 0;
    template <class V> void io(V& v) {
        v.in(gain), v.in(add), v.in(changed), v.in(samples), v.in(past), v.in(confidence), v.inout(signal), v.inout(fast), v.inout(responsive), v.inout(frames);
    }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {
struct RelightApply {
    using Args = RelightApplyArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile&) {
        if (!light_changed(a.changed, p)) return;
        const Relight r = relight_at(a.gain, a.add, p);
        const Float4 blended = fetch(a.signal, p);
        const Float one(1.f), tiny(1e-6f), zero(0.f), frames = decode_frames(fetch(a.frames, p));
        const Int past = fetch(a.past, p);
        const Mask known = !(past == Int(no_past));
        const Float history = select(known, light_luma(past), zero);
        const Int here = gather(a.changed, shift_right(p.x, relight_tile_bits), Int(p.y >> relight_tile_bits));
        const Mask anew = known && history <= zero && (here & Int(darkness_lit)) == Int(darkness_lit);
        const Float3 sample = decode_light(fetch(a.samples, p));

        const Float3 c = ycocg_to_rgb({blended.x, blended.y, blended.z});
        const Float gain = (luma_of(scale(c, r.gain)) + tiny) / (luma_of(c) + tiny);
        const Float share = one - one / (one + frames), part = share * history / max(blended.x, tiny) / expected(gain, share);
        const Float3 lit = Float3{relit(c.x, r.gain.x, share, part), relit(c.y, r.gain.y, share, part), relit(c.z, r.gain.z, share, part)} + r.add * share;
        const Float3 result = select(anew, sample, rgb_to_ycocg(lit));
        store(a.signal, p, dither_to_half(Float4{result.x, result.y, result.z, blended.w}, random_word(frame, p, 16)));

        const Float fast_share = one - one / (one + min(frames, Float(a.max_fast_frames)));
        if (a.fast.present()) {
            const Float fast = fetch(a.fast, p), fast_lit = relit(fast, gain, fast_share, fast_share * history / max(fast, tiny) / expected(gain, fast_share));
            store(a.fast, p, dither_to_half(select(anew, sample.x, fast_lit + luma_of(r.add) * fast_share), random_word(frame, p, 17) & Int(0x1fff)));
        }
        if (a.responsive.present()) {
            const Float4 fast = fetch(a.responsive, p);
            const Float3 f = ycocg_to_rgb({fast.x, fast.y, fast.z});
            const Float shown = fast_share * history / max(fast.x, tiny) / expected(gain, fast_share);
            const Float3 relit_fast = rgb_to_ycocg(
                Float3{relit(f.x, r.gain.x, fast_share, shown), relit(f.y, r.gain.y, fast_share, shown), relit(f.z, r.gain.z, fast_share, shown)} + r.add * fast_share);
            const Float3 fast_lit = select(anew, sample, relit_fast);
            store(a.responsive, p, dither_to_half(Float4{fast_lit.x, fast_lit.y, fast_lit.z, select(anew, zero, fast.w * gain)}, random_word(frame, p, 17)));
        }

        // Of this doubt and the caller's, the greater one counts.
        const Float kept = select(known, confidence_in(r, ycocg_to_rgb(decode_light(select(known, past, Int(0))))), one);
        const Float given = a.confidence.present() ? max(sat(read(a.confidence, p)), tiny) : one;
        store(a.frames, p, encode_frames(select(anew, zero, frames * min(kept / given, one))));
    }

   private:
    // The history's part of a blend, were the new sample what the gain lets expect; `share` is its weight.
    DN_FN static Float expected(Float gain, Float share) { return share / max(share + (Float(1.f) - share) * gain, Float(1e-6f)); }
    // Scales that part. In a light that rose it is corrected by what the history itself shows, or the new sample's noise would rise with the light.
    DN_FN static Float relit(Float blended, Float gain, Float share, Float shown) {
        const Float one(1.f), part = expected(gain, share);
        return blended * (one + (gain - one) * select(gain < one, part, sat(part * shown)));
    }
};
}  // namespace denoise::DN_TARGET
#endif
