// SPDX-License-Identifier: Apache-2.0
// Every pass as a CUDA kernel. Arguments come by value: the GPU has them as constants, which are operands of its instructions, so that they
// take no registers and no loads.
#define DN_TARGET cuda
#include "../cpu/lanes_scalar.h"
#include "kernel_body.h"

namespace denoise::cuda {

template <class P>
__global__ void __launch_bounds__(block_threads<P>, launch_shape<P>.blocks)
    kernel(const __grid_constant__ typename P::Args args, const __grid_constant__ FrameConstants frame, int width, int height) {
    static_assert(sizeof args + sizeof frame + 2 * sizeof(int) <= 4096, "no kernel of an older driver takes more");
    __shared__ float shared[P::planes > 0 ? P::planes * shared_plane<P> : 1];
    const Block block{int(blockIdx.x) * block_width, int(blockIdx.y) * block_rows<P>};
    const int thread = int(threadIdx.y) * block_width + int(threadIdx.x);
    if constexpr (P::planes > 0) {
        load_phase<P>(args, frame, block, thread, shared);
        __syncthreads();
    }
    shade_phase<P>(args, frame, block, thread, width, height, shared);
}

// In the order of the list: naming the kernels here is what instantiates them.
template <class... Instances> const CudaKernel* table() {
    static const CudaKernel all[] = {{reinterpret_cast<const void*>(kernel<Instances>), block_rows<Instances>}...};
    return all;
}

const CudaKernel* kernels(Pass pass) {
    switch (pass) {
#define DN_PASS(name, Args, ...) \
    case Pass::name:             \
        return table<__VA_ARGS__>();
        DN_PASSES(DN_PASS)
#undef DN_PASS
        default:
            return nullptr;
    }
}

}  // namespace denoise::cuda
