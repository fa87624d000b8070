// SPDX-License-Identifier: Apache-2.0
// Temporal accumulation: finds each pixel's past by surface motion and, for reflections, by virtual motion, tells how much of it can be
// trusted, and blends this frame's sample into it.
#pragma once
#include "../common/classify_tiles.h"
#include "../lobe.h"
#include "../relight/tiles.h"
#include "spatial_filter.h"

namespace denoise {

struct TemporalAccumulationArgs {
    Image<R8U> tiles;                              // in
    Image<Guide> guide, prev_guide;                // in
    Image<R8U> material, prev_material;            // in, may be absent
    Array motion;                                  // in, may be absent: see surface_motion()
    Array diffuse_confidence, specular_confidence;  // in, may be absent: 0..1, of the history that this pixel finds, looked up at its previous position
    Array threshold_mix;                           // in, may be absent: 0..1, between the two disocclusion thresholds
    Image<RGBA16F> diffuse, specular;              // in: this frame's signal; out: blended
    Image<RGBA16F> history_diffuse, history_specular;  // in
    Image<R16F> history_fast_diffuse, history_fast_specular;  // in: luma of a short history; absent with a responsive one
    Image<R16F> fast_diffuse, fast_specular;       // out
    Image<RGBA16F> history_responsive_diffuse, history_responsive_specular;  // in, may be absent: colour of a short history, and the samples' standard deviation of luma
    Image<RGBA16F> responsive_diffuse, responsive_specular;                  // out, with them
    Image<R8U> averaged_diffuse, averaged_specular;  // in, may be absent: how many samples the pre-pass averaged; see encode_averaged()
    Image<R8U> prev_frames_diffuse, prev_frames_specular;  // in
    Image<R8U> frames_diffuse, frames_specular;    // out: history length
    Image<R16F> tracking, prev_tracking;           // in: distance in metres that the reflection's motion follows, this frame's samples and last frame's result
    Image<R16F> tracking_out;                      // out
    Image<R16U> footprint_diffuse, footprint_specular;  // out, may be absent: for stabilisation, which looks at the same place
    Image<R32U> offset_specular;                   // out, may be absent: where that is, in pixels from this one, as two fp16
    Image<R8U> trust_specular;                     // out, may be absent: how far the place that was found is believed, and what the pre-pass averaged; see encode_trust()
    Image<R16U> past_diffuse, past_specular;       // out, may be absent: the history found, for re-lighting; see encode_light()
    float max_frames[2] = {}, max_fast_frames[2] = {};  // by lobe
    float fix_frames = 0;
    float responsive_roughness = 0, responsive_min_frames = 0;
    float roughness_fraction = 0;
    float firefly_min_scale = 0;
    float max_blur_radius = 0;  // px: where the spatial filter is weak, fireflies are limited less
    int min_material = 0;       // of diffuse and specular together, for surface motion
    int min_material_specular = 0;
    template <class V> void io(V& v) {
        v.in(tiles), v.in(guide), v.in(prev_guide), v.in(material), v.in(prev_material), v.in(motion);
        v.in(diffuse_confidence), v.in(specular_confidence), v.in(threshold_mix);
        v.inout(diffuse), v.inout(specular), v.in(history_diffuse), v.in(history_specular);
        v.in(history_fast_diffuse), v.in(history_fast_specular), v.out(fast_diffuse), v.out(fast_specular);
        v.in(history_responsive_diffuse), v.in(history_responsive_specular), v.out(responsive_diffuse), v.out(responsive_specular);
        v.in(averaged_diffuse), v.in(averaged_specular);
        v.in(prev_frames_diffuse), v.in(prev_frames_specular), v.out(frames_diffuse), v.out(frames_specular);
        v.in(tracking), v.in(prev_tracking), v.out(tracking_out), v.out(footprint_diffuse), v.out(footprint_specular), v.out(offset_specular), v.out(trust_specular);
        v.out(past_diffuse), v.out(past_specular);
    }
};

}  // namespace denoise

