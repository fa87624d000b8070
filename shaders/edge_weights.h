// SPDX-License-Identifier: Apache-2.0
// How much a neighbour resembles the centre: weights shared by all spatial passes.
// Compact weights (0 from a residual of 1 on) judge noise-free guides; long-tailed ones judge noisy values, or must find something.
#pragma once
#include "geometry.h"

namespace denoise::DN_TARGET {

DN_FN Float compact_weight(Float residual) { return smooth_step(Float(1.f) - abs(residual)); }
DN_FN Float long_tailed_weight(Float residual) {  // a rational stand-in for an exponential
    const Float x = abs(residual);
    return Float(1.f) / (Float(1.f) + Float(3.f) * x + Float(9.f) * x * x);
}
DN_FN Float gaussian(float distance) { return exp2(Float(-0.66f * 1.44269504f * distance * distance)); }

// Distance from the centre's tangent plane, in units of the tolerance. `plane` is normal times 1 / (sensitivity * frustum span).
struct PlaneTest {
    Float3 normal;
    Float offset;
    DN_FN Float residual(Float3 x) const { return dot(normal, x) - offset; }
};
DN_FN PlaneTest plane_test(const FrameConstants& frame, Float3 view_normal, Float3 view_point, float sensitivity) {
    const Float scale = Float(1.f) / (max(Float(sensitivity), Float(1e-6f)) * frustum_span(frame, view_point.z));
    const Float3 n = view_normal * scale;
    return {n, dot(n, view_point)};
}

// 1 / the angle at which normals stop to mix: the half angle of the lobe's cone that holds a fraction of it.
DN_FN Float normal_tolerance(Float roughness, Float fraction, float scale) {
    return Float(1.f) / (max(atan(lobe_tangent(roughness, fraction)), Float(normal_encoding_error)) * Float(scale));
}
DN_FN Float roughness_tolerance(Float roughness, float fraction) { return Float(1.f) / mix(Float(0.01f), Float(1.f), sat(roughness * Float(fraction))); }

// Materials are equal where both are below `minimum`, or the same.
DN_FN Mask same_material(Int a, Int b, int minimum) { return max(a, Int(minimum)) == max(b, Int(minimum)); }

}  // namespace denoise::DN_TARGET
