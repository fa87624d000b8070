// SPDX-License-Identifier: Apache-2.0
// A CUDA runtime without a GPU, for tests: memory is the host's, kernels are the emulated ones. What is queued on a stream runs as late as it
// may, when something waits for it, so that an order that nothing enforces shows as wrong pixels; fresh and freed memory is poisoned. Every call
// is written down, every object counted, and any call can be told to fail.
#include "cuda_runtime_api.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../../../csrc/cuda/kernels.h"
#include "../../../csrc/graph/kernel.h"

using Clock = std::chrono::steady_clock;

struct CUstream_st {
    unsigned long long id;
    std::deque<std::function<void()>> work;
};
struct Mark {  // a place in a stream
    CUstream_st* stream = nullptr;
    bool reached = false;
    Clock::time_point time;
};
struct CUevent_st {
    std::shared_ptr<Mark> mark;  // of the last record
};
struct CUgraphNode_st {
    const denoise::Kernel* kernel = nullptr;
    std::vector<uint64_t> args;  // copied, and aligned
    denoise::FrameConstants frame;
    int width = 0, height = 0;
    cudaEvent_t event = nullptr;  // of a node that records it
};
struct CUgraph_st {
    std::deque<CUgraphNode_st> nodes;
};
struct CUgraphExec_st {
    const CUgraph_st* graph;
    std::deque<CUgraphNode_st> nodes;  // of the graph as it was, in its order
};

namespace {

std::recursive_mutex lock;
std::string log_text;
std::map<std::string, int> live;  // objects by kind
std::map<void*, size_t> device_memory;
std::set<void*> handles;  // streams, events, graphs
std::map<std::thread::id, CUstream_st> default_of_thread;
unsigned long long next_id = 1;
CUstream_st legacy{next_id++, {}};
bool eager = false, capturing = false;
std::atomic<bool> gate, in_time;
int driver = 13000, device_count = 2, capability = 90;
thread_local int current_device = 0;
struct {
    std::string call;  // empty: any
    int countdown = 0;
    bool sticky = false;
} failure;
bool lost = false;

std::string number(const void* p) { return std::to_string(reinterpret_cast<uintptr_t>(p)); }

// Writes a call down, and says whether it is the one that shall fail.
bool fails(const char* call, const std::string& arguments = "") {
    log_text += std::string(call) + (arguments.empty() ? "" : " " + arguments) + "\n";
    if (lost) return true;
    if (failure.countdown == 0 || (!failure.call.empty() && failure.call != call)) return false;
    if (--failure.countdown) return false;
    lost = failure.sticky;
    return true;
}
cudaError_t error() { return lost ? cudaErrorLaunchFailure : cudaErrorUnknown; }

#define CALL(...)                                                   \
    const std::lock_guard guard(lock);                              \
    const bool failed = fails(__func__ __VA_OPT__(, ) __VA_ARGS__); \
    if (failed) return error();
// What ends something ends it all the same: it may report the error of earlier work.
#define ENDING_CALL(...)               \
    const std::lock_guard guard(lock); \
    const bool failed = fails(__func__ __VA_OPT__(, ) __VA_ARGS__);

CUstream_st* find(cudaStream_t stream) {
    if (stream == nullptr || stream == cudaStreamLegacy) return &legacy;
    if (reinterpret_cast<uintptr_t>(stream) == 2) {
        CUstream_st& own = default_of_thread[std::this_thread::get_id()];
        if (!own.id) own.id = next_id++;
        return &own;
    }
    return handles.count(stream) ? stream : nullptr;
}
std::string named(cudaStream_t stream) {
    const CUstream_st* s = find(stream);
    return "stream=" + std::to_string(s ? s->id : 0);
}
void drain(CUstream_st& stream, const Mark* until = nullptr) {
    while (!stream.work.empty() && !(until && until->reached)) {
        const auto next = std::move(stream.work.front());
        stream.work.pop_front();
        next();
    }
}
void push(CUstream_st& stream, std::function<void()> work) {
    stream.work.push_back(std::move(work));
    if (eager) drain(stream);
}
void reach(Mark& mark) {
    mark.reached = true;
    mark.time = Clock::now();
}

void shade(const CUgraphNode_st& node) {
    using namespace denoise;
    const int planes = node.kernel->planes, halo = node.kernel->halo, rows = node.kernel->block_rows;
    std::vector<float> shared(planes ? size_t(planes) * tile_floats({0, 0, block_width, rows}, halo) : 0);
    for (int y = 0; y < node.height; y += rows)
        for (int x = 0; x < node.width; x += block_width)
            node.kernel->run(node.args.data(), node.frame, {x, y, std::min(x + block_width, node.width), std::min(y + rows, node.height)}, shared.data());
}

template <class T> T* made(const char* kind) {
    T* object = new T{};
    handles.insert(object);
    live[kind]++;
    return object;
}
template <class T> bool ended(T* object, const char* kind) {
    if (!handles.erase(object)) return false;
    live[kind]--;
    delete object;
    return true;
}
cudaError_t after(bool valid, bool failed) { return failed ? error() : valid ? cudaSuccess : cudaErrorInvalidResourceHandle; }

}  // namespace

