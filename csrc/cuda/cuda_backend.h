// SPDX-License-Identifier: Apache-2.0
// Runs passes on an NVIDIA GPU, on the caller's stream. A build without CUDA has the same functions (no_cuda.cpp), which say so.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../graph/backend.h"

namespace denoise {

struct CudaDevice {
    std::string detail;   // what it is
    std::string why_not;  // empty, or why it cannot be used
};
struct CudaDevices {
    std::vector<CudaDevice> list;
    std::string why_none;  // where the list is empty
};
CudaDevices cuda_devices();

// All of these throw DeviceFailure for what the device does not do.
std::unique_ptr<Backend> make_cuda_backend(int device);

// Memory for an array that no library of the caller's allocates. It comes and goes in the order of the stream.
class CudaMemory {
   public:
    CudaMemory(int device, size_t bytes, uintptr_t stream);
    ~CudaMemory();
    CudaMemory(const CudaMemory&) = delete;
    CudaMemory& operator=(const CudaMemory&) = delete;
    uintptr_t address() const { return address_; }

   private:
    [[maybe_unused]] int device_;
    [[maybe_unused]] uintptr_t stream_;
    uintptr_t address_ = 0;
};

// What is queued on `stream` from now on waits for what is queued on `producer` by now.
void cuda_wait(int device, uintptr_t stream, uintptr_t producer);

}  // namespace denoise