#ifdef DN_TARGET
#include "../reproject.h"
namespace denoise::DN_TARGET {

template <Signals S> struct TemporalAccumulation {
    using Args = TemporalAccumulationArgs;
    static constexpr int planes = has_specular(S) ? 4 : 3, halo = 1;  // normal, tracking distance

    DN_FN static void load(const Args& a, const FrameConstants& frame, const Pixel& p, Float out[planes]) {
        const Surface s = fetch(a.guide, p);
        const Mask surface = is_surface(frame, s.view_z);
        const Float3 n = decode_normal(s.packed);
        out[0] = select(surface, n.x, Float(0.f));  // no surface, no normal
        out[1] = select(surface, n.y, Float(0.f));
        out[2] = select(surface, n.z, Float(0.f));
        if constexpr (has_specular(S)) out[3] = fetch(a.tracking, p);
    }

    // What the steps below share about the pixel.
    struct Point {
        Float2 uv;
        Float3 n, n_average, view, world;
        Float z, roughness, n_dot_v, pixel, span, threshold;
        Int material;
        Mask surface, remembered, strand;  // remembered: there is a last frame to look into
    };

    DN_FN static Float3 normal(const Tile& tile) { return {tile(0), tile(1), tile(2)}; }
    // A neighbour's normal; where it is sky, the pixel's own.
    DN_FN static Float3 normal(const Tile& tile, int dx, int dy) {
        const Float3 n = {tile(0, dx, dy), tile(1, dx, dy), tile(2, dx, dy)};
        return select(abs(n.x) + abs(n.y) + abs(n.z) > Float(0.f), n, normal(tile));
    }

    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile) {
        const Surface center = fetch(a.guide, p);
        Point pt;
        pt.surface = is_surface(frame, center.view_z);
        if (in_sky_tile(a.tiles, p) || !any(pt.surface)) return store_nothing(a, p);

        pt.uv = {p.center_x() * Float(frame.inv_width), p.center_y() * Float(frame.inv_height)};
        pt.z = center.view_z;
        pt.n = normal(tile);
        pt.roughness = decode_roughness(center.packed);
        pt.world = rotate_back(frame.world_to_view, view_position(frame, pt.uv.x, pt.uv.y, pt.z));
        pt.view = to_camera(frame, pt.world);
        pt.n_dot_v = abs(dot(pt.n, pt.view));
        pt.pixel = pixel_world_size(frame, pt.z);
        pt.span = frustum_span(frame, pt.z);
        // Mean of the 2x2 normals around the pixel's upper left corner, not normalised: shorter where the surface is bumpy.
        pt.n_average = (pt.n + normal(tile, -1, 0) + normal(tile, 0, -1) + normal(tile, -1, -1)) * Float(0.25f);
        pt.material = a.material.present() ? fetch(a.material, p) : Int(0);
        pt.remembered = pt.surface && Mask(frame.history_valid != 0);
        pt.strand = Mask(a.material.present() && frame.strand_material >= 0) && pt.material == Int(frame.strand_material);

        const SurfaceMotion motion = surface_motion(frame, a.motion, p, pt.uv, pt.world, pt.z);

        // Parallax in pixels: what the camera's translation alone moves. P1 is 0 for a static point under rotation, P2 for what is attached
        // to the camera.
        const Float3 delta = to_vec(frame.camera_delta);
        const Float2 rotation_only = project(frame.prev_world_to_clip, motion.world + delta);
        const Float2 step = to_pixels(frame, motion.uv - rotation_only);
        const Float parallax1 = length(step), parallax2 = length(to_pixels(frame, project(frame.world_to_clip, motion.world - delta) - pt.uv));
        const Float parallax_max = max(parallax1, parallax2), parallax_min = min(parallax1, parallax2);

        pt.threshold = disocclusion_threshold(frame, a.threshold_mix, p, pt.strand, pt.pixel);
        pt.threshold = select(pt.strand, mix(Float(0.25f), pt.threshold, smooth_step(parallax_max)), pt.threshold);
        Float3 past_normal;
        const Footprint surface = surface_footprint(a, frame, pt, motion, parallax_max, past_normal);
        // A surface that turned sees other light: a rolling ball keeps its texture, not its shading. What resampling a bumpy surface (one that
        // leaves the mean of its neighbours) and the encoding explain is not a turn.
        const Float bump = length(pt.n - (normal(tile, 1, 0) + normal(tile, -1, 0) + normal(tile, 0, 1) + normal(tile, 0, -1)) * Float(0.25f));
        const Float turned = max(acos_acute(dot(pt.n, past_normal)) - bump - Float(0.005f), Float(0.f));

        // Footprint quality: coverage, and the stretch of a surface that turned towards the camera.
        const Float3 prev_view = frame.orthographic != 0.f ? Float3{Float(-frame.prev_world_to_view[8]), Float(-frame.prev_world_to_view[9]), Float(-frame.prev_world_to_view[10])}
                                                           : (delta - motion.world) * rsqrt(max(dot(delta - motion.world, delta - motion.world), Float(1e-30f)));
        const Float stretch = (abs(dot(pt.n, prev_view)) + Float(1e-3f)) / (pt.n_dot_v + Float(1e-3f));
        const Float covered = coverage(surface), stretched = mix(Float(0.1f), Float(1.f), sat(square(stretch)));

        if constexpr (has_diffuse(S)) {
            const Float frames = trusted_length(a.prev_frames_diffuse, surface, sat(Float(4.f) * covered) * stretched, a.diffuse_confidence, frame, motion.uv, a.max_frames[0]);
            const Float limited = min(frames, Float(0.25f) / max(turned, Float(1e-3f)));
            blend<Lobe::diffuse>(a, frame, p, pt, surface, motion.uv, limited, limited, Float(1.f));
            if (a.footprint_diffuse.present()) store(a.footprint_diffuse, p, encode_footprint(surface));
        }
        if constexpr (has_specular(S))
            specular(a, frame, p, pt, tile, motion, step, parallax1, parallax_max, parallax_min, surface, sqrt(sat(covered)) * stretched, turned, past_normal);
    }

