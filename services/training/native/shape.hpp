// What all trials of a cohort share, laid out as the structures of the same names in structures.py.
#pragma once

#include <atomic>
#include <cstdint>

namespace firstlight {

enum class Loss : int;

enum class Norm : std::int32_t { kNone, kBatch, kLayer };

/// What stands between the dense layers.
struct Between {
    Norm norm;
    std::int32_t after;                // the normalisation comes after the activation
    std::int32_t factor;               // pre-activations per hidden unit: 2 for gated units
    std::int32_t residual;             // a hidden layer's input is added to its output where both are as wide
    std::int32_t learned;              // every hidden layer has a slope, which trials with such an activation train
    std::uint32_t keep_from;           // with dropout, an activation stays whose 24 bits are at least this; 0: none
    double enlarge;                    // and is multiplied by this
    float epsilon;                     // of the normalisation
    float fresh;                       // share of a batch in the moving statistics
    const std::int64_t* scales;        // per hidden layer: where gamma lies in a trial's parameters, then beta
    const std::int64_t* slopes;        // where the slope lies
    const std::int64_t* statistics;    // where the moving mean lies in a trial's statistics, then the variance
    std::int64_t statistics_size;      // floats of one trial
};

struct Shape {
    std::int32_t layers;               // weight matrices
    std::int32_t batch_size;
    Loss loss;
    float huber_delta;
    const std::int32_t* widths;        // layers + 1: inputs, hidden units, outputs
    const std::int64_t* offsets;       // first parameter of each layer, in floats
    std::int64_t parameters;           // floats of one trial, a multiple of kLanes
    std::int64_t moments;              // floats of one trial's optimizer state
    const Between* between;            // null: nothing but activations
};

/// What the caller and the threads tell each other while these work.
struct Control {
    std::atomic<std::int32_t> stop;  // not zero: the caller wants them to end
    std::atomic<std::int64_t> done;  // rows that have been used

    bool stopped() const { return stop.load(std::memory_order_relaxed) != 0; }
};
static_assert(std::atomic<std::int32_t>::is_always_lock_free && std::atomic<std::int64_t>::is_always_lock_free);

}  // namespace firstlight
