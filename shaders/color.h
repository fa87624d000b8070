// SPDX-License-Identifier: Apache-2.0
// Signals live in linear YCoCg with the hit distance beside them: filters and limits act on the luma Y.
#pragma once
#include "vec.h"

namespace denoise::DN_TARGET {

DN_FN Float3 rgb_to_ycocg(Float3 c) {
    return {Float(0.25f) * c.x + Float(0.5f) * c.y + Float(0.25f) * c.z, Float(0.5f) * c.x - Float(0.5f) * c.z, Float(-0.25f) * c.x + Float(0.5f) * c.y - Float(0.25f) * c.z};
}
DN_FN Float3 ycocg_to_rgb(Float3 c) {
    const Float t = c.x - c.z, zero(0.f);
    return {max(t + c.y, zero), max(c.x + c.z, zero), max(t - c.y, zero)};
}
// Scales a signal to a new luma, chroma with it. Below 1e-4 the old chroma is noise and is not amplified.
DN_FN Float4 with_luma(Float4 signal, Float luma) {
    const Float ratio = (luma + Float(1e-6f)) / (max(signal.x, Float(1e-4f)) + Float(1e-6f));
    return {luma, signal.y * ratio, signal.z * ratio, signal.w};
}
// A filter with negative lobes can leave the gamut: clamps RGB and the hit distance back to what is possible.
DN_FN Float4 clamp_gamut(Float4 signal) {
    const Float3 c = rgb_to_ycocg(ycocg_to_rgb({signal.x, signal.y, signal.z}));
    return {c.x, c.y, c.z, sat(signal.w)};
}

}  // namespace denoise::DN_TARGET
