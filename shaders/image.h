// SPDX-License-Identifier: Apache-2.0
// Images as the host, the CPU kernels and the GPU kernels see them: plain views, with the pixel format in the type.
#pragma once
#include <cstdint>

namespace denoise {

// Untyped view. `id` names the image in its graph; the graph fills in the rest before a pass runs.
struct ImageView {
    uint8_t* data = nullptr;
    int32_t width = 0, height = 0;  // pixels
    int32_t pitch = 0;              // bytes from one row to the next
    int32_t id = -1;
    constexpr bool present() const { return id >= 0; }
};

// Pixel formats. The arithmetic type of every channel is fp32; storage rounds to nearest even, or dithered (see store_dithered).
struct R8U {  // one unsigned integer
    static constexpr int bytes = 1;
    static constexpr const char* name = "R8U";
};
struct R16U {
    static constexpr int bytes = 2;
    static constexpr const char* name = "R16U";
};
struct R16F {
    static constexpr int bytes = 2;
    static constexpr const char* name = "R16F";
};
struct R32U {
    static constexpr int bytes = 4;
    static constexpr const char* name = "R32U";
};
struct R32F {
    static constexpr int bytes = 4;
    static constexpr const char* name = "R32F";
};
struct TwoFloats {  // one value as the sum of two fp32: 48 bits of precision
    static constexpr int bytes = 8;
    static constexpr const char* name = "F32X2";
};
struct RGBA16F {  // a signal: Y, Co, Cg, hit distance
    static constexpr int bytes = 8;
    static constexpr const char* name = "RGBA16F";
};
struct Guide {  // view_z as fp32 beside octahedral normal (11 + 11 bits) and roughness (10 bits): one 8-byte fetch gives the whole surface
    static constexpr int bytes = 8;
    static constexpr const char* name = "GUIDE64";
};

template <class Format> struct Image : ImageView {
    using format = Format;
};

// An array of the caller: any strides, fp16, fp32 or uint8, `channels` values a pixel.
enum class ArrayType : int32_t { f16, f32, u8 };
struct Array {
    uint8_t* data = nullptr;
    int64_t stride_x = 0, stride_y = 0, stride_c = 0;  // bytes
    int32_t width = 0, height = 0, channels = 0;
    ArrayType type = ArrayType::f32;
    int32_t id = -1;
    constexpr bool present() const { return id >= 0; }
};

}  // namespace denoise
