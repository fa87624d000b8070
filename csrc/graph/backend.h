// SPDX-License-Identifier: Apache-2.0
// What a graph asks of the machine: memory, and to run one pass over an output of a size. Work is done in the order of the calls.
#pragma once
#include <cstddef>
#include <string>

#include "../../shaders/frame_constants.h"
#include "../../shaders/passes.h"

namespace denoise {

class Backend {
   public:
    explicit Backend(std::string name) : name_(std::move(name)) {}
    virtual ~Backend() = default;
    const std::string& name() const { return name_; }

    virtual void launch(Pass pass, int variant, const void* args, const FrameConstants& frame, int width, int height) = 0;
    virtual void* allocate(size_t bytes) = 0;  // zeroed, 64-byte aligned
    virtual void release(void* memory) = 0;

   private:
    std::string name_;
};

}  // namespace denoise
