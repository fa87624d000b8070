// SPDX-License-Identifier: Apache-2.0
// The backend contract (shaders/backend.h) with one pixel a lane: a CUDA thread, its emulation, and the portable CPU fallback.
#pragma once
#include <cstdint>
#if defined(__CUDACC__)
#include <cuda_fp16.h>
#define DN_FN __device__ __forceinline__
#define DN_CONSTANT __constant__ constexpr
#else
#define DN_FN inline __attribute__((always_inline))
#define DN_CONSTANT constexpr
#endif

namespace denoise::DN_TARGET {

constexpr int lanes = 1;
using Float = float;
using Int = int;
using Mask = bool;

DN_FN int as_int(float a) {
    int r;
    __builtin_memcpy(&r, &a, 4);
    return r;
}
DN_FN float as_float(int a) {
    float r;
    __builtin_memcpy(&r, &a, 4);
    return r;
}
DN_FN int to_int(float a) { return int(a); }
DN_FN float to_float(int a) { return float(a); }
DN_FN int shift_left(int a, int n) { return int(unsigned(a) << n); }
DN_FN int shift_right(int a, int n) { return int(unsigned(a) >> n); }
DN_FN int first_lane(int a) { return a; }
DN_FN int lane_index() { return 0; }

DN_FN float select(bool m, float a, float b) { return m ? a : b; }
DN_FN int select(bool m, int a, int b) { return m ? a : b; }
DN_FN bool any(bool m) { return m; }
DN_FN bool all(bool m) { return m; }
DN_FN int min(int a, int b) { return a < b ? a : b; }
DN_FN int max(int a, int b) { return a > b ? a : b; }
DN_FN float abs(float a) { return as_float(as_int(a) & 0x7fffffff); }

#if defined(__CUDACC__)
// One instruction each. Relative errors up to 2^-22; the polynomials of shaders/math.h are no better than that. Division and square root are
// told to nvcc (CMakeLists.txt): errors of up to 2 units in the last place.
DN_FN float min(float a, float b) { return fminf(a, b); }  // what is a number where one is NaN
DN_FN float max(float a, float b) { return fmaxf(a, b); }
DN_FN float floor(float a) { return floorf(a); }
DN_FN float sqrt(float a) { return sqrtf(a); }
DN_FN float rsqrt(float a) {
    float r;
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(a));
    return r;
}
DN_FN float rcp(float a) {
    float r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(a));
    return r;
}
#define DN_HAS_EXP2
DN_FN float exp2(float a) {
    float r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(a));
    return r;
}
DN_FN float log2(float a) {
    float r;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(a));
    return r;
}
DN_FN float half_to_float(int h) { return __half2float(__ushort_as_half((unsigned short)h)); }
DN_FN int float_to_half(float f) { return __half_as_ushort(__float2half_rn(f)); }
#else
DN_FN float min(float a, float b) { return a < b ? a : b; }  // the second argument where one is NaN
DN_FN float max(float a, float b) { return a > b ? a : b; }
DN_FN float floor(float a) { return __builtin_floorf(a); }
DN_FN float sqrt(float a) { return __builtin_sqrtf(a); }
DN_FN float rsqrt(float a) { return 1.f / __builtin_sqrtf(a); }
DN_FN float rcp(float a) { return 1.f / a; }
// Exponent re-biasing by a multiplication handles normals and subnormals at once; see F. Giesen, "Half to float done quic" (2012).
DN_FN float half_to_float(int h) {
    const int magnitude = (h & 0x7fff) << 13;
    const float value = magnitude >= (31 << 23) ? as_float(magnitude | (255 << 23)) : as_float(magnitude) * as_float((254 - 15) << 23);
    return as_float(as_int(value) | shift_left(h & 0x8000, 16));
}
DN_FN int float_to_half(float f) {
    const int sign = as_int(f) & int(0x80000000u), magnitude = as_int(f) ^ sign;
    int h;
    if (magnitude >= (127 + 16) << 23)
        h = magnitude > (255 << 23) ? 0x7e00 : 0x7c00;
    else if (magnitude < 113 << 23)
        h = as_int(as_float(magnitude) + as_float(((127 - 15) + (23 - 10) + 1) << 23)) - (((127 - 15) + (23 - 10) + 1) << 23);
    else
        h = shift_right(magnitude + (15 - 127) * (1 << 23) + 0xfff + (shift_right(magnitude, 13) & 1), 13);
    return h | shift_right(sign, 16);
}
#endif

