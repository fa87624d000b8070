// SPDX-License-Identifier: Apache-2.0
// Probe: a shared function of the shaders, applied to each pixel of an array. Only tests run it, to hold the arithmetic of every backend
// against tabulated values.
#pragma once
#include "../image.h"

// F(name, values in, values out, how y follows from x)
// clang-format off
#define DN_PROBES(F)                                                                                                          \
    F(exp2,                 1, 1, y[0] = exp2(x[0]))                                                                          \
    F(log2,                 1, 1, y[0] = log2(x[0]))                                                                          \
    F(pow,                  2, 1, y[0] = pow(x[0], x[1]))                                                                     \
    F(atan,                 1, 1, y[0] = atan(x[0]))                                                                          \
    F(acos_acute,           1, 1, y[0] = acos_acute(x[0]))                                                                    \
    F(rsqrt,                1, 1, y[0] = rsqrt(x[0]))                                                                         \
    F(rcp,                  1, 1, y[0] = rcp(x[0]))                                                                           \
    F(smooth_step,          1, 1, y[0] = smooth_step(x[0]))                                                                   \
    F(compact_weight,       1, 1, y[0] = compact_weight(x[0]))                                                                \
    F(long_tailed_weight,   1, 1, y[0] = long_tailed_weight(x[0]))                                                            \
    F(lobe_spread_half,     1, 1, y[0] = lobe_spread_half(x[0]))                                                              \
    F(lobe_spread_quarter,  1, 1, y[0] = lobe_spread_quarter(x[0]))                                                           \
    F(lobe_tangent,         2, 1, y[0] = lobe_tangent(x[0], x[1]))               /* roughness, fraction */                    \
    F(dominant_factor,      2, 1, y[0] = dominant_factor(x[0], x[1]))            /* n_dot_v, roughness */                     \
    F(not_converged,        1, 1, y[0] = not_converged(Convergence{}, x[0]))     /* frames, at the default settings */        \
    F(history_length,       1, 1, y[0] = decode_frames(encode_frames(x[0])))                                                  \
    F(half_to_float,        1, 1, y[0] = half_to_float(to_int(x[0])))            /* bits as a number */                       \
    F(float_to_half,        1, 1, y[0] = to_float(float_to_half(x[0])))                                                       \
    F(half_texel,           4, 4, half_texel(x, y))                              /* stored and loaded */                      \
    F(dither_to_half,       2, 1, y[0] = dither_to_half(x[0], to_int(x[1])))     /* value, noise 0..8191 */                   \
    F(surface,              4, 4, surface(x, y))                                 /* normal, roughness: encoded and decoded */ \
    F(rgb_to_ycocg,         3, 3, put(rgb_to_ycocg({x[0], x[1], x[2]}), y))                                                   \
    F(ycocg_to_rgb,         3, 3, put(ycocg_to_rgb({x[0], x[1], x[2]}), y))                                                   \
    F(bilinear,             2, 6, bilinear(x, y))                                /* position; corner, weights */              \
    F(cubic,               18, 1, y[0] = cubic(x))                               /* position in the middle of 4x4 texels */   \
    F(virtual_point,       17, 3, put(virtual_point({x[0], x[1], x[2]}, {x[3], x[4], x[5]}, {x[6], x[7], x[8]},               \
                                                    {x[9], x[10], x[11]}, x[12], x[13], x[14], x[15], x[16]), y))             \
    F(sun_penumbra,         5, 1, y[0] = penumbra(sun(), x))                     /* distance, point, surface or not */        \
    F(lamp_penumbra,        5, 1, y[0] = penumbra(lamp(), x))                                                                 \
    F(light_plane,          9, 3, light_plane(x, y))                             /* point, normal, to light; factor J */      \
    F(to_pixels,            5, 2, to_pixels(x, y))                               /* factor J, step; at most 10 pixels */      \
    F(penumbra_word,        4, 4, penumbra_word(x, y))                           /* visibility, width, raw, receives */       \
    F(past_word,            2, 2, past_word(x, y))                               /* visibility, frames */                     \
    F(history_word,         3, 4, history_word(x, y))                            /* past, depth; depth as stored and asked */ \
    F(tint_word,            3, 3, put(decode_tint(encode_tint({x[0], x[1], x[2]})), y))                                       \
    F(distance_word,        1, 1, y[0] = distance_word(x[0]))
// clang-format on

namespace denoise {
enum class ProbeFunction : int {
#define DN_PROBE(name, ...) name,
    DN_PROBES(DN_PROBE)
#undef DN_PROBE
};
constexpr struct {
    const char* name;
    int inputs, outputs;  // channels
} probes[] = {
#define DN_PROBE(name, inputs, outputs, ...) {#name, inputs, outputs},
    DN_PROBES(DN_PROBE)
#undef DN_PROBE
};
struct ProbeArgs {
    Array in;   // in
    Array out;  // out
    ProbeFunction function{};
    template <class V> void io(V& v) { v.in(in), v.out(out); }
};
}  // namespace denoise

