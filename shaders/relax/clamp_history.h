// SPDX-License-Identifier: Apache-2.0
// Clamp history: keeps the long history within reach of the short one, which knows what the light does now, and follows the samples of the
// neighbourhood where both lag behind (anti-lag). What comes out is next frame's history; the filters that follow do not feed back.
#pragma once
#include "../common/classify_tiles.h"
#include "../lobe.h"
#include "../reblur/spatial_filter.h"
#include "../relight/tiles.h"

namespace denoise {
struct ClampHistoryArgs {
    Image<R8U> tiles;                 // in
    Image<Guide> guide;               // in
    Image<R8U> frames;                // in
    Image<RGBA16F> signal;            // in: the long history, this frame's sample blended in
    Image<RGBA16F> responsive;        // in: the short one; standard deviation of the samples' luma
    Image<R16U> sample;               // in: this frame's light, not filtered; see encode_light()
    Image<R8U> averaged;              // in, may be absent: how many samples the pre-pass averaged; see encode_averaged()
    Image<RGBA16F> out;               // out: the long history
    Image<RGBA16F> responsive_out;    // out: the short one
    float fix_frames = 0;             // shorter histories were rebuilt; so is their short one, from them
    float max_frames = 0, max_fast_frames = 0;
    float clamp_sigma = 0;            // half width of the box around the short history, standard deviations
    float acceleration = 0;           // anti-lag: of the way to the samples' local mean
    float reset = 0, spatial_sigma = 0, temporal_sigma = 0;  // anti-lag: how much of the excess over these many standard deviations goes
    int anti_firefly = 0;
    template <class V> void io(V& v) { v.in(tiles), v.in(guide), v.in(frames), v.in(signal), v.in(responsive), v.in(sample), v.in(averaged), v.out(out), v.out(responsive_out); }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {
struct ClampHistory {
    using Args = ClampHistoryArgs;
    static constexpr int planes = 5, halo = 2;  // short history's YCoCg (negative luma: no surface), long history's luma, sample's luma

    DN_FN static void load(const Args& a, const FrameConstants& frame, const Pixel& p, Float out[planes]) {
        const Mask inside = p.x >= Int(0) && p.x < Int(frame.width) && Mask(p.y >= 0 && p.y < frame.height);
        const Float4 fast = fetch(a.responsive, p);
        out[0] = select(inside && is_surface(frame, fetch(a.guide, p).view_z), fast.x, Float(-1.f));
        out[1] = fast.y;
        out[2] = fast.z;
        out[3] = fetch(a.signal, p).x;
        out[4] = light_luma(fetch(a.sample, p));
    }

    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile& tile) {
        const Mask surface = tile(0) >= Float(0.f);
        Float4 slow = fetch(a.signal, p), fast = fetch(a.responsive, p);
        if (in_sky_tile(a.tiles, p) || !any(surface)) {
            store(a.responsive_out, p, fast);
            return store(a.out, p, slow);
        }
        const Float zero(0.f), one(1.f), tiny(1e-6f), frames = decode_frames(fetch(a.frames, p));
        if (a.anti_firefly) slow = with_luma(slow, ranked(tile));

        const Float settled = a.fix_frames > 0.f ? sat(frames / Float(a.fix_frames)) : one;
        fast = {mix(slow.x, fast.x, settled), mix(slow.y, fast.y, settled), mix(slow.z, fast.z, settled), fast.w};

        // Moments in 5x5. A place without a surface counts as the centre; of samples, it does not count.
        const Float own_sample = tile(4);
        Float3 mean = {zero, zero, zero}, squares = mean;
        Float light(zero), light_squares(zero);
        for (int dy = -2; dy <= 2; dy++) {
            Float3 m = {zero, zero, zero}, q = m;
            Float l(zero), ll(zero);
            for (int dx = -2; dx <= 2; dx++) {
                const Mask known = tile(0, dx, dy) >= zero;
                const Float3 c =
                    dx == 0 && dy == 0 ? Float3{fast.x, fast.y, fast.z} : select(known, Float3{tile(0, dx, dy), tile(1, dx, dy), tile(2, dx, dy)}, Float3{fast.x, fast.y, fast.z});
                const Float s = select(known, tile(4, dx, dy), own_sample);
                m = m + c, q = q + scale(c, c), l = l + s, ll = ll + s * s;
            }
            mean = mean + m, squares = squares + q, light = light + l, light_squares = light_squares + ll;
        }
        const Float each(1.f / 25.f);
        mean = mean * each, light = light * each;
        const Float light_sigma = sqrt0(light_squares * each - light * light);
        const Float3 sigma = {sqrt0(squares.x * each - mean.x * mean.x), sqrt0(squares.y * each - mean.y * mean.y), sqrt0(squares.z * each - mean.z * mean.z)};

        // The box around the short history's local mean: as wide as its detail, which is what it varies beyond its noise, and as the noise of the
        // long history and of that mean. Both noises follow from the samples', which few bright samples would hide from a small window.
        const Float averaged = a.averaged.present() ? decode_averaged(fetch(a.averaged, p)) : one;
        const Float deviation = fast.w * rsqrt(averaged);  // of what was blended in
        const Float variance = square(deviation / max(fast.x, tiny)), fast_noise = variance * of_mean(min(frames, Float(a.max_fast_frames)));
        const Float noise = variance * of_mean(frames) + fast_noise * Float(1.f / 9.f);
        const Float before = slow.x;
        Float clamped(zero);
        if (a.max_fast_frames < a.max_frames) {
            const Float young = one / (one + Float(2.f) * frames);
            const Float4 boxed = {boxed_in(a, slow.x, fast.x, mean.x, sigma.x, noise, fast_noise), boxed_in(a, slow.y, fast.y, mean.y, sigma.y, noise, fast_noise),
                                  boxed_in(a, slow.z, fast.z, mean.z, sigma.z, noise, fast_noise), slow.w};
            const Float way = fast.x - slow.x;
            clamped = select(abs(way) > tiny, sat((boxed.x - slow.x) / select(abs(way) > tiny, way, one)), zero) * (one - young);
            slow = mix(boxed, slow, young);
        }

        Float luma = slow.x, fast_luma = fast.x;
        const Float ready = select(frames >= Float(a.fix_frames), one, zero);
        if (a.acceleration > 0.f) {
            const Float way = light - fast.x, drive = Float(10.f * a.acceleration) * clamped * abs(fast.x - before) * ready;
            const Float moved = clamp(way, -drive, drive);
            luma = luma + moved, fast_luma = fast_luma + moved;
        }
        if (a.reset > 0.f) {
            const Float slack = Float(a.spatial_sigma) * sigma.x + Float(a.temporal_sigma) * max(light_sigma, deviation);  // a window may lack all of the few bright samples
            const Float excess = max(abs(before - light) - slack, zero), part = sat(Float(a.reset) * excess / (max(before, light) + slack + tiny)) * ready;
            luma = mix(luma, light, part), fast_luma = mix(fast_luma, light, part);
        }
        slow = with_luma(slow, max(luma, zero));
        fast = with_luma(fast, max(fast_luma, zero));
        store(a.out, p, select(surface, dither_to_half(slow, random_word(frame, p, 24)), fetch(a.signal, p)));
        store(a.responsive_out, p, select(surface, dither_to_half(fast, random_word(frame, p, 25)), fetch(a.responsive, p)));
    }

   private:
    // What is left of the samples' variance in an exponential mean that is so many frames long.
    DN_FN static Float of_mean(Float frames) { return Float(1.f) / (Float(1.f) + Float(2.f) * frames); }
    // The centre's own short history is always inside.
    DN_FN static Float boxed_in(const Args& a, Float slow, Float fast, Float mean, Float sigma, Float noise, Float fast_noise) {
        const Float size = square(fast), reach = Float(a.clamp_sigma) * sqrt(max(square(sigma) - fast_noise * size, Float(0.f)) + noise * size);
        return clamp(slow, min(mean - reach, fast), max(mean + reach, fast));
    }
    // The long history's luma, no brighter and no darker than all around it.
    DN_FN static Float ranked(const Tile& tile) {
        const Float own = tile(3);
        Float low(6.5e4f), high(-1.f);
        for (int k = 0; k < 9; k++) {
            if (k == 4) continue;
            const int dx = k % 3 - 1, dy = k / 3 - 1;
            const Mask known = tile(0, dx, dy) >= Float(0.f);
            const Float value = tile(3, dx, dy);
            low = select(known, min(low, value), low);
            high = select(known, max(high, value), high);
        }
        return select(high < Float(0.f), own, clamp(own, low, high));
    }
};
}  // namespace denoise::DN_TARGET
#endif
