// SPDX-License-Identifier: Apache-2.0
// Resolve: the finished shadow of one light goes into the caller's arrays.
#pragma once
#include "../image.h"

namespace denoise {
struct SigmaResolveArgs {
    Image<Guide> guide;                     // in
    Array occluder_distance, translucency;  // in: world units, from 65504 on lit; linear colour that passes the occluder, may be absent
    Image<R8U> prev_frames;                 // in, may be absent
    Array out;                              // out: visibility, 0 to 1, in one channel or, with translucency, three
    Image<R8U> frames;                      // out, may be absent
    Array history_length;                   // out, may be absent: frames
    float max_frames = 0;                   // of the history
    template <class V> void io(V& v) { v.in(guide), v.in(occluder_distance), v.in(translucency), v.in(prev_frames), v.out(out), v.out(frames), v.out(history_length); }
};
}  // namespace denoise

#ifdef DN_TARGET
#include "../geometry.h"
namespace denoise::DN_TARGET {
struct SigmaResolve {
    using Args = SigmaResolveArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile&) {
        const Mask surface = is_surface(frame, fetch(a.guide, p).view_z), lit = !(read(a.occluder_distance, p) < Float(65504.f));  // also for NaN
        for (int k = 0; k < (a.translucency.present() ? 3 : 1); k++) {
            Float passed(0.f);
            if (a.translucency.present()) {
                const Float colour = read(a.translucency, p, k);
                passed = select(is_finite(colour), sat(colour), Float(0.f));
            }
            write(a.out, p, k, select(surface, select(lit, Float(1.f), passed), Float(0.f)));
        }
        Float length(1.f);
        if (a.prev_frames.present()) length = min(decode_frames(fetch(a.prev_frames, p)) + Float(1.f), Float(a.max_frames));
        length = select(surface, length, Float(0.f));
        if (a.frames.present()) store(a.frames, p, encode_frames(length));
        if (a.history_length.present()) write(a.history_length, p, 0, length);
    }
};
}  // namespace denoise::DN_TARGET
#endif