// Of images and arrays. No pass reads what another thread of its writes, so that the GPU may take all by the path of what is read-only.
template <class T> DN_FN T load_bits(const void* p) {
#if defined(__CUDA_ARCH__)
    return __ldg(static_cast<const T*>(p));  // all our texels are naturally aligned
#else
    T r;
    __builtin_memcpy(&r, p, sizeof r);
    return r;
#endif
}
template <class T> DN_FN void store_bits(void* p, T value) {
#if defined(__CUDA_ARCH__)
    *static_cast<T*>(p) = value;
#else
    __builtin_memcpy(p, &value, sizeof value);
#endif
}
// Also of tiles, which are in shared memory.
DN_FN float load_f32(const void* p) {
#if defined(__CUDA_ARCH__)
    return *static_cast<const float*>(p);
#else
    return load_bits<float>(p);
#endif
}
DN_FN void store_f32(void* p, float a) { store_bits(p, a); }
DN_FN int load_u8(const void* p) { return load_bits<uint8_t>(p); }
DN_FN void store_u8(void* p, int a) { store_bits(p, uint8_t(a)); }
DN_FN int load_u16(const void* p) { return load_bits<uint16_t>(p); }
DN_FN void store_u16(void* p, int a) { store_bits(p, uint16_t(a)); }
DN_FN int load_u32(const void* p) { return int(load_bits<uint32_t>(p)); }
DN_FN void store_u32(void* p, int a) { store_bits(p, uint32_t(a)); }
DN_FN int gather_u8(const uint8_t* base, int offset) { return load_u8(base + offset); }
DN_FN int gather_u16(const uint8_t* base, int offset) { return load_u16(base + offset); }
DN_FN int gather_u32(const uint8_t* base, int offset) { return load_u32(base + offset); }

// Eight-byte texels, the format of signals and guides: two 32-bit words or four halves.
struct Texels {
    int first, second;
};
DN_FN Texels load_texels(const uint8_t* p) {
#if defined(__CUDA_ARCH__)
    const int2 word = __ldg(reinterpret_cast<const int2*>(p));
    return {word.x, word.y};
#else
    return {load_u32(p), load_u32(p + 4)};
#endif
}
DN_FN Texels gather_texels(const uint8_t* base, int offset) { return load_texels(base + offset); }
DN_FN void split_words(const Texels& x, int& first, int& second) {
    first = x.first;
    second = x.second;
}
DN_FN void split_halves(const Texels& x, float out[4]) {
    out[0] = half_to_float(x.first & 0xffff);
    out[1] = half_to_float(shift_right(x.first, 16));
    out[2] = half_to_float(x.second & 0xffff);
    out[3] = half_to_float(shift_right(x.second, 16));
}
DN_FN void store_words(uint8_t* p, int first, int second) {
#if defined(__CUDA_ARCH__)
    *reinterpret_cast<int2*>(p) = make_int2(first, second);
#else
    store_u32(p, first);
    store_u32(p + 4, second);
#endif
}
DN_FN void store_halves(uint8_t* p, const float in[4]) {
    store_words(p, float_to_half(in[0]) | shift_left(float_to_half(in[1]), 16), float_to_half(in[2]) | shift_left(float_to_half(in[3]), 16));
}

DN_FN void scatter_f32(uint8_t* p, int64_t, int, float a) { store_f32(p, a); }
DN_FN void scatter_u16(uint8_t* p, int64_t, int, int a) { store_u16(p, a); }

}  // namespace denoise::DN_TARGET
