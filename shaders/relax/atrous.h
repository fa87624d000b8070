// SPDX-License-Identifier: Apache-2.0
// A-trous: one level of an edge-avoiding filter with holes (H. Dammertz et al. 2010), whose luminance stop is as wide as the noise is known to
// be (C. Schied et al. 2017). The first level also finds out how noisy the history is.
//
// Its variance is that of the history, not of a sample: the samples' variance over the number of them that the history is worth. Where there are
// too few to tell, what the neighbourhood varies by takes over, so that a history just replaced does not tighten the filter.
// Samples are meant as they came, before the pre-pass: what that takes from a pixel's noise it gives to its neighbours', and a wide filter meets it
// again. For the same reason taps of a level are not independent: they share what the levels before averaged.
#pragma once
#include "../common/classify_tiles.h"
#include "../lobe.h"

namespace denoise {
struct AtrousArgs {
    Image<R8U> tiles;           // in
    Image<Guide> guide;         // in
    Image<R8U> material;        // in, may be absent
    Image<R8U> frames;          // in
    Image<R8U> trust;           // in, specular only: how far the reflection's past is believed; see encode_trust()
    Array confidence;           // in, may be absent
    Image<RGBA16F> signal;      // in: YCoCg; standard deviation of the luma, but for the first level
    Image<RGBA16F> responsive;  // in, first level: standard deviation of the samples' luma beside a short history
    Image<RGBA16F> out;         // out: YCoCg; standard deviation
    int step = 1;               // px
    float shared = 0;           // correlation of the noise of one tap and another
    float phi = 1;              // width of the luminance stop, standard deviations
    float min_luminance_weight = 0;
    float lobe_fraction = 0;    // of the lobe within which normals mix
    float lobe_slack = 0;       // radians, on top of it, specular
    float roughness_fraction = 0, plane_sensitivity = 0;
    float spatial_frames = 0;   // histories shorter than this trust the neighbourhood's variance
    float variance_boost = 0;   // specular: luma squared that counts as variance where there is none, by lack of trust
    float luminance_relaxation = 0, normal_relaxation = 0, view_relaxation = 0;  // specular
    float doubt = 0, doubt_luminance = 0, doubt_normal = 0;  // weight of 1 - confidence; how far it opens the two stops
    int roughness_stop = 1;
    int min_material = 0;
    template <class V> void io(V& v) { v.in(tiles), v.in(guide), v.in(material), v.in(frames), v.in(trust), v.in(confidence), v.in(signal), v.in(responsive), v.out(out); }
};
}  // namespace denoise