   private:
    DN_FN static void store_nothing(const Args& a, const Pixel& p) {
        const Float4 zero = {Float(0.f), Float(0.f), Float(0.f), Float(0.f)};
        if constexpr (has_diffuse(S)) {
            store(a.diffuse, p, zero);
            if (a.fast_diffuse.present()) store(a.fast_diffuse, p, Float(0.f));
            if (a.responsive_diffuse.present()) store(a.responsive_diffuse, p, zero);
            store(a.frames_diffuse, p, Int(0));
            if (a.footprint_diffuse.present()) store(a.footprint_diffuse, p, Int(0));
            if (a.past_diffuse.present()) store(a.past_diffuse, p, Int(no_past));
        }
        if constexpr (has_specular(S)) {
            store(a.specular, p, zero);
            if (a.fast_specular.present()) store(a.fast_specular, p, Float(0.f));
            if (a.responsive_specular.present()) store(a.responsive_specular, p, zero);
            store(a.frames_specular, p, Int(0));
            store(a.tracking_out, p, Float(0.f));
            if (a.footprint_specular.present()) store(a.footprint_specular, p, Int(0));
            if (a.past_specular.present()) store(a.past_specular, p, Int(no_past));
            if (a.offset_specular.present()) store(a.offset_specular, p, Int(0));
            if (a.trust_specular.present()) store(a.trust_specular, p, Int(0));
        }
    }

    // The 4x4 texels around the previous position without the corners: one group of three for each bilinear tap. A tap is valid if its
    // group shows the expected depth, its normal fits, and it lies in the picture.
    DN_FN static Footprint surface_footprint(const Args& a, const FrameConstants& frame, const Point& pt, const SurfaceMotion& motion, Float parallax_max, Float3& past_normal) {
        Footprint f;
        past_normal = {Float(0.f), Float(0.f), Float(1e-6f)};
        f.taps = bilinear_at_uv(frame, motion.uv);
        // A static pixel accepts normals up to 103 degrees apart, a moving one up to 89.
        const Float cos_limit = Float(0.0174524f) - Float(0.25f) * linear_step(0.25f, 0.f, parallax_max);
        const Float n_dot_v = mix(pt.n_dot_v, Float(1.f), sat(parallax_max * Float(1.f / 30.f)));
        const Float tolerance = pt.span * sat(pt.threshold / max(n_dot_v, Float(0.05f)));
        f.cubic = pt.remembered;
        for (int k = 0; k < 4; k++) {
            const int dx = k & 1, dy = k >> 1, out_x = dx + (dx ? 1 : -1), out_y = dy + (dy ? 1 : -1);
            const Surface inner = gather(a.prev_guide, f.taps.at, dx, dy);
            const Float3 ns = decode_normal(inner.packed);
            Mask ok = pt.remembered && texel_inside(frame, f.taps.at.x + Int(dx), f.taps.at.y + Int(dy)) && dot(ns, pt.n_average) > cos_limit;
            ok = ok && is_surface(frame, inner.view_z) && abs(inner.view_z - motion.view_z) <= tolerance;
            const Surface side = gather(a.prev_guide, f.taps.at, out_x, dy), above = gather(a.prev_guide, f.taps.at, dx, out_y);
            Mask around = abs(side.view_z - motion.view_z) <= tolerance && abs(above.view_z - motion.view_z) <= tolerance;
            if (a.prev_material.present()) {
                ok = ok && same_material(gather(a.prev_material, f.taps.at, dx, dy), pt.material, a.min_material);
                around = around && same_material(gather(a.prev_material, f.taps.at, out_x, dy), pt.material, a.min_material) &&
                         same_material(gather(a.prev_material, f.taps.at, dx, out_y), pt.material, a.min_material);
            }
            f.valid[k] = select(ok, Float(1.f), Float(0.f));
            f.cubic = f.cubic && ok && around;
            past_normal = past_normal + ns * (f.valid[k] * f.taps.weight[k]);
        }
        past_normal = normalize(past_normal);
        return f;
    }

