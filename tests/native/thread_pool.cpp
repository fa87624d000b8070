// SPDX-License-Identifier: Apache-2.0
// The thread pool alone, for sanitizers: jobs of all sizes, resizing, several callers, a fork. Prints "fine".
#include "../../csrc/cpu/thread_pool.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

using denoise::ThreadPool;

// Runs a job of `count` parts: each must run once, on a worker that no other part runs on at the same time.
static void job(ThreadPool& pool, int count) {
    std::vector<int> runs(count), scratch(64);
    pool.parallel_for(count, [&](int index, int worker) { runs[index]++, scratch[worker] += index; });
    long sum = 0;
    for (int value : scratch) sum += value;
    bool once = true;
    for (int n : runs) once = once && n == 1;
    if (!once || sum != long(count) * (count - 1) / 2) std::puts("a part ran twice, or never"), std::abort();
}

int main() {
    ThreadPool pool(4);
    for (int k = 0; k < 2000; k++) job(pool, k % 37);
    for (int threads : {1, 7, 2, 3}) {
        pool.resize(threads);
        for (int k = 0; k < 100; k++) job(pool, 50);
    }
    {
        std::vector<std::thread> callers;
        const auto caller = [&] {
            for (int i = 0; i < 300; i++) job(pool, 20);
        };
        for (int k = 0; k < 3; k++) callers.emplace_back(caller);
        for (auto& t : callers) t.join();
    }
    job(ThreadPool::shared(), 100);
    const pid_t child = fork();
    if (child == 0) {
        job(pool, 100), job(ThreadPool::shared(), 100);
        _exit(0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    job(pool, 100), job(ThreadPool::shared(), 100);
    std::puts(status == 0 ? "fine" : "the child failed");
}
