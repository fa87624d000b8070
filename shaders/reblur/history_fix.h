// SPDX-License-Identifier: Apache-2.0
// History fix: rebuilds pixels with next to no history from a wide sparse kernel, removes fireflies by rank, and keeps the long history
// within reach of the short one, so that a change of light shows.
#pragma once
#include "../common/classify_tiles.h"
#include "../lobe.h"

namespace denoise {
struct HistoryFixArgs {
    Image<R8U> tiles;          // in
    Image<Guide> guide;        // in
    Image<R8U> material;       // in, may be absent
    Image<R8U> frames;         // in
    Image<RGBA16F> signal;     // in
    Image<R16F> fast;          // in, may be absent, and with it the limits: luma of the short history
    Image<R16F> tracking;      // in, specular only
    Image<RGBA16F> out;        // out
    Image<R16F> fast_out;      // out, may be absent
    float fix_frames = 0;      // a shorter history is rebuilt
    float stride = 0, stride_alternate = 0;  // px
    int alternate_material = -1;
    float max_frames = 0, max_fast_frames = 0;
    float clamp_sigma = 0;     // half width of the box around the short history, standard deviations
    float lobe_fraction = 0, roughness_fraction = 0, plane_sensitivity = 0;
    float normal_power = 0;    // of the cosine between normals, on top of the lobe's own tolerance
    int min_material = 0;
    int anti_firefly = 0;
    template <class V> void io(V& v) { v.in(tiles), v.in(guide), v.in(material), v.in(frames), v.in(signal), v.in(fast), v.in(tracking), v.out(out), v.out(fast_out); }
};
}  // namespace denoise

#ifdef DN_TARGET
#include "../edge_weights.h"
#include "../sampling.h"
namespace denoise::DN_TARGET {
template <Lobe L> struct HistoryFix {
    using Args = HistoryFixArgs;
    static constexpr int planes = 2, halo = 4;  // fast luma (negative: no surface), history length
    static constexpr bool specular = L == Lobe::specular;

    DN_FN static void load(const Args& a, const FrameConstants& frame, const Pixel& p, Float out[planes]) {
        const Mask inside = p.x >= Int(0) && p.x < Int(frame.width) && Mask(p.y >= 0 && p.y < frame.height);
        const Mask surface = inside && is_surface(frame, fetch(a.guide, p).view_z);
        out[0] = a.fast.present() ? select(surface, fetch(a.fast, p), Float(-1.f)) : Float(-1.f);
        out[1] = select(surface, decode_frames(fetch(a.frames, p)), Float(0.f));
    }

    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile) {
        const Surface center = fetch(a.guide, p);
        const Mask surface = is_surface(frame, center.view_z);
        const Float4 c = fetch(a.signal, p);
        if (in_sky_tile(a.tiles, p) || !any(surface)) {
            if (a.fast_out.present()) store(a.fast_out, p, Float(0.f));
            return store(a.out, p, c);
        }
        const Float frames = tile(1), roughness = specular ? decode_roughness(center.packed) : Float(1.f);
        const Float mirror = specular ? lobe_spread_quarter(roughness) : Float(1.f);  // 0 for mirrors, whose lumas are their own
        const Float hd = hit_distance_scale(frame, center.view_z, specular ? lobe_spread_half(roughness) : Float(1.f));
        Float distance = c.w;
        if (specular) distance = sat(mix(fetch(a.tracking, p) * Float(frame.units_per_metre) / hd, c.w, mirror));

        Float4 result = c;
        const Mask young = surface && frames < Float(a.fix_frames);
        if (any(young)) result = rebuild(a, frame, p, tile, center, c, frames, roughness, mirror, distance, sat(distance * hd / frustum_span(frame, center.view_z)), young);

        if (!a.fast.present()) return store(a.out, p, result);

        const Float settled = sat(frames / Float(a.fix_frames > 0.f ? a.fix_frames : 1.f));
        Float fast = max(tile(0), Float(0.f));
        fast = mix(result.x, fast, a.fix_frames > 0.f ? (specular ? mix(Float(1.f), settled, mirror) : settled) : Float(1.f));
        store(a.fast_out, p, select(surface, fast, Float(0.f)));

        // Moments of the fast luma in 5x5 and in the 9x9 ring around 3x3; places without a surface count as the centre.
        Float m5(0.f), s5(0.f), m9(0.f), s9(0.f);
        for (int dy = -4; dy <= 4; dy++) {  // row by row: one sum over all would wait for each addition
            Float r5(0.f), q5(0.f), r9(0.f), q9(0.f);
            for (int dx = -4; dx <= 4; dx++) {
                const Float raw = dx == 0 && dy == 0 ? fast : tile(0, dx, dy), value = select(raw < Float(0.f), fast, raw);
                if (dx >= -2 && dx <= 2 && dy >= -2 && dy <= 2) r5 = r5 + value, q5 = q5 + value * value;
                if (dx < -1 || dx > 1 || dy < -1 || dy > 1) r9 = r9 + value, q9 = q9 + value * value;
            }
            m5 = m5 + r5, s5 = s5 + q5, m9 = m9 + r9, s9 = s9 + q9;
        }
        m5 = m5 * Float(1.f / 25.f);
        s5 = sqrt(abs(s5 * Float(1.f / 25.f) - m5 * m5));
        m9 = m9 * Float(1.f / 72.f);
        s9 = sqrt(abs(s9 * Float(1.f / 72.f) - m9 * m9));
        Float luma = result.x;
        // A bright spot that stays is no firefly: the limit fades as the history grows.
        if (a.anti_firefly) luma = mix(luma, clamp(luma, m9 - Float(4.f) * s9, m9 + Float(4.f) * s9), Float(1.f) / (Float(1.f) + Float(0.25f) * frames));
        if (a.max_fast_frames < a.max_frames) {
            // Sparse bright samples leave small windows without any: there the wider ring knows better how bright the place can be.
            const Float reach(a.clamp_sigma);
            const Float sparse = linear_step(2.f, 4.f, s9 / max(m9, Float(1e-6f)));
            const Float boxed = clamp(luma, m5 - reach * s5, max(m5 + reach * s5, (m9 + Float(0.5f) * reach * s9) * sparse));
            luma = mix(boxed, luma, Float(1.f) / (Float(1.f) + Float(2.f) * frames));
        }
        result = with_luma(result, luma);
        store(a.out, p, select(surface, dither_to_half(result, random_word(frame, p, specular ? 21 : 20)), c));
    }

