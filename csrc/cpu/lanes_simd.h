// SPDX-License-Identifier: Apache-2.0
// The backend contract (shaders/backend.h) on GCC/Clang vector extensions: DN_LANES pixels of a row at once.
// Everything that has a generic form is generic; the handful of per-ISA overrides stand together below.
#pragma once
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define DN_FN inline __attribute__((always_inline))
#define DN_CONSTANT constexpr

namespace denoise::DN_TARGET {

constexpr int lanes = DN_LANES;

typedef float FloatV __attribute__((vector_size(4 * DN_LANES)));
typedef int32_t IntV __attribute__((vector_size(4 * DN_LANES)));
typedef uint32_t UintV __attribute__((vector_size(4 * DN_LANES)));

struct Mask {
    IntV v;  // all bits set, or none
    Mask() = default;
    DN_FN Mask(IntV value) : v(value) {}
    DN_FN Mask(bool value) : v(IntV{} - int(value)) {}
};
struct Int {
    IntV v;
    Int() = default;
    DN_FN Int(IntV value) : v(value) {}
    DN_FN Int(int value) : v(IntV{} + value) {}
};
struct Float {
    FloatV v;
    Float() = default;
    DN_FN Float(FloatV value) : v(value) {}
    DN_FN Float(float value) : v(FloatV{} + value) {}
};

// clang-format off
#define DN_OPERATOR(T, op)                                 \
    DN_FN T operator op(T a, T b) { return T(a.v op b.v); } \
    DN_FN T& operator op##=(T& a, T b) {                    \
        a.v = a.v op b.v;                                   \
        return a;                                           \
    }
#define DN_COMPARE(T, op) \
    DN_FN Mask operator op(T a, T b) { return Mask((IntV)(a.v op b.v)); }
DN_OPERATOR(Float, +) DN_OPERATOR(Float, -) DN_OPERATOR(Float, *) DN_OPERATOR(Float, /)
DN_OPERATOR(Int, +) DN_OPERATOR(Int, -) DN_OPERATOR(Int, *) DN_OPERATOR(Int, &) DN_OPERATOR(Int, |) DN_OPERATOR(Int, ^)
DN_COMPARE(Float, <) DN_COMPARE(Float, <=) DN_COMPARE(Float, >) DN_COMPARE(Float, >=) DN_COMPARE(Float, ==) DN_COMPARE(Float, !=)
DN_COMPARE(Int, <) DN_COMPARE(Int, <=) DN_COMPARE(Int, >) DN_COMPARE(Int, >=) DN_COMPARE(Int, ==) DN_COMPARE(Int, !=)
#undef DN_OPERATOR
#undef DN_COMPARE
    // clang-format on
    DN_FN Float operator-(Float a) {
    return Float(-a.v);
}
DN_FN Mask operator&&(Mask a, Mask b) { return Mask(a.v & b.v); }
DN_FN Mask operator||(Mask a, Mask b) { return Mask(a.v | b.v); }
DN_FN Mask operator!(Mask a) { return Mask(~a.v); }

DN_FN Int as_int(Float a) { return Int((IntV)a.v); }
DN_FN Float as_float(Int a) { return Float((FloatV)a.v); }
DN_FN Int to_int(Float a) { return Int(__builtin_convertvector(a.v, IntV)); }  // towards zero
DN_FN Float to_float(Int a) { return Float(__builtin_convertvector(a.v, FloatV)); }
DN_FN Int shift_left(Int a, int n) { return Int(a.v << n); }
DN_FN Int shift_right(Int a, int n) { return Int((IntV)((UintV)a.v >> n)); }  // zeros come in
DN_FN Float abs(Float a) { return Float((FloatV)((IntV)a.v & 0x7fffffff)); }

DN_FN int first_lane(Int a) { return a.v[0]; }
DN_FN Int lane_index() {
    IntV r{};
    for (int k = 0; k < lanes; k++) r[k] = k;
    return Int(r);
}

// ---- per ISA: blends, reductions, min/max (the second argument where one is NaN, as in scalar code), roots

