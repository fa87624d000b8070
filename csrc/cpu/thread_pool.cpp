// SPDX-License-Identifier: Apache-2.0
#include "thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <system_error>

namespace denoise {

int usable_cores() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
    return std::max(1u, std::thread::hardware_concurrency());
}

int threads_from_env() {
    const char* text = std::getenv("DENOISE_THREADS");
    if (!text || !*text) return usable_cores();
    char* end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (*end || n < 1 || n > 1024) throw std::invalid_argument("DENOISE_THREADS: expected a whole number from 1 to 1024, got '" + std::string(text) + "'");
    return int(n);
}

// One job at a time: a generation number tells the threads that there is a new one. A thread that wakes after the job is done stays out of
// it, so that no frame waits for a thread which the system has not scheduled yet.
struct ThreadPool::Crew {
    pid_t owner = getpid();
    std::mutex mutex;
    std::condition_variable wake, done;
    std::vector<std::thread> threads;
    const std::function<void(int, int)>* body = nullptr;
    // Each thread starts with a contiguous share of the tiles, whose rows it finds in its own cache, then helps the others.
    struct alignas(64) Share {
        std::atomic<int> next{0};
        int end = 0;
    };
    std::vector<Share> shares;
    int busy = 0;
    uint64_t generation = 0;
    bool open = false, quit = false;

    void work(int worker) {
        const int n = int(shares.size());
        for (int k = 0; k < n; k++) {
            Share& share = shares[(worker + k) % n];
            for (int i; (i = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) (*body)(i, worker);
        }
    }
    void loop(int worker) {
        uint64_t seen = 0;
        std::unique_lock lock(mutex);
        for (;;) {
            wake.wait(lock, [&] { return quit || (open && generation != seen); });
            if (quit) return;
            seen = generation;
            busy++;
            lock.unlock();
            work(worker);
            lock.lock();
            if (--busy == 0) done.notify_one();
        }
    }
};

ThreadPool::ThreadPool(int threads) : threads_(threads) {}
ThreadPool::~ThreadPool() { stop(); }

ThreadPool& ThreadPool::shared() {
    static ThreadPool pool(threads_from_env());
    // A fork waits for the pass that runs: the child never finds the pool in the middle of a job.
    static const int registered = pthread_atfork([] { shared().turn_.lock(); }, [] { shared().turn_.unlock(); }, [] { shared().turn_.unlock(); });
    (void)registered;
    return pool;
}

void ThreadPool::resize(int threads) {
    std::lock_guard turn(turn_);
    stop();
    threads_ = threads;
}

void ThreadPool::start() {
    // After a fork only the calling thread exists: the old crew's handles belong to the parent and are abandoned, not joined.
    if (crew_ && crew_->owner != getpid()) (void)crew_.release();
    if (crew_) return;
    crew_ = std::make_unique<Crew>();
    crew_->shares = std::vector<Crew::Share>(threads_);
    for (int k = 1; k < threads_; k++) try {
            crew_->threads.emplace_back([crew = crew_.get(), k] { crew->loop(k); });
        } catch (const std::system_error&) {
            break;  // the system allows no more threads: the frame is denoised by those there are
        }
}

void ThreadPool::stop() {
    if (!crew_) return;
    if (crew_->owner != getpid()) {
        (void)crew_.release();
        return;
    }
    {
        std::lock_guard lock(crew_->mutex);
        crew_->quit = true;
    }
    crew_->wake.notify_all();
    for (auto& t : crew_->threads) t.join();
    crew_.reset();
}

void ThreadPool::parallel_for(int count, const std::function<void(int, int)>& body) {
    if (count <= 0) return;
    std::lock_guard turn(turn_);
    if (threads_ == 1 || count == 1) {
        for (int i = 0; i < count; i++) body(i, 0);
        return;
    }
    start();
    Crew& crew = *crew_;
    {
        std::lock_guard lock(crew.mutex);
        crew.body = &body;
        for (int k = 0; k < threads_; k++) {
            crew.shares[k].next.store(int(int64_t(count) * k / threads_), std::memory_order_relaxed);
            crew.shares[k].end = int(int64_t(count) * (k + 1) / threads_);
        }
        crew.open = true;
        crew.generation++;
    }
    crew.wake.notify_all();
    crew.work(0);
    std::unique_lock lock(crew.mutex);
    crew.open = false;
    crew.done.wait(lock, [&] { return crew.busy == 0; });
}

}  // namespace denoise
