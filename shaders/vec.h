// SPDX-License-Identifier: Apache-2.0
// Small vectors of lanes.
#pragma once
#include "math.h"

namespace denoise::DN_TARGET {

DN_FN Float2 operator+(Float2 a, Float2 b) { return {a.x + b.x, a.y + b.y}; }
DN_FN Float2 operator-(Float2 a, Float2 b) { return {a.x - b.x, a.y - b.y}; }
DN_FN Float2 operator*(Float2 a, Float s) { return {a.x * s, a.y * s}; }
DN_FN Float2 mix(Float2 a, Float2 b, Float t) { return {mix(a.x, b.x, t), mix(a.y, b.y, t)}; }
DN_FN Float2 select(Mask m, Float2 a, Float2 b) { return {select(m, a.x, b.x), select(m, a.y, b.y)}; }
DN_FN Float length(Float2 a) { return sqrt(a.x * a.x + a.y * a.y); }

DN_FN Float3 operator+(Float3 a, Float3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
DN_FN Float3 operator-(Float3 a, Float3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
DN_FN Float3 operator-(Float3 a) { return {-a.x, -a.y, -a.z}; }
DN_FN Float3 operator*(Float3 a, Float s) { return {a.x * s, a.y * s, a.z * s}; }
DN_FN Float3 mix(Float3 a, Float3 b, Float t) { return {mix(a.x, b.x, t), mix(a.y, b.y, t), mix(a.z, b.z, t)}; }
DN_FN Float3 select(Mask m, Float3 a, Float3 b) { return {select(m, a.x, b.x), select(m, a.y, b.y), select(m, a.z, b.z)}; }
DN_FN Float dot(Float3 a, Float3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
DN_FN Float3 cross(Float3 a, Float3 b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }
DN_FN Float length(Float3 a) { return sqrt(dot(a, a)); }
DN_FN Float3 normalize(Float3 a) { return a * rsqrt(dot(a, a) + Float(1e-9f)); }
DN_FN Float3 reflect(Float3 v, Float3 n) { return v - n * (Float(2.f) * dot(v, n)); }

DN_FN Float4 operator+(Float4 a, Float4 b) { return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w}; }
DN_FN Float4 min(Float4 a, Float4 b) { return {min(a.x, b.x), min(a.y, b.y), min(a.z, b.z), min(a.w, b.w)}; }
DN_FN Float4 max(Float4 a, Float4 b) { return {max(a.x, b.x), max(a.y, b.y), max(a.z, b.z), max(a.w, b.w)}; }
DN_FN Float4 operator*(Float4 a, Float s) { return {a.x * s, a.y * s, a.z * s, a.w * s}; }
DN_FN Float4 mix(Float4 a, Float4 b, Float t) { return {mix(a.x, b.x, t), mix(a.y, b.y, t), mix(a.z, b.z, t), mix(a.w, b.w, t)}; }
DN_FN Float4 select(Mask m, Float4 a, Float4 b) { return {select(m, a.x, b.x), select(m, a.y, b.y), select(m, a.z, b.z), select(m, a.w, b.w)}; }

}  // namespace denoise::DN_TARGET
