// SPDX-License-Identifier: Apache-2.0
// Gain: how far the light of a level's tiles moved beyond what the coarser levels already say, and how much of it the noise allows to believe.
#pragma once
#include "tiles.h"

namespace denoise {
struct RelightGainArgs {
    Image<RGBA16F> now, before;                // in: this level
    Image<RGBA16F> coarse_gain, coarse_add;    // in: the next coarser level, may be absent
    Image<R16U> memory;                        // in and out: evidence and noise of the tile in the last frame
    Image<RGBA16F> gain, add;                  // out: RGB; evidence beside the gain
    Image<R8U> changed;                        // out, may be absent: 1 where the gain is not 1
    float pixels = 0;                          // of a tile
    float proof_high = 0, proof_low = 0;       // of a change, in variances of the mean: at first, and where one was just found
    float floor = 0;                           // relative difference that counts as none
    float sparse = 0;
    float decay = 0;                           // of the evidence, per frame
    float max_ratio = 0;                       // beyond it light is added: a dark history has no pattern to scale
    template <class V> void io(V& v) { v.in(now), v.in(before), v.in(coarse_gain), v.in(coarse_add), v.out(gain), v.out(add), v.inout(memory), v.out(changed); }
};
}  // namespace denoise

#ifdef DN_TARGET
namespace denoise::DN_TARGET {
struct RelightGain {
    using Args = RelightGainArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile&) {
        const Float zero(0.f), one(1.f);
        // Means over 3x3 tiles, weighted (1 2 1).
        Float3 now{zero, zero, zero}, before = now;
        Float squares = zero, share = zero;
        for (int j = -1; j <= 1; j++)
            for (int i = -1; i <= 1; i++) {
                const Int x = p.x + Int(i), y(p.y + j);
                const Float4 c = gather(a.now, x, y), h = gather(a.before, x, y);
                const Mask inside = x >= Int(0) && x < Int(a.now.width) && y >= Int(0) && y < Int(a.now.height);
                const Float w = select(inside, h.w * Float((i ? 1.f : 2.f) * (j ? 1.f : 2.f) / 16.f), zero);
                now = now + Float3{c.x, c.y, c.z} * w;
                squares = squares + c.w * c.w * w;
                before = before + Float3{h.x, h.y, h.z} * w;
                share = share + w;
            }
        const Float scale = one / max(share, Float(1e-6f)), pixels = Float(a.pixels * (1.f / 0.140625f)) * max(share, Float(0.003f));
        squares = squares * scale;
        const Float luma_now = now.x * scale;
        const Float3 c = max(to_rgb(now * scale), zero);

        Relight r{{one, one, one}, {zero, zero, zero}};
        Float evidence = zero;
        if (a.coarse_gain.present()) {
            const Float4 g = between(a.coarse_gain, p), add = between(a.coarse_add, p);
            r = {{g.x, g.y, g.z}, {add.x, add.y, add.z}};
            evidence = g.w;
        }
        const Float3 h = max(to_rgb(before * scale), zero) * r.gain + r.add;
        const Float luma = Float(0.25f) * h.x + Float(0.5f) * h.y + Float(0.25f) * h.z;

        // The noise is the larger one of what is seen and what was seen before: sparse samples may all be missing from a window.
        const Int memory = fetch(a.memory, p);
        const Mask remembered = Mask(frame.history_valid != 0);
        const Float spread = select(remembered, exp2(to_float(shift_right(memory, 5)) * Float(1.f / 80.f)) - one, Float(16.f));  // relative variance
        const Float doubt = max(one, square(spread * Float(a.sparse)));
        evidence = max(evidence, select(remembered, to_float(memory & Int(31)) * Float(a.decay / 31.f), zero));
        const Float variance = max(max(squares - luma_now * luma_now, zero), spread * luma * luma) / pixels;

        const Float brightest = one / max(max(luma_now, luma), Float(1e-6f));
        const Float z2 = max(max(proof(a, c.x, h.x, variance, brightest), proof(a, c.y, h.y, variance, brightest)), proof(a, c.z, h.z, variance, brightest));
        const Float shrink = max(one - one / max(z2, Float(1e-6f)), zero);
        const Float needed = doubt * mix(Float(a.proof_high), Float(a.proof_low), evidence);
        const Float k = select(share > Float(1e-4f), shrink * max(one - square(square(needed / max(z2, Float(1e-6f)))), zero), zero);  // shrinkage of James and Stein

        const Float3 target = mix(h, c, k);
        const Float3 ratio = {believed(a, target.x, h.x), believed(a, target.y, h.y), believed(a, target.z, h.z)};
        r.gain = r.gain * ratio;
        r.add = r.add * ratio + max(target - h * ratio, zero);
        const Float after = Float(0.25f) * target.x + Float(0.5f) * target.y + Float(0.25f) * target.z;
        const Float step = abs(log2(max(after, Float(1e-6f)) / max(luma, Float(1e-6f)))) * Float(0.69314718f / 0.25f);
        evidence = max(evidence, k * sat(step));

        store(a.gain, p, Float4{r.gain.x, r.gain.y, r.gain.z, evidence});
        store(a.add, p, Float4{r.add.x, r.add.y, r.add.z, zero});
        if (a.changed.present()) {
            const Float moved = max(max(abs(r.gain.x - one), abs(r.gain.y - one)), abs(r.gain.z - one)) * luma + max(max(r.add.x, r.add.y), r.add.z);
            store(a.changed, p, select(moved > luma * Float(1e-3f), Int(1), Int(0)));
        }
        const Float seen = clamp(squares / max(after * after, Float(1e-12f)), one, Float(1e6f));
        const Float spread_next = one + mix(spread, seen - one, Float(1.f / 8.f));
        const Int spread_bits = clamp_int(to_int(log2(spread_next) * Float(80.f) + Float(0.5f)), Int(2047));
        store(a.memory, p, select(share > Float(1e-4f), to_int(evidence * Float(31.f)) | shift_left(spread_bits, 5), memory));
    }

   private:
    DN_FN static Float3 max(Float3 a, Float b) { return {DN_TARGET::max(a.x, b), DN_TARGET::max(a.y, b), DN_TARGET::max(a.z, b)}; }
    DN_FN static Float max(Float a, Float b) { return DN_TARGET::max(a, b); }
    DN_FN static Float proof(const Args& a, Float c, Float h, Float variance, Float brightest) {
        const Float d = c - h, larger = max(c, h), part = larger * brightest, slack = larger * Float(a.floor);
        return d * d / (variance * part * part + slack * slack + Float(1e-12f));
    }
    DN_FN static Float believed(const Args& a, Float target, Float h) { return clamp((target + Float(1e-6f)) / (h + Float(1e-6f)), Float(0.02f), Float(a.max_ratio)); }
    // The coarser level at the centre of a tile.
    DN_FN static Float4 between(const Image<RGBA16F>& coarse, const Pixel& p) {
        const Int x = shift_right(p.x, 1), beside = x + select((p.x & Int(1)) == Int(1), Int(1), Int(-1));
        const Int y(p.y >> 1), below((p.y >> 1) + ((p.y & 1) ? 1 : -1));
        return (gather(coarse, x, y) * Float(0.75f) + gather(coarse, beside, y) * Float(0.25f)) * Float(0.75f) +
               (gather(coarse, x, below) * Float(0.75f) + gather(coarse, beside, below) * Float(0.25f)) * Float(0.25f);
    }
};
}  // namespace denoise::DN_TARGET
#endif
