// SPDX-License-Identifier: Apache-2.0
// What the compiler of the kernels hands to the host code.
#pragma once
#include "../../shaders/passes.h"

namespace denoise {
constexpr int block_width = 32, most_rows = 8;  // threads of a block, one a pixel
}

namespace denoise::cuda {

struct CudaKernel {
    const void* function;  // as the CUDA runtime names it; takes (Args, FrameConstants, int width, int height)
    int rows;              // of its blocks, which cover the output
};
// A pass's kernels by variant.
const CudaKernel* kernels(Pass pass);

}  // namespace denoise::cuda