    // Length of the history found, this frame's sample not counted, shortened by what speaks against it.
    DN_FN static Float trusted_length(const Image<R8U>& prev_frames, const Footprint& f, Float quality, const Array& confidence, const FrameConstants& frame, Float2 uv,
                                      float limit) {
        Float frames[4], weight[4];
        for (int k = 0; k < 4; k++) {
            frames[k] = decode_frames(gather_tap(prev_frames, f.taps, k));
            weight[k] = f.valid[k] * f.taps.weight[k];
        }
        const Mask found = weight[0] + weight[1] + weight[2] + weight[3] >= Float(1e-4f);
        const Float length = select(found, min(weighted_mean(frames, weight) + Float(1.f), Float(limit)), Float(0.f));
        const Float kept = length * mix(quality, Float(1.f), Float(1.f) / (Float(1.f) + length));
        return confidence.present() ? min(kept, length * read_bilinear(confidence, frame, uv)) : kept;
    }
    DN_FN static Float read_bilinear(const Array& array, const FrameConstants& frame, Float2 uv) {
        const Bilinear b = bilinear_at_uv(frame, uv);
        Float sum(0.f);
        for (int k = 0; k < 4; k++) sum = sum + sat(read_at(array, tap_x(b, k), tap_y(b, k))) * b.weight[k];
        return sum;
    }

    // Blends this frame's sample into the history found at `uv`. `stored` is the length to remember, `frames` the one to blend by.
    template <Lobe L>
    DN_FN static void blend(const Args& a, const FrameConstants& frame, const Pixel& p, const Point& pt, const Footprint& f, Float2 uv, Float frames, Float stored,
                            Float confidence) {
        constexpr bool spec = L == Lobe::specular;
        const auto& signal = spec ? a.specular : a.diffuse;
        const Float4 current = fetch(signal, p);
        Float4 history = clamp_gamut(fetch_history(frame, spec ? a.history_specular : a.history_diffuse, f, uv));
        Float weight[4];
        for (int k = 0; k < 4; k++) weight[k] = f.valid[k] * f.taps.weight[k];

        const Mask fresh = frames <= Float(0.f);
        const Float speed = Float(1.f) / (Float(1.f) + frames);
        // Hit distances average at most about half as long: they steer the filter and should not lag.
        const Float spread = spec ? lobe_spread_quarter(pt.roughness) : Float(1.f);
        const Float distance_speed = max(speed, Float(1.f) / (Float(1.f) + Float(0.5f * a.max_frames[int(L)]) * spread));
        const Mask known = current.w >= Float(0.f);

        const auto& past = spec ? a.past_specular : a.past_diffuse;
        if (past.present()) store(past, p, select(pt.surface && !fresh, encode_light({history.x, history.y, history.z}, random_word(frame, p, spec ? 15 : 14)), Int(no_past)));

        Float4 result = mix(history, current, speed);
        result = select(fresh, current, result);
        result.w = select(known, select(fresh, current.w, mix(history.w, current.w, distance_speed)), select(fresh, Float(1.f), history.w));

        // Firefly limit: the blend may exceed the history only so far, the less the longer it is.
        const Float limit_scale = Float(a.firefly_min_scale) + Float(38.f) * speed;
        Float limiter = frames * Float(a.max_blur_radius * 0.1f);
        limiter = limiter / (Float(1.f) + limiter);
        const Float luma = mix(result.x, min(result.x, history.x * limit_scale), limiter);
        const Float w = mix(result.w, min(result.w, history.w * (Float(1.2f) + speed)), limiter);
        result = with_luma(result, luma);
        result.w = w;

        Float fast_frames(a.max_fast_frames[int(L)]);
        if (spec) fast_frames = select(pt.strand, max(fast_frames, Float(a.max_frames[int(L)] * 0.2f)), fast_frames);
        Float fast_speed = Float(1.f) / (Float(1.f) + min(frames, fast_frames));
        if (spec) fast_speed = max(Float(1.f) - confidence, fast_speed);
        const Float fast_limit = history.x * Float(4.f) * limit_scale;
        const Int word = random_word(frame, p, spec ? 13 : 12);
        if (const auto& out = spec ? a.fast_specular : a.fast_diffuse; out.present()) {
            const Float fast_history = max(fetch_weighted(spec ? a.history_fast_specular : a.history_fast_diffuse, f.taps, weight), Float(0.f));
            Float fast = select(fresh, current.x, mix(fast_history, current.x, fast_speed));
            fast = mix(fast, min(fast, fast_limit), limiter);
            store(out, p, dither_to_half(zero_where(!pt.surface, fast), word & Int(0x1fff)));
        }
        if (const auto& out = spec ? a.responsive_specular : a.responsive_diffuse; out.present()) {
            const Float4 past_fast = fetch_weighted(spec ? a.history_responsive_specular : a.history_responsive_diffuse, f.taps, weight);
            Float4 fast = select(fresh, current, mix(past_fast, current, fast_speed));
            fast = with_luma(fast, mix(fast.x, min(fast.x, fast_limit), limiter));
            // Welford's update of the variance: no difference of large numbers, and no square that fp16 could not hold is stored. A new history
            // has none; what it means by that, its length tells. A mean of samples varies less than they do.
            const auto& averaged = spec ? a.averaged_specular : a.averaged_diffuse;
            const Float samples = averaged.present() ? decode_averaged(fetch(averaged, p)) : Float(1.f);
            fast.w = select(fresh, Float(0.f), sqrt((Float(1.f) - speed) * (square(past_fast.w) + speed * samples * square(current.x - history.x))));
            store(out, p, dither_to_half(zero_where(!pt.surface, fast), word));
        }

        result = dither_to_half(zero_where(!pt.surface, result), random_word(frame, p, spec ? 11 : 10));
        store(signal, p, result);
        store(spec ? a.frames_specular : a.frames_diffuse, p, select(pt.surface, encode_frames(stored), Int(0)));
    }

