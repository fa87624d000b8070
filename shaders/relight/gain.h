// SPDX-License-Identifier: Apache-2.0
// Gain: how far the light of a level's tiles moved beyond what the coarser levels say, and how much of that the noise allows to believe.
#pragma once
#include "reduce.h"

namespace denoise {
struct RelightGainArgs {
    Image<RGBA16F> now, before;              // in: this level
    Image<RGBA16F> coarse_gain, coarse_add;  // in: the next coarser level; absent for the coarsest
    Image<R16U> memory;                      // in and out: the noise of the tile's samples in the last frames, 11 bits, and its evidence, 5 bits
    Image<R8U> drift;                        // in and out, may be absent: decaying sum of what the samples were above the history, in deviations of their mean
    Image<RGBA16F> gain;                     // out: RGB factor; evidence of a change, 0..1
    Image<RGBA16F> add;                      // out: RGB radiance; doubt, see below
    Image<R8U> changed;                      // in and out, may be absent: light_moved is added
    float pixels = 0;                        // of a tile
    float proof = 0;                         // change that is believed, in variances of the mean; 1 suffices where one was just found
    template <class V> void io(V& v) { v.in(now), v.in(before), v.in(coarse_gain), v.in(coarse_add), v.inout(memory), v.inout(drift), v.out(gain), v.out(add), v.inout(changed); }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {
struct RelightGain {
    using Args = RelightGainArgs;
    static constexpr int planes = 0, halo = 0;

    static constexpr float no_difference = 0.02f;  // relative: what resampling and rounding do to the means
    static constexpr float few_pixels = 8;         // so many prove nothing, whatever their variance
    static constexpr float rounding_noise = 0.4f;  // of its luma squared: variance of what encode_light() does to a channel of sample and past
    static constexpr float evidence_decay = 0.8f;  // per frame
    static constexpr float noise_share = 1 / 8.f;  // of a frame in the noise that is remembered
    static constexpr float drift_decay = 0.8f;     // per frame
    static constexpr float drift_credit = 1.8f;    // a drift is proven by so much less variance: it is corrected in small steps, which do not flicker
    static constexpr float sparse = 50;            // relative variance of samples so few and bright that firefly limits have taken from the history
    static constexpr float most = 4;               // factor of one level: what is darker has no pattern worth scaling, and light is added
    static constexpr float least = 0.02f;

    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile&) {
        const Float zero(0.f), one(1.f), tiny(1e-6f);
        TileMeans means;  // over 3x3 tiles, weighted (1 2 1)
        for (int j = -1; j <= 1; j++)
            for (int i = -1; i <= 1; i++) means.add(a.now, a.before, p.x + Int(i), Int(p.y + j), Float((i ? 1.f : 2.f) * (j ? 1.f : 2.f) / 16.f));
        means.divide();
        const Float share = means.before.w, luma_now = means.now.x, squares = means.now.w;
        const Mask seen = share > Float(1e-4f);
        const Float pixels = max(Float(a.pixels) * square(share) / max(means.squared_weights, tiny), one);  // that count in the weighted mean
        const Float3 now = mean_rgb(means.now);

        Relight r = {{one, one, one}, {zero, zero, zero}};
        Float evidence = zero, doubt = one;
        if (a.coarse_gain.present()) {
            const Float4 g = between(a.coarse_gain, p), add = between(a.coarse_add, p);
            r = {{g.x, g.y, g.z}, {add.x, add.y, add.z}};
            evidence = g.w, doubt = add.w;
        }
        const Float3 before = scale(mean_rgb(means.before), r.gain) + r.add;
        const Float luma = luma_of(before);

        // The variance is the larger one of what is seen and what was seen before: sparse samples may all be missing from a window. Where they
        // are too sparse, the history lacks what firefly limits took, which is no change of light.
        const Mask remembered(frame.history_valid != 0);
        const Int memory = select(remembered, fetch(a.memory, p), Int(0));
        const Float noise = exp2(to_float(shift_right(memory, 5)) * Float(1.f / 80.f)) - one;  // relative variance
        evidence = max(evidence, to_float(memory & Int(31)) * Float(evidence_decay / 31.f));
        doubt = max(doubt, square(max(noise, squares / max(square(luma_now), Float(1e-12f))) * Float(1 / sparse)));
        const Float variance = max(squares - square(luma_now), noise * square(luma)) / pixels, few = Float(few_pixels) / pixels;
        const Float rounding = square(luma) * (Float(rounding_noise) / pixels + square(few));

        // Any channel may prove a change; they share its variance by their part of the light.
        const Float brightest = one / max(max(luma_now, luma), tiny);
        const Float z2 = max(max(proof(now.x, before.x, variance, rounding, brightest), proof(now.y, before.y, variance, rounding, brightest)),
                             proof(now.z, before.z, variance, rounding, brightest));
        doubt = min(doubt, Float(6e4f));

        // What is too small for one frame to prove shows when it goes on in one direction: light that travels, and slow fades.
        const Float deviation = sqrt(variance + rounding + Float(1e-12f)), difference = luma_now - luma;
        const Float beyond = with_sign_of(max(abs(difference) - Float(no_difference) * max(luma_now, luma), zero), difference) / deviation;
        const Float drift_before = select(remembered && Mask(a.drift.present()), to_float((a.drift.present() ? fetch(a.drift, p) : Int(0)) - Int(128)) * Float(drift_step), zero);
        const Float drift = select(seen, drift_before * Float(drift_decay) + clamp(beyond, Float(-8.f), Float(8.f)), zero);
        const Float needed = doubt * mix(Float(a.proof), one, evidence);
        // First a gate, for static noise must move nothing; then as much as is expected to be more than noise (James and Stein).
        const auto belief = [&](Float proven) { return select(seen, sat(one - square(square(needed / max(proven, tiny)))) * sat(one - one / max(proven, tiny)), zero); };
        Float believed = belief(z2);
        Float3 target = mix(before, now, believed);
        if (a.drift.present()) {
            const Float by_drift = belief(square(drift) * Float((1 - drift_decay * drift_decay) * drift_credit)), a_step = drift * Float(1 - drift_decay) * deviation;
            const Mask drifts = by_drift * abs(a_step) > believed * abs(difference);
            target = select(drifts, before * max(one + by_drift * a_step / max(luma, tiny), Float(least)), target);
            believed = select(drifts, by_drift, believed);
        }
        const Float3 ratio = {factor(target.x, before.x), factor(target.y, before.y), factor(target.z, before.z)};
        r.gain = scale(r.gain, ratio);
        r.add = {added(r.add.x * ratio.x + max(target.x - before.x * ratio.x, zero)), added(r.add.y * ratio.y + max(target.y - before.y * ratio.y, zero)),
                 added(r.add.z * ratio.z + max(target.z - before.z * ratio.z, zero))};
        const Float after = luma_of(target), step = abs(log2(max(after, tiny) / max(luma, tiny)));
        evidence = max(evidence, believed * sat(step * Float(2.77f)));  // all of it from a change by 28 % on

        store(a.gain, p, Float4{r.gain.x, r.gain.y, r.gain.z, evidence});
        store(a.add, p, Float4{r.add.x, r.add.y, r.add.z, doubt});
        if (a.changed.present()) {
            const Float moved = max(max(abs(r.gain.x - one), abs(r.gain.y - one)), abs(r.gain.z - one)) * luma + max(max(r.add.x, r.add.y), r.add.z);
            store(a.changed, p, fetch(a.changed, p) | select(moved > luma * Float(1e-3f), Int(light_moved), Int(0)));
        }
        const Float noise_now = clamp(squares / max(square(after), Float(1e-12f)) - one, zero, Float(1e6f));
        const Float noise_next = select(remembered && seen, mix(noise, noise_now, Float(noise_share)), noise);
        const Int noise_bits = clamp_int(to_int(log2(one + noise_next) * Float(80.f) + Float(0.5f)), Int(2047));
        store(a.memory, p, to_int(evidence * Float(31.f)) | shift_left(noise_bits, 5));
        if (a.drift.present()) store(a.drift, p, to_int(clamp(drift * (one - believed) * Float(1 / drift_step), Float(-127.f), Float(127.f)) + Float(128.5f)));
    }

   private:
    static constexpr float drift_step = 1 / 8.f;  // of what is remembered
    DN_FN static Float3 mean_rgb(const Float4& ycocg) { return ycocg_to_rgb({ycocg.x, ycocg.y, ycocg.z}); }
    // The squared difference of two means in units of its variance.
    DN_FN static Float proof(Float now, Float before, Float variance, Float rounding, Float brightest) {
        const Float larger = max(now, before);
        return square(now - before) / (variance * square(larger * brightest) + rounding + square(larger * Float(no_difference)) + Float(1e-12f));
    }
    DN_FN static Float factor(Float target, Float before) { return clamp((target + Float(1e-6f)) / (before + Float(1e-6f)), Float(least), Float(most)); }
    DN_FN static Float added(Float light) { return min(light, Float(65504.f)); }
    // The coarser level at the centre of one of this level's tiles.
    DN_FN static Float4 between(const Image<RGBA16F>& coarse, const Pixel& p) {
        const Int x = shift_right(p.x, 1), beside = x + select((p.x & Int(1)) == Int(1), Int(1), Int(-1));
        const Int y(p.y >> 1), below((p.y >> 1) + ((p.y & 1) ? 1 : -1));
        return mix(mix(gather(coarse, x, y), gather(coarse, beside, y), Float(0.25f)), mix(gather(coarse, x, below), gather(coarse, beside, below), Float(0.25f)), Float(0.25f));
    }
};
}  // namespace denoise::DN_TARGET
#endif
