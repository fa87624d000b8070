// SPDX-License-Identifier: Apache-2.0
// How much a neighbour resembles the centre: weights shared by all spatial passes.
// Compact weights (0 from a residual of 1 on) judge noise-free guides; long-tailed ones judge noisy values, or must find something.
#pragma once
#include "geometry.h"

namespace denoise::DN_TARGET {

// Tukey's biweight, narrowed to the area under a smooth step from 1 to 0: it wants the residual's square, and so no root where that is a distance.
DN_FN Float compact_weight_of_square(Float residual2) { return square(max(Float(1.f) - Float(1.13f) * residual2, Float(0.f))); }
DN_FN Float compact_weight(Float residual) { return compact_weight_of_square(square(residual)); }
DN_FN Float long_tailed_weight(Float residual) {  // a rational stand-in for an exponential
    const Float x = abs(residual);
    return rcp(Float(1.f) + Float(3.f) * x + Float(9.f) * x * x);
}
DN_FN Float gaussian(float distance) { return exp2(Float(-0.66f * 1.44269504f * distance * distance)); }

// Distance of a pixel's surface from the centre's tangent plane, in units of the tolerance. With un-projection folded in it is linear in
// pixel coordinates and depth: (a x + b y + c) * z + d * z + e (orthographic: the first product without z).
struct PlaneTest {
    Float a, b, c, d, e;
    float orthographic;
    DN_FN Float residual(Float x, Float y, Float z) const { return (a * x + b * y + c) * (orthographic != 0.f ? Float(1.f) : z) + d * z + e; }
};
DN_FN PlaneTest plane_test(const FrameConstants& frame, Float3 view_normal, Float3 view_point, float sensitivity) {
    const Float scale = Float(1.f) / (max(Float(sensitivity), Float(1e-6f)) * frustum_span(frame, view_point.z));
    const Float3 n = view_normal * scale;
    const float* f = frame.unproject;
    const float step_x = f[2] * frame.inv_width, step_y = f[3] * frame.inv_height;
    return {n.x * Float(step_x), n.y * Float(step_y), n.x * Float(f[0] + 0.5f * step_x) + n.y * Float(f[1] + 0.5f * step_y), n.z, -dot(n, view_point), frame.orthographic};
}

DN_FN Float square_chord(Float cosine) { return Float(2.f) - Float(2.f) * cosine; }
// compact_weight() of the angle between two normals of a given cosine over the tolerance: by the chord, which is the angle to first order.
// Obtuse angles weigh nothing.
DN_FN Float normal_weight(Float cosine, Float inv_tolerance) {
    return select(cosine > Float(0.f), compact_weight_of_square(square_chord(cosine) * square(inv_tolerance)), Float(0.f));
}

// 1 / the angle at which normals stop to mix: the half angle of the lobe's cone that holds a fraction of it.
DN_FN Float normal_tolerance(Float roughness, Float fraction, float scale) {
    return Float(1.f) / (max(atan(lobe_tangent(roughness, fraction)), Float(normal_encoding_error)) * Float(scale));
}
DN_FN Float roughness_tolerance(Float roughness, float fraction) { return Float(1.f) / mix(Float(0.01f), Float(1.f), sat(roughness * Float(fraction))); }

// Materials are equal where both are below `minimum`, or the same.
DN_FN Mask same_material(Int a, Int b, int minimum) { return max(a, Int(minimum)) == max(b, Int(minimum)); }

}  // namespace denoise::DN_TARGET