#ifdef DN_TARGET
#include "../edge_weights.h"
#include "../reblur/spatial_filter.h"
#include "../sampling.h"
namespace denoise::DN_TARGET {

DN_CONSTANT float atrous_kernel[3] = {0.27901f, 0.44198f, 0.27901f};

// Reach: the step if its taps come from the tile, 0 if they are fetched one by one.
template <Lobe L, int Reach, bool First = false> struct AtrousLevel {
    using Args = AtrousArgs;
    static constexpr bool specular = L == Lobe::specular;
    static constexpr int planes = Reach == 0 ? 0 : (specular ? 9 : 8), halo = First ? 2 : Reach;  // signal, view_z, normal, roughness

    // How much of a tap's noise opens the luminance stop. Of reflections, bright neighbours are also highlights, which would flicker.
    static constexpr float tap_share = specular ? 0.6f : 1.f;

    struct Sample {
        Float4 signal;
        Float z, roughness;
        Float3 n;
    };

    DN_FN static Float4 value_at(const Args& a, const Pixel& p) {
        Float4 c = fetch(a.signal, p);
        if (First) c.w = fetch(a.responsive, p).w;
        return c;
    }
    DN_FN static void load(const Args& a, const FrameConstants& frame, const Pixel& p, Float out[]) {
        const Surface s = fetch(a.guide, p);
        const Float4 c = value_at(a, p);
        const Float3 n = decode_normal(s.packed);
        const Mask inside = p.x >= Int(0) && p.x < Int(frame.width) && Mask(p.y >= 0 && p.y < frame.height);
        out[0] = c.x, out[1] = c.y, out[2] = c.z, out[3] = c.w;
        out[4] = select(inside, s.view_z, Float(sky_view_z));
        out[5] = n.x, out[6] = n.y, out[7] = n.z;
        if (specular) out[8] = decode_roughness(s.packed);
    }
    DN_FN static Sample from_tile(const Tile& tile, int dx, int dy) {
        return {{tile(0, dx, dy), tile(1, dx, dy), tile(2, dx, dy), tile(3, dx, dy)},
                tile(4, dx, dy),
                specular ? tile(specular ? 8 : 0, dx, dy) : Float(1.f),
                {tile(5, dx, dy), tile(6, dx, dy), tile(7, dx, dy)}};
    }

    // What the stops need to know of the centre.
    struct Stops {
        PlaneTest plane;
        Float3 n;
        Float roughness, luma, luma_falloff;
        Float reach, tap_reach;  // of the luminance stop; for a tap, over its deviation
        Float inv_angle, angle_depth = Float(0.f),
                         view_angle = Float(0.f);  // diffuse: tolerance of normals; specular: of the lobe, how much of it stops, radians from pixel to pixel
        Float roughness_scale = Float(0.f);
    };

    DN_FN static Float weight(const Args& a, const FrameConstants& frame, const Stops& s, const Sample& tap, Float x, Float y, Float distance) {
        Float w = compact_weight(s.plane.residual(x, y, tap.z));
        const Float cosine = dot(s.n, tap.n);
        if (specular && a.roughness_stop) {
            const Float apart = max(square_chord(cosine), square(distance * s.view_angle)) * square(s.inv_angle);
            w = w * (Float(1.f) - s.angle_depth + s.angle_depth * compact_weight_of_square(apart));
            w = w * compact_weight((tap.roughness - s.roughness) * s.roughness_scale);
        } else {
            w = w * normal_weight(cosine, s.inv_angle);
        }
        // The noise of both pixels counts: a bright sample must reach its neighbours as they reach it, or light is lost.
        // Student's t in place of a Gaussian, as noise has tails: small differences hardly count, or noise would close the stop against itself,
        // and large ones still count for a little. To within .05 of exp(1 - sqrt(1 + x^2)), by one division and no root.
        const Float noise = square(s.reach) + square(s.tap_reach * tap.signal.w);
        const Float t = noise * rcp(noise + s.luma_falloff * square(tap.signal.x - s.luma));
        w = w * max(t * t * t, Float(a.min_luminance_weight));
        return select(is_surface(frame, tap.z), w, Float(0.f));
    }

    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile) {
        const Surface center = fetch(a.guide, p);
        const Mask surface = is_surface(frame, center.view_z);
        const Float4 zeros = {Float(0.f), Float(0.f), Float(0.f), Float(0.f)};
        if (in_sky_tile(a.tiles, p) || !any(surface)) return store(a.out, p, zeros);
        const Float one(1.f), zero(0.f);
        const Float4 c = value_at(a, p);
        const Float frames = decode_frames(fetch(a.frames, p)), known = sat(frames * Float(0.2f));
        const Int material = a.material.present() ? fetch(a.material, p) : Int(0);
        const Float u = p.center_x() * Float(frame.inv_width), v = p.center_y() * Float(frame.inv_height);
        const Float3 x = view_position(frame, u, v, center.view_z);
        Float doubt(0.f), trust(1.f);
        if (a.confidence.present()) doubt = sat(Float(a.doubt) * (one - sat(read(a.confidence, p))));
        if (specular) trust = decode_trust(fetch(a.trust, p));

        Stops s;
        s.n = decode_normal(center.packed);
        s.roughness = specular ? decode_roughness(center.packed) : one;
        s.plane = plane_test(frame, rotate(frame.world_to_view, s.n), x, a.plane_sensitivity);
        if (specular && a.roughness_stop) {
            const Float tangent = lobe_tangent(s.roughness, Float(a.lobe_fraction)), relied = known * mix(one, trust, Float(a.normal_relaxation));
            const Float angle = min(atan(tangent) * (Float(10.f) - Float(9.f) * relied) + Float(a.lobe_slack), Float(0.5f * pi));
            s.inv_angle = one / max(mix(angle, Float(0.5f * pi), sat(doubt * Float(a.doubt_normal))), Float(normal_encoding_error));
            s.angle_depth = Float(0.9f) + Float(0.1f) * relied;
            const Float3 ray = frame.orthographic != 0.f ? Float3{zero, zero, one} : x * (one / x.z);
            s.view_angle = frame.orthographic != 0.f ? zero : Float(frame.pixel_size / (1.f + a.view_relaxation)) * rsqrt(dot(ray, ray));
            s.roughness_scale = roughness_tolerance(s.roughness, a.roughness_fraction);
        } else {
            const float fraction = a.lobe_fraction / __builtin_sqrtf(float(a.step));
            const Float open = mix(mix(Float(0.99f), Float(fraction), known), Float(0.99f), sat(doubt * Float(a.doubt_normal)));
            s.inv_angle = normal_tolerance(specular ? s.roughness : one, open, 1.f);
        }

        Float deviation = c.w;
        if constexpr (First) deviation = sqrt(history_variance(a, frame, p, tile, s, c, frames, trust));
        s.luma = c.x;
        s.reach = max(Float(a.phi) * deviation, max(c.x, zero) * Float(1e-3f) + Float(1e-6f));
        s.tap_reach = Float(a.phi * tap_share) * (First ? rsqrt(max(frames, one)) : one);
        s.luma_falloff = Float(0.125f) * (specular ? mix(one, trust, Float(a.luminance_relaxation)) : one) * (one - sat(doubt * Float(a.doubt_luminance)));

        const float k0 = atrous_kernel[1] * atrous_kernel[1];
        Float3 sum = Float3{c.x, c.y, c.z} * Float(k0);
        Float total(k0), variance = square(deviation) * Float(k0 * k0), deviations = deviation * Float(k0);
        const auto add = [&](const Sample& tap, Float w) {
            sum = sum + Float3{tap.signal.x, tap.signal.y, tap.signal.z} * w;
            total = total + w;
            const Float each = (First ? deviation : tap.signal.w) * w;
            variance = variance + square(each), deviations = deviations + each;
        };
        if constexpr (Reach > 0) {
            for (int j = -1; j <= 1; j++)
                for (int i = -1; i <= 1; i++) {
                    if (i == 0 && j == 0) continue;
                    const int dx = i * Reach, dy = j * Reach;
                    const Sample tap = from_tile(tile, dx, dy);
                    Float w = weight(a, frame, s, tap, to_float(p.x + Int(dx)), Float(float(p.y + dy)), Float(float(Reach) * (i && j ? 1.41421356f : 1.f)));
                    if (a.material.present()) w = select(same_material(material, fetch(a.material, p, dx, dy), a.min_material), w, zero);
                    add(tap, w * Float(atrous_kernel[i + 1] * atrous_kernel[j + 1]));
                }
        } else {
            // An offset of its own for each pixel breaks the grid of far taps. In two rounds, so that their latencies overlap: guides, signals.
            const Int word = random_word(frame, p, 32u + uint32_t(a.step));
            const Float spread(0.5f * float(a.step));
            const Int jx = to_int((to_unit(word) - Float(0.5f)) * spread), jy = to_int((to_unit(hash(word)) - Float(0.5f)) * spread);
            Int offsets[8];
            Surface guides[8];
            Mask inside[8];
            int count = 0;
            for (int j = -1; j <= 1; j++)
                for (int i = -1; i <= 1; i++) {
                    if (i == 0 && j == 0) continue;
                    const Int tx = p.x + jx + Int(i * a.step), ty = Int(p.y) + jy + Int(j * a.step);
                    inside[count] = tx >= Int(0) && tx < Int(frame.width) && ty >= Int(0) && ty < Int(frame.height);
                    const Int cx = clamp_int(tx, Int(frame.width - 1)), cy = clamp_int(ty, Int(frame.height - 1));
                    offsets[count] = texel_offset(a.guide, cx, cy);
                    if (a.material.present()) inside[count] = inside[count] && same_material(material, gather(a.material, cx, cy), a.min_material);
                    guides[count] = gather_at(a.guide, offsets[count]);
                    count++;
                }
            count = 0;
            for (int j = -1; j <= 1; j++)
                for (int i = -1; i <= 1; i++) {
                    if (i == 0 && j == 0) continue;
                    const Surface g = guides[count];
                    const Sample tap = {gather_at(a.signal, offsets[count]), g.view_z, specular ? decode_roughness(g.packed) : one, decode_normal(g.packed)};
                    const Float ox = to_float(jx + Int(i * a.step)), oy = to_float(jy + Int(j * a.step));
                    const Float w = weight(a, frame, s, tap, to_float(p.x) + ox, Float(float(p.y)) + oy, sqrt(ox * ox + oy * oy));
                    add(tap, select(inside[count], w, zero) * Float(atrous_kernel[i + 1] * atrous_kernel[j + 1]));
                    count++;
                }
        }
        const Float each = one / total;
        store(a.out, p, select(surface, Float4{sum.x * each, sum.y * each, sum.z * each, sqrt(mix(variance, square(deviations), Float(a.shared))) * each}, zeros));
    }

