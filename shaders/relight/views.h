// SPDX-License-Identifier: Apache-2.0
// Views: what re-lighting found, for the caller: the gain of each pixel's history, and how much of the history is trusted.
#pragma once
#include "tiles.h"

namespace denoise {
struct RelightViewsArgs {
    Image<Guide> guide;        // in
    Image<RGBA16F> gain, add;  // in, absent where re-lighting is off
    Image<R16U> past;          // in, likewise
    Array confidence;          // in, may be absent: the caller's
    Array confidence_out;      // out, may be absent: 0..1, the smaller of both
    Array gain_out;            // out, may be absent: RGB factor of the light that the history held
    template <class V> void io(V& v) { v.in(guide), v.in(gain), v.in(add), v.in(past), v.in(confidence), v.out(confidence_out), v.out(gain_out); }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {
struct RelightViews {
    using Args = RelightViewsArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile&) {
        const Mask surface = is_surface(frame, fetch(a.guide, p).view_z);
        const Float one(1.f), zero(0.f), tiny(1e-6f), most(65504.f);
        Float3 gain = {one, one, one};
        Float confidence = one;
        if (a.gain.present()) {
            const Relight r = relight_at(a.gain, a.add, p);
            const Int past = fetch(a.past, p);
            const Mask known = !(past == Int(no_past));
            const Float3 history = ycocg_to_rgb(decode_light(select(known, past, Int(0))));
            const auto factor = [&](Float g, Float add, Float light) { return select(known, min(g + add / max(light, tiny), most), one); };
            gain = {factor(r.gain.x, r.add.x, history.x), factor(r.gain.y, r.add.y, history.y), factor(r.gain.z, r.add.z, history.z)};
            confidence = select(known, confidence_in(r, history), one);
        }
        if (a.confidence.present()) confidence = min(confidence, sat(read(a.confidence, p)));
        if (a.confidence_out.present()) write(a.confidence_out, p, 0, select(surface, confidence, zero));
        if (a.gain_out.present()) {
            const Float rgb[3] = {gain.x, gain.y, gain.z};
            for (int k = 0; k < 3; k++) write(a.gain_out, p, k, select(surface, rgb[k], zero));
        }
    }
};
}  // namespace denoise::DN_TARGET
#endif
