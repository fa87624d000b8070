// SPDX-License-Identifier: Apache-2.0
// What the compiler of the kernels hands to the host code.
#pragma once
#include "../../shaders/passes.h"

namespace denoise {
constexpr int block_width = 32, block_height = 8;  // threads, one a pixel
}

namespace denoise::cuda {

// A pass's kernels by variant, as the CUDA runtime names them. Each takes (Args, FrameConstants, int width, int height); blocks cover the output.
const void* const* kernels(Pass pass);

}  // namespace denoise::cuda
