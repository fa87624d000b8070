// SPDX-License-Identifier: Apache-2.0
// Temporal stabilisation: steadies the luma of the filtered picture against its own past, and shortens histories that lag behind (anti-lag).
// Stabilised values never re-enter the history; only its length does.
#pragma once
#include "../common/classify_tiles.h"
#include "../lobe.h"
#include "convergence.h"

namespace denoise {
struct StabilizeArgs {
    Image<R8U> tiles;           // in
    Image<Guide> guide;         // in
    Image<R8U> material;        // in, may be absent
    Array motion;               // in, may be absent
    Image<R32U> reprojection;   // in: of temporal accumulation
    Image<R16F> tracking;       // in, specular only
    Image<RGBA16F> signal;      // in
    Image<R16F> history_luma;   // in: stabilised luma of the last frame
    Image<R16F> luma;           // out
    Image<R8U> frames;          // in and out: shortened where the light changed
    float max_stabilized_frames = 0;
    float fix_frames = 0;
    float sigma_scale = 0, sensitivity = 0;  // of the anti-lag
    float responsive_roughness = 0;
    float split = 0;            // uv.x of the split screen: no history from its noisy side
    int history_valid = 0;      // history_luma is of the last frame
    Convergence convergence;
    template <class V> void io(V& v) {
        v.in(tiles), v.in(guide), v.in(material), v.in(motion), v.in(reprojection), v.in(tracking), v.in(signal), v.in(history_luma), v.out(luma), v.inout(frames);
    }
};
}  // namespace denoise

#ifdef DN_TARGET
#include "../reproject.h"
namespace denoise::DN_TARGET {
template <Lobe L> struct Stabilize {
    using Args = StabilizeArgs;
    static constexpr int planes = 1, halo = 1;  // luma; negative: no surface
    static constexpr bool specular = L == Lobe::specular;

    DN_FN static void load(const Args& a, const FrameConstants& frame, const Pixel& p, Float out[planes]) {
        const Mask inside = p.x >= Int(0) && p.x < Int(frame.width) && Mask(p.y >= 0 && p.y < frame.height);
        out[0] = select(inside && is_surface(frame, fetch(a.guide, p).view_z), fetch(a.signal, p).x, Float(-1.f));
    }

    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile) {
        const Surface center = fetch(a.guide, p);
        const Mask surface = is_surface(frame, center.view_z);
        if (in_sky_tile(a.tiles, p) || !any(surface)) return store(a.luma, p, Float(0.f));

        Float luma = max(tile(0), Float(0.f)), mean(0.f), sigma(0.f);
        for (int dy = -1; dy <= 1; dy++)
            for (int dx = -1; dx <= 1; dx++) {
                const Float value = select(tile(0, dx, dy) < Float(0.f), luma, tile(0, dx, dy));
                mean = mean + value;
                sigma = sigma + value * value;
            }
        mean = mean * Float(1.f / 9.f);
        sigma = sqrt(abs(sigma * Float(1.f / 9.f) - mean * mean));

        const Float frames = decode_frames(fetch(a.frames, p));
        luma = select(frames < Float(a.fix_frames), min(luma, mean * (Float(1.2f) + Float(1.f) / (Float(1.f) + frames))), luma);

        // The place that accumulation found, again.
        const Int word = fetch(a.reprojection, p);
        const Float2 uv = {p.center_x() * Float(frame.inv_width), p.center_y() * Float(frame.inv_height)};
        const Float3 world = rotate_back(frame.world_to_view, view_position(frame, uv.x, uv.y, center.view_z));
        const SurfaceMotion motion = surface_motion(frame, a.motion, p, uv, world, center.view_z);
        Float2 at = motion.uv;
        Footprint f;
        footprint_from_bits(word, f.valid);
        f.cubic = (word & Int(1 << 15)) != Int(0);
        const Float share = to_float(shift_right(word, 8) & Int(127)) * Float(1.f / 127.f);
        if (specular && any(share > Float(0.f))) {
            const Float2 image = image_uv(a, frame, p, center, world, motion, word);
            at = select(share <= Float(0.f), at, select(share >= Float(1.f), image, mix(at, image, share)));
            Float image_valid[4];
            footprint_from_bits(shift_right(word, 4), image_valid);
            Float all_image(1.f);
            for (int k = 0; k < 4; k++) {
                all_image = all_image * image_valid[k];
                f.valid[k] = mix(f.valid[k], image_valid[k], share);
            }
            f.cubic = f.cubic && (share < Float(0.5f) || all_image > Float(0.f));
        }
        f.taps = bilinear_at_uv(frame, at);
        const Float quality = a.history_valid ? sqrt(sat(coverage(f))) : Float(0.f);
        const Float history = max(fetch_history(frame, a.history_luma, f, at), Float(0.f));

        // Anti-lag: a stabilised past outside the present's box speaks for a change of light.
        const Float reach = sigma * Float(a.sigma_scale), boxed = clamp(history, mean - reach, mean + reach);
        const Float change = abs(history - boxed) / (max(history, boxed) + Float(1e-6f));
        const Float keep = Float(1.f) / (Float(1.f) + change * quality * frames * Float(1.f / (a.sensitivity * frame.frame_rate_scale * frame.frame_rate_scale)));
        store(a.frames, p, select(surface, encode_frames(mix(min(frames, Float(a.fix_frames)), frames, keep)), Int(0)));

        Float weight = quality * (Float(1.f) - not_converged(a.convergence, frames)) * keep;
        const Float slack = sigma * (Float(1.f) + Float(3.f * frame.frame_rate_scale) * weight);
        const Float past = clamp(history, mean - slack, mean + slack);
        if (specular) {
            const Float roughness = decode_roughness(center.packed);
            const Float responsive = smooth_step(max(roughness, Float(1e-3f)) * Float(1.f / (a.responsive_roughness > 1e-3f ? a.responsive_roughness : 1e-3f)));
            Float patience = mix(lobe_spread_quarter(roughness), Float(1.f), Float(0.5f) + Float(0.5f) * responsive);
            if (a.material.present() && frame.strand_material >= 0) patience = select(fetch(a.material, p) == Int(frame.strand_material), min(patience, Float(0.5f)), patience);
            weight = weight * patience;
        }
        weight = select(at.x < Float(a.split) || uv.x < Float(a.split), Float(0.f), weight);
        weight = min(weight, Float(a.max_stabilized_frames / (1.f + a.max_stabilized_frames)));
        store(a.luma, p, select(surface, mix(luma, past, weight), Float(0.f)));
    }

   private:
    DN_FN static Float2 image_uv(const Args& a, const FrameConstants& frame, const Pixel& p, Surface center, Float3 world, const SurfaceMotion& motion, Int word) {
        const Float3 n = decode_normal(center.packed), view = to_camera(frame, world);
        const Float roughness = decode_roughness(center.packed), n_dot_v = abs(dot(n, view)), factor = dominant_factor(n_dot_v, roughness);
        const Float lobe_cosine = abs(dot(n, dominant_direction(n, view, factor)));
        const Float curvature = half_to_float(shift_right(word, 16));
        const Float2 uv = project(frame.prev_world_to_clip, virtual_point(world, motion.world, view, n_dot_v, lobe_cosine, factor, curvature, fetch(a.tracking, p)));
        Mask follow_surface = !(is_finite(uv.x) && is_finite(uv.y));
        if (a.material.present() && frame.camera_attached_material >= 0) follow_surface = follow_surface || fetch(a.material, p) == Int(frame.camera_attached_material);
        return select(follow_surface, motion.uv, uv);
    }
};
}  // namespace denoise::DN_TARGET
#endif
