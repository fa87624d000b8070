// SPDX-License-Identifier: Apache-2.0
// Pack signal: one lobe's noisy radiance and hit distance, sanitised, demodulated where asked, in YCoCg with a normalised distance.
#pragma once
#include "../image.h"
#include "../lobe.h"

namespace denoise {
struct PackSignalArgs {
    Array radiance, hit_distance, factor;  // in; hit_distance and the demodulation factor may be absent
    Image<Guide> guide;                    // in
    Image<RGBA16F> signal;                 // out
    Image<R16U> sample;                    // out, may be absent: its light alone, for re-lighting; see encode_light()
    Lobe lobe = Lobe::diffuse;
    template <class V> void io(V& v) { v.in(radiance), v.in(hit_distance), v.in(factor), v.in(guide), v.out(signal), v.out(sample); }
};
constexpr float min_demodulation_factor = 0.01f;  // below it a factor would turn rounding errors into light
}  // namespace denoise

#ifdef DN_TARGET
#include "../relight/tiles.h"
namespace denoise::DN_TARGET {

DN_FN Float demodulation_factor(const Array& factor, const Pixel& p, int channel) {
    const Float f = read(factor, p, channel);
    return select(f >= Float(min_demodulation_factor), f, Float(min_demodulation_factor));  // also for NaN
}
// The caller's radiance without what would spread: NaN and infinities count as no light.
DN_FN Float3 read_radiance(const Array& radiance, const Array& factor, const Pixel& p) {
    Float c[3];
    for (int k = 0; k < 3; k++) {
        const Float x = read(radiance, p, k);
        c[k] = select(is_finite(x), clamp(x, Float(0.f), Float(65504.f)), Float(0.f));
        if (factor.present()) c[k] = min(c[k] / demodulation_factor(factor, p, k), Float(65504.f));
    }
    return {c[0], c[1], c[2]};
}

struct PackSignal {
    using Args = PackSignalArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile&) {
        const Surface s = fetch(a.guide, p);
        const Float3 c = rgb_to_ycocg(read_radiance(a.radiance, a.factor, p));
        Float distance(no_distance);
        if (a.hit_distance.present()) {
            const Float h = read(a.hit_distance, p);
            const Float spread = a.lobe == Lobe::specular ? lobe_spread_half(decode_roughness(s.packed)) : Float(1.f);
            const Float normalized = select(h >= Float(65504.f), Float(1.f), sat(h / hit_distance_scale(frame, s.view_z, spread)));
            distance = select(h > Float(0.f), normalized, Float(no_distance));  // 0, negative and NaN: no distance
        }
        const Float4 zero = {Float(0.f), Float(0.f), Float(0.f), Float(no_distance)};
        const Mask surface = is_surface(frame, s.view_z);
        store(a.signal, p, select(surface, Float4{c.x, c.y, c.z, distance}, zero));
        if (a.sample.present()) store(a.sample, p, select(surface, encode_light(c, random_word(frame, p, a.lobe == Lobe::specular ? 23 : 22)), Int(0)));
    }
};
}  // namespace denoise::DN_TARGET
#endif