#if defined(__AVX512F__)
DN_FN __mmask16 bits(Mask m) { return _mm512_movepi32_mask((__m512i)m.v); }
DN_FN Float select(Mask m, Float a, Float b) { return Float((FloatV)_mm512_mask_blend_ps(bits(m), (__m512)b.v, (__m512)a.v)); }
DN_FN Int select(Mask m, Int a, Int b) { return Int((IntV)_mm512_mask_blend_epi32(bits(m), (__m512i)b.v, (__m512i)a.v)); }
DN_FN bool any(Mask m) { return bits(m) != 0; }
DN_FN bool all(Mask m) { return bits(m) == 0xffff; }
DN_FN Float min(Float a, Float b) { return Float((FloatV)_mm512_min_ps((__m512)a.v, (__m512)b.v)); }
DN_FN Float max(Float a, Float b) { return Float((FloatV)_mm512_max_ps((__m512)a.v, (__m512)b.v)); }
DN_FN Int min(Int a, Int b) { return Int((IntV)_mm512_min_epi32((__m512i)a.v, (__m512i)b.v)); }
DN_FN Int max(Int a, Int b) { return Int((IntV)_mm512_max_epi32((__m512i)a.v, (__m512i)b.v)); }
DN_FN Float floor(Float a) { return Float((FloatV)_mm512_roundscale_ps((__m512)a.v, 9)); }
DN_FN Float sqrt(Float a) { return Float((FloatV)_mm512_sqrt_ps((__m512)a.v)); }
DN_FN Float rsqrt(Float a) {  // 14-bit estimate and a Newton step; a > 0
    const __m512 r = _mm512_rsqrt14_ps((__m512)a.v);
    return Float((FloatV)r) * (Float(1.5f) - Float(0.5f) * a * Float((FloatV)r) * Float((FloatV)r));
}
DN_FN Float rcp(Float a) {  // 14-bit estimate and a Newton step; a neither 0, infinite nor subnormal
    const Float r((FloatV)_mm512_rcp14_ps((__m512)a.v));
    return r * (Float(2.f) - a * r);
}
#elif defined(__AVX2__)
DN_FN Float select(Mask m, Float a, Float b) { return Float((FloatV)_mm256_blendv_ps((__m256)b.v, (__m256)a.v, (__m256)m.v)); }
DN_FN Int select(Mask m, Int a, Int b) { return Int((IntV)_mm256_blendv_epi8((__m256i)b.v, (__m256i)a.v, (__m256i)m.v)); }
DN_FN bool any(Mask m) { return _mm256_movemask_ps((__m256)m.v) != 0; }
DN_FN bool all(Mask m) { return _mm256_movemask_ps((__m256)m.v) == 0xff; }
DN_FN Float min(Float a, Float b) { return Float((FloatV)_mm256_min_ps((__m256)a.v, (__m256)b.v)); }
DN_FN Float max(Float a, Float b) { return Float((FloatV)_mm256_max_ps((__m256)a.v, (__m256)b.v)); }
DN_FN Int min(Int a, Int b) { return Int((IntV)_mm256_min_epi32((__m256i)a.v, (__m256i)b.v)); }
DN_FN Int max(Int a, Int b) { return Int((IntV)_mm256_max_epi32((__m256i)a.v, (__m256i)b.v)); }
DN_FN Float floor(Float a) { return Float((FloatV)_mm256_floor_ps((__m256)a.v)); }
DN_FN Float sqrt(Float a) { return Float((FloatV)_mm256_sqrt_ps((__m256)a.v)); }
DN_FN Float rsqrt(Float a) {  // 12-bit estimate and a Newton step; a > 0
    const __m256 r = _mm256_rsqrt_ps((__m256)a.v);
    return Float((FloatV)r) * (Float(1.5f) - Float(0.5f) * a * Float((FloatV)r) * Float((FloatV)r));
}
DN_FN Float rcp(Float a) {  // 12-bit estimate and a Newton step; a neither 0, infinite nor subnormal
    const Float r((FloatV)_mm256_rcp_ps((__m256)a.v));
    return r * (Float(2.f) - a * r);
}
#elif defined(__SSE4_1__)
DN_FN Float select(Mask m, Float a, Float b) { return Float((FloatV)_mm_blendv_ps((__m128)b.v, (__m128)a.v, (__m128)m.v)); }
DN_FN Int select(Mask m, Int a, Int b) { return Int((IntV)_mm_blendv_epi8((__m128i)b.v, (__m128i)a.v, (__m128i)m.v)); }
DN_FN bool any(Mask m) { return _mm_movemask_ps((__m128)m.v) != 0; }
DN_FN bool all(Mask m) { return _mm_movemask_ps((__m128)m.v) == 0xf; }
DN_FN Float min(Float a, Float b) { return Float((FloatV)_mm_min_ps((__m128)a.v, (__m128)b.v)); }
DN_FN Float max(Float a, Float b) { return Float((FloatV)_mm_max_ps((__m128)a.v, (__m128)b.v)); }
DN_FN Int min(Int a, Int b) { return Int((IntV)_mm_min_epi32((__m128i)a.v, (__m128i)b.v)); }
DN_FN Int max(Int a, Int b) { return Int((IntV)_mm_max_epi32((__m128i)a.v, (__m128i)b.v)); }
DN_FN Float floor(Float a) { return Float((FloatV)_mm_floor_ps((__m128)a.v)); }
DN_FN Float sqrt(Float a) { return Float((FloatV)_mm_sqrt_ps((__m128)a.v)); }
DN_FN Float rsqrt(Float a) {
    const __m128 r = _mm_rsqrt_ps((__m128)a.v);
    return Float((FloatV)r) * (Float(1.5f) - Float(0.5f) * a * Float((FloatV)r) * Float((FloatV)r));
}
DN_FN Float rcp(Float a) {
    const Float r((FloatV)_mm_rcp_ps((__m128)a.v));
    return r * (Float(2.f) - a * r);
}
#elif defined(__aarch64__)
DN_FN Float select(Mask m, Float a, Float b) { return Float((FloatV)vbslq_f32((uint32x4_t)m.v, (float32x4_t)a.v, (float32x4_t)b.v)); }
DN_FN Int select(Mask m, Int a, Int b) { return Int((a.v & m.v) | (b.v & ~m.v)); }
DN_FN bool any(Mask m) { return vmaxvq_u32((uint32x4_t)m.v) != 0; }
DN_FN bool all(Mask m) { return vminvq_u32((uint32x4_t)m.v) != 0; }
DN_FN Float min(Float a, Float b) { return select(a < b, a, b); }
DN_FN Float max(Float a, Float b) { return select(a > b, a, b); }
DN_FN Int min(Int a, Int b) { return Int((IntV)vminq_s32((int32x4_t)a.v, (int32x4_t)b.v)); }
DN_FN Int max(Int a, Int b) { return Int((IntV)vmaxq_s32((int32x4_t)a.v, (int32x4_t)b.v)); }
DN_FN Float floor(Float a) { return Float((FloatV)vrndmq_f32((float32x4_t)a.v)); }
DN_FN Float sqrt(Float a) { return Float((FloatV)vsqrtq_f32((float32x4_t)a.v)); }
DN_FN Float rsqrt(Float a) { return Float(1.f) / sqrt(a); }
DN_FN Float rcp(Float a) { return Float(1.f) / a; }
#else
#error "lanes_simd.h: no per-ISA primitives for this target; build it with lanes_scalar.h"
#endif

