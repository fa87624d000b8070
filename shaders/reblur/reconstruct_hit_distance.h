// SPDX-License-Identifier: Apache-2.0
// Reconstruct hit distance: a sample that found no distance takes the mean of its neighbours' on the same surface.
#pragma once
#include "../common/classify_tiles.h"
#include "../lobe.h"

namespace denoise {
struct ReconstructHitDistanceArgs {
    Image<R8U> tiles;       // in
    Image<Guide> guide;     // in
    Image<RGBA16F> signal;  // in
    Image<RGBA16F> out;     // out: the signal with its distance completed
    int reach = 1;          // 1 = 3x3, 2 = 5x5
    float plane_sensitivity = 0.02f;
    template <class V> void io(V& v) { v.in(tiles), v.in(guide), v.in(signal), v.out(out); }
};
}  // namespace denoise

#ifdef DN_TARGET
#include "../edge_weights.h"
#include "../sampling.h"
namespace denoise::DN_TARGET {
template <Lobe L> struct ReconstructHitDistance {
    using Args = ReconstructHitDistanceArgs;
    static constexpr int planes = 6, halo = 2;  // view_z, normal, roughness, distance

    DN_FN static void load(const Args& a, const FrameConstants&, const Pixel& p, Float out[planes]) {
        const Surface s = fetch(a.guide, p);
        const Float3 n = decode_normal(s.packed);
        out[0] = s.view_z;
        out[1] = n.x;
        out[2] = n.y;
        out[3] = n.z;
        out[4] = L == Lobe::specular ? decode_roughness(s.packed) : Float(1.f);
        out[5] = fetch(a.signal, p).w;
    }
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile) {
        const Float4 c = fetch(a.signal, p);
        const Float z = tile(0), known = tile(5);
        const Mask wanted = is_surface(frame, z) && known < Float(0.f);
        if (in_sky_tile(a.tiles, p) || !any(wanted)) return store(a.out, p, c);

        const Float3 n = {tile(1), tile(2), tile(3)};
        const Float r = tile(4), u = p.center_x() * Float(frame.inv_width), v = p.center_y() * Float(frame.inv_height);
        const PlaneTest plane = plane_test(frame, rotate(frame.world_to_view, n), view_position(frame, u, v, z), a.plane_sensitivity);
        const Float angle_scale = normal_tolerance(r, Float(0.75f), 1.f), m = r * r, roughness_scale = Float(1.f) / mix(Float(0.01f), Float(1.f), m);
        Float sum(0.f), total(0.f);
        for (int dy = -a.reach; dy <= a.reach; dy++)
            for (int dx = -a.reach; dx <= a.reach; dx++) {
                if (dx == 0 && dy == 0) continue;
                const Float zs = tile(0, dx, dy), hs = tile(5, dx, dy), rs = tile(4, dx, dy);
                const Int x = p.x + Int(dx), y(p.y + dy);
                const Mask usable = is_surface(frame, zs) && hs >= Float(0.f) && x >= Int(0) && x < Int(frame.width) && y >= Int(0) && y < Int(frame.height);
                Float w = compact_weight(plane.residual(to_float(x), to_float(y), zs));
                w = w * long_tailed_weight(acos_acute(dot(n, {tile(1, dx, dy), tile(2, dx, dy), tile(3, dx, dy)})) * angle_scale);
                if (L == Lobe::specular) w = w * long_tailed_weight((rs * rs - m) * roughness_scale);
                w = select(usable, w * gaussian(0.5f * __builtin_sqrtf(float(dx * dx + dy * dy))), Float(0.f));
                sum = sum + select(usable, hs, Float(0.f)) * w;
                total = total + w;
            }
        const Float filled = select(total > Float(1e-6f), sum / max(total, Float(1e-6f)), Float(no_distance));
        store(a.out, p, {c.x, c.y, c.z, select(wanted, filled, c.w)});
    }
};
}  // namespace denoise::DN_TARGET
#endif
