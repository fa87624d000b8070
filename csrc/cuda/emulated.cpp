// SPDX-License-Identifier: Apache-2.0
// The GPU kernels on the host, for tests on any machine: the same bodies, block by block. Shared memory is poisoned with NaN before the load
// phase, and the threads of a block run in a shuffled order in either phase, so that a wrong index, halo or missing barrier shows.
#define DN_TARGET emulated_cuda
#define DN_TABLE kernels_emulated_cuda
#include "../cpu/lanes_scalar.h"
#include "../graph/kernel.h"
#include "kernel_body.h"

namespace denoise::emulated_cuda {

// 257 is prime: any stride 1..256 visits the threads 0..255 in a different order (index 256 is skipped).
template <class P, class Body> void shuffled(int seed, Body body) {
    const int stride = 1 + (seed * 97 + 31) % 256;
    for (int k = 0, t = seed % 257; k < 257; k++, t = (t + stride) % 257)
        if (t < block_threads<P>) body(t);
}

template <class P> void run(const void* pass_args, const FrameConstants& frame, Rect r, float* shared) {
    const auto& args = *static_cast<const typename P::Args*>(pass_args);
    const Block block{r.x0, r.y0};
    const int seed = r.x0 / block_width * 7 + r.y0 / block_rows<P> * 13;
    if constexpr (P::planes > 0) {
        for (int k = 0; k < P::planes * shared_plane<P>; k++) shared[k] = as_float(0x7fc00000);
        shuffled<P>(seed, [&](int thread) { load_phase<P>(args, frame, block, thread, shared); });
    }
    shuffled<P>(seed + 1, [&](int thread) { shade_phase<P>(args, frame, block, thread, r.x1, r.y1, shared); });
}

}  // namespace denoise::emulated_cuda

#include "../graph/kernel_table.inl"
