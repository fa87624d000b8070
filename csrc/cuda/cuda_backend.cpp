// SPDX-License-Identifier: Apache-2.0
// How a frame runs. One launch of a CUDA graph starts all of its kernels. The graph knows passes and sizes, so that a page like an earlier one
// has its graph already; all that changes from frame to frame (cameras, images, parameters) are the arguments of its kernels, which are set anew
// before the launch. They are copied then: frames that are queued keep theirs.
#include "cuda_backend.h"

#include <cuda_runtime_api.h>

#include <algorithm>
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

constexpr size_t most_graphs = 16;  // page shapes remembered

class CudaBackend final : public Backend {
   public:
    explicit CudaBackend(int device) : Backend("cuda:" + std::to_string(device)), device_(device) {
        const Current current(device_);
        cudaStream_t stream = nullptr;
        DN_CUDA(cudaStreamCreateWithFlags, &stream, cudaStreamNonBlocking);
        own_ = Stream(stream);
        done_ = make_event(cudaEventDisableTiming);
        foreign_ = make_event(cudaEventDisableTiming);
    }

    ~CudaBackend() override {
        const Current current(device_, std::nothrow);
        if (last_) cudaEventSynchronize(last_);
        pages_.clear();
        cudaStreamSynchronize(own_);
    }

    void begin(const Queue& queue) override {
        guarded([&] {
            const cudaStream_t stream = stream_of(queue.stream);
            cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
            const cudaError_t asked = cudaStreamIsCapturing(stream, &capture);
            if (asked != cudaErrorStreamCaptureImplicit) check(asked, "cudaStreamIsCapturing");  // implicit: the default stream, while another is captured
            if (asked != cudaSuccess || capture != cudaStreamCaptureStatusNone)
                throw std::invalid_argument("stream: it is being captured into a CUDA graph, and a frame cannot be: it is another one each time");
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
            last_page_ = &page_for(launches, frame);
            for (size_t k = 0; k < launches.size(); k++) {
                const KernelNode kernel(launches[k], frame);
                DN_CUDA(cudaGraphExecKernelNodeSetParams, last_page_->executable, last_page_->kernels[k], &kernel.parameters);
            }
            DN_CUDA(cudaGraphLaunch, last_page_->executable, stream_);
            mark();
            in_frame_ = false;
        });
    }

    // The first call asks for it: from then on frames are launched with events between their passes, which costs them a little.
    std::vector<double> timings() override {
        std::vector<double> ms;
        guarded([&] {
            timed_ = true;
            if (!last_page_ || last_page_->events.empty()) return;
            const std::vector<Event>& events = last_page_->events;
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
    struct Shape {
        Pass pass;
        int variant, width, height;
        bool operator==(const Shape&) const = default;
    };
    struct Page {
        std::vector<Shape> shapes;
        bool timed;
        std::vector<Event> events;  // before the first pass, and after each
        Nodes nodes;
        std::vector<cudaGraphNode_t> kernels;
        Executable executable;
    };
    // A launch as the runtime takes it, which looks at both while this is there.
    struct KernelNode {
        KernelNode(const Launch& launch, const FrameConstants& frame)
            : arguments{const_cast<void*>(launch.args), const_cast<FrameConstants*>(&frame), const_cast<int*>(&launch.width), const_cast<int*>(&launch.height)} {
            const cuda::CudaKernel& kernel = cuda::kernels(launch.pass)[launch.variant];
            parameters.func = const_cast<void*>(kernel.function);
            parameters.gridDim = dim3((launch.width + block_width - 1) / block_width, (launch.height + kernel.rows - 1) / kernel.rows);
            parameters.blockDim = dim3(block_width, kernel.rows);
            parameters.kernelParams = arguments;
        }
        KernelNode(const KernelNode&) = delete;
        KernelNode& operator=(const KernelNode&) = delete;
        void* arguments[4];
        cudaKernelNodeParams parameters{};
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
    void mark() {
        DN_CUDA(cudaEventRecord, done_, stream_);
        last_ = done_;
    }
    void mark_unless_in_frame() {
        if (!in_frame_) mark();
    }

    void copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
        guarded([&] {
            enter(own_);
            DN_CUDA(cudaMemcpyAsync, to, from, bytes, kind, own_);
            mark_unless_in_frame();
            DN_CUDA(cudaStreamSynchronize, own_);
        });
    }

    Page& page_for(const std::vector<Launch>& launches, const FrameConstants& frame) {
        const auto fits = [&](const std::unique_ptr<Page>& page) {
            const auto same = [](const Shape& s, const Launch& l) { return s == shape_of(l); };
            return page->timed == timed_ && std::equal(page->shapes.begin(), page->shapes.end(), launches.begin(), launches.end(), same);
        };
        const auto found = std::find_if(pages_.begin(), pages_.end(), fits);
        if (found != pages_.end()) {
            std::rotate(pages_.begin(), found, found + 1);  // the latest first
        } else {
            pages_.insert(pages_.begin(), make_page(launches, frame));
            if (pages_.size() > most_graphs) pages_.pop_back();
        }
        return *pages_.front();
    }
    static Shape shape_of(const Launch& launch) { return {launch.pass, launch.variant, launch.width, launch.height}; }

    std::unique_ptr<Page> make_page(const std::vector<Launch>& launches, const FrameConstants& frame) {
        auto page = std::make_unique<Page>();
        page->timed = timed_;
        cudaGraph_t graph = nullptr;
        DN_CUDA(cudaGraphCreate, &graph, 0);
        page->nodes = Nodes(graph);
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
        for (const Launch& launch : launches) {
            const KernelNode kernel(launch, frame);
            after_last([&](auto* node, auto* before, size_t count) { DN_CUDA(cudaGraphAddKernelNode, node, graph, before, count, &kernel.parameters); });
            page->shapes.push_back(shape_of(launch));
            page->kernels.push_back(last);
            record();
        }
        cudaGraphExec_t executable = nullptr;
        DN_CUDA(cudaGraphInstantiate, &executable, graph, 0);
        page->executable = Executable(executable);
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

    std::vector<std::unique_ptr<Page>> pages_;
    Page* last_page_ = nullptr;
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
