// SPDX-License-Identifier: Apache-2.0
#include "cpu_backend.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "../graph/kernel.h"
#include "thread_pool.h"

namespace denoise {
namespace {

struct Candidate {
    const char* name;
    const KernelTable& (*table)();
    bool (*supported)();
    const char* needs;
    bool automatic;  // may be picked by itself
};

bool always() { return true; }
#if defined(DENOISE_WITH_AVX2)
bool has_f16c() {  // asked of the processor itself: Clang's __builtin_cpu_supports does not know the name
    unsigned a, b, c = 0, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }
#endif
#if defined(DENOISE_WITH_AVX512)
bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif
#if defined(DENOISE_WITH_SSE42)
bool has_sse42() { return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt"); }
#endif

const Candidate candidates[] = {
#if defined(DENOISE_WITH_AVX512)
    {"avx512", kernels_avx512, has_avx512, "a CPU with AVX-512 F, BW, CD, DQ and VL (x86-64-v4)", true},
#endif
#if defined(DENOISE_WITH_AVX2)
    {"avx2", kernels_avx2, has_avx2, "a CPU with AVX2, FMA and F16C (x86-64-v3)", true},
#endif
#if defined(DENOISE_WITH_SSE42)
    {"sse42", kernels_sse42, has_sse42, "a CPU with SSE4.2 (x86-64-v2)", true},
#endif
#if defined(DENOISE_WITH_NEON)
    {"neon", kernels_neon, always, "", true},
#endif
    {"scalar", kernels_scalar, always, "", true},
#if defined(DENOISE_WITH_EMULATED_CUDA)
    {"emulated_cuda", kernels_emulated_cuda, always, "", false},
#endif
};

const Candidate& find(const std::string& name) {
    std::string usable;
    for (const Candidate& c : candidates) {
        if (c.name == name && c.supported()) return c;
        if (c.supported()) usable += (usable.empty() ? "" : ", ") + std::string(c.name);
    }
    throw std::invalid_argument("'" + name + "' is not an instruction set this machine can run; it can run: " + usable);
}

int tile_width = 64, tile_height = 32;

class CpuBackend final : public Backend {
   public:
    explicit CpuBackend(const Candidate& c) : Backend(c.name), table_(c.table()) {}

    void run(const std::vector<Launch>& launches, const FrameConstants& frame) override {
        ms_.clear();
        for (const Launch& launch : launches) {
            const auto start = std::chrono::steady_clock::now();
            shade(launch, frame);
            ms_.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        }
    }
    std::vector<double> timings() override { return ms_; }

    void* allocate(size_t bytes) override {
        void* p = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
        if (!p) throw std::bad_alloc();
        std::fill_n(static_cast<char*>(p), bytes, char(0));
        return p;
    }
    void release(void* p) override { std::free(p); }
    void read(void* host, const void* memory, size_t bytes) override { std::memcpy(host, memory, bytes); }
    void write(void* memory, const void* host, size_t bytes) override { std::memcpy(memory, host, bytes); }

   private:
    void shade(const Launch& launch, const FrameConstants& frame) {
        const Kernel& kernel = table_.kernels[int(launch.pass)][launch.variant];
        const int width = launch.width, height = launch.height;
        // Emulated GPU blocks have their fixed shape. Small outputs are cut finer, so that every thread gets a share.
        const int tw = kernel.block_rows ? 32 : tile_width, th = kernel.block_rows ? kernel.block_rows : (height <= 4 * tile_height ? std::max(1, tile_height / 4) : tile_height);
        const int columns = (width + tw - 1) / tw, rows = (height + th - 1) / th;
        const size_t floats = kernel.planes ? size_t(kernel.planes) * tile_floats({0, 0, tw, th}, kernel.halo) : 0;
        ThreadPool& pool = ThreadPool::shared();
        scratch_.resize(std::max(scratch_.size(), size_t(pool.size())));
        for (auto& s : scratch_)
            if (s.size() < floats) s.resize(floats);
        pool.parallel_for(columns * rows, [&](int index, int worker) {
            const int x = index % columns * tw, y = index / columns * th;
            kernel.run(launch.args, frame, {x, y, std::min(x + tw, width), std::min(y + th, height)}, scratch_[worker].data());
        });
    }

    const KernelTable& table_;
    std::vector<double> ms_;
    std::vector<std::vector<float>> scratch_;
};

}  // namespace

std::vector<std::pair<std::string, std::string>> cpu_backends() {
    std::vector<std::pair<std::string, std::string>> list;
    for (const Candidate& c : candidates) list.emplace_back(c.name, c.supported() ? "" : "needs " + std::string(c.needs));
    return list;
}

std::string default_cpu_backend() {
    if (const char* asked = std::getenv("DENOISE_ISA"); asked && *asked) try {
            return find(asked).name;
        } catch (const std::invalid_argument& e) {
            throw std::invalid_argument(std::string("DENOISE_ISA: ") + e.what());
        }
    for (const Candidate& c : candidates)
        if (c.automatic && c.supported()) return c.name;
    return "scalar";
}

std::unique_ptr<Backend> make_cpu_backend(const std::string& name) { return std::make_unique<CpuBackend>(find(name)); }

void set_cpu_tile(int width, int height) {
    if (width < 16 || width > 256 || width % 16 || height < 1 || height > 256)
        throw std::invalid_argument("tile: expected a width of 16 to 256 in steps of 16 and a height of 1 to 256, got " + std::to_string(width) + " x " + std::to_string(height));
    tile_width = width;
    tile_height = height;
}

std::string cpu_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);)
        if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
    return "unknown CPU";
}

}  // namespace denoise
