// SPDX-License-Identifier: Apache-2.0
// The blur of ReBLUR (D. Zhdan, "ReBLUR", Ray Tracing Gems II, ch. 49): eight taps in a disc whose size follows the hit distance and shrinks
// as the history converges. Pre-pass, blur and post-blur are this filter with other constants.
//
// Departures from the published design, each measured (see README, "Where we differ"):
// - samples without a distance take part with the mean weight of those that have one, so that they neither darken nor brighten;
// - the pre-pass shrinks with the history too, so that a converged picture is not blurred for ever;
// - taps that fall outside the picture are mirrored and keep their Gaussian weight;
// - the disc is projected once, by its Jacobian at the centre, instead of tap by tap.
#pragma once
#include "../common/classify_tiles.h"
#include "../lobe.h"
#include "convergence.h"

namespace denoise {

enum class Stage : int { prepass, blur, post_blur };

struct SpatialFilterArgs {
    Image<R8U> tiles;         // in
    Image<Guide> guide;       // in
    Image<R8U> material;      // in, may be absent
    Image<R8U> frames;        // in: history length; pre-pass: of the last frame, may be absent
    Image<Guide> prev_guide;  // in, pre-pass only: with `motion`, to find that length
    Array motion;             // in, pre-pass only; may be absent
    Image<RGBA16F> signal;    // in
    Image<RGBA16F> out;       // out
    Image<R8U> averaged;      // out, pre-pass, may be absent: how many samples its mean is worth, see encode_averaged()
    Image<R16F> tracking;     // out, specular pre-pass: distance in metres that the reflection's motion follows, 0 = none
    float max_radius = 0;     // px at this resolution
    float min_radius = 0;     // px at this resolution
    float lobe_fraction = 0;  // of the specular lobe within which normals mix, once converged
    float roughness_fraction = 0;
    float plane_sensitivity = 0;
    float min_hit_weight = 0;
    float rotation[2] = {1, 0};  // cosine and sine, the same for all pixels
    int min_material = 0;
    int tracking_only = 0;  // specular pre-pass leaves the radiance alone
    Convergence convergence;
    template <class V> void io(V& v) {
        v.in(tiles), v.in(guide), v.in(material), v.in(frames), v.in(prev_guide), v.in(motion), v.in(signal), v.out(out), v.out(averaged), v.out(tracking);
    }
};

}  // namespace denoise

