// The library's C interface: train a cohort for an epoch, evaluate it. Called by kernel.py.
//
// A cohort's trials are independent. Threads take trials from a queue, a stretch of batches at a time, so that few
// trials on many threads stay balanced. What is computed does not depend on the threads.

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "eigenvalues.hpp"
#include "interface.hpp"
#include "measure.hpp"
#include "network.hpp"
#include "stages.hpp"

using namespace firstlight;

namespace {

/// Batches of one trial that a thread does at a stretch.
constexpr std::int64_t kStretch = 128;

/// Rows that a thread evaluates at a stretch.
constexpr std::int64_t kPiece = 64 * kChunk;

/// Runs work(workspace) on `threads` threads, this one among them. Returns 0, or 1 when memory ran out.
template <class Workspace, class F>
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

/// Hands out trials, the least advanced first; a trial is with one thread at a time. Of trials that are as far, those
/// with the same dropout masks, which a thread draws once for all of them, follow one another.
class Progress {
public:
    Progress(int trials, const std::int64_t* at, std::int64_t rows, const std::uint64_t* seeds)
        : rows_(rows), turns_(trials), at_(at, at + trials), busy_(trials, false) {
        std::iota(turns_.begin(), turns_.end(), 0);
        if (seeds != nullptr)
            std::stable_sort(turns_.begin(), turns_.end(), [seeds](int a, int b) { return seeds[a] < seeds[b]; });
    }

