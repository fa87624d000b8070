// SPDX-License-Identifier: Apache-2.0
// The two halves of a surface's reflection, filtered apart.
#pragma once

namespace denoise {
enum class Lobe : int { diffuse, specular };
enum class Signals : int { diffuse, specular, both };
constexpr bool has_diffuse(Signals s) { return s != Signals::specular; }
constexpr bool has_specular(Signals s) { return s != Signals::diffuse; }
}  // namespace denoise
