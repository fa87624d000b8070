// SPDX-License-Identifier: Apache-2.0
// Guides in one word: octahedral normal in 11 + 11 bits (Cigolle et al. 2014, within 0.06 degrees) and linear roughness in 10.
#pragma once
#include "vec.h"

namespace denoise::DN_TARGET {

constexpr float normal_encoding_error = 1.1e-3f;  // radians; the floor of every angular tolerance
constexpr float sky_view_z = 1e30f;               // stored for sky and for invalid depth: far beyond any sky distance, still safe to multiply
constexpr float no_distance = -1.f;               // stored as the hit distance of a sample that found none

// The lowest bit of the stored depth tells that the caller's was negative: then so is the depth part of the motion.
DN_FN Float encode_depth(Float view_z, Mask negative) { return as_float((as_int(view_z) & Int(~1)) | select(negative, Int(1), Int(0))); }
DN_FN Mask given_negative(Float stored_z) { return (as_int(stored_z) & Int(1)) == Int(1); }

DN_FN Int encode_surface(Float3 n, Float roughness) {
    const Float scale = Float(1.f) / max(abs(n.x) + abs(n.y) + abs(n.z), Float(1e-20f));
    Float x = n.x * scale, y = n.y * scale;
    const Float fold_x = (Float(1.f) - abs(y)) * select(x >= Float(0.f), Float(1.f), Float(-1.f));
    const Float fold_y = (Float(1.f) - abs(x)) * select(y >= Float(0.f), Float(1.f), Float(-1.f));
    const Mask back = n.z < Float(0.f);
    x = select(back, fold_x, x);
    y = select(back, fold_y, y);
    const Int qx = to_int(clamp(x, Float(-1.f), Float(1.f)) * Float(1023.f) + Float(1023.5f));
    const Int qy = to_int(clamp(y, Float(-1.f), Float(1.f)) * Float(1023.f) + Float(1023.5f));
    const Int qr = to_int(sat(roughness) * Float(1023.f) + Float(0.5f));
    return qx | shift_left(qy, 11) | shift_left(qr, 22);
}
DN_FN Float3 decode_normal(Int packed) {
    const Float scale(1.f / 1023.f), one(1.f), zero(0.f);
    const Float x = to_float((packed & Int(2047)) - Int(1023)) * scale, y = to_float((shift_right(packed, 11) & Int(2047)) - Int(1023)) * scale;
    const Float z = one - abs(x) - abs(y), fold = max(-z, zero);
    const Float3 n = {x - with_sign_of(fold, x), y - with_sign_of(fold, y), z};
    return n * rsqrt(dot(n, n));
}
DN_FN Float decode_roughness(Int packed) { return to_float(shift_right(packed, 22)) * Float(1.f / 1023.f); }

// History lengths are stored in quarters of a frame, 0 to 63.75.
DN_FN Float decode_frames(Int stored) { return to_float(stored) * Float(0.25f); }
DN_FN Int encode_frames(Float frames) { return to_int(clamp(frames, Float(0.f), Float(63.f)) * Float(4.f) + Float(0.5f)); }

}  // namespace denoise::DN_TARGET