namespace denoise::cuda {

const CudaKernel* kernels(Pass pass) {
    static const auto table = [] {
        std::array<std::array<CudaKernel, max_variants>, pass_count> all;
        for (int p = 0; p < pass_count; p++)
            for (int v = 0; v < max_variants; v++) {
                const Kernel& kernel = kernels_emulated_cuda().kernels[p][v];
                all[p][v] = {&kernel, kernel.block_rows};
            }
        return all;
    }();
    return table[int(pass)].data();
}

}  // namespace denoise::cuda

// ---- devices and errors

cudaError_t cudaDriverGetVersion(int* version) {
    CALL()
    *version = driver;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
    CALL()
    *count = device_count;
    return driver < CUDART_VERSION ? cudaErrorInsufficientDriver : device_count ? cudaSuccess : cudaErrorNoDevice;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    CALL()
    if (device < 0 || device >= device_count) return cudaErrorInvalidDevice;
    *properties = {"Stand-in GPU", size_t(8) << 30, capability / 10, capability % 10};
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
    CALL()
    *device = current_device;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
    CALL(std::to_string(device))
    if (device < 0 || device >= device_count) return cudaErrorInvalidDevice;
    current_device = device;
    return cudaSuccess;
}
cudaError_t cudaGetLastError() { return lost ? cudaErrorLaunchFailure : cudaSuccess; }
const char* cudaGetErrorString(cudaError_t code) {
    switch (code) {
        case cudaErrorMemoryAllocation:
            return "out of memory";
        case cudaErrorLaunchFailure:
            return "unspecified launch failure";
        default:
            return "unknown error";
    }
}
const char* cudaGetErrorName(cudaError_t code) {
    switch (code) {
        case cudaErrorMemoryAllocation:
            return "cudaErrorMemoryAllocation";
        case cudaErrorLaunchFailure:
            return "cudaErrorLaunchFailure";
        default:
            return "cudaErrorUnknown";
    }
}

// ---- memory

cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t stream) {
    const std::lock_guard guard(lock);
    if (fails(__func__, std::to_string(bytes) + " " + named(stream))) return lost ? error() : cudaErrorMemoryAllocation;
    if (!find(stream)) return cudaErrorInvalidResourceHandle;
    *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    std::memset(*memory, 0xff, bytes);
    device_memory[*memory] = bytes;
    return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
    ENDING_CALL(named(stream))
    const auto it = device_memory.find(memory);
    CUstream_st* s = find(stream);
    if (it == device_memory.end() || !s) return cudaErrorInvalidValue;
    push(*s, [memory, bytes = it->second] {
        std::memset(memory, 0xff, bytes);
        std::free(memory);
    });
    device_memory.erase(it);
    return after(true, failed);
}
cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
    CALL(named(stream))
    push(*find(stream), [=] { std::memset(memory, value, bytes); });
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
    CALL(std::string(kind == cudaMemcpyHostToDevice ? "to device " : "to host ") + std::to_string(bytes) + " " + named(stream))
    push(*find(stream), [=] { std::memcpy(to, from, bytes); });
    return cudaSuccess;
}