    // ---- specular: two candidates for the past, surface motion and virtual motion, and how much each is believed

    DN_FN static void specular(const Args& a, const FrameConstants& frame, const Pixel& p, const Point& pt, const Tile& tile, const SurfaceMotion& motion, Float2 step,
                               Float parallax1, Float parallax_max, Float parallax_min, const Footprint& surface, Float quality, Float turned, Float3 surface_past_normal) {
        const Float3 delta = to_vec(frame.camera_delta);
        const Float3 object_step = motion.world - pt.world;
        const float max_frames = a.max_frames[int(Lobe::specular)];
        const Float h = nearest_tracking(tile) * Float(frame.units_per_metre);
        const Mask attached = Mask(a.material.present() && frame.camera_attached_material >= 0) && pt.material == Int(frame.camera_attached_material);

        // Roughness seen at pixel scale: normals that differ from pixel to pixel widen the lobe.
        const Float l = sat(length(pt.n_average)), k = sat(Float(1.f) - l * l) / max(l * (Float(3.f) - l * l), Float(1e-15f));
        const Float roughness = sqrt(sat(pt.roughness * pt.roughness + k));

        const Float factor = dominant_factor(pt.n_dot_v, pt.roughness), lobe_cosine = abs(dot(pt.n, dominant_direction(pt.n, pt.view, factor)));
        const Float curvature = mirror_curvature(a, frame, pt, tile, step, parallax1, parallax_max, parallax_min, lobe_cosine, factor, h);
        // A spinning ball takes its surface along but not its reflections: they stay where the normal is. What the surface turned by, over its
        // curvature, leads there.
        const Float bend_per_pixel = abs(curvature) * pt.pixel, spin = turned / max(acos_acute(dot(pt.n, surface_past_normal)), Float(1e-4f));
        const Mask spins = turned > Float(0.f) && bend_per_pixel > Float(0.01f);
        const Float back = select(spins, min(spin / max(abs(curvature), Float(1e-12f)), Float(8.f) * pt.pixel / max(turned, Float(1e-4f))), Float(0.f));
        const Float3 still_step = object_step + (pt.n - surface_past_normal) * select(curvature < Float(0.f), -back, back);
        const Float3 image = virtual_point(pt.world, still_step, pt.n, pt.view, pt.n_dot_v, lobe_cosine, factor, curvature, h);
        Float2 uv = project(frame.prev_world_to_clip, image);
        uv = select(attached || !(is_finite(uv.x) && is_finite(uv.y)), motion.uv, uv);
        const Float2 divergence_step = to_pixels(frame, uv - motion.uv);
        const Float divergence = length(divergence_step);
        const Float blend_in = smooth_step(divergence);  // the tests below fade in with the first pixel of divergence

        // Virtual footprint: 2x2 texels by roughness, plane and normal.
        Footprint image_taps;
        image_taps.taps = bilinear_at_uv(frame, uv);
        const Float m = pt.roughness * pt.roughness;
        const Float roughness_scale = Float(1.f) / mix(Float(0.003f), Float(1.f), mix(m * m, m, Float(a.roughness_fraction)));
        const Float tolerance = pt.threshold * pt.span * mix(Float(0.1f), Float(1.f), pt.n_dot_v);
        const Float plane = dot(pt.n, motion.world - delta);
        Float roughness_weight[4];
        Float3 past_normal = {Float(0.f), Float(0.f), Float(0.f)};
        Float past_roughness(0.f), n_dot_n_image(0.f);
        const float* pv = frame.prev_world_to_view;
        const Float3 prev_n = {Float(pv[0]) * pt.n.x + Float(pv[1]) * pt.n.y + Float(pv[2]) * pt.n.z, Float(pv[4]) * pt.n.x + Float(pv[5]) * pt.n.y + Float(pv[6]) * pt.n.z,
                               Float(pv[8]) * pt.n.x + Float(pv[9]) * pt.n.y + Float(pv[10]) * pt.n.z};
        Mask cubic = surface.cubic;
        for (int i = 0; i < 4; i++) {
            const Int x = tap_x(image_taps.taps, i), y = tap_y(image_taps.taps, i);
            const Surface s = gather_tap(a.prev_guide, image_taps.taps, i);
            const Float3 ns = decode_normal(s.packed);
            const Float rs = decode_roughness(s.packed);
            roughness_weight[i] = mix(Float(1.f), compact_weight((rs * rs - m) * roughness_scale), blend_in);
            const Float n_dot_n = dot(ns, pt.n);
            const Float3 xs = unproject(frame.prev_unproject, frame.orthographic, uv.x, uv.y, s.view_z);
            Mask ok = pt.remembered && texel_inside(frame, x, y) && is_surface(frame, s.view_z);
            ok = ok && n_dot_n > Float(0.0174524f) && roughness_weight[i] >= Float(0.5f) && abs(dot(prev_n, xs) - plane) <= tolerance;
            if (a.prev_material.present()) ok = ok && same_material(gather_tap(a.prev_material, image_taps.taps, i), pt.material, a.min_material_specular);
            image_taps.valid[i] = select(ok, Float(1.f), Float(0.f));
            cubic = cubic && ok;
            const Float b = image_taps.taps.weight[i];
            past_normal = past_normal + ns * b;
            past_roughness = past_roughness + rs * b;
            n_dot_n_image = n_dot_n_image + n_dot_n * b;
        }
        image_taps.cubic = cubic;
        past_normal = normalize(past_normal);

        const Float frames_surface = trusted_length(a.prev_frames_specular, surface, quality, a.specular_confidence, frame, motion.uv, max_frames);
        const Float frames_image = trusted_length(a.prev_frames_specular, image_taps, sqrt(sat(coverage(image_taps))), a.specular_confidence, frame, uv, max_frames);

        // ---- confidence in virtual motion
        const Float lobe_fraction = Float(0.75f) / (Float(1.f) + frames_image);
        const Float lobe = max(lobe_tangent(pt.roughness, lobe_fraction), Float(normal_encoding_error)), lobe_angle = atan(lobe);
        const Float bend = atan(Float(2.f) * pt.pixel * abs(curvature) * max(divergence / max(pt.n_dot_v, Float(0.01f)), Float(1.f)));
        Float conf_image(0.f);
        for (int i = 0; i < 4; i++) conf_image = conf_image + roughness_weight[i] * image_taps.taps.weight[i];
        conf_image = conf_image * mix(Float(1.f), normal_confidence(pt.n, past_normal, bend, lobe_angle), blend_in);
        {  // Look further along the divergence: is the history being followed itself a stranger's?
            const Float inv = Float(1.f) / max(divergence, Float(1e-6f)), reach = min(divergence * Float(frame.frame_rate_scale), Float(2.f)) + divergence;
            const Float2 at = {uv.x + divergence_step.x * inv * reach * Float(frame.inv_width), uv.y + divergence_step.y * inv * reach * Float(frame.inv_height)};
            const Float2 px = to_pixels(frame, at);
            const Surface s = gather(a.prev_guide, to_int(clamp(px.x, Float(0.f), Float(float(frame.width)))), to_int(clamp(px.y, Float(0.f), Float(float(frame.height)))));
            const Float rs = decode_roughness(s.packed);
            Float w = normal_confidence(past_normal, decode_normal(s.packed), bend * (Float(1.f) + reach), lobe_angle);
            w = w * compact_weight((rs * rs - past_roughness * past_roughness) * roughness_scale);
            conf_image = min(conf_image, select(on_screen(at), mix(Float(1.f), w, sat(reach)), Float(1.f)));
        }
        {  // Parallax: last frame's hit distance must lead to the same place, within the lobe's footprint.
            Float past_h(0.f);
            for (int i = 0; i < 4; i++) past_h = past_h + gather_tap(a.prev_tracking, image_taps.taps, i) * image_taps.taps.weight[i];
            past_h = past_h * Float(frame.units_per_metre);
            const Float3 past_image = virtual_point(pt.world, still_step, pt.n, pt.view, pt.n_dot_v, lobe_cosine, factor, curvature, past_h);
            const Float error = select(attached, Float(0.f), length(to_pixels(frame, project(frame.prev_world_to_clip, past_image) - uv)));
            const Float depth = frame.orthographic != 0.f ? Float(1.f) : max(length(image), Float(1e-6f));
            const Float allowed = max(Float(0.5f) * min(h, past_h) * lobe / (Float(frame.pixel_size) * depth), Float(0.1f) * pt.roughness);
            const Float w = select(allowed > Float(0.f), sat(Float(1.f) - error / max(allowed, Float(1e-12f))), select(error > Float(0.f), Float(0.f), Float(1.f)));
            conf_image = conf_image * select(is_finite(w), w, Float(0.f));
        }

        // ---- confidence in surface motion: the angle the view moved, against the lobe
        const Float slow = sat(length(to_pixels(frame, motion.uv - pt.uv)) * Float(4.f));
        const Float object_angle = length(object_step) * (Float(1.f) / max(length(pt.world), Float(1e-6f)) + Float(1.f) / max(h, pt.pixel));
        // Parallel rays see every point from the same side, wherever the camera is.
        const Float camera_angle = frame.orthographic != 0.f ? Float(0.f) : atan(parallax_max * pt.pixel / max(length(pt.world), Float(1e-6f)));
        const Float view_angle = (object_angle + camera_angle) * mix(Float(0.1f), Float(1.f), slow) + Float(2.f) * turned;
        const Float4 current = fetch(a.specular, p);
        const Float past_distance = gather(a.history_specular, to_int(clamp(to_pixels(frame, motion.uv).x, Float(0.f), Float(float(frame.width)))),
                                           to_int(clamp(to_pixels(frame, motion.uv).y, Float(0.f), Float(float(frame.height)))))
                                        .w;
        const Float distance = select(current.w >= Float(0.f), mix(past_distance, current.w, Float(1.f) / (Float(1.f) + frames_surface)),
                                      select(frames_surface > Float(0.f), past_distance, Float(1.f)));
        const Float h_surface = distance * hit_distance_scale(frame, pt.z, lobe_spread_half(pt.roughness));
        Float allowed_angle =
            lobe_tangent(roughness, Float(0.75f)) * mix(pt.n_dot_v, Float(1.f), roughness) / ((Float(1.f) + frames_surface) * (sat(h_surface / pt.span) + Float(1e-6f)));
        allowed_angle = max(atan(allowed_angle), Float(normal_encoding_error));
        const Float open = sat(Float(1.f) - view_angle / allowed_angle);
        const Float conf_surface = mix(square(square(open)), Float(1.f), linear_step(0.8f, 0.9f, roughness));

        // ---- limits of both lengths
        const Float n_dot_n_surface = dot(surface_past_normal, pt.n_average);
        Float limit_surface(max_frames), limit_image(max_frames);
        if (a.responsive_roughness > 0.f) {
            const Float responsive = smooth_step(max(roughness, Float(1e-3f)) * Float(1.f / (a.responsive_roughness > 1e-3f ? a.responsive_roughness : 1e-3f)));
            const Float spread = lobe_spread_quarter(roughness), exponent = mix(Float(32.f), Float(1.f), spread) * (Float(1.f) - responsive);
            const Float most = Float(max_frames) * mix(spread, Float(1.f), responsive), least(a.responsive_min_frames);
            limit_surface = max(most * pow(max(sat(n_dot_n_surface), Float(1e-6f)), exponent), least);
            limit_image = max(most * pow(max(sat(n_dot_n_image), Float(1e-6f)), exponent), least);
        }
        const Float trusted_image = min(frames_image, Float(max_frames) * conf_image);
        // Where both lead to the same place, either's word is enough.
        const Float trusted_surface = max(min(frames_surface, Float(max_frames) * conf_surface), trusted_image * sat(Float(1.f) - divergence));
        const Float n_surface = min(trusted_surface, limit_surface), n_image = min(trusted_image, limit_image);

        // ---- choice
        Float share = sat(Float(1.f) + (n_image - n_surface) / (Float(1.f) + Float(0.5f) * max(n_image, n_surface)));
        share = share * select(attached, Float(1.f), slow);
        share = select(cubic, share, select(share >= Float(0.5f), Float(1.f), Float(0.f)));
        const Float2 history_uv = select(share <= Float(0.f), motion.uv, select(share >= Float(1.f), uv, mix(motion.uv, uv, share)));
        Footprint chosen;
        chosen.taps = bilinear_at_uv(frame, history_uv);
        for (int i = 0; i < 4; i++) chosen.valid[i] = mix(surface.valid[i], image_taps.valid[i], share);
        chosen.cubic = (share < Float(0.5f) && surface.cubic) || (share >= Float(0.5f) && cubic);

        // The length that is remembered ignores responsiveness down to where a history would be rebuilt.
        const Float fix(a.fix_frames);
        const Float stored = mix(min(trusted_surface, max(limit_surface, fix)), min(trusted_image, max(limit_image, fix)), share);
        const Float trust = mix(conf_surface, conf_image, share);
        blend<Lobe::specular>(a, frame, p, pt, chosen, history_uv, mix(n_surface, n_image, share), stored, trust);
        if (a.trust_specular.present()) store(a.trust_specular, p, encode_trust(trust, a.averaged_specular.present() ? fetch(a.averaged_specular, p) : Int(0)));
        store(a.tracking_out, p, select(pt.surface, h * Float(1.f / frame.units_per_metre), Float(0.f)));
        if (a.footprint_specular.present()) store(a.footprint_specular, p, encode_footprint(chosen));
        if (!a.offset_specular.present()) return;
        const Float2 offset = to_pixels(frame, history_uv - pt.uv);
        store(a.offset_specular, p,
              float_to_half(clamp(offset.x, Float(-60000.f), Float(60000.f))) | shift_left(float_to_half(clamp(offset.y, Float(-60000.f), Float(60000.f))), 16));
    }

