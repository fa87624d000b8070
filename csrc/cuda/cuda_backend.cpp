// SPDX-License-Identifier: Apache-2.0
// How a frame runs. All that changes from frame to frame (cameras, images, parameters) is written to a block of pinned memory, copied to a block
// of device memory by one asynchronous copy, and read there by the kernels, which one launch of a CUDA graph starts. The graph knows only passes,
// sizes and the places of arguments in the block, so that a page like an earlier one has its graph already.
#include "cuda_backend.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "kernels.h"

#if CUDART_VERSION < 12000
#error "denoise needs CUDA 12 or newer (cudaStreamGetId)"
#endif

namespace denoise {
namespace {

std::string failed(const char* call, cudaError_t error) { return std::string(call) + " failed: " + cudaGetErrorString(error) + " (" + cudaGetErrorName(error) + ")"; }

void check(cudaError_t error, const char* call) {
    if (error == cudaSuccess) return;
    cudaGetLastError();  // the next one to ask shall not find our error
    throw DeviceFailure(failed(call, error));
}
#define DN_CUDA(call, ...) check(call(__VA_ARGS__), #call)

// Makes a device current, and puts the caller's back.
class Current {
   public:
    explicit Current(int device) {
        DN_CUDA(cudaGetDevice, &before_);
        if (before_ != device) DN_CUDA(cudaSetDevice, device);
        changed_ = before_ != device;
    }
    Current(int device, std::nothrow_t) {  // where things are given back, which mostly works from any device
        changed_ = cudaGetDevice(&before_) == cudaSuccess && before_ != device && cudaSetDevice(device) == cudaSuccess;
    }
    ~Current() {
        if (changed_) cudaSetDevice(before_);
    }
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;

