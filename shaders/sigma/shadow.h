// SPDX-License-Identifier: Apache-2.0
// What the passes of SIGMA share: the light, the penumbra that an occluder casts, how a penumbra lies on the surface that receives it, and
// the words in which shadows are stored.
#pragma once
#include "../image.h"

namespace denoise {
// A light in view space. Directional: unit direction towards it and tangent of its angular radius; local: position and radius.
struct ShadowLight {
    float vector[3] = {};
    float last[3] = {};  // the same in the last frame, seen from this frame's camera
    float size = 0;
    int32_t local = 0;
};
constexpr int step_block = 8;               // pixels a side of the blocks for which an occluder's step is known
constexpr int shadow_tile = 16;             // pixels a side of the tiles in which passes skip what needs no filter
constexpr float lit_distance = 65504;       // occluder distances from here on, infinity and NaN mean lit
constexpr float max_history_frames = 7.5f;  // what four bits of half frames hold
}  // namespace denoise

#ifdef DN_TARGET
#include "../edge_weights.h"
#include "../sampling.h"
namespace denoise::DN_TARGET {

// ---- the penumbra
//
// A straight edge at distance d under a disc of angular radius a casts a ramp of full width 4 w with w = d tan(a) / 2, measured across the
// light's direction. In pixels of the receiver: lit, away (facing away from the light, or no surface), or 0 < w < lit.

constexpr float lit = 65504, away = 0;

DN_FN Float penumbra_px(const FrameConstants& frame, const ShadowLight& light, Float distance, Float3 view_point, Mask surface) {
    Float width = Float(0.5f * light.size) * distance;  // directional: size is the tangent
    if (light.local) {
        const Float3 to_light = to_vec(light.vector) - view_point;
        width = width / max(length(to_light) - distance, Float(1e-6f));  // seen from the occluder, the light is wider
    }
    width = clamp(width / pixel_world_size(frame, view_point.z), Float(1e-3f), Float(32768.f));
    width = select(distance > Float(0.f), width, Float(away));
    return select(surface, select(distance < Float(lit_distance), width, Float(lit)), Float(away));
}
// Distances that are not finite are lit.
DN_FN Float occluder_distance(Float given) { return select(given < Float(lit_distance), given, Float(lit_distance)); }

// Direction from a point to the light.
DN_FN Float3 direction_to(const ShadowLight& light, Float3 view_point) {
    if (!light.local) return to_vec(light.vector);
    const Float3 d = to_vec(light.vector) - view_point;
    return d * rsqrt(max(dot(d, d), Float(1e-20f)));
}

// ---- how it lies on the receiver
//
// Steps of a pixel on the tangent plane, measured across the light's direction in pixel sizes: there a penumbra is as wide in every
// direction, whatever the angles of view and of incidence. The metric G of these steps as its triangular factor, G = J^T J.
struct LightPlane {
    Float j00, j01, j11;  // J = (j00 j01; 0 j11)
};
DN_FN LightPlane light_plane(const FrameConstants& frame, Float3 view_point, Float3 view_normal, Float3 to_light) {
    constexpr float along = 0.3f;  // what a step along the light still counts, so that grazing light does not stretch a kernel without end
    const float fx = frame.unproject[2] * frame.inv_width, fy = frame.unproject[3] * frame.inv_height;
    const bool ortho = frame.orthographic != 0.f;
    const Float scale = ortho ? Float(1.f) : view_point.z, inv_z = Float(1.f) / view_point.z;
    const Float3 ray = {ortho ? Float(0.f) : view_point.x * inv_z, ortho ? Float(0.f) : view_point.y * inv_z, Float(1.f)};
    const Float facing = dot(view_normal, ray), safe = with_sign_of(max(abs(facing), Float(0.1f)), facing);
    const Float per = -scale / safe;
    const Float3 dx = ray * (per * view_normal.x * Float(fx)) + Float3{scale * Float(fx), Float(0.f), Float(0.f)};
    const Float3 dy = ray * (per * view_normal.y * Float(fy)) + Float3{Float(0.f), scale * Float(fy), Float(0.f)};
    const Float lx = dot(dx, to_light), ly = dot(dy, to_light), k(1.f - along * along), inv_pixel = Float(1.f) / square(pixel_world_size(frame, view_point.z));
    const Float g00 = max((dot(dx, dx) - k * lx * lx) * inv_pixel, Float(1e-6f)), g01 = (dot(dx, dy) - k * lx * ly) * inv_pixel, g11 = (dot(dy, dy) - k * ly * ly) * inv_pixel;
    const Float j00 = sqrt(g00), j01 = g01 / j00;
    return {j00, j01, sqrt(max(g11 - j01 * j01, Float(1e-6f)))};
}
// The step in pixels that makes a step in the light's plane, at most `reach` long.
DN_FN Float2 to_pixels(const LightPlane& plane, Float a, Float b, float reach) {
    const Float y = b / plane.j11, x = (a - plane.j01 * y) / plane.j00;
    const Float shorten = min(Float(reach) * rsqrt(max(x * x + y * y, Float(1e-12f))), Float(1.f));
    return {x * shorten, y * shorten};
}

// ---- words

// Of a pixel within the frame: filtered visibility in 127ths, penumbra in twelfths of an octave up to 64 px, raw visibility, and whether
// there is a surface that the light could reach.
struct Penumbra {
    Float visibility, width, raw;
    Mask receives;
};
DN_FN Int encode_penumbra(Float visibility, Float width, Mask lit_ray, Mask receives) {
    const Int v = to_int(sat(visibility) * Float(127.f) + Float(0.5f));
    const Int w = select(width > Float(0.f), to_int(clamp(Float(12.f) * log2(max(width, Float(1e-3f))) + Float(55.5f), Float(1.f), Float(127.f))), Int(0));
    return v | shift_left(w, 7) | select(lit_ray, Int(1 << 14), Int(0)) | select(receives, Int(0), Int(1 << 15));
}
DN_FN Float decode_width(Int word) {
    const Int code = shift_right(word, 7) & Int(127);
    return select(code > Int(0), exp2(to_float(code - Int(55)) * Float(1.f / 12.f)), Float(0.f));
}
DN_FN Float decode_visibility(Int word) { return to_float(word & Int(127)) * Float(1.f / 127.f); }
DN_FN Float decode_raw(Int word) { return to_float(shift_right(word, 14) & Int(1)); }
DN_FN Mask decode_receives(Int word) { return (word & Int(1 << 15)) == Int(0); }

// Of the past: visibility in 4095ths and history length in half frames; kept from frame to frame beside 16 bits of depth.
DN_FN Int encode_past(Float visibility, Float frames) {
    return to_int(sat(visibility) * Float(4095.f) + Float(0.5f)) | shift_left(to_int(clamp(frames, Float(0.f), Float(max_history_frames)) * Float(2.f) + Float(0.5f)), 12);
}
DN_FN Float past_visibility(Int word) { return to_float(word & Int(4095)) * Float(1.f / 4095.f); }
DN_FN Float past_frames(Int word) { return to_float(shift_right(word, 12) & Int(15)) * Float(0.5f); }
// Depth from 2^-24 to 2^40 in steps of 0.07 %; 0 is no surface.
constexpr float depth_codes_per_octave = 1023;
DN_FN Float depth_code(Float view_z) { return clamp((log2(max(view_z, Float(1e-7f))) + Float(24.f)) * Float(depth_codes_per_octave), Float(1.f), Float(65535.f)); }
DN_FN Int encode_history(Int past, Float view_z) { return past | shift_left(to_int(depth_code(view_z) + Float(0.5f)), 16); }
DN_FN Float history_depth(Int word) { return to_float(shift_right(word, 16)); }

// Colours that pass an occluder, ten bits a channel.
DN_FN Int encode_tint(Float3 c) {
    return to_int(sat(c.x) * Float(1023.f) + Float(0.5f)) | shift_left(to_int(sat(c.y) * Float(1023.f) + Float(0.5f)), 10) |
           shift_left(to_int(sat(c.z) * Float(1023.f) + Float(0.5f)), 20);
}
DN_FN Float3 decode_tint(Int word) {
    const Float scale(1.f / 1023.f);
    return {to_float(word & Int(1023)) * scale, to_float(shift_right(word, 10) & Int(1023)) * scale, to_float(shift_right(word, 20) & Int(1023)) * scale};
}

// ---- tiles: how soft the surroundings of a tile are (8 bits) and how far the farthest occluder is (8 bits, quarters of an octave, rounded up)

DN_FN Int encode_distance(Float distance) { return to_int(clamp(Float(4.f) * log2(max(distance, Float(1e-7f))) + Float(97.f), Float(0.f), Float(255.f))); }
DN_FN Float decode_distance(int code) { return exp2(Float(0.25f * float(code - 96))); }

DN_FN int tile_word(const Image<R16U>& tiles, const Pixel& p) {
    static_assert(shadow_tile % lanes == 0, "the lanes of one call share a tile");
    const uint8_t* at = tiles.data + int64_t(p.y / shadow_tile) * tiles.pitch + p.x0 / shadow_tile * 2;
    return at[0] | at[1] << 8;
}
DN_FN Float softness(const Image<R16U>& tiles, const Pixel& p) {  // between tile centres: no grid shows
    const Bilinear b = bilinear_at(p.center_x() * Float(1.f / shadow_tile), p.center_y() * Float(1.f / shadow_tile));
    Float sum(0.f);
    for (int k = 0; k < 4; k++) sum = sum + to_float(gather_tap(tiles, b, k) & Int(255)) * b.weight[k];
    return sum * Float(1.f / 255.f);
}

}  // namespace denoise::DN_TARGET
#endif
