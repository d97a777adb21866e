// The library's C interface: train a cohort for an epoch, evaluate it. Called by kernel.py.
//
// A cohort's trials are independent. Threads take trials from a queue, a stretch of batches at a time, so that few
// trials on many threads stay balanced. What is computed does not depend on the threads.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "network.hpp"

using namespace firstlight;

namespace {

/// Batches of one trial that a thread does at a stretch.
constexpr std::int64_t kStretch = 128;

/// Rows that a thread evaluates at a stretch.
constexpr std::int64_t kPiece = 64 * kChunk;

/// Runs f(workspace, next) on `threads` threads, this one among them. Returns 0, or 1 when memory ran out.
template <class F>
int on_threads(const Shape& shape, int threads, F&& work) {
    std::atomic<int> failed{0};
    const auto run = [&] {
        try {
            const FlushSubnormals guard;
            Workspace workspace(shape);
            work(workspace);
        } catch (const std::exception&) {
            failed = 1;
        }
    };
    std::vector<std::thread> others;
    try {
        for (int i = 1; i < threads; ++i) others.emplace_back(run);
    } catch (const std::exception&) {
        // Fewer threads than asked for do the same work.
    }
    run();
    for (std::thread& other : others) other.join();
    return failed;
}

/// Hands out trials, the least advanced first; a trial is with one thread at a time.
class Progress {
public:
    Progress(int trials, std::int64_t rows) : rows_(rows), at_(trials, 0), busy_(trials, false) {}

    /// The next trial to advance, or -1 when none is left to start.
    int take() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            int best = -1;
            bool waiting = false;
            for (int t = 0; t < static_cast<int>(at_.size()); ++t) {
                if (at_[t] >= rows_) continue;
                if (busy_[t]) {
                    waiting = true;
                } else if (best < 0 || at_[t] < at_[best]) {
                    best = t;
                }
            }
            if (best >= 0) busy_[best] = true;
            if (best >= 0 || !waiting) return best;
            changed_.wait(lock);
        }
    }
    std::int64_t at(int trial) {
        const std::lock_guard<std::mutex> lock(mutex_);
        return at_[trial];
    }
    void put_back(int trial, std::int64_t at) {
        const std::lock_guard<std::mutex> lock(mutex_);
        at_[trial] = at;
        busy_[trial] = false;
        changed_.notify_all();
    }

private:
    const std::int64_t rows_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::int64_t> at_;
    std::vector<bool> busy_;
};

}  // namespace

extern "C" {
#pragma GCC visibility push(default)

/// Bumped with every change of a structure or signature below.
int firstlight_interface() { return 3; }
int firstlight_lanes() { return kLanes; }
int firstlight_chunk() { return kChunk; }

/// One epoch of every trial whose `diverged` is negative. Row t of `sums` and `diverged` is trial t's; order is
/// (orders, rows), order_of says which of them a trial follows. `done` counts the rows of all trials as they are
/// used. Returns 0, 1 (no memory) or 2 (a nonzero *stop was seen).
int firstlight_train(const Shape* shape, int trials, const Settings* settings, const double* rates, float* parameters,
                     float* residuals, float* moments, std::int64_t* steps, const Rows* data, const std::int32_t* order,
                     const std::int32_t* order_of, int threads, const volatile std::int32_t* stop,
                     std::int64_t* done, Sums* sums, std::int64_t* diverged) {
    Progress progress(trials, data->count);
    const int failed = on_threads(*shape, threads, [&](Workspace& workspace) {
        for (int t; (t = progress.take()) >= 0;) {
            const std::int64_t begin = progress.at(t);
            std::int64_t end = std::min(data->count, begin + kStretch * shape->batch_size);
            if (diverged[t] < 0) {
                const Numbers numbers{parameters + t * shape->parameters, residuals + t * shape->parameters,
                                      moments + t * shape->moments, steps + t};
                diverged[t] = workspace.train(settings[t], rates[t], numbers, *data,
                                              order + order_of[t] * data->count, begin, end, stop, sums[t]);
            }
            if (diverged[t] >= 0 || *stop) end = data->count;
            progress.put_back(t, end);
            __atomic_fetch_add(done, end - begin, __ATOMIC_RELAXED);
        }
    });
    return failed ? 1 : (*stop ? 2 : 0);
}

/// Sums of every trial over a data set in tiles. Rows are summed in pieces of fixed size, and the pieces in order.
/// Returns as firstlight_train does.
int firstlight_evaluate(const Shape* shape, int trials, const Settings* settings, const float* parameters,
                        const Rows* tiles, int threads, const volatile std::int32_t* stop, Sums* sums) {
    const std::int64_t pieces = (tiles->count + kPiece - 1) / kPiece;
    std::vector<Sums> parts(static_cast<std::size_t>(trials * pieces));
    std::atomic<std::int64_t> next{0};
    const int failed = on_threads(*shape, threads, [&](Workspace& workspace) {
        for (std::int64_t item; (item = next++) < trials * pieces && !*stop;) {
            const std::int64_t trial = item / pieces, begin = item % pieces * kPiece;
            workspace.evaluate(settings[trial], parameters + trial * shape->parameters, *tiles, begin,
                               std::min(tiles->count, begin + kPiece), parts[static_cast<std::size_t>(item)]);
        }
    });
    for (std::int64_t item = 0; item < trials * pieces; ++item)
        sums[item / pieces] += parts[static_cast<std::size_t>(item)];
    return failed ? 1 : (*stop ? 2 : 0);
}

/// Replaces n numbers in zd (a multiple of kLanes) by the derivative of an activation there and writes its value to h.
void firstlight_activate(int activation, const float* four_parameters, float* zd, float* h, long n) {
    kActivations<true>[activation](four_parameters, zd, h, n);
}

#pragma GCC visibility pop
}  // extern "C"
