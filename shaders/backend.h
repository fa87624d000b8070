// SPDX-License-Identifier: Apache-2.0
// The contract between a pass and the machine it runs on, and the few verbs a pass uses to touch memory.
//
// A backend is a namespace, denoise::DN_TARGET, that defines before this header is included:
//   lanes                       how many neighbouring pixels of a row one call works on (1 on a GPU thread)
//   Float Int Mask              one value a lane, with + - * /, comparisons, && || !
//   select any all              choice by mask instead of branching; reductions for uniform early-outs
//   min max abs floor sqrt rsqrt rcp, conversions, shifts, bit casts, load_* store_* gather_* of the storage types
//   DN_FN DN_CONSTANT           in front of every function of a shader, and of a table indexed at run time
// A pass is a struct `Pass` in one header of shaders/, with
//   Args                        plain data in namespace denoise: images in and out, parameters; `io` names what is read and written
//   planes, halo                tile it wants: decoded values per pixel, pixels around; 0 planes = no tile
//   load(args, frame, p, out)   decodes one pixel into `planes` values, once, however many taps will read it
//   shade(args, frame, p, tile) computes one pixel and stores it
// A pass whose output is smaller than the frame (tile classification) runs once per output pixel and loops over its inputs.
// Nothing crosses lanes: what a neighbour knows is read from the tile, the image, or not at all.
//
// Naming. Images: a bare noun is this frame's; `prev_` is last frame's guide; `history_` is accumulated; `out` is written.
// Coordinates are (x, y) in pixels, row 0 at the top; uv is (x + 0.5, y + 0.5) / size.
#pragma once
#include "frame_constants.h"
#include "image.h"