// ---- half precision. Values sit in the low 16 bits of each lane. Conversions round to nearest even.

#if defined(__AVX512F__)
DN_FN Float half_to_float(Int h) { return Float((FloatV)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)h.v))); }
DN_FN Int float_to_half(Float f) { return Int((IntV)_mm512_cvtepu16_epi32(_mm512_cvtps_ph((__m512)f.v, _MM_FROUND_TO_NEAREST_INT))); }
#elif defined(__AVX2__)
DN_FN Float half_to_float(Int h) {
    const __m256i v = (__m256i)h.v;
    return Float((FloatV)_mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1))));
}
DN_FN Int float_to_half(Float f) { return Int((IntV)_mm256_cvtepu16_epi32(_mm256_cvtps_ph((__m256)f.v, _MM_FROUND_TO_NEAREST_INT))); }
#elif defined(__aarch64__)
DN_FN Float half_to_float(Int h) { return Float((FloatV)vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32((uint32x4_t)h.v)))); }
DN_FN Int float_to_half(Float f) { return Int((IntV)vmovl_u16(vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)f.v)))); }
#else
// Exponent re-biasing by a multiplication handles normals and subnormals at once; see F. Giesen, "Half to float done quic" (2012).
DN_FN Float half_to_float(Int h) {
    const Int magnitude = shift_left(h & Int(0x7fff), 13);
    const Float finite = as_float(magnitude) * as_float(Int((254 - 15) << 23));
    const Float value = select(magnitude >= Int(31 << 23), as_float(magnitude | Int(255 << 23)), finite);
    return as_float(as_int(value) | shift_left(h & Int(0x8000), 16));
}
DN_FN Int float_to_half(Float f) {
    const Int bits = as_int(f), sign = bits & Int(int(0x80000000u)), magnitude = bits ^ sign;
    const Int subnormal = as_int(as_float(magnitude) + as_float(Int(((127 - 15) + (23 - 10) + 1) << 23))) - Int(((127 - 15) + (23 - 10) + 1) << 23);
    const Int odd = shift_right(magnitude, 13) & Int(1);
    const Int normal = shift_right(magnitude + Int((15 - 127) * (1 << 23) + 0xfff) + odd, 13);
    Int h = select(magnitude < Int(113 << 23), subnormal, normal);
    h = select(magnitude >= Int((127 + 16) << 23), select(magnitude > Int(255 << 23), Int(0x7e00), Int(0x7c00)), h);
    return h | shift_right(sign, 16);
}
#endif

