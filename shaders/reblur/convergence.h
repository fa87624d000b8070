// SPDX-License-Identifier: Apache-2.0
// How converged a history is: 1 with no history, towards 0 as it grows. It drives every radius and tolerance of the recurrent blur.
#pragma once
#include "../image.h"

namespace denoise {
struct Convergence {
    float scale = 1, base = 0.2f, full_at = 24;  // speed; share of it that a young history has; length in frames of the full speed
};
}  // namespace denoise

#ifdef DN_TARGET
#include "../math.h"
namespace denoise::DN_TARGET {
DN_FN Float not_converged(const Convergence& c, Float frames) {
    const Float k = Float(c.scale) * mix(Float(c.base), Float(1.f), sat(frames / Float(1.f + c.full_at)));
    return Float(1.f) / (Float(1.f) + k * frames);
}
}  // namespace denoise::DN_TARGET
#endif
