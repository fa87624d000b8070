// SPDX-License-Identifier: Apache-2.0
// Estimate error: how far the finished luma may be off, squared. Part of it is noise, which the filter knows from the samples' variance and its
// own weights. The rest is what filters and reprojection displaced, and that grows with what there was to displace: how much the picture itself
// varies around the pixel.
#pragma once
#include "../image.h"

namespace denoise {
struct EstimateErrorArgs {
    Image<Guide> guide;     // in
    Image<RGBA16F> signal;  // in: finished; standard deviation of the luma
    Array factor;           // in, may be absent: demodulation
    Array variance;         // out: expected square of the luma's error
    float plane_sensitivity = 0;
    template <class V> void io(V& v) { v.in(guide), v.in(signal), v.in(factor), v.out(variance); }
};

// Measured on rendered scenes against references: what of the error these two explain.
constexpr float error_of_noise = 2.7f, error_of_detail = 0.8f, other_surfaces = 0.2f;
}  // namespace denoise

#ifdef DN_TARGET
#include "../edge_weights.h"
#include "../reblur/pack_signal.h"
namespace denoise::DN_TARGET {
struct EstimateError {
    using Args = EstimateErrorArgs;
    static constexpr int planes = 6, halo = 2;  // luma, variance, view_z, normal

    DN_FN static void load(const Args& a, const FrameConstants& frame, const Pixel& p, Float out[planes]) {
        const Mask inside = p.x >= Int(0) && p.x < Int(frame.width) && Mask(p.y >= 0 && p.y < frame.height);
        const Float4 c = fetch(a.signal, p);
        const Surface s = fetch(a.guide, p);
        const Float3 n = decode_normal(s.packed);
        out[0] = c.x, out[1] = square(c.w);
        out[2] = select(inside, s.view_z, Float(sky_view_z));
        out[3] = n.x, out[4] = n.y, out[5] = n.z;
    }
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile) {
        const Float zero(0.f), center = tile(0);
        const Mask surface = is_surface(frame, tile(2));
        const Float3 n = {tile(3), tile(4), tile(5)};
        const Float u = p.center_x() * Float(frame.inv_width), v = p.center_y() * Float(frame.inv_height);
        const PlaneTest plane = plane_test(frame, rotate(frame.world_to_view, n), view_position(frame, u, v, tile(2)), a.plane_sensitivity);
        const Float tolerance = normal_tolerance(Float(1.f), Float(0.5f), 1.f);
        Float count(zero), sum(zero), squares(zero), noise(zero);  // over the 5x5 pixels of the same surface
        for (int dy = -2; dy <= 2; dy++)
            for (int dx = -2; dx <= 2; dx++) {
                const Float z = tile(2, dx, dy);
                const Float w = compact_weight(plane.residual(to_float(p.x + Int(dx)), Float(float(p.y + dy)), z)) *
                                normal_weight(dot(n, {tile(3, dx, dy), tile(4, dx, dy), tile(5, dx, dy)}), tolerance);
                // Other surfaces count a little, for filters reach across some edges; those that lack the lobe altogether do not.
                const Float luma = tile(0, dx, dy), least = select(luma > Float(0.01f) * center, Float(other_surfaces), zero);
                const Float weight = select(is_surface(frame, z), mix(least, Float(1.f), w), zero), apart = luma - center;  // differences: fp32 keeps what sparks would swallow
                count = count + weight, sum = sum + weight * apart, squares = squares + weight * square(apart), noise = noise + weight * tile(1, dx, dy);
            }
        const Float each = Float(1.f) / max(count, Float(1e-3f)), mean = sum * each;
        const Float detail = max(squares * each - square(mean), zero);
        Float factor(1.f);
        if (a.factor.present()) factor = rgb_to_ycocg({demodulation_factor(a.factor, p, 0), demodulation_factor(a.factor, p, 1), demodulation_factor(a.factor, p, 2)}).x;
        write(a.variance, p, 0, select(surface, (Float(error_of_noise) * noise * each + Float(error_of_detail) * detail) * square(factor), zero));
    }
};
}  // namespace denoise::DN_TARGET
#endif
