// SPDX-License-Identifier: Apache-2.0
// Temporal stabilisation: steadies the luma of the filtered picture against its own past, and shortens histories that lag behind (anti-lag).
// Stabilised values never re-enter the history; only its length does.
#pragma once
#include "../common/classify_tiles.h"
#include "../lobe.h"
#include "../relight/tiles.h"
#include "convergence.h"

namespace denoise {
struct StabilizeArgs {
    Image<R8U> tiles;           // in
    Image<Guide> guide;         // in
    Image<R8U> material;        // in, may be absent
    Array motion;               // in, diffuse only; may be absent
    Image<R16U> footprint;      // in: of temporal accumulation
    Image<R32U> offset;         // in, specular only
    Image<RGBA16F> signal;      // in
    Image<R16F> history_luma;   // in: stabilised luma of the last frame
    Image<R16F> luma;           // out
    Image<R8U> frames;          // in and out: shortened where the light changed
    Image<RGBA16F> gain, add;   // in: of re-lighting, may be absent
    Image<R8U> changed;         // in, with them
    float max_stabilized_frames = 0;
    float fix_frames = 0;
    float sigma_scale = 0, sensitivity = 0;  // of the anti-lag
    float responsive_roughness = 0;
    float split = 0;            // uv.x of the split screen: no history from its noisy side
    int history_valid = 0;      // history_luma is of the last frame
    Convergence convergence;
    template <class V> void io(V& v) {
        v.in(tiles), v.in(guide), v.in(material), v.in(motion), v.in(footprint), v.in(offset), v.in(signal), v.in(history_luma), v.in(gain), v.in(add), v.in(changed), v.out(luma),
            v.inout(frames);
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

        // The place that accumulation found, again.
        const Float2 uv = {p.center_x() * Float(frame.inv_width), p.center_y() * Float(frame.inv_height)};
        Float2 at;
        if constexpr (specular) {
            const Int word = fetch(a.offset, p);
            at = {uv.x + half_to_float(word & Int(0xffff)) * Float(frame.inv_width), uv.y + half_to_float(shift_right(word, 16)) * Float(frame.inv_height)};
        } else {
            const Float3 world = rotate_back(frame.world_to_view, view_position(frame, uv.x, uv.y, center.view_z));
            at = surface_motion(frame, a.motion, p, uv, world, center.view_z).uv;
        }
        Footprint f;
        decode_footprint(fetch(a.footprint, p), f);
        f.taps = bilinear_at_uv(frame, at);
        const Float quality = a.history_valid ? sqrt(sat(coverage(f))) : Float(0.f);
        Float history = max(fetch_history(frame, a.history_luma, f, at), Float(0.f));
        if (a.gain.present() && light_changed(a.changed, p)) {
            const Float4 now = fetch(a.signal, p);
            history = relit_luma(relight_at(a.gain, a.add, p), history, ycocg_to_rgb({now.x, now.y, now.z}));
        }

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
            // A perfect mirror is free of noise: what it shows is resampled as little as can be.
            const Float responsive = smooth_step(roughness * Float(1.f / (a.responsive_roughness > 1e-3f ? a.responsive_roughness : 1e-3f)));
            Float patience = mix(lobe_spread_quarter(roughness), Float(1.f), Float(0.5f) + Float(0.5f) * responsive);
            if (a.material.present() && frame.strand_material >= 0) patience = select(fetch(a.material, p) == Int(frame.strand_material), min(patience, Float(0.5f)), patience);
            weight = weight * patience;
        }
        weight = select(at.x < Float(a.split) || uv.x < Float(a.split), Float(0.f), weight);
        weight = min(weight, Float(a.max_stabilized_frames / (1.f + a.max_stabilized_frames)));
        store(a.luma, p, select(surface, mix(luma, past, weight), Float(0.f)));
    }
};
}  // namespace denoise::DN_TARGET
#endif
