// SPDX-License-Identifier: Apache-2.0
// Pack guides: the caller's depth, normal and roughness become one 8-byte texel; sky and invalid depth become one value.
#pragma once
#include "../image.h"

namespace denoise {
struct PackGuidesArgs {
    Array view_z, normal, roughness, material_id;  // in; roughness and material_id may be absent
    Image<Guide> guide;                            // out
    Image<R8U> material;                           // out, where the caller has material ids
    template <class V> void io(V& v) { v.in(view_z), v.in(normal), v.in(roughness), v.in(material_id), v.out(guide), v.out(material); }
};
}  // namespace denoise

#ifdef DN_TARGET
#include "../geometry.h"
namespace denoise::DN_TARGET {
struct PackGuides {
    using Args = PackGuidesArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile&) {
        const Float given_z = read(a.view_z, p), z = abs(given_z);
        const Mask surface = z < Float(frame.sky_distance);  // false for NaN
        Float3 n = {read(a.normal, p, 0), read(a.normal, p, 1), read(a.normal, p, 2)};
        const Mask usable = surface && is_finite(dot(n, n)) && dot(n, n) > Float(1e-12f);
        n = select(usable, n, Float3{Float(0.f), Float(0.f), Float(1.f)});
        const Float given = a.roughness.present() ? read(a.roughness, p) : Float(1.f), r = select(surface && given >= Float(0.f), sat(given), Float(1.f));
        // A surface touching the camera plane would divide by zero further on.
        const Float nearest(1e-6f * frame.sky_distance * frame.inv_width);
        store(a.guide, p, {select(surface, encode_depth(max(z, min(nearest, Float(1e-4f))), given_z < Float(0.f)), Float(sky_view_z)), encode_surface(n, r)});
        if (a.material_id.present()) store(a.material, p, to_int(read(a.material_id, p)));
    }
};
}  // namespace denoise::DN_TARGET
#endif