    /// The next trial to advance, or -1 when none is left to start.
    int take() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            int best = -1;
            bool waiting = false;
            for (const int t : turns_) {
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
    std::vector<int> turns_;
    std::vector<std::int64_t> at_;
    std::vector<bool> busy_;
};

}  // namespace

extern "C" {
#pragma GCC visibility push(default)

/// Bumped with every change of a signature below.
int firstlight_interface() { return 10; }
/// The layout of the structures that are shared; see interface.hpp.
const char* firstlight_layout() {
    static const std::string text = layout();
    return text.c_str();
}
int firstlight_lanes() { return kLanes; }
int firstlight_chunk() { return kChunk; }

/// Asks threads at work to end soon.
void firstlight_stop(Control* control) { control->stop.store(1, std::memory_order_relaxed); }
/// Rows of all trials that firstlight_train has used.
std::int64_t firstlight_done(const Control* control) { return control->done.load(std::memory_order_relaxed); }

/// One epoch of every trial whose `diverged` is negative. Row t of `sums` and `diverged` is trial t's; order is
/// (orders, rows), order_of says which of them a trial follows. Dropout draws from the streams (seeds[t], stream).
/// `at` has the rows that each trial has used of the epoch, to which `sums` belong, before the call and after it.
/// Returns 0, 1 (no memory) or 2 (it was stopped, each trial between two batches).
int firstlight_train(const Shape* shape, int trials, const Settings* settings, const double* rates, float* parameters,
                     float* residuals, float* moments, std::int64_t* steps, float* statistics, const Rows* data,
                     const std::int32_t* order, const std::int32_t* order_of, const std::uint64_t* seeds,
                     std::uint64_t stream, int threads, Control* control, Sums* sums, std::int64_t* diverged,
                     std::int64_t* at) {
    const Between* between = shape->between;
    const bool drops = between && between->keep_from;
    const std::int64_t moving = between ? between->statistics_size : 0;
    const std::int64_t stretch = (drops ? Masks::stretch(*shape, kStretch) : kStretch) * shape->batch_size;
    Progress progress(trials, at, data->count, drops ? seeds : nullptr);
    const auto work = [&](auto& workspace) {
        for (int t; (t = progress.take()) >= 0;) {
            const std::int64_t begin = progress.at(t);
            // Stretches end at the same rows for all, wherever a trial begins: those with the same masks share them.
            const std::int64_t end = std::min(data->count, (begin / stretch + 1) * stretch);
            std::int64_t reached = diverged[t] < 0 ? begin : data->count;
            if (diverged[t] < 0 && !control->stopped()) {
                const std::int64_t before = steps[t];
                const Numbers numbers{parameters + t * shape->parameters, residuals + t * shape->parameters,
                                      moments + t * shape->moments, steps + t, statistics + t * moving,
                                      drops ? seeds[t] : 0, stream};
                diverged[t] = workspace.train(settings[t], rates[t], numbers, *data,
                                              order + order_of[t] * data->count, begin, end, *control, sums[t]);
                // A stop may have come in the middle of the stretch; every batch is a step.
                reached = diverged[t] < 0 ? std::min(end, begin + (steps[t] - before) * shape->batch_size) : data->count;
            }
            at[t] = reached;
            progress.put_back(t, control->stopped() ? data->count : reached);
            control->done.fetch_add(reached - begin, std::memory_order_relaxed);
        }
    };
    const int failed = between ? on_threads<StagedWorkspace>(*shape, threads, work)
                               : on_threads<Workspace>(*shape, threads, work);
    return failed ? 1 : (control->stopped() ? 2 : 0);
}

/// Sums of every trial over a data set in tiles. Rows are summed in pieces of fixed size, and the pieces in order.
/// Batch normalisation is by the `statistics`, or, with `own`, by those of each batch. Returns as firstlight_train does.
int firstlight_evaluate(const Shape* shape, int trials, const Settings* settings, const float* parameters,
                        const float* statistics, int own, const Rows* tiles, int threads,
                        const Control* control, Sums* sums) {
    const Between* between = shape->between;
    const std::int64_t moving = between ? between->statistics_size : 0;
    const std::int64_t piece = own ? std::max<std::int64_t>(1, kPiece / shape->batch_size) * shape->batch_size : kPiece;
    const std::int64_t pieces = (tiles->count + piece - 1) / piece;
    std::vector<Sums> parts(static_cast<std::size_t>(trials * pieces));
    std::atomic<std::int64_t> next{0};
    const auto each = [&](auto&& evaluate) {
        for (std::int64_t item; (item = next++) < trials * pieces && !control->stopped();) {
            const std::int64_t trial = item / pieces, begin = item % pieces * piece;
            evaluate(trial, parameters + trial * shape->parameters, begin, std::min(tiles->count, begin + piece),
                     parts[static_cast<std::size_t>(item)]);
        }
    };
    const auto plain = [&](Workspace& workspace) {
        each([&](std::int64_t trial, const float* w, std::int64_t begin, std::int64_t end, Sums& total) {
            workspace.evaluate(settings[trial], w, *tiles, begin, end, total);
        });
    };
    const auto staged = [&](StagedWorkspace& workspace) {
        each([&](std::int64_t trial, const float* w, std::int64_t begin, std::int64_t end, Sums& total) {
            workspace.evaluate(settings[trial], w, statistics + trial * moving, own, *tiles, begin, end, total);
        });
    };
    const int failed = between ? on_threads<StagedWorkspace>(*shape, threads, staged)
                               : on_threads<Workspace>(*shape, threads, plain);
    for (std::int64_t item = 0; item < trials * pieces; ++item)
        sums[item / pieces] += parts[static_cast<std::size_t>(item)];
    return failed ? 1 : (control->stopped() ? 2 : 0);
}

/// Statistics of batch normalisation over the first `count` training rows under the present parameters, for a shape
/// that has `between`. Returns as firstlight_train does.
int firstlight_pool(const Shape* shape, int trials, const Settings* settings, const float* parameters,
                    const Rows* data, std::int64_t count, int threads, const Control* control,
                    float* statistics) {
    std::atomic<int> next{0};
    const int failed = on_threads<StagedWorkspace>(*shape, threads, [&](StagedWorkspace& workspace) {
        for (int trial; (trial = next++) < trials && !control->stopped();)
            workspace.pool(settings[trial], parameters + trial * shape->parameters, *data, count, *control,
                           statistics + trial * shape->between->statistics_size);
    });
    return failed ? 1 : (control->stopped() ? 2 : 0);
}

/// Measures the layers of every healthy trial, for a shape that has `between`, whose batches are as long as the rows that
/// are looked at together. `found` has shape->layers entries per trial. Returns 0, or 1 (no memory).
int firstlight_measure(const Shape* shape, int trials, const Settings* settings, float* parameters, const Probe* probe,
                       int threads, LayerNumbers* found) {
    const Histogram histogram(probe->edges);
    std::atomic<int> next{0};
    return on_threads<ProbeWorkspace>(*shape, threads, [&](ProbeWorkspace& workspace) {
        for (int t; (t = next++) < trials;)
            if (probe->healthy[t])
                workspace.measure(settings[t], parameters + t * shape->parameters, *probe, histogram,
                                  probe->flat_below[t], found + static_cast<std::int64_t>(t) * shape->layers);
    });
}

/// Eigenvalues of `count` symmetric matrices of `size` rows. Returns 0, or 1 (no memory).
int firstlight_eigenvalues(const double* matrices, std::int64_t count, int size, double* values) {
    const FlushSubnormals guard;
    try {
        Eigenvalues workspace(size);
        const std::int64_t all = static_cast<std::int64_t>(size) * size;
        for (std::int64_t i = 0; i < count; i += kHalf)
            workspace.find(matrices + i * all, static_cast<int>(std::min<std::int64_t>(kHalf, count - i)),
                           values + i * size);
    } catch (const std::exception&) {
        return 1;
    }
    return 0;
}

/// Writes the 32-bit halves of `blocks` blocks of a Philox stream from block `first` on, eight of each.
void firstlight_draw(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, std::int64_t blocks,
                     std::uint32_t* halves) {
    Philox{seed, stream}.halves(first, blocks, halves);
}

/// Replaces n numbers in zd (a multiple of kLanes) by the derivative of an activation there and writes its value to h.
void firstlight_activate(int activation, const float* four_parameters, float* zd, float* h, long n) {
    kActivations[activation].value_and_derivative(four_parameters, zd, h, n);
}

/// Values of an activation at n numbers, in double.
void firstlight_activate_exact(int activation, const double* four_parameters, const double* z, double* h, long n) {
    for (long i = 0; i < n; ++i) h[i] = kActivations[activation].exact(z[i], four_parameters);
}

/// Square roots of n numbers (a multiple of kLanes), in place.
void firstlight_square_roots(float* numbers, long n) {
    const FlushSubnormals guard;
    for (long i = 0; i < n; i += kLanes) store(numbers + i, square_root(load(numbers + i)));
}

#pragma GCC visibility pop
}  // extern "C"