#ifdef DN_TARGET
#include "../edge_weights.h"
#include "../reproject.h"
#include "../sampling.h"
namespace denoise::DN_TARGET {

// How many samples a mean of one to nine is worth: its logarithm in four bits. Four more may tell how far a reflection's past is believed.
constexpr float averaged_codes = 15 / 3.169925f;  // to a power of two
DN_FN Int encode_averaged(Float samples) { return to_int(log2(samples) * Float(averaged_codes) + Float(0.5f)); }
DN_FN Float decode_averaged(Int code) { return exp2(to_float(code & Int(15)) * Float(1 / averaged_codes)); }
DN_FN Int encode_trust(Float trust, Int averaged) { return shift_left(to_int(sat(trust) * Float(15.f) + Float(0.5f)), 4) | averaged; }
DN_FN Float decode_trust(Int code) { return to_float(shift_right(code, 4)) * Float(1.f / 15.f); }

// Four taps at the radius on the axes, four at half of it on the diagonals; weights exp(-0.66 z^2) with z = 1 and 1/2.
constexpr int blur_taps = 8;
DN_CONSTANT float blur_tap[blur_taps][3] = {{-1.f, 0.f, 0.5169f},
                                            {0.f, 1.f, 0.5169f},
                                            {1.f, 0.f, 0.5169f},
                                            {0.f, -1.f, 0.5169f},
                                            {-0.35355339f, 0.35355339f, 0.8479f},
                                            {0.35355339f, 0.35355339f, 0.8479f},
                                            {0.35355339f, -0.35355339f, 0.8479f},
                                            {-0.35355339f, -0.35355339f, 0.8479f}};

template <Lobe L, Stage S> struct SpatialFilter {
    using Args = SpatialFilterArgs;
    static constexpr int planes = S == Stage::prepass ? 2 : 1, halo = 1;  // how far from converged the pixel is; pre-pass: its distance
    static constexpr bool specular = L == Lobe::specular, prepass = S == Stage::prepass;
    static constexpr float radius_scale = S == Stage::post_blur ? 2.f : 1.f;
    static constexpr float fraction_scale = S == Stage::prepass ? 2.f : (S == Stage::blur ? 1.f : 0.5f);

    DN_FN static void load(const Args& a, const FrameConstants& frame, const Pixel& p, Float out[planes]) {
        if constexpr (prepass) {
            out[0] = Float(1.f);
            out[1] = fetch(a.signal, p).w;
            if (a.frames.present()) out[0] = not_converged(a.convergence, last_history_length(frame, a.frames, a.guide, a.prev_guide, a.motion, p));
        } else {
            out[0] = not_converged(a.convergence, decode_frames(fetch(a.frames, p)));
        }
    }

    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile) {
        const Surface center = fetch(a.guide, p);
        const Mask surface = is_surface(frame, center.view_z);
        const Float4 c = fetch(a.signal, p);
        if (in_sky_tile(a.tiles, p) || !any(surface)) {
            if (a.tracking.present()) store(a.tracking, p, Float(0.f));
            if (a.averaged.present()) store(a.averaged, p, Int(0));
            return store(a.out, p, c);
        }

        // A pixel with a shorter history than its neighbours blurs less wildly.
        const Float own = tile(0), shared = min(own, (own + quad_x(tile, 0, p) + quad_y(tile, 0, p)) * Float(1.f / 3.f));
        const Float speed = prepass ? Float(1.f / 11.f) : shared;

        const Float3 n = decode_normal(center.packed), nv = rotate(frame.world_to_view, n);
        const Float r = specular ? decode_roughness(center.packed) : Float(1.f), spread = specular ? lobe_spread_half(r) : Float(1.f);
        const Float z = center.view_z, u = p.center_x() * Float(frame.inv_width), v = p.center_y() * Float(frame.inv_height);
        const Float3 x = view_position(frame, u, v, z);
        const Float3 view = frame.orthographic != 0.f ? Float3{Float(0.f), Float(0.f), Float(-1.f)} : x * -rsqrt(max(dot(x, x), Float(1e-30f)));
        const Float n_dot_v = abs(dot(nv, view)), pixel = pixel_world_size(frame, z);

        const Mask known = c.w >= Float(0.f);
        Float h_norm = c.w;
        // The size of the disc must not hang on the sample it averages: bright samples that find far things would spread more than dark ones.
        if (prepass && !specular) h_norm = mean_distance(tile);
        if (prepass && specular && any(!known)) h_norm = select(known, h_norm, mean_distance(tile));
        const Mask judged = h_norm >= Float(0.f);  // else nothing is known of the distance here: as of a miss, and all distances are alike
        h_norm = select(judged, h_norm, Float(1.f));
        const Float h = h_norm * hit_distance_scale(frame, z, spread), hit_factor = sat(h / frustum_span(frame, z));

        // Radius. Its square, the area, is what shrinks with the history.
        const Float area = hit_factor * shared;
        Float radius = max(sat(Float(radius_scale) * sqrt(area)) * Float(a.max_radius), Float(a.min_radius)) * spread;
        const Float factor = specular ? dominant_factor(n_dot_v, r) : Float(0.f);
        const Float3 direction = specular ? dominant_direction(nv, view, factor) : nv;
        if (specular && prepass) {
            const Float lobe_radius = h * abs(dot(nv, direction)) * lobe_tangent(r, Float(0.3f)) / pixel_world_size(frame, z + h * factor);
            radius = min(radius, lobe_radius);
        }

        // Jacobian of the disc: pixels moved by one step along its two axes.
        Float2 axis_x = {radius, Float(0.f)}, axis_y = {Float(0.f), radius};
        if constexpr (!prepass) {
            if (specular)
                lobe_disc(frame, x, nv, direction, hit_factor, r, speed, radius * pixel, axis_x, axis_y);
            else
                foreshorten(nv, n_dot_v, axis_x, axis_y);
        }

        const PlaneTest plane = plane_test(frame, nv, x, a.plane_sensitivity);
        const Float angle_scale = normal_tolerance(r, Float(0.75f) * mix(Float(a.lobe_fraction), Float(1.f), speed), fraction_scale);
        const Float roughness_scale = roughness_tolerance(r, a.roughness_fraction * fraction_scale);
        const Float hit_scale = select(judged, Float(1.f) / max(speed, Float(1e-4f)), Float(0.f));
        const Float hit_floor = Float(a.min_hit_weight * fraction_scale) * spread * (prepass ? Float(1.f) : speed);
        Int center_material(0);
        if (a.material.present()) center_material = fetch(a.material, p);

        // Sums over the samples with a distance, and over those without, whose weight is only known at the end.
        Float at_center(1.f), elsewhere(0.f), elsewhere_squared(0.f);  // weights; taps of a small disc are the centre itself
        Float4 sum = {c.x, c.y, c.z, Float(0.f)}, blind = {Float(0.f), Float(0.f), Float(0.f), Float(0.f)};
        Float total(1.f), geometry(0.f), blind_total(0.f);
        Float distance_sum = select(known, c.w, Float(0.f)), distance_total = select(known, Float(1.f), Float(0.f));
        Float tracking = select(known && h > Float(0.f), h, Float(1e30f));
        Int random = prepass && specular ? random_word(frame, p, 1) : Int(0);

        const Float reach_x = abs(axis_x.x) + abs(axis_y.x), reach_y = abs(axis_x.y) + abs(axis_y.y), left = p.center_x(), top = p.center_y();
        const bool inside = all(left > reach_x && left + reach_x < Float(float(frame.width)) && top > reach_y && top + reach_y < Float(float(frame.height)));
        // In three rounds, so that the latencies of the taps overlap: places, guides, signals.
        const Int center_offset = texel_offset(a.guide, p.x, Int(p.y));
        Int offsets[blur_taps];
        Float xs[blur_taps], ys[blur_taps], weights[blur_taps], distance_scale[blur_taps], apart[blur_taps];
        for (int k = 0; k < blur_taps; k++) {
            const Float ox(blur_tap[k][0] * a.rotation[0] - blur_tap[k][1] * a.rotation[1]), oy(blur_tap[k][0] * a.rotation[1] + blur_tap[k][1] * a.rotation[0]);
            const Float px = left + axis_x.x * ox + axis_y.x * oy, py = top + axis_x.y * ox + axis_y.y * oy;
            const Int ix = inside ? to_int(px) : mirrored(px, frame.width), iy = inside ? to_int(py) : mirrored(py, frame.height);
            offsets[k] = texel_offset(a.guide, ix, iy);
            xs[k] = to_float(ix), ys[k] = to_float(iy);
        }
        for (int k = 0; k < blur_taps; k++) {
            const Surface s = gather_at(a.guide, offsets[k]);
            const Float zs = s.view_z, cosine = dot(n, decode_normal(s.packed));
            Float w = Float(blur_tap[k][2]) * compact_weight(plane.residual(xs[k], ys[k], zs)) * normal_weight(cosine, angle_scale);
            const Float rs = specular ? decode_roughness(s.packed) : Float(1.f);
            if (specular) w = w * compact_weight((rs - r) * roughness_scale);
            Mask same = is_surface(frame, zs);
            if (a.material.present()) same = same && same_material(center_material, gather(a.material, to_int(xs[k]), to_int(ys[k])), a.min_material);
            weights[k] = select(same, w, Float(0.f));
            if constexpr (prepass && specular) {
                const Float us = (xs[k] + Float(0.5f)) * Float(frame.inv_width), vs = (ys[k] + Float(0.5f)) * Float(frame.inv_height);
                distance_scale[k] = hit_distance_scale(frame, zs, lobe_spread_half(rs));
                apart[k] = length(view_position(frame, us, vs, zs) - x);
            }
        }
        for (int k = 0; k < blur_taps; k++) {
            const Float4 value = gather_at(a.signal, offsets[k]);
            const Float w = weights[k];
            const Mask sighted = prepass ? value.w >= Float(0.f) : Mask(true);
            Float hit = prepass && !specular ? Float(1.f) : long_tailed_weight((value.w - h_norm) * hit_scale) + hit_floor;
            if constexpr (prepass && specular) {
                const Float hs = value.w * distance_scale[k];
                random = random + Int(int(0x9e3779b9u));  // a step by the golden ratio: the taps draw stratified numbers
                const Mask join = to_unit(random) < w * n_dot_v && sighted && hs > Float(0.f);
                tracking = select(join, min(tracking, hs), tracking);
                // A tap farther away on the surface than its own hit distance is probably a contact.
                const Float contact = sat(hs / (apart[k] + h + Float(1e-6f)));
                hit = hit * mix(contact, Float(1.f), linear_step(0.5f, 1.f, r));
            }
            // All that is stored is finite: a tap of weight 0 needs no guard.
            if (prepass && any(!sighted)) {
                const Float wb = select(sighted, Float(0.f), w);
                blind = blind + value * wb;
                blind_total = blind_total + wb;
            }
            const Float wk = prepass ? select(sighted, w, Float(0.f)) : w, weight = wk * hit;
            sum = sum + value * weight;
            total = total + weight;
            if constexpr (prepass) {
                const Float counted = select(sighted, weight, w), away = select(offsets[k] == center_offset, Float(0.f), counted);
                at_center = at_center + counted - away;
                elsewhere = elsewhere + away, elsewhere_squared = elsewhere_squared + square(away);
                geometry = geometry + wk;
                distance_sum = distance_sum + value.w * weight;
                distance_total = distance_total + weight;
            }
        }

        if constexpr (prepass) {
            const Float mean_hit = select(geometry > Float(1e-6f), (total - Float(1.f)) / max(geometry, Float(1e-6f)), Float(1.f));
            sum = sum + blind * mean_hit;
            total = total + blind_total * mean_hit;
        }
        Float4 result = sum * (Float(1.f) / total);
        // Only the pre-pass filters the distance: in the recurrent blurs it would feed on itself.
        result.w = prepass ? select(distance_total > Float(1e-6f), distance_sum / max(distance_total, Float(1e-6f)), Float(no_distance)) : c.w;
        if constexpr (prepass && specular) {
            store(a.tracking, p, select(surface && tracking < Float(1e30f), min(tracking * Float(1.f / frame.units_per_metre), Float(65504.f)), Float(0.f)));
            if (a.tracking_only) result = {c.x, c.y, c.z, result.w};
        }
        if (prepass && a.averaged.present()) {
            const Float samples = a.tracking_only ? Float(1.f) : square(at_center + elsewhere) / (square(at_center) + elsewhere_squared);
            store(a.averaged, p, encode_averaged(samples));
        }
        if constexpr (!prepass) result = dither_to_half(result, random_word(frame, p, 2 + int(S) * 2 + int(L)));
        store(a.out, p, select(surface, result, c));
    }