   private:
    DN_FN static Float4 rebuild(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile, Surface center, Float4 c, Float frames, Float roughness, Float mirror,
                                Float distance, Float hit_factor, Mask young) {
        const Float3 n = decode_normal(center.packed);
        const Float u = p.center_x() * Float(frame.inv_width), v = p.center_y() * Float(frame.inv_height), new_share = Float(1.f) / (Float(1.f) + frames);
        const PlaneTest plane = plane_test(frame, rotate(frame.world_to_view, n), view_position(frame, u, v, center.view_z), a.plane_sensitivity);
        const Float angle_scale = normal_tolerance(roughness, Float(0.75f) * mix(Float(a.lobe_fraction), Float(1.f), new_share), 1.f);
        const Float m = roughness * roughness, roughness_scale = Float(1.f) / mix(Float(0.01f), Float(1.f), mix(m * m, m, sqrt(Float(a.roughness_fraction))));
        const Int material = a.material.present() ? fetch(a.material, p) : Int(0);

        // An isolated young pixel reaches less far than a whole young quad.
        const Float fix(a.fix_frames), one(1.f), zero(0.f);
        const Float own = select(frames < fix, one, zero), beside = select(quad_x(tile, 1, p) < fix, one, zero), below = select(quad_y(tile, 1, p) < fix, one, zero);
        const Float stride_px = a.material.present() ? select(material == Int(a.alternate_material), Float(a.stride_alternate), Float(a.stride)) : Float(a.stride);
        Float stride = min(own, (own + beside + below) * Float(1.f / 3.f)) * Float(0.5f) * stride_px;
        stride = stride * mix(Float(0.25f) + Float(0.75f) * sqrt(hit_factor), one, new_share);
        if (specular) stride = stride * mix(Float(0.25f), one, mirror);
        const Int step = to_int(stride + Float(0.5f));
        const Mask active = young && step > Int(0);
        if (!any(active)) return c;

        // Diffuse taps are moved by up to half a step, another way in each pixel: else pixels a step apart share theirs, and show it as a grid of
        // dots. Reflections, some of which stay young for long, would flicker by it.
        Int left = p.x, top(p.y);
        if (!specular) {
            const Int word = random_word(frame, p, 26);
            const Float reach = to_float(step);
            left = left + to_int((to_unit(word) - Float(0.5f)) * reach), top = top + to_int((to_unit(hash(word)) - Float(0.5f)) * reach);
        }
        // In two rounds, so that the latencies of the taps overlap: guides, signals.
        Int offsets[20];
        Float weights[20];
        int taps = 0;
        for (int dy = -2; dy <= 2; dy++)
            for (int dx = -2; dx <= 2; dx++) {
                if ((dx == 0 && dy == 0) || (dx * dx == 4 && dy * dy == 4)) continue;
                const Int ix = mirrored(left + step * Int(dx), frame.width), iy = mirrored(top + step * Int(dy), frame.height);
                offsets[taps] = texel_offset(a.guide, ix, iy);
                const Surface s = gather_at(a.guide, offsets[taps]);
                const Float cosine = dot(n, decode_normal(s.packed));
                Float w = compact_weight(plane.residual(to_float(ix), to_float(iy), s.view_z));
                w = w * long_tailed_weight(acos_acute(cosine) * angle_scale);
                if (a.normal_power > 0.f) w = w * pow(max(cosine, Float(0.01f)), Float(a.normal_power));
                Mask same = active && is_surface(frame, s.view_z);
                if (a.material.present()) same = same && same_material(material, gather(a.material, ix, iy), a.min_material);
                if (specular) {
                    const Float rs = decode_roughness(s.packed);
                    w = w * long_tailed_weight((rs * rs - m) * roughness_scale);
                }
                weights[taps++] = select(same, w * (one + decode_frames(gather(a.frames, ix, iy))), zero);
            }
        Float4 sum = c * (one + frames);
        Float total = one + frames;
        for (int k = 0; k < taps; k++) {
            const Float4 value = gather_at(a.signal, offsets[k]);
            const Float w = weights[k] * long_tailed_weight((value.w - distance) * (one + frames));
            sum = sum + value * w;
            total = total + w;
        }
        return select(active, sum * (one / total), c);
    }
    DN_FN static Int mirrored(Int x, int size) {
        const Int folded = max(x, Int(-1) - x);
        return clamp_int(min(folded, Int(2 * size - 1) - folded), Int(size - 1));
    }
};
}  // namespace denoise::DN_TARGET
#endif
