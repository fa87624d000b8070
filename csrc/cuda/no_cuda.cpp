// SPDX-License-Identifier: Apache-2.0
#include "cuda_backend.h"

namespace denoise {
namespace {
const char* const reason = "not in this build: " DENOISE_NO_CUDA;
}

CudaDevices cuda_devices() { return {{}, reason}; }
std::unique_ptr<Backend> make_cuda_backend(int) { throw DeviceFailure(reason); }
CudaMemory::CudaMemory(int, size_t, uintptr_t) { throw DeviceFailure(reason); }
CudaMemory::~CudaMemory() = default;
void cuda_wait(int, uintptr_t, uintptr_t) { throw DeviceFailure(reason); }

}  // namespace denoise
