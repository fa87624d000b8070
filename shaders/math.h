// SPDX-License-Identifier: Apache-2.0
// Lane mathematics: interpolation, smooth steps, and the transcendental functions that lanes lack.
#pragma once
#include "backend.h"

namespace denoise::DN_TARGET {

constexpr float pi = 3.14159265f;

DN_FN Float with_sign_of(Float magnitude, Float x) { return as_float(as_int(magnitude) | (as_int(x) & Int(int(0x80000000u)))); }
DN_FN Float sat(Float x) { return min(max(x, Float(0.f)), Float(1.f)); }
DN_FN Float clamp(Float x, Float lo, Float hi) { return min(max(x, lo), hi); }
DN_FN Float mix(Float a, Float b, Float t) { return a + (b - a) * t; }
DN_FN Float square(Float x) { return x * x; }
DN_FN Float sqrt0(Float x) { return sqrt(max(x, Float(0.f))); }
// Where x lies between a and b, clamped to 0..1; a may exceed b. A step where they coincide.
DN_FN Float linear_step(float a, float b, Float x) { return a == b ? select(x >= Float(a), Float(1.f), Float(0.f)) : sat((x - Float(a)) * Float(1.f / (b - a))); }
DN_FN Float smooth_step(Float x) {
    const Float t = sat(x);
    return t * t * (Float(3.f) - Float(2.f) * t);
}
DN_FN Mask is_finite(Float x) { return abs(x) <= Float(3.4028234e38f); }

#if !defined(DN_HAS_EXP2)  // lanes may have their own
// 2^x by a degree-5 minimax polynomial on [0, 1), relative error below 3e-7; 0 below 2^-126.
DN_FN Float exp2(Float x) {
    const Float c = min(max(x, Float(-126.f)), Float(127.f)), whole = floor(c), f = c - whole;
    Float p = Float(1.8775767e-3f);
    p = p * f + Float(8.9893397e-3f);
    p = p * f + Float(5.5826318e-2f);
    p = p * f + Float(2.4015361e-1f);
    p = p * f + Float(6.9315308e-1f);
    p = p * f + Float(9.9999994e-1f);
    return select(x < Float(-126.f), Float(0.f), as_float(as_int(p) + shift_left(to_int(whole), 23)));
}
// log2 of a positive normal number, absolute error below 2e-6: odd series of atanh on the mantissa around 1.
DN_FN Float log2(Float x) {
    const Int bits = as_int(x);
    Int exponent = shift_right(bits, 23) - Int(127);
    Float m = as_float((bits & Int(0x7fffff)) | Int(127 << 23));
    const Mask upper = m > Float(1.41421356f);
    m = select(upper, m * Float(0.5f), m);
    exponent = exponent + select(upper, Int(1), Int(0));
    const Float s = (m - Float(1.f)) / (m + Float(1.f)), s2 = s * s;
    const Float series = Float(2.88539008f) + s2 * (Float(0.961796694f) + s2 * (Float(0.577078016f) + s2 * Float(0.412198583f)));
    return to_float(exponent) + s * series;
}
#endif
DN_FN Float pow(Float x, Float e) { return select(x > Float(0.f), exp2(log2(max(x, Float(1e-37f))) * e), Float(0.f)); }
// atan for x >= 0; Abramowitz and Stegun 4.4.49, absolute error below 2e-5.
DN_FN Float atan(Float x) {
    const Mask big = x > Float(1.f);
    const Float t = select(big, Float(1.f) / max(x, Float(1.f)), x), t2 = t * t;
    const Float r = t * (Float(0.9998660f) + t2 * (Float(-0.3302995f) + t2 * (Float(0.1801410f) + t2 * (Float(-0.0851330f) + t2 * Float(0.0208351f)))));
    return select(big, Float(0.5f * pi) - r, r);
}
// Angle of a cosine, exact to first order near 0 and within 0.009 rad on [0, pi/2]; obtuse angles come back as "far too wide".
DN_FN Float acos_acute(Float c) {
    const Float angle = (Float(0.5f * pi) - Float(0.156583f) * sat(c)) * sqrt(sat(Float(1.f) - c));
    return select(c < Float(0.f), Float(1e3f), angle);
}

}  // namespace denoise::DN_TARGET