// ---- streams and events

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    CALL()
    *stream = made<CUstream_st>("streams");
    (*stream)->id = next_id++;
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    ENDING_CALL(named(stream))
    if (handles.count(stream)) drain(*stream);
    return after(ended(stream, "streams"), failed);
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    CALL(named(stream))
    CUstream_st* s = find(stream);
    if (!s) return cudaErrorInvalidResourceHandle;
    drain(*s);
    return cudaSuccess;
}
cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* id) {
    CALL(named(stream))
    CUstream_st* s = find(stream);
    if (!s) return cudaErrorInvalidResourceHandle;
    *id = s->id;
    return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    CALL(named(stream))
    if (capturing && find(stream) == &legacy) return cudaErrorStreamCaptureImplicit;
    *status = capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    CALL(named(stream) + " event=" + number(event))
    CUstream_st* s = find(stream);
    if (!s || !handles.count(event)) return cudaErrorInvalidResourceHandle;
    if (event->mark)
        push(*s, [mark = event->mark] {
            if (!mark->reached) drain(*mark->stream, mark.get());
        });
    return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    CALL()
    *event = made<CUevent_st>("events");
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    ENDING_CALL()
    return after(ended(event, "events"), failed);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    CALL(named(stream) + " event=" + number(event))
    CUstream_st* s = find(stream);
    if (!s || !handles.count(event)) return cudaErrorInvalidResourceHandle;
    event->mark = std::make_shared<Mark>();
    event->mark->stream = s;
    push(*s, [mark = event->mark] { reach(*mark); });
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    CALL()
    if (event->mark && !event->mark->reached) drain(*event->mark->stream, event->mark.get());
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t first, cudaEvent_t second) {
    CALL()
    if (!first->mark || !second->mark) return cudaErrorInvalidResourceHandle;
    if (!first->mark->reached || !second->mark->reached) return cudaErrorNotReady;
    *ms = std::chrono::duration<float, std::milli>(second->mark->time - first->mark->time).count();
    return cudaSuccess;
}

// ---- graphs: chains

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned) {
    CALL()
    *graph = made<CUgraph_st>("graphs");
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    ENDING_CALL()
    return after(ended(graph, "graphs"), failed);
}
static cudaError_t add_node(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* before, size_t count, const CUgraphNode_st& what) {
    const bool chained = graph->nodes.empty() ? count == 0 : count == 1 && before[0] == &graph->nodes.back();
    if (!chained) return cudaErrorInvalidValue;
    graph->nodes.push_back(what);
    *node = &graph->nodes.back();
    return cudaSuccess;
}
// What a kernel gets is copied here, as the runtime does, which knows the sizes from the kernel.
static bool set_kernel(CUgraphNode_st& node, const cudaKernelNodeParams& kernel) {
    static constexpr size_t args_bytes[] = {
#define DN_PASS(name, Args, ...) sizeof(denoise::Args),
        DN_PASSES(DN_PASS)
#undef DN_PASS
    };
    node.kernel = static_cast<const denoise::Kernel*>(kernel.func);
    const size_t bytes = args_bytes[(node.kernel - &denoise::kernels_emulated_cuda().kernels[0][0]) / denoise::max_variants];
    node.args.assign((bytes + 7) / 8, 0);
    std::memcpy(node.args.data(), kernel.kernelParams[0], bytes);
    std::memcpy(&node.frame, kernel.kernelParams[1], sizeof node.frame);
    node.width = *static_cast<int*>(kernel.kernelParams[2]);
    node.height = *static_cast<int*>(kernel.kernelParams[3]);
    const unsigned width = denoise::block_width, height = unsigned(node.kernel->block_rows);
    const dim3 &grid = kernel.gridDim, &block = kernel.blockDim;
    return node.kernel->run && block.x == width && block.y == height && block.z == 1 && grid.x == (node.width + width - 1) / width &&
           grid.y == (node.height + height - 1) / height && grid.z == 1;
}
cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* before, size_t count, const cudaKernelNodeParams* kernel) {
    CALL()
    CUgraphNode_st what;
    if (!set_kernel(what, *kernel)) return cudaErrorInvalidValue;
    return add_node(node, graph, before, count, what);
}
cudaError_t cudaGraphAddEventRecordNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* before, size_t count, cudaEvent_t event) {
    CALL()
    CUgraphNode_st what;
    what.event = event;
    return add_node(node, graph, before, count, what);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
    CALL()
    *executable = made<CUgraphExec_st>("executables");
    (*executable)->graph = graph;
    (*executable)->nodes = graph->nodes;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    ENDING_CALL()
    return after(ended(executable, "executables"), failed);
}
cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t executable, cudaGraphNode_t node, const cudaKernelNodeParams* kernel) {
    CALL()
    if (!handles.count(executable) || !handles.count(const_cast<CUgraph_st*>(executable->graph))) return cudaErrorInvalidResourceHandle;
    const std::deque<CUgraphNode_st>& all = executable->graph->nodes;
    const auto place = std::find_if(all.begin(), all.end(), [&](const CUgraphNode_st& each) { return &each == node; });
    if (place == all.end() || place->event) return cudaErrorInvalidValue;
    CUgraphNode_st& own = executable->nodes[place - all.begin()];
    return own.kernel == kernel->func && set_kernel(own, *kernel) ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    CALL(named(stream))
    CUstream_st* s = find(stream);
    if (!s || !handles.count(executable)) return cudaErrorInvalidResourceHandle;
    std::vector<std::shared_ptr<Mark>> marks;
    for (const CUgraphNode_st& node : executable->nodes)
        if (node.event) {
            marks.push_back(node.event->mark = std::make_shared<Mark>());
            node.event->mark->stream = s;
        }
    push(*s, [nodes = executable->nodes, marks] {  // as they are now
        auto mark = marks.begin();
        for (const CUgraphNode_st& node : nodes)
            if (node.event)
                reach(**mark++);
            else
                shade(node);
    });
    return cudaSuccess;
}

