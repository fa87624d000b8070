// SPDX-License-Identifier: Apache-2.0
// A small persistent pool: each thread works through its share of the tiles, then helps the others. Threads start at first use, and again in a forked child.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace denoise {

class ThreadPool {
   public:
    // The process-wide pool. Its size: DENOISE_THREADS, else the cores this process may use.
    static ThreadPool& shared();

    explicit ThreadPool(int threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int size() const { return threads_; }
    void resize(int threads);
    // Calls body(index, worker) for every index below count; returns when all are done. worker < size(). Callers take turns.
    void parallel_for(int count, const std::function<void(int index, int worker)>& body);

   private:
    struct Crew;  // the running threads; belongs to the process that started them
    void start();
    void stop();

    int threads_;
    std::mutex turn_;
    std::unique_ptr<Crew> crew_;
};

int usable_cores();      // honours the CPU affinity of the process
int threads_from_env();  // DENOISE_THREADS, checked; usable_cores() where it is not set

}  // namespace denoise