   private:
    // Variance of the history's luma.
    DN_FN static Float history_variance(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile, const Stops& s, const Float4& c, Float frames, Float trust) {
        // Of the samples, from the pixels around, and of their mean: n / (n - 1) for a variance of n = frames + 1 samples, over n.
        Float samples(0.f), total(0.f);
        for (int k = 0; k < 9; k++) {
            const int dx = k % 3 - 1, dy = k / 3 - 1;
            const Float w = select(is_surface(frame, tile(4, dx, dy)), Float((dx ? 1.f : 2.f) * (dy ? 1.f : 2.f)), Float(0.f));
            samples = samples + w * square(tile(3, dx, dy));
            total = total + w;
        }
        samples = samples / max(total, Float(1.f));
        if (specular) samples = select(samples > Float(0.f), samples, Float(a.variance_boost) * square(c.x) * (Float(1.f) - trust));
        const Float temporal = samples / max(frames, Float(1.f));

        const Float limit(a.spatial_frames), fresh = a.spatial_frames > 0.f ? sat(Float(2.f) - frames / max(limit, Float(1e-3f))) : Float(0.f);
        if (!any(fresh > Float(0.f))) return temporal;
        Float sum(0.f), squares(0.f), weights(0.f);
        for (int dy = -2; dy <= 2; dy++)
            for (int dx = -2; dx <= 2; dx++) {
                const Float z = tile(4, dx, dy);
                Float w = compact_weight(s.plane.residual(to_float(p.x + Int(dx)), Float(float(p.y + dy)), z));
                w = w * normal_weight(dot(s.n, {tile(5, dx, dy), tile(6, dx, dy), tile(7, dx, dy)}), s.inv_angle);
                w = select(is_surface(frame, z), w, Float(0.f));
                const Float luma = tile(0, dx, dy) - c.x;  // differences: fp32 keeps what a firefly nearby would swallow
                sum = sum + w * luma, squares = squares + w * square(luma), weights = weights + w;
            }
        const Float inv = Float(1.f) / max(weights, Float(1e-3f));
        const Float spatial = max(squares * inv - square(sum * inv), Float(0.f)) * max(Float(1.f), Float(4.f) / (frames + Float(2.f)));
        return max(temporal, spatial * fresh);
    }
};

template <Lobe L> using AtrousFirst = AtrousLevel<L, 1, true>;
template <Lobe L> using AtrousNear = AtrousLevel<L, 2>;
template <Lobe L> using AtrousMiddle = AtrousLevel<L, 4>;
template <Lobe L> using AtrousFar = AtrousLevel<L, 0>;

}  // namespace denoise::DN_TARGET
#endif
