// SPDX-License-Identifier: Apache-2.0
// How the pages size and turn the kernels of their passes.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace denoise {

// Radii are pixels at 1440 lines, down to `least` of it: a filter needs its number of samples however few pixels there are.
inline float radius_scale(int height, float least) { return std::max(float(height) / 1440.f, least); }

// One angle a frame for the whole picture, by the golden ratio, within the part of a turn after which the kernel looks the same; cosine and sine.
inline std::array<float, 2> kernel_rotation(uint32_t frame_index, double phase, double symmetry_degrees, double offset_degrees = 0) {
    const double t = std::fmod(phase + frame_index * 0.6180339887498949, 1.0), angle = (t * symmetry_degrees + offset_degrees) * 3.14159265358979 / 180;
    return {float(std::cos(angle)), float(std::sin(angle))};
}

}  // namespace denoise