// ---- memory. `load` and `store` touch `lanes` consecutive texels; `gather` takes a byte offset for each lane.

template <class V> DN_FN V load_bits(const void* p) {
    V r;
    __builtin_memcpy(&r, p, sizeof r);
    return r;
}
DN_FN Float load_f32(const void* p) { return Float(load_bits<FloatV>(p)); }
DN_FN void store_f32(void* p, Float a) { __builtin_memcpy(p, &a.v, sizeof a.v); }
DN_FN Int load_u32(const void* p) { return Int(load_bits<IntV>(p)); }
DN_FN void store_u32(void* p, Int a) { __builtin_memcpy(p, &a.v, sizeof a.v); }

#define DN_EACH_LANE for (int k = 0; k < lanes; k++)

DN_FN Int load_u8(const void* p) {
    typedef uint8_t Bytes __attribute__((vector_size(DN_LANES)));
    return Int(__builtin_convertvector(load_bits<Bytes>(p), IntV));
}
DN_FN void store_u8(void* p, Int a) {
    typedef uint8_t Bytes __attribute__((vector_size(DN_LANES)));
    const Bytes bytes = __builtin_convertvector(a.v, Bytes);
    __builtin_memcpy(p, &bytes, sizeof bytes);
}
DN_FN Int load_u16(const void* p) {
    typedef uint16_t Words __attribute__((vector_size(2 * DN_LANES)));
    return Int(__builtin_convertvector(load_bits<Words>(p), IntV));
}
DN_FN void store_u16(void* p, Int a) {
    typedef uint16_t Words __attribute__((vector_size(2 * DN_LANES)));
    const Words words = __builtin_convertvector(a.v, Words);
    __builtin_memcpy(p, &words, sizeof words);
}
template <class T> DN_FN Int gather_bits(const uint8_t* base, Int offset) {
    IntV r{};
    DN_EACH_LANE {
        T value;
        __builtin_memcpy(&value, base + offset.v[k], sizeof value);
        r[k] = int32_t(value);
    }
    return Int(r);
}
DN_FN Int gather_u8(const uint8_t* base, Int offset) { return gather_bits<uint8_t>(base, offset); }
DN_FN Int gather_u16(const uint8_t* base, Int offset) { return gather_bits<uint16_t>(base, offset); }
DN_FN Int gather_u32(const uint8_t* base, Int offset) { return gather_bits<uint32_t>(base, offset); }