    // The smallest distance in 3x3 that any sample found; 0 if none did.
    DN_FN static Float nearest_tracking(const Tile& tile) {
        Float nearest(1e6f);
        for (int dy = -1; dy <= 1; dy++)
            for (int dx = -1; dx <= 1; dx++) {
                const Float h = tile(3, dx, dy);
                nearest = select(h > Float(0.f), min(nearest, h), nearest);
            }
        return select(nearest < Float(1e6f), nearest, Float(0.f));
    }

    // 1 where two normals differ by no more than curvature explains, 0 where more than the lobe covers.
    DN_FN static Float normal_confidence(Float3 a, Float3 b, Float bend, Float lobe_angle) {
        const Float q = smooth_step(Float(1.f) - (acos_acute(dot(a, b)) - bend) / lobe_angle);
        return smooth_step(linear_step(0.05f, 0.95f, q));
    }

    // Curvature of the surface along the motion of the reflection, from the neighbours it moves towards.
    DN_FN static Float mirror_curvature(const Args& a, const FrameConstants& frame, const Point& pt, const Tile& tile, Float2 step, Float parallax1, Float parallax_max,
                                        Float parallax_min, Float lobe_cosine, Float factor, Float h) {
        const Float inv = Float(1.f) / max(parallax1, Float(1.f / 256.f));
        const Float2 direction = step * inv;
        const Float plane = dot(pt.n, pt.world);
        const Float wx = abs(direction.x) + Float(1.f / 256.f), wy = abs(direction.y) + Float(1.f / 256.f), inv_w = Float(1.f) / (wx + wy);
        Float3 x = (on_plane(frame, pt, plane, Float2{pt.uv.x + Float(frame.inv_width), pt.uv.y}) * wx +
                    on_plane(frame, pt, plane, Float2{pt.uv.x, pt.uv.y + Float(frame.inv_height)}) * wy) *
                   inv_w;
        Float3 n = normalize((normal(tile, 1, 0) * wx + normal(tile, 0, 1) * wy) * inv_w);
        // Under fast motion a longer baseline flattens bumps: the surface point that far ahead, if it still lies on the plane.
        const Float2 far_uv = {pt.uv.x + direction.x * parallax_min * Float(frame.inv_width), pt.uv.y + direction.y * parallax_min * Float(frame.inv_height)};
        const Mask fast = parallax_min > Float(1.41421356f) && on_screen(far_uv);
        if (any(fast)) {
            const Float2 px = to_pixels(frame, select(fast, far_uv, pt.uv));
            const Int ix = to_int(floor(px.x)), iy = to_int(floor(px.y));
            const Surface s = gather(a.guide, ix, iy);
            const Float us = (to_float(ix) + Float(0.5f)) * Float(frame.inv_width), vs = (to_float(iy) + Float(0.5f)) * Float(frame.inv_height);
            const Float3 xs = rotate_back(frame.world_to_view, view_position(frame, us, vs, s.view_z));
            const Mask usable = fast && is_surface(frame, s.view_z) && abs(dot(pt.n, xs) - plane) < Float(0.02f) * pt.span;
            x = select(usable, xs, x);
            n = select(usable, decode_normal(s.packed), n);
        }
        const Float3 d = x - pt.world;
        Float curvature = dot(n - pt.n, d) / max(dot(d, d), Float(1e-20f));
        curvature = select(is_finite(curvature), clamp(curvature, Float(-65504.f), Float(65504.f)), Float(0.f));
        const Float3 zero = {Float(0.f), Float(0.f), Float(0.f)};
        // A hollow mirror may speed the reflection up, but not beyond reason.
        const Float3 image = virtual_point(pt.world, zero, pt.n, pt.view, pt.n_dot_v, lobe_cosine, factor, curvature, h);
        const Float moved = length(to_pixels(frame, project(frame.prev_world_to_clip, image) - project(frame.prev_world_to_clip, pt.world)));
        return select(curvature >= Float(0.f) || moved < Float(5.f) * parallax_max + Float(frame.inv_width), curvature, Float(0.f));
    }
    // Where the view ray through `uv` meets the tangent plane of the pixel.
    DN_FN static Float3 on_plane(const FrameConstants& frame, const Point& pt, Float plane, Float2 uv) {
        if (frame.orthographic != 0.f) {
            const Float3 origin = rotate_back(frame.world_to_view, unproject(frame.unproject, frame.orthographic, uv.x, uv.y, Float(0.f)));
            const Float3 forward = -pt.view;
            return origin + forward * ((plane - dot(pt.n, origin)) / away_from_zero(dot(pt.n, forward)));
        }
        const Float3 ray = rotate_back(frame.world_to_view, unproject(frame.unproject, 0.f, uv.x, uv.y, Float(1.f)));
        return ray * (plane / away_from_zero(dot(pt.n, ray)));
    }
    DN_FN static Float away_from_zero(Float x) { return select(abs(x) < Float(1e-3f), select(x < Float(0.f), Float(-1e-3f), Float(1e-3f)), x); }
};

}  // namespace denoise::DN_TARGET
#endif