   private:
    int before_ = 0;
    bool changed_ = false;
};

// Runtime objects that go with their owner. What their ends report is the error of earlier work.
template <class Handle, cudaError_t (*destroy)(Handle)> class Owned {
   public:
    Owned() = default;
    explicit Owned(Handle handle) : handle_(handle) {}
    Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Owned& operator=(Owned&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Owned() {
        if (handle_) destroy(handle_);
    }
    operator Handle() const { return handle_; }

   private:
    Handle handle_ = nullptr;
};
using Event = Owned<cudaEvent_t, cudaEventDestroy>;
using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Nodes = Owned<cudaGraph_t, cudaGraphDestroy>;
using Executable = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;

Event make_event(unsigned flags) {
    cudaEvent_t event = nullptr;
    DN_CUDA(cudaEventCreateWithFlags, &event, flags);
    return Event(event);
}

// Streams as the caller gives them: 0 and 1 are the legacy default stream, 2 is that of the calling thread.
cudaStream_t stream_of(uintptr_t handle) { return handle == 0 ? cudaStreamLegacy : reinterpret_cast<cudaStream_t>(handle); }

size_t padded(size_t bytes) { return (bytes + 15) / 16 * 16; }

constexpr size_t ring_size = 8;                // frames that may be queued before a call waits for the first of them
constexpr size_t smallest_block = 32 * 1024;   // bytes; room for most pages
constexpr size_t most_graphs = 16;             // page shapes remembered

class CudaBackend final : public Backend {
   public:
    explicit CudaBackend(int device) : Backend("cuda:" + std::to_string(device)), device_(device) {
        const Current current(device_);
        cudaStream_t stream = nullptr;
        DN_CUDA(cudaStreamCreateWithFlags, &stream, cudaStreamNonBlocking);
        own_ = Stream(stream);
        done_ = make_event(cudaEventDisableTiming);
        foreign_ = make_event(cudaEventDisableTiming);
        for (Slot& slot : ring_) slot.free = make_event(cudaEventDisableTiming);
    }

    ~CudaBackend() override {
        const Current current(device_, std::nothrow);
        if (last_) cudaEventSynchronize(last_);
        drop_block();
        graphs_.clear();
        cudaStreamSynchronize(own_);
    }

    void begin(const Queue& queue) override {
        guarded([&] {
            const cudaStream_t stream = stream_of(queue.stream);
            cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
            const cudaError_t asked = cudaStreamIsCapturing(stream, &capture);
            if (asked != cudaErrorStreamCaptureImplicit) check(asked, "cudaStreamIsCapturing");  // implicit: the default stream, while another is captured
            if (asked != cudaSuccess || capture != cudaStreamCaptureStatusNone)
                throw std::invalid_argument("stream: it is being captured into a CUDA graph, and a frame cannot be: its parameters are copied from the host");
            enter(stream);
            for (const uintptr_t other : queue.after) {
                DN_CUDA(cudaEventRecord, foreign_, stream_of(other));
                DN_CUDA(cudaStreamWaitEvent, stream, foreign_, 0);
            }
            in_frame_ = true;
        });
    }

    void run(const std::vector<Launch>& launches, const FrameConstants& frame) override {
        guarded([&] {
            size_t bytes = padded(sizeof frame);
            for (const Launch& launch : launches) bytes += padded(launch.args_bytes);
            if (bytes > block_bytes_) grow_block(bytes);
            Slot& slot = ring_[next_slot_];
            if (slot.used) {
                const cudaError_t state = cudaEventQuery(slot.free);
                if (state == cudaErrorNotReady)
                    DN_CUDA(cudaEventSynchronize, slot.free);
                else
                    check(state, "cudaEventQuery");
            }
            uint8_t* at = slot.block;
            const auto put = [&](const void* from, size_t size) {
                std::memcpy(at, from, size);
                at += padded(size);
            };
            put(&frame, sizeof frame);
            for (const Launch& launch : launches) put(launch.args, launch.args_bytes);
            DN_CUDA(cudaMemcpyAsync, block_, slot.block, bytes, cudaMemcpyHostToDevice, stream_);
            last_graph_ = &graph_for(launches);
            DN_CUDA(cudaGraphLaunch, last_graph_->executable, stream_);
            DN_CUDA(cudaEventRecord, slot.free, stream_);
            slot.used = true;
            last_ = slot.free;
            next_slot_ = (next_slot_ + 1) % ring_size;
            in_frame_ = false;
        });
    }

    // The first call asks for it: from then on frames are launched with events between their passes, which costs them a little.
    std::vector<double> timings() override {
        std::vector<double> ms;
        guarded([&] {
            timed_ = true;
            if (!last_graph_ || last_graph_->events.empty()) return;
            const std::vector<Event>& events = last_graph_->events;
            DN_CUDA(cudaEventSynchronize, events.back());
            for (size_t k = 0; k + 1 < events.size(); k++) {
                float between = 0;
                DN_CUDA(cudaEventElapsedTime, &between, events[k], events[k + 1]);
                ms.push_back(between);
            }
        });
        return ms;
    }

    void* allocate(size_t bytes) override {
        void* memory = nullptr;
        guarded([&] {
            own_stream_unless_in_frame();
            DN_CUDA(cudaMallocAsync, &memory, bytes, stream_);
            try {
                DN_CUDA(cudaMemsetAsync, memory, 0, bytes, stream_);
                mark_unless_in_frame();
            } catch (const DeviceFailure&) {
                cudaFreeAsync(memory, stream_);
                throw;
            }
        });
        return memory;
    }

    void release(void* memory) override {
        if (!memory) return;
        const Current current(device_, std::nothrow);
        bool released = false;
        try {
            if (stopped_.empty()) own_stream_unless_in_frame();
            released = true;
            DN_CUDA(cudaFreeAsync, memory, stopped_.empty() ? stream_ : cudaStream_t(own_));
            if (stopped_.empty()) mark_unless_in_frame();
        } catch (const DeviceFailure& failure) {  // told by the next call: memory is given back where nobody listens
            stop(failure);
            if (!released) cudaFreeAsync(memory, own_);
        }
    }

    void read(void* host, const void* memory, size_t bytes) override { copy(host, memory, bytes, cudaMemcpyDeviceToHost); }
    void write(void* memory, const void* host, size_t bytes) override { copy(memory, host, bytes, cudaMemcpyHostToDevice); }

   private:
    struct Slot {
        uint8_t* block = nullptr;  // pinned
        Event free;                // the frame that used it is through
        bool used = false;
    };
    struct Shape {
        Pass pass;
        int variant, width, height;
        size_t args_bytes;
        bool operator==(const Shape&) const = default;
    };
    struct Page {
        std::vector<Shape> shapes;
        bool timed;
        std::vector<Event> events;  // before the first pass, and after each
        Executable executable;
    };

    // Whatever fails ends this denoiser: half a frame is no history.
    template <class Body> void guarded(Body body) {
        if (!stopped_.empty()) throw DeviceFailure(name() + ": this denoiser stopped when " + stopped_ + "; make a new one");
        try {
            const Current current(device_);
            body();
        } catch (const DeviceFailure& failure) {
            stop(failure);
            throw DeviceFailure(name() + ": " + failure.what());
        }
    }
    void stop(const DeviceFailure& failure) {
        if (stopped_.empty()) stopped_ = failure.what();
        // What is queued uses memory that may go any time now.
        if (in_frame_)
            cudaStreamSynchronize(stream_);
        else if (last_)
            cudaEventSynchronize(last_);
        in_frame_ = false;
    }

    // What is queued next on `stream` comes after all that was queued before, wherever that was.
    void enter(cudaStream_t stream) {
        unsigned long long id = 0;  // a new stream may have the handle of one that is gone, and 2 is another stream in every thread
        DN_CUDA(cudaStreamGetId, stream, &id);
        if (last_ && id != stream_id_) DN_CUDA(cudaStreamWaitEvent, stream, last_, 0);
        stream_ = stream;
        stream_id_ = id;
    }
    void own_stream_unless_in_frame() {
        if (!in_frame_) enter(own_);
    }
    void mark_unless_in_frame() {
        if (in_frame_) return;
        DN_CUDA(cudaEventRecord, done_, stream_);
        last_ = done_;
    }

    void copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
        guarded([&] {
            enter(own_);
            DN_CUDA(cudaMemcpyAsync, to, from, bytes, kind, own_);
            mark_unless_in_frame();
            DN_CUDA(cudaStreamSynchronize, own_);
        });
    }

    void drop_block() {
        for (Slot& slot : ring_) slot.block = nullptr, slot.used = false;
        if (pinned_) cudaFreeHost(std::exchange(pinned_, nullptr));
        if (block_) cudaFreeAsync(std::exchange(block_, nullptr), own_);
        block_bytes_ = 0;
    }
    void grow_block(size_t bytes) {
        size_t room = smallest_block;
        while (room < bytes) room *= 2;
        if (last_) DN_CUDA(cudaEventSynchronize, last_);
        last_graph_ = nullptr;
        graphs_.clear();  // they know the address
        drop_block();
        void* pinned = nullptr;
        DN_CUDA(cudaHostAlloc, &pinned, ring_size * room, cudaHostAllocDefault);
        pinned_ = static_cast<uint8_t*>(pinned);
        DN_CUDA(cudaMallocAsync, reinterpret_cast<void**>(&block_), room, stream_);
        for (size_t k = 0; k < ring_size; k++) ring_[k].block = pinned_ + k * room;
        block_bytes_ = room;
    }

    Page& graph_for(const std::vector<Launch>& launches) {
        std::vector<Shape> shapes;
        shapes.reserve(launches.size());
        for (const Launch& l : launches) shapes.push_back({l.pass, l.variant, l.width, l.height, l.args_bytes});
        const auto found = std::find_if(graphs_.begin(), graphs_.end(), [&](const auto& page) { return page->timed == timed_ && page->shapes == shapes; });
        if (found != graphs_.end()) {
            std::rotate(graphs_.begin(), found, found + 1);  // the latest first
        } else {
            graphs_.insert(graphs_.begin(), make_page(std::move(shapes)));
            if (graphs_.size() > most_graphs) graphs_.pop_back();
        }
        return *graphs_.front();
    }

    std::unique_ptr<Page> make_page(std::vector<Shape> shapes) {
        auto page = std::make_unique<Page>();
        cudaGraph_t graph = nullptr;
        DN_CUDA(cudaGraphCreate, &graph, 0);
        const Nodes nodes(graph);
        cudaGraphNode_t last = nullptr;
        const auto after_last = [&](auto add) {
            cudaGraphNode_t node = nullptr;
            add(&node, last ? &last : nullptr, last ? 1 : 0);
            last = node;
        };
        const auto record = [&] {
            if (!timed_) return;
            page->events.push_back(make_event(cudaEventDefault));
            after_last([&](auto* node, auto* before, size_t count) { DN_CUDA(cudaGraphAddEventRecordNode, node, graph, before, count, page->events.back()); });
        };
        record();
        const uint8_t* args = block_ + padded(sizeof(FrameConstants));
        for (const Shape& s : shapes) {
            const void *frame = block_, *pass_args = args;
            int width = s.width, height = s.height;
            void* parameters[] = {&pass_args, &frame, &width, &height};
            cudaKernelNodeParams kernel{};
            kernel.func = const_cast<void*>(cuda::kernels(s.pass)[s.variant]);
            kernel.gridDim = dim3((width + block_width - 1) / block_width, (height + block_height - 1) / block_height);
            kernel.blockDim = dim3(block_width, block_height);
            kernel.kernelParams = parameters;
            after_last([&](auto* node, auto* before, size_t count) { DN_CUDA(cudaGraphAddKernelNode, node, graph, before, count, &kernel); });
            args += padded(s.args_bytes);
            record();
        }
        cudaGraphExec_t executable = nullptr;
        DN_CUDA(cudaGraphInstantiate, &executable, graph, 0);
        page->executable = Executable(executable);
        page->shapes = std::move(shapes);
        page->timed = timed_;
        return page;
    }

    const int device_;
    std::string stopped_;      // the failure that ended this denoiser
    Stream own_;               // for what is done outside of frames
    Event done_, foreign_;
    cudaEvent_t last_ = nullptr;  // after all that was queued so far; null: nothing was
    cudaStream_t stream_ = nullptr;
    unsigned long long stream_id_ = 0;
    bool in_frame_ = false;
    bool timed_ = false;

    std::array<Slot, ring_size> ring_;
    size_t next_slot_ = 0;
    uint8_t *pinned_ = nullptr, *block_ = nullptr;
    size_t block_bytes_ = 0;
    std::vector<std::unique_ptr<Page>> graphs_;
    Page* last_graph_ = nullptr;
};

std::string version(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

}  // namespace

CudaDevices cuda_devices() {
    int driver = 0, count = 0;
    if (const cudaError_t error = cudaDriverGetVersion(&driver); error != cudaSuccess) return {{}, failed("cudaDriverGetVersion", error)};
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) cudaGetLastError();
    if (driver == 0) return {{}, "no NVIDIA driver found (libcuda.so.1)"};
    // Also within one major version: an older driver does not read the PTX of a newer compiler.
    if (driver < CUDART_VERSION || error == cudaErrorInsufficientDriver)
        return {{}, "the NVIDIA driver is too old: it is for CUDA " + version(driver) + ", and this build needs one for CUDA " + version(CUDART_VERSION)};
    if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) return {{}, "no NVIDIA GPU found"};
    if (error != cudaSuccess) return {{}, failed("cudaGetDeviceCount", error)};
    CudaDevices found;
    for (int k = 0; k < count; k++) {
        CudaDevice device;
        cudaDeviceProp properties;
        if (const cudaError_t why = cudaGetDeviceProperties(&properties, k); why != cudaSuccess) {
            cudaGetLastError();
            device.detail = device.why_not = failed("cudaGetDeviceProperties", why);
        } else {
            const std::string capability = std::to_string(properties.major) + "." + std::to_string(properties.minor);
            device.detail = std::string(properties.name) + ", compute capability " + capability + ", " + std::to_string(properties.totalGlobalMem >> 20) + " MiB";
            if (properties.major * 10 + properties.minor < DENOISE_CUDA_OLDEST)
                device.why_not = device.detail + ": too old, this build has code for " + std::to_string(DENOISE_CUDA_OLDEST / 10) + "." + std::to_string(DENOISE_CUDA_OLDEST % 10) +
                                 " and newer";
        }
        found.list.push_back(device);
    }
    return found;
}

std::unique_ptr<Backend> make_cuda_backend(int device) {
    try {
        return std::make_unique<CudaBackend>(device);
    } catch (const DeviceFailure& failure) {
        throw DeviceFailure("cuda:" + std::to_string(device) + ": " + failure.what());
    }
}

CudaMemory::CudaMemory(int device, size_t bytes, uintptr_t stream) : device_(device), stream_(stream) {
    const Current current(device);
    void* memory = nullptr;
    DN_CUDA(cudaMallocAsync, &memory, bytes, stream_of(stream));
    address_ = reinterpret_cast<uintptr_t>(memory);
}
CudaMemory::~CudaMemory() {
    const Current current(device_, std::nothrow);
    if (cudaFreeAsync(reinterpret_cast<void*>(address_), stream_of(stream_)) != cudaSuccess) cudaGetLastError();
}

void cuda_wait(int device, uintptr_t stream, uintptr_t producer) {
    const Current current(device);
    const Event event = make_event(cudaEventDisableTiming);
    DN_CUDA(cudaEventRecord, event, stream_of(producer));
    DN_CUDA(cudaStreamWaitEvent, stream_of(stream), event, 0);
}

}  // namespace denoise