   private:
    // Mean distance of the 3x3 samples that found one, or none.
    DN_FN static Float mean_distance(const Tile& tile) {
        Float sum(0.f), total(0.f);
        for (int k = 0; k < 9; k++) {
            const Float h = tile(1, k % 3 - 1, k / 3 - 1);
            sum = sum + max(h, Float(0.f));
            total = total + select(h >= Float(0.f), Float(1.f), Float(0.f));
        }
        return select(total > Float(0.f), sum / max(total, Float(1.f)), Float(no_distance));
    }

    // Pixels beyond the border come back mirrored; whatever the position, the texel is inside.
    DN_FN static Int mirrored(Float position, int size) {
        const Float s{float(size)}, inside = s - abs(s - abs(position));
        return clamp_int(to_int(inside), Int(size - 1));
    }

    // A disc on a slanted surface is an ellipse on screen.
    DN_FN static void foreshorten(Float3 nv, Float n_dot_v, Float2& axis_x, Float2& axis_y) {
        const Float sx = mix(Float(1.f) - abs(nv.x), Float(1.f), n_dot_v), sy = mix(Float(1.f) - abs(nv.y), Float(1.f), n_dot_v);
        const Float scale = Float(1.f) / max(max(sx, sy), Float(1e-3f));
        axis_x.x = axis_x.x * sx * scale;
        axis_y.y = axis_y.y * sy * scale;
    }

