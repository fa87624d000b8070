// SPDX-License-Identifier: Apache-2.0
// What a graph asks of a device: memory, and to run the passes of a frame. Work is done in the order of the calls.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "../../shaders/frame_constants.h"
#include "../../shaders/passes.h"

namespace denoise {

// The device did not do what it was asked for; the message names the call and the reason.
class DeviceFailure : public std::runtime_error {
   public:
    using std::runtime_error::runtime_error;
};

// One pass over an output of a size.
struct Launch {
    Pass pass;
    int variant;
    const void* args;  // of the pass, its images in the memory of the backend
    int width, height;
};

// Where a frame is queued on a device that has queues, by the device's own handles: after all that `after` hold by now.
struct Queue {
    uintptr_t stream = 0;
    std::vector<uintptr_t> after;
};

class Backend {
   public:
    explicit Backend(std::string name) : name_(std::move(name)) {}
    virtual ~Backend() = default;
    const std::string& name() const { return name_; }

    virtual void begin(const Queue&) {}  // a frame: what is allocated, released and run is queued there, until `run` ends it
    // The passes of a frame, each after the one before. A device with a queue of its own may still be at work when this returns.
    virtual void run(const std::vector<Launch>& launches, const FrameConstants& frame) = 0;
    virtual std::vector<double> timings() = 0;  // ms of each launch of the last run, or none where they were not measured

    virtual void* allocate(size_t bytes) = 0;  // zeroed, 64-byte aligned
    virtual void release(void* memory) = 0;
    virtual void read(void* host, const void* memory, size_t bytes) = 0;   // returns when the bytes are there
    virtual void write(void* memory, const void* host, size_t bytes) = 0;  // `host` is free again when it returns

   private:
    std::string name_;
};

}  // namespace denoise
