// SPDX-License-Identifier: Apache-2.0
// From pixels to points and back, and the shape of a specular lobe.
#pragma once
#include "pack.h"

namespace denoise::DN_TARGET {

DN_FN Mask is_surface(const FrameConstants& frame, Float view_z) { return view_z < Float(frame.sky_distance); }

DN_FN Float3 unproject(const float c[4], float orthographic, Float u, Float v, Float z) {
    const Float scale = orthographic != 0.f ? Float(1.f) : z;
    return {(Float(c[0]) + u * Float(c[2])) * scale, (Float(c[1]) + v * Float(c[3])) * scale, z};
}
DN_FN Float3 view_position(const FrameConstants& frame, Float u, Float v, Float z) { return unproject(frame.unproject, frame.orthographic, u, v, z); }

DN_FN Float3 rotate(const float m[9], Float3 a) {
    return {Float(m[0]) * a.x + Float(m[1]) * a.y + Float(m[2]) * a.z, Float(m[3]) * a.x + Float(m[4]) * a.y + Float(m[5]) * a.z,
            Float(m[6]) * a.x + Float(m[7]) * a.y + Float(m[8]) * a.z};
}
DN_FN Float3 rotate_back(const float m[9], Float3 a) {
    return {Float(m[0]) * a.x + Float(m[3]) * a.y + Float(m[6]) * a.z, Float(m[1]) * a.x + Float(m[4]) * a.y + Float(m[7]) * a.z,
            Float(m[2]) * a.x + Float(m[5]) * a.y + Float(m[8]) * a.z};
}
DN_FN Float3 transform(const float m[12], Float3 a) {
    return {Float(m[0]) * a.x + Float(m[1]) * a.y + Float(m[2]) * a.z + Float(m[3]), Float(m[4]) * a.x + Float(m[5]) * a.y + Float(m[6]) * a.z + Float(m[7]),
            Float(m[8]) * a.x + Float(m[9]) * a.y + Float(m[10]) * a.z + Float(m[11])};
}
DN_FN Float3 to_vec(const float v[3]) { return {Float(v[0]), Float(v[1]), Float(v[2])}; }

// uv of a world point. Points at or behind the camera land far off screen, never at infinity.
DN_FN Float2 project(const float world_to_clip[12], Float3 world) {
    const Float3 clip = transform(world_to_clip, world);  // x, y, w
    const Float inv_w = Float(1.f) / max(clip.z, Float(1e-6f));
    return {clamp(clip.x * inv_w, Float(-1e4f), Float(1e4f)) * Float(0.5f) + Float(0.5f), Float(0.5f) - clamp(clip.y * inv_w, Float(-1e4f), Float(1e4f)) * Float(0.5f)};
}
DN_FN Mask on_screen(Float2 uv) { return uv.x >= Float(0.f) && uv.x < Float(1.f) && uv.y >= Float(0.f) && uv.y < Float(1.f); }

DN_FN Float pixel_world_size(const FrameConstants& frame, Float z) { return Float(frame.pixel_size) * (frame.orthographic != 0.f ? Float(1.f) : z); }
// World size of the shorter side of the screen at depth z.
DN_FN Float frustum_span(const FrameConstants& frame, Float z) { return Float(frame.frustum_span) * (frame.orthographic != 0.f ? Float(1.f) : z); }

// Unit vector from a (camera-relative) surface point to the camera.
DN_FN Float3 to_camera(const FrameConstants& frame, Float3 world) {
    if (frame.orthographic != 0.f) return {Float(-frame.world_to_view[6]), Float(-frame.world_to_view[7]), Float(-frame.world_to_view[8])};
    return world * -rsqrt(max(dot(world, world), Float(1e-30f)));
}

// ---- hit distances

// World distance that counts as 1 when normalised: grows with depth, and towards mirrors, whose reflections stay sharp far away.
DN_FN Float hit_distance_scale(const FrameConstants& frame, Float z, Float spread) {
    return (Float(frame.hit_distance_offset) + Float(frame.hit_distance_depth_scale) * z) * mix(Float(frame.hit_distance_roughness_scale), Float(1.f), spread);
}

// ---- specular lobe

// (1 - 2^(-200 r^2)): 0 for a mirror, 1 from r = 0.15 on. Times a power of r it tells how far a lobe spreads.
DN_FN Float mirror_fade(Float roughness) { return Float(1.f) - exp2(Float(-200.f) * roughness * roughness); }
DN_FN Float lobe_spread_half(Float roughness) { return mirror_fade(roughness) * sqrt0(roughness); }
DN_FN Float lobe_spread_quarter(Float roughness) { return mirror_fade(roughness) * sqrt(sqrt0(roughness)); }

// Tangent of the half angle of the cone that holds a fraction of the GGX lobe.
DN_FN Float lobe_tangent(Float roughness, Float fraction) {
    const Float v = sat(fraction);
    return sat(roughness) * min(Float(2.f) * sat(roughness), Float(1.f)) * sqrt(v / (Float(1.f) - v + Float(1e-6f)));
}

// How far the main direction of the lobe leans from the normal to the mirror direction; fit of the GGX reflection lobe.
DN_FN Float dominant_factor(Float n_dot_v, Float roughness) {
    const Float a = Float(0.298475f * 0.69314718f) * log2(Float(39.4115f) - Float(39.0029f) * sat(roughness));
    return sat(pow(sat(Float(1.f) - n_dot_v), Float(10.8649f)) * (Float(1.f) - a) + a);
}
DN_FN Float3 dominant_direction(Float3 n, Float3 v, Float factor) { return normalize(mix(n, reflect(-v, n), factor)); }

}  // namespace denoise::DN_TARGET