// ---- for tests, by ctypes

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT const char* stand_in_take_log() {
    static std::string taken;
    const std::lock_guard guard(lock);
    taken = std::exchange(log_text, "");
    return taken.c_str();
}
// The `countdown`-th call of that name from now on fails, or of any name where it is empty; sticky: and all after it. 0: none does.
EXPORT void stand_in_fail(const char* call, int countdown, int sticky) {
    const std::lock_guard guard(lock);
    failure = {call, countdown, sticky != 0};
    lost = false;
}
EXPORT int stand_in_pending_failure() { return failure.countdown; }
EXPORT void stand_in_machine(int driver_version, int devices, int compute_capability) {
    driver = driver_version;
    device_count = devices;
    capability = compute_capability;
}
EXPORT void stand_in_eager(int on) { eager = on != 0; }
EXPORT void stand_in_capturing(int on) { capturing = on != 0; }
EXPORT uintptr_t stand_in_stream() {
    const std::lock_guard guard(lock);
    auto* stream = new CUstream_st{next_id++, {}};
    handles.insert(stream);
    return reinterpret_cast<uintptr_t>(stream);
}
EXPORT void stand_in_destroy_stream(uintptr_t handle) {
    const std::lock_guard guard(lock);
    auto* stream = reinterpret_cast<CUstream_st*>(handle);
    drain(*stream);
    handles.erase(stream);
    delete stream;
}
EXPORT unsigned long long stand_in_stream_id(uintptr_t stream) {
    const std::lock_guard guard(lock);
    return find(reinterpret_cast<cudaStream_t>(stream))->id;
}
EXPORT void stand_in_drain(uintptr_t stream) {
    const std::lock_guard guard(lock);
    drain(*find(reinterpret_cast<cudaStream_t>(stream)));
}
// Fills memory once the stream gets there, as a renderer would.
EXPORT void stand_in_copy(void* to, const void* from, size_t bytes, uintptr_t stream) {
    const std::lock_guard guard(lock);
    push(*find(reinterpret_cast<cudaStream_t>(stream)), [=] { std::memcpy(to, from, bytes); });
}
// Work that ends when the gate is opened, or after ten seconds; whether it was opened in time.
EXPORT void stand_in_gate(uintptr_t stream) {
    const std::lock_guard guard(lock);
    gate = false;
    in_time = false;
    push(*find(reinterpret_cast<cudaStream_t>(stream)), [] {
        for (const auto end = Clock::now() + std::chrono::seconds(10); Clock::now() < end && !in_time; in_time = gate.load()) std::this_thread::yield();
    });
}
EXPORT void stand_in_open_gate() { gate = true; }
EXPORT int stand_in_in_time() { return in_time; }
// What is alive, as "device memory 3, events 9".
EXPORT const char* stand_in_live() {
    static std::string text;
    const std::lock_guard guard(lock);
    text.clear();
    std::map<std::string, int> all = live;
    all["device memory"] = int(device_memory.size());
    for (const auto& [kind, count] : all)
        if (count) text += (text.empty() ? "" : ", ") + kind + " " + std::to_string(count);
    return text.c_str();
}
EXPORT size_t stand_in_bytes() {
    const std::lock_guard guard(lock);
    size_t sum = 0;
    for (const auto& [memory, bytes] : device_memory) sum += bytes;
    return sum;
}
// After a lost device: what its process would have left is gone.
EXPORT void stand_in_forget() {
    const std::lock_guard guard(lock);
    live.clear();
    device_memory.clear();
}
EXPORT int stand_in_device() { return current_device; }
EXPORT void stand_in_set_device(int device) { current_device = device; }