    // The specular disc is perpendicular to the mirrored lobe axis and longer along the plane of reflection at grazing angles; both fade for
    // short histories and near contacts.
    DN_FN static void lobe_disc(const FrameConstants& frame, Float3 x, Float3 nv, Float3 direction, Float hit_factor, Float r, Float speed, Float size, Float2& axis_x,
                                Float2& axis_y) {
        const Float bend = sqrt(hit_factor);
        const Float3 axis = normalize(mix(nv, direction, bend));
        const Mask bent = abs(dot(axis, nv)) < Float(0.999f);
        const Float3 other = select(abs(nv.z) < Float(0.9f), Float3{Float(0.f), Float(0.f), Float(1.f)}, Float3{Float(1.f), Float(0.f), Float(0.f)});
        const Float3 lobe = reflect(-axis, nv);
        const Float3 t = normalize(cross(nv, select(bent, lobe, other))), b = cross(select(bent, lobe, nv), t);
        Float q = mix(Float(0.25f) + Float(0.75f) * r, Float(1.f), abs(dot(nv, direction)));
        q = mix(Float(1.f), mix(q, Float(1.f), speed), bend);
        axis_x = screen_step(frame, x, t * (size * q));
        axis_y = screen_step(frame, x, b * (size / q));
    }
    // Pixels that a small step in view space moves.
    DN_FN static Float2 screen_step(const FrameConstants& frame, Float3 x, Float3 d) {
        const Float inv_z = frame.orthographic != 0.f ? Float(1.f) : Float(1.f) / x.z, depth = frame.orthographic != 0.f ? Float(0.f) : d.z * inv_z;
        return {(d.x - x.x * depth) * inv_z * Float(float(frame.width) / frame.unproject[2]), (d.y - x.y * depth) * inv_z * Float(float(frame.height) / frame.unproject[3])};
    }
};

template <Lobe L> using PrePass = SpatialFilter<L, Stage::prepass>;
template <Lobe L> using Blur = SpatialFilter<L, Stage::blur>;
template <Lobe L> using PostBlur = SpatialFilter<L, Stage::post_blur>;

}  // namespace denoise::DN_TARGET
#endif