#ifdef DN_TARGET
#include "../reblur/convergence.h"
#include "../reproject.h"
#include "../sigma/shadow.h"
namespace denoise::DN_TARGET {
struct Probe {
    using Args = ProbeArgs;
    static constexpr int planes = 0, halo = 0;
    DN_FN static void shade(const Args& a, const FrameConstants&, const Pixel& p, const Tile&) {
        Float x[18], y[6];
        switch (a.function) {
#define DN_PROBE(name, inputs, outputs, ...)                        \
    case ProbeFunction::name:                                       \
        for (int k = 0; k < inputs; k++) x[k] = read(a.in, p, k);   \
        __VA_ARGS__;                                                \
        for (int k = 0; k < outputs; k++) write(a.out, p, k, y[k]); \
        break;
            DN_PROBES(DN_PROBE)
#undef DN_PROBE
        }
    }

   private:
    DN_FN static void put(Float3 v, Float y[3]) { y[0] = v.x, y[1] = v.y, y[2] = v.z; }
    DN_FN static void half_texel(const Float x[4], Float y[4]) {
        alignas(64) uint8_t texels[8 * lanes];
        store_halves(texels, x);
        split_halves(load_texels(texels), y);
        Float gathered[4];  // both ways in must agree; NaN where they do not
        split_halves(gather_texels(texels, lane_index() * Int(8)), gathered);
        for (int k = 0; k < 4; k++) y[k] = select(as_int(y[k]) == as_int(gathered[k]), y[k], as_float(Int(0x7fc00000)));
    }
    DN_FN static void surface(const Float x[4], Float y[4]) {
        const Int word = encode_surface({x[0], x[1], x[2]}, x[3]);
        put(decode_normal(word), y);
        y[3] = decode_roughness(word);
    }
    DN_FN static void bilinear(const Float x[2], Float y[6]) {
        const Bilinear b = bilinear_at(x[0], x[1]);
        y[0] = to_float(b.at.x), y[1] = to_float(b.at.y);
        for (int k = 0; k < 4; k++) y[2 + k] = b.weight[k];
    }
    // Every lane has 4x4 texels of its own, side by side in one image.
    DN_FN static Float cubic(const Float x[18]) {
        alignas(64) uint8_t texels[4 * 4 * 2 * lanes];
        Image<R16F> image;
        image.data = texels, image.width = 4 * lanes, image.height = 4, image.pitch = 4 * 2 * lanes;
        for (int k = 0; k < 16; k++) scatter_u16(texels + k / 4 * image.pitch + k % 4 * 2, 4 * 2, lanes, float_to_half(x[2 + k]));
        Float low{}, high{};
        return fetch_cubic(image, to_float(lane_index()) * Float(4.f) + x[0], x[1], low, high);
    }
    // Of shadows: 100 x 100 pixels of 0.01 at depth 1, a sun and a lamp.
    DN_FN static FrameConstants shadow_frame() {
        FrameConstants frame;
        frame.width = frame.height = 100;
        frame.inv_width = frame.inv_height = frame.pixel_size = 0.01f;
        frame.unproject[0] = -0.5f, frame.unproject[1] = 0.5f, frame.unproject[2] = 1, frame.unproject[3] = -1;
        return frame;
    }
    DN_FN static ShadowLight sun() { return {{0, 0.6f, -0.8f}, 0.1f, 0}; }
    DN_FN static ShadowLight lamp() { return {{1, 2, 3}, 0.25f, 1}; }
    DN_FN static Float penumbra(const ShadowLight& light, const Float x[5]) {
        return penumbra_px(shadow_frame(), light, occluder_distance(x[0]), {x[1], x[2], x[3]}, x[4] > Float(0.f));
    }
    DN_FN static void light_plane(const Float x[9], Float y[3]) {
        const LightPlane plane = DN_TARGET::light_plane(shadow_frame(), {x[0], x[1], x[2]}, {x[3], x[4], x[5]}, {x[6], x[7], x[8]});
        put({plane.j00, plane.j01, plane.j11}, y);
    }
    DN_FN static void to_pixels(const Float x[5], Float y[2]) {
        const Float2 step = DN_TARGET::to_pixels(LightPlane{x[0], x[1], x[2]}, x[3], x[4], 10.f);
        y[0] = step.x, y[1] = step.y;
    }
    DN_FN static void penumbra_word(const Float x[4], Float y[4]) {
        const Int word = encode_penumbra(x[0], x[1], x[2] > Float(0.f), x[3] > Float(0.f));
        put({decode_visibility(word), decode_width(word), decode_raw(word)}, y);
        y[3] = select(decode_receives(word), Float(1.f), Float(0.f));
    }
    DN_FN static void past_word(const Float x[2], Float y[2]) {
        const Int word = encode_past(x[0], x[1]);
        y[0] = past_visibility(word), y[1] = past_frames(word);
    }
    DN_FN static void history_word(const Float x[3], Float y[4]) {
        const Int word = encode_history(encode_past(x[0], x[1]), x[2]);
        y[0] = past_visibility(word), y[1] = past_frames(word), y[2] = history_depth(word), y[3] = depth_code(x[2]);
    }
    DN_FN static Float distance_word(Float x) {
        const Int word = encode_distance(x);
        Float distance(0.f);
        for (int code = 0; code < 256; code++) distance = select(word == Int(code), decode_distance(code), distance);
        return distance;
    }
};
}  // namespace denoise::DN_TARGET
#endif