namespace denoise::DN_TARGET {

struct Float2 {
    Float x, y;
};
struct Float3 {
    Float x, y, z;
};
struct Float4 {
    Float x, y, z, w;
};

// `lanes` pixels of row y, from x0 on. Lanes beyond the right edge compute garbage that nobody reads.
struct Pixel {
    int x0, y;
    Int x;
    DN_FN Float center_x() const { return to_float(x) + Float(0.5f); }
    DN_FN Float center_y() const { return Float(float(y) + 0.5f); }
};
DN_FN Pixel pixel_at(int x0, int y) { return {x0, y, lane_index() + Int(x0)}; }

DN_FN int clamp_uniform(int v, int hi) { return v < 0 ? 0 : (v > hi ? hi : v); }
DN_FN Int clamp_int(Int v, Int hi) { return min(max(v, Int(0)), hi); }

// ---- formats: what one texel is to a pass

// A surface point as it is stored; decode_normal() and decode_roughness() of pack.h open the word.
struct Surface {
    Float view_z;
    Int packed;
};

// A value as the sum of two: what it rounds to, and the rest.
struct FloatPair {
    Float high, low;
};

template <class Format> struct Texel;
template <> struct Texel<R8U> {
    using Value = Int;
    DN_FN static Int load(const uint8_t* p) { return load_u8(p); }
    DN_FN static Int gather(const uint8_t* base, Int offset) { return gather_u8(base, offset); }
    DN_FN static void store(uint8_t* p, Int v) { store_u8(p, v); }
};
template <> struct Texel<R16U> {
    using Value = Int;
    DN_FN static Int load(const uint8_t* p) { return load_u16(p); }
    DN_FN static Int gather(const uint8_t* base, Int offset) { return gather_u16(base, offset); }
    DN_FN static void store(uint8_t* p, Int v) { store_u16(p, v); }
};
template <> struct Texel<R16F> {
    using Value = Float;
    DN_FN static Float load(const uint8_t* p) { return half_to_float(load_u16(p)); }
    DN_FN static Float gather(const uint8_t* base, Int offset) { return half_to_float(gather_u16(base, offset)); }
    DN_FN static void store(uint8_t* p, Float v) { store_u16(p, float_to_half(v)); }
};
template <> struct Texel<R32U> {
    using Value = Int;
    DN_FN static Int load(const uint8_t* p) { return load_u32(p); }
    DN_FN static Int gather(const uint8_t* base, Int offset) { return gather_u32(base, offset); }
    DN_FN static void store(uint8_t* p, Int v) { store_u32(p, v); }
};
template <> struct Texel<R32F> {
    using Value = Float;
    DN_FN static Float load(const uint8_t* p) { return load_f32(p); }
    DN_FN static Float gather(const uint8_t* base, Int offset) { return as_float(gather_u32(base, offset)); }
    DN_FN static void store(uint8_t* p, Float v) { store_f32(p, v); }
};
template <> struct Texel<TwoFloats> {
    using Value = FloatPair;
    DN_FN static FloatPair open(const Texels& t) {
        Int high, low;
        split_words(t, high, low);
        return {as_float(high), as_float(low)};
    }
    DN_FN static FloatPair load(const uint8_t* p) { return open(load_texels(p)); }
    DN_FN static FloatPair gather(const uint8_t* base, Int offset) { return open(gather_texels(base, offset)); }
    DN_FN static void store(uint8_t* p, const FloatPair& v) { store_words(p, as_int(v.high), as_int(v.low)); }
};
template <> struct Texel<RGBA16F> {
    using Value = Float4;
    DN_FN static Float4 open(const Texels& t) {
        Float c[4];
        split_halves(t, c);
        return {c[0], c[1], c[2], c[3]};
    }
    DN_FN static Float4 load(const uint8_t* p) { return open(load_texels(p)); }
    DN_FN static Float4 gather(const uint8_t* base, Int offset) { return open(gather_texels(base, offset)); }
    DN_FN static void store(uint8_t* p, const Float4& v) {
        const Float c[4] = {v.x, v.y, v.z, v.w};
        store_halves(p, c);
    }
};
template <> struct Texel<Guide> {
    using Value = Surface;
    DN_FN static Surface open(const Texels& t) {
        Int z, packed;
        split_words(t, z, packed);
        return {as_float(z), packed};
    }
    DN_FN static Surface load(const uint8_t* p) { return open(load_texels(p)); }
    DN_FN static Surface gather(const uint8_t* base, Int offset) { return open(gather_texels(base, offset)); }
    DN_FN static void store(uint8_t* p, const Surface& v) { store_words(p, as_int(v.view_z), v.packed); }
};

// ---- the verbs: fetch at a uniform offset, gather per lane (both clamp to the edge), store at the pixel itself

// Byte offset of a texel that is inside the image; images of one size and texel size share it.
template <class F> DN_FN Int texel_offset(const Image<F>& image, Int x, Int y) { return y * Int(image.pitch) + x * Int(F::bytes); }
template <class F> DN_FN typename Texel<F>::Value gather_at(const Image<F>& image, Int offset) { return Texel<F>::gather(image.data, offset); }
template <class F> DN_FN typename Texel<F>::Value gather(const Image<F>& image, Int x, Int y) {
    return gather_at(image, texel_offset(image, clamp_int(x, Int(image.width - 1)), clamp_int(y, Int(image.height - 1))));
}

// A position per lane whose surroundings are looked at. Where motion is smooth the lanes stand side by side, and gathers become plain loads.
struct Window {
    Int x, y;
    int x0 = 0, y0 = 0;
    bool side_by_side = false;
};
DN_FN Window window_at(Int x, Int y) {
    Window w{x, y};
    if constexpr (lanes > 1) {
        w.x0 = first_lane(x);
        w.y0 = first_lane(y);
        w.side_by_side = all(x == lane_index() + Int(w.x0) && y == Int(w.y0));
    }
    return w;
}
template <class F> DN_FN typename Texel<F>::Value gather(const Image<F>& image, const Window& w, int dx, int dy) {
    if constexpr (lanes > 1)
        if (w.side_by_side && w.x0 + dx >= 0 && w.x0 + dx + lanes <= image.width)
            return Texel<F>::load(image.data + int64_t(clamp_uniform(w.y0 + dy, image.height - 1)) * image.pitch + (w.x0 + dx) * F::bytes);
    return gather(image, w.x + Int(dx), w.y + Int(dy));
}
template <class F> DN_FN typename Texel<F>::Value fetch(const Image<F>& image, const Pixel& p, int dx = 0, int dy = 0) {
    const int x = p.x0 + dx;
    const uint8_t* row = image.data + int64_t(clamp_uniform(p.y + dy, image.height - 1)) * image.pitch;
    if (lanes == 1) return Texel<F>::load(row + clamp_uniform(x, image.width - 1) * F::bytes);
    if (x >= 0 && x + lanes <= image.width) return Texel<F>::load(row + x * F::bytes);
    return Texel<F>::gather(row, clamp_int(p.x + Int(dx), Int(image.width - 1)) * Int(F::bytes));
}
template <class F> DN_FN void store(const Image<F>& image, const Pixel& p, const typename Texel<F>::Value& value) {
    Texel<F>::store(image.data + int64_t(p.y) * image.pitch + p.x0 * F::bytes, value);
}

// The caller's arrays, channel by channel. Pixels beyond the edge repeat it.
DN_FN Float read(const Array& array, const Pixel& p, int channel = 0) {
    const uint8_t* row = array.data + clamp_uniform(p.y, array.height - 1) * array.stride_y + channel * array.stride_c;
    const Int offset = clamp_int(p.x, Int(array.width - 1)) * Int(int32_t(array.stride_x));
    if (array.type == ArrayType::f32) return as_float(gather_u32(row, offset));
    if (array.type == ArrayType::f16) return half_to_float(gather_u16(row, offset));
    return to_float(gather_u8(row, offset));
}
DN_FN Float read_at(const Array& array, Int x, Int y) {  // one channel, per lane, clamped to the edge
    const Int offset = clamp_int(y, Int(array.height - 1)) * Int(int32_t(array.stride_y)) + clamp_int(x, Int(array.width - 1)) * Int(int32_t(array.stride_x));
    if (array.type == ArrayType::f32) return as_float(gather_u32(array.data, offset));
    if (array.type == ArrayType::f16) return half_to_float(gather_u16(array.data, offset));
    return to_float(gather_u8(array.data, offset));
}
DN_FN void write(const Array& array, const Pixel& p, int channel, Float value) {
    uint8_t* first = array.data + p.y * array.stride_y + p.x0 * array.stride_x + channel * array.stride_c;
    const int count = array.width - p.x0 < lanes ? array.width - p.x0 : lanes;
    if (array.type == ArrayType::f32)
        scatter_f32(first, array.stride_x, count, value);
    else
        scatter_u16(first, array.stride_x, count, float_to_half(min(value, Float(65504.f))));
}

// ---- the tile: values decoded once by `load`; index 0 of dx, dy is the pixel itself

struct Tile {
    const float* at = nullptr;  // plane 0 of the pixel
    int pitch = 0, plane = 0;   // floats from row to row, from plane to plane
    DN_FN Float operator()(int k, int dx = 0, int dy = 0) const { return load_f32(at + k * plane + dy * pitch + dx); }
};

// The other pixel of the 2x2 quad in x (or y): quads start at even coordinates.
DN_FN Float quad_x(const Tile& tile, int k, const Pixel& p) {
    const Mask odd = (p.x & Int(1)) == Int(1);
    return select(odd, tile(k, -1, 0), tile(k, 1, 0));
}
DN_FN Float quad_y(const Tile& tile, int k, const Pixel& p) { return tile(k, 0, (p.y & 1) ? -1 : 1); }

}  // namespace denoise::DN_TARGET
