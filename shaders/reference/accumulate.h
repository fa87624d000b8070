// SPDX-License-Identifier: Apache-2.0
// Accumulate: the running mean of a signal and what is known about its error; the caller's arrays get them at once.
//
// A pixel keeps the mean m of its samples, their variance s about it, and how many samples of equal weight the mean is worth, n. A sample x
// comes in with the weight a = 1 / (1 + min(n, cap)):
//     s += a ((1 - a) (x - m)^2 - s),   m += a (x - m),   1/n = (1 - a)^2 / n + a^2
// (West, "Updating mean and variance estimates", CACM 22(9), 1979; 1/n is the sum of the squared weights, after Kish, "Survey Sampling", 1965).
// Up to the cap that is the arithmetic mean and n counts samples; beyond it the mean is exponential and n goes to 1 + 2 cap. Either way s n / (n - 1)
// is the unbiased variance of the samples, and that over n the variance of the mean. m and s are sums of two fp32: a single one would not move any
// more where a reaches 2^-24.
#pragma once
#include "../image.h"

namespace denoise {
struct ReferenceAccumulateArgs {
    static constexpr int max_channels = 16;
    Array signal, mask;                                           // in: a sample; 1 where a pixel starts anew, may be absent
    Image<R32F> count;                                            // in and out: n
    Image<TwoFloats> mean[max_channels], spread[max_channels];    // in and out: m, s of each channel; spread may be absent
    Array out, variance, standard_error, out_count;               // out; may be absent, the first but for `out` and the second without spread
    float max_frames = 0, split = 0;                              // the cap; uv.x left of which `out` is the sample
    int history_valid = 0;                                        // 0 where all pixels start anew
    template <class V> void io(V& v) {
        v.in(signal), v.in(mask), v.inout(count);
        for (auto& image : mean) v.inout(image);
        for (auto& image : spread) v.inout(image);
        v.out(out), v.out(variance), v.out(standard_error), v.out(out_count);
    }
};
}  // namespace denoise

#ifdef DN_TARGET
#include "../math.h"
namespace denoise::DN_TARGET {
struct ReferenceAccumulate {
    using Args = ReferenceAccumulateArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants& frame, const Pixel& p, const Tile&) {
        const int channels = a.signal.channels;
        Mask valid(true), known(a.history_valid != 0);
        for (int k = 0; k < channels; k++) valid = valid && abs(read(a.signal, p, k)) <= Float(1e18f);  // false for NaN; beyond, squares overflow
        if (a.mask.present()) known = known && read(a.mask, p) == Float(0.f);

        const Float before = select(known, fetch(a.count, p), Float(0.f)), cap(a.max_frames);
        const Float weight = select(valid, Float(1.f) / (Float(1.f) + min(before, cap)), Float(0.f));
        const Float faded = Float(1.f) / (square(Float(1.f) - weight) / max(before, Float(1.f)) + square(weight));
        const Float n = select(valid, select(before <= cap, before + Float(1.f), faded), before);
        store(a.count, p, n);
        if (a.out_count.present()) write(a.out_count, p, 0, n);

        const Mask raw = p.center_x() * Float(frame.inv_width) < Float(a.split);
        for (int k = 0; k < channels; k++) {
            const Float given = read(a.signal, p, k), x = select(valid, given, Float(0.f));
            const FloatPair old = history(a.mean[k], p, known), mean = blend(old, x, weight);
            store(a.mean[k], p, mean);
            write(a.out, p, k, select(raw, given, mean.high));
            if (!a.spread[k].present()) continue;
            const Float step = x - old.high - old.low;
            const FloatPair spread = blend(history(a.spread[k], p, known), (Float(1.f) - weight) * square(step), weight);
            store(a.spread[k], p, spread);
            const Float variance = select(n > Float(1.f), spread.high * (n / (n - Float(1.f))), as_float(Int(0x7f800000)));  // one sample tells nothing: infinite
            if (a.variance.present()) write(a.variance, p, k, variance);
            if (a.standard_error.present()) write(a.standard_error, p, k, sqrt(variance / n));
        }
    }

   private:
    DN_FN static FloatPair history(const Image<TwoFloats>& image, const Pixel& p, Mask known) {
        const FloatPair v = fetch(image, p);
        return {select(known, v.high, Float(0.f)), select(known, v.low, Float(0.f))};
    }
    // v + weight (x - v). The last sum comes with what it rounds off: Knuth, The Art of Computer Programming, vol. 2, 4.2.2, theorem B.
    DN_FN static FloatPair blend(FloatPair v, Float x, Float weight) {
        const Float step = v.low + weight * (x - v.high - v.low);
        const Float high = v.high + step, of_step = high - v.high, of_v = high - of_step;
        return {high, (v.high - of_v) + (step - of_step)};
    }
};
}  // namespace denoise::DN_TARGET
#endif
