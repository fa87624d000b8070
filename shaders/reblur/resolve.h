// SPDX-License-Identifier: Apache-2.0
// Resolve: the finished signal goes into the caller's arrays, as RGB, remodulated where asked; left of the split, the noisy input.
#pragma once
#include "../image.h"
#include "../lobe.h"

namespace denoise {
struct ResolveArgs {
    Image<Guide> guide;             // in
    Image<RGBA16F> signal;          // in
    Image<R16F> luma;               // in: stabilised, may be absent
    Image<RGBA16F> distances;       // in, may be absent: where the hit distance is instead of beside the signal
    Image<R8U> frames;              // in
    Array noisy, noisy_distance, factor;  // in: for the split screen; distance and factor may be absent
    Array out;                      // out: radiance
    Array history_length, hit_distance;   // out, may be absent: frames; world units
    Lobe lobe = Lobe::diffuse;
    float split = 0;                // uv.x
    template <class V> void io(V& v) {
        v.in(guide), v.in(signal), v.in(luma), v.in(distances), v.in(frames), v.in(noisy), v.in(noisy_distance), v.in(factor), v.out(out), v.out(history_length),
            v.out(hit_distance);
    }
};
}  // namespace denoise

#ifdef DN_TARGET
#include "pack_signal.h"
namespace denoise::DN_TARGET {
struct Resolve {
    using Args = ResolveArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile&) {
        const Surface s = fetch(a.guide, p);
        const Mask surface = is_surface(frame, s.view_z), raw = p.center_x() * Float(frame.inv_width) < Float(a.split);
        Float4 c = fetch(a.signal, p);
        if (a.luma.present()) c = with_luma(c, fetch(a.luma, p));
        Float3 color = ycocg_to_rgb({c.x, c.y, c.z});
        if (any(raw)) color = select(raw, read_radiance(a.noisy, a.factor, p), color);
        const Float rgb[3] = {color.x, color.y, color.z};
        for (int k = 0; k < 3; k++) write(a.out, p, k, select(surface, a.factor.present() ? rgb[k] * demodulation_factor(a.factor, p, k) : rgb[k], Float(0.f)));

        if (a.history_length.present()) write(a.history_length, p, 0, select(surface, decode_frames(fetch(a.frames, p)), Float(0.f)));
        if (a.hit_distance.present()) {
            const Float spread = a.lobe == Lobe::specular ? lobe_spread_half(decode_roughness(s.packed)) : Float(1.f);
            Float h = sat(a.distances.present() ? fetch(a.distances, p).w : c.w) * hit_distance_scale(frame, s.view_z, spread);
            if (any(raw)) {
                const Float given = read(a.noisy_distance, p);
                h = select(raw, select(given >= Float(0.f), min(given, Float(65504.f)), Float(0.f)), h);
            }
            write(a.hit_distance, p, 0, select(surface, h, Float(0.f)));
        }
    }
};
}  // namespace denoise::DN_TARGET
#endif