// Eight-byte texels, the format of signals and guides: two 32-bit words or four halves.
#if defined(__AVX2__)
DN_FN __m128i load_pair(const uint8_t* base, int a, int b) { return _mm_castpd_si128(_mm_loadh_pd(_mm_load_sd((const double*)(base + a)), (const double*)(base + b))); }
#endif
#if defined(__AVX512F__)
struct Texels {  // lanes 0-7, 8-15
    __m512i lo, hi;
};
DN_FN Texels load_texels(const uint8_t* p) { return {_mm512_loadu_si512(p), _mm512_loadu_si512(p + 64)}; }
// Eight loads are faster than the gather instruction.
DN_FN __m512i load_eight(const uint8_t* base, IntV o, int k) {
    const __m256i a = _mm256_set_m128i(load_pair(base, o[k + 2], o[k + 3]), load_pair(base, o[k], o[k + 1]));
    const __m256i b = _mm256_set_m128i(load_pair(base, o[k + 6], o[k + 7]), load_pair(base, o[k + 4], o[k + 5]));
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}
DN_FN Texels gather_texels(const uint8_t* base, Int o) { return {load_eight(base, o.v, 0), load_eight(base, o.v, 8)}; }
DN_FN void split_words(const Texels& x, Int& first, Int& second) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
                  odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    first = Int((IntV)_mm512_permutex2var_epi32(x.lo, even, x.hi));
    second = Int((IntV)_mm512_permutex2var_epi32(x.lo, odd, x.hi));
}
DN_FN void split_halves(const Texels& x, Float out[4]) {
    Int a, b;
    split_words(x, a, b);
    out[0] = Float((FloatV)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)a.v)));
    out[1] = Float((FloatV)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)shift_right(a, 16).v)));
    out[2] = Float((FloatV)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)b.v)));
    out[3] = Float((FloatV)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)shift_right(b, 16).v)));
}
DN_FN void store_words(uint8_t* p, Int first, Int second) {
    const __m512i lo = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
                  hi = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    _mm512_storeu_si512(p, _mm512_permutex2var_epi32((__m512i)first.v, lo, (__m512i)second.v));
    _mm512_storeu_si512(p + 64, _mm512_permutex2var_epi32((__m512i)first.v, hi, (__m512i)second.v));
}
DN_FN void store_halves(uint8_t* p, const Float in[4]) {
    store_words(p, float_to_half(in[0]) | shift_left(float_to_half(in[1]), 16), float_to_half(in[2]) | shift_left(float_to_half(in[3]), 16));
}
#elif defined(__AVX2__)
struct Texels {  // lanes 01, 23, 45, 67
    __m128i t[4];
};
DN_FN Texels load_texels(const uint8_t* p) {
    const __m128i* q = (const __m128i*)p;
    return {{_mm_loadu_si128(q), _mm_loadu_si128(q + 1), _mm_loadu_si128(q + 2), _mm_loadu_si128(q + 3)}};
}
DN_FN Texels gather_texels(const uint8_t* base, Int o) {
    return {{load_pair(base, o.v[0], o.v[1]), load_pair(base, o.v[2], o.v[3]), load_pair(base, o.v[4], o.v[5]), load_pair(base, o.v[6], o.v[7])}};
}
DN_FN void split_words(const Texels& x, Int& first, Int& second) {
    const __m256 a = _mm256_castsi256_ps(_mm256_set_m128i(x.t[2], x.t[0]));  // lanes 0 1 | 4 5
    const __m256 b = _mm256_castsi256_ps(_mm256_set_m128i(x.t[3], x.t[1]));  // lanes 2 3 | 6 7
    first = Int((IntV)_mm256_shuffle_ps(a, b, 0x88));
    second = Int((IntV)_mm256_shuffle_ps(a, b, 0xdd));
}
DN_FN void split_halves(const Texels& x, Float out[4]) {
    const __m128i a = _mm_unpacklo_epi16(x.t[0], x.t[1]), b = _mm_unpackhi_epi16(x.t[0], x.t[1]);
    const __m128i c = _mm_unpacklo_epi16(x.t[2], x.t[3]), d = _mm_unpackhi_epi16(x.t[2], x.t[3]);
    const __m128i e = _mm_unpacklo_epi16(a, b), f = _mm_unpackhi_epi16(a, b), g = _mm_unpacklo_epi16(c, d), h = _mm_unpackhi_epi16(c, d);
    out[0] = Float((FloatV)_mm256_cvtph_ps(_mm_unpacklo_epi64(e, g)));
    out[1] = Float((FloatV)_mm256_cvtph_ps(_mm_unpackhi_epi64(e, g)));
    out[2] = Float((FloatV)_mm256_cvtph_ps(_mm_unpacklo_epi64(f, h)));
    out[3] = Float((FloatV)_mm256_cvtph_ps(_mm_unpackhi_epi64(f, h)));
}
DN_FN void store_words(uint8_t* p, Int first, Int second) {
    const __m256i lo = _mm256_unpacklo_epi32((__m256i)first.v, (__m256i)second.v), hi = _mm256_unpackhi_epi32((__m256i)first.v, (__m256i)second.v);
    _mm256_storeu_si256((__m256i*)p, _mm256_permute2x128_si256(lo, hi, 0x20));
    _mm256_storeu_si256((__m256i*)p + 1, _mm256_permute2x128_si256(lo, hi, 0x31));
}
DN_FN void store_halves(uint8_t* p, const Float in[4]) {
    const __m128i x = _mm256_cvtps_ph((__m256)in[0].v, _MM_FROUND_TO_NEAREST_INT), y = _mm256_cvtps_ph((__m256)in[1].v, _MM_FROUND_TO_NEAREST_INT);
    const __m128i z = _mm256_cvtps_ph((__m256)in[2].v, _MM_FROUND_TO_NEAREST_INT), w = _mm256_cvtps_ph((__m256)in[3].v, _MM_FROUND_TO_NEAREST_INT);
    const __m128i xy0 = _mm_unpacklo_epi16(x, y), xy1 = _mm_unpackhi_epi16(x, y), zw0 = _mm_unpacklo_epi16(z, w), zw1 = _mm_unpackhi_epi16(z, w);
    __m128i* q = (__m128i*)p;
    _mm_storeu_si128(q, _mm_unpacklo_epi32(xy0, zw0));
    _mm_storeu_si128(q + 1, _mm_unpackhi_epi32(xy0, zw0));
    _mm_storeu_si128(q + 2, _mm_unpacklo_epi32(xy1, zw1));
    _mm_storeu_si128(q + 3, _mm_unpackhi_epi32(xy1, zw1));
}
#else
struct Texels {
    Int first, second;
};
DN_FN Texels gather_texels(const uint8_t* base, Int offset) {
    IntV first{}, second{};
    DN_EACH_LANE {
        int32_t word[2];
        __builtin_memcpy(word, base + offset.v[k], 8);
        first[k] = word[0];
        second[k] = word[1];
    }
    return {Int(first), Int(second)};
}
#if defined(__aarch64__)
DN_FN Texels load_texels(const uint8_t* p) {
    const int32x4x2_t words = vld2q_s32((const int32_t*)p);
    return {Int((IntV)words.val[0]), Int((IntV)words.val[1])};
}
DN_FN void store_words(uint8_t* p, Int first, Int second) { vst2q_s32((int32_t*)p, {{(int32x4_t)first.v, (int32x4_t)second.v}}); }
#else
DN_FN Texels load_texels(const uint8_t* p) { return gather_texels(p, lane_index() * Int(8)); }
DN_FN void store_words(uint8_t* p, Int first, Int second) {
    DN_EACH_LANE {
        const int32_t word[2] = {first.v[k], second.v[k]};
        __builtin_memcpy(p + 8 * k, word, 8);
    }
}
#endif
DN_FN void split_words(const Texels& x, Int& first, Int& second) {
    first = x.first;
    second = x.second;
}
DN_FN void split_halves(const Texels& x, Float out[4]) {
    out[0] = half_to_float(x.first & Int(0xffff));
    out[1] = half_to_float(shift_right(x.first, 16));
    out[2] = half_to_float(x.second & Int(0xffff));
    out[3] = half_to_float(shift_right(x.second, 16));
}
DN_FN void store_halves(uint8_t* p, const Float in[4]) {
    store_words(p, float_to_half(in[0]) | shift_left(float_to_half(in[1]), 16), float_to_half(in[2]) | shift_left(float_to_half(in[3]), 16));
}
#endif

// Arrays of the caller: strided, lane by lane, `count` lanes inside the array.
DN_FN void scatter_f32(uint8_t* p, int64_t step, int count, Float a) {
    for (int k = 0; k < count; k++) {
        const float value = a.v[k];
        __builtin_memcpy(p + k * step, &value, 4);
    }
}
DN_FN void scatter_u16(uint8_t* p, int64_t step, int count, Int a) {
    for (int k = 0; k < count; k++) {
        const uint16_t value = uint16_t(a.v[k]);
        __builtin_memcpy(p + k * step, &value, 2);
    }
}
#undef DN_EACH_LANE

}  // namespace denoise::DN_TARGET
