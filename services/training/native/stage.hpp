// A dense layer with what follows it up to the next one, and its share of a thread's memory.
#pragma once

#include <algorithm>

#include "panel.hpp"
#include "shape.hpp"

namespace firstlight {

struct Stage {
    Stage(const Shape& shape, int l, int rows)
        : between(*shape.between), hidden(l + 1 < shape.layers), fan_in(shape.widths[l]), units(shape.widths[l + 1]),
          fan_out(hidden ? units * between.factor : units), weights(shape.offsets[l]),
          skip(hidden && between.residual && fan_in == units), normed(hidden && between.norm != Norm::kNone),
          normed_width(normed ? (between.after ? units : fan_out) : 0), input(fan_in + 1, rows), error(fan_out, rows),
          hat(normed_width, rows), negative(hidden && between.learned ? units : 0, rows),
          mean(padded(normed_width)), variance(padded(normed_width)),
          inverse(normed ? std::max(padded(normed_width), rows) : 0) {
        if (normed) gamma = between.scales[l], beta = gamma + (between.scales[l + 1] - gamma) / 2;
        if (normed && between.norm == Norm::kBatch) {
            moving_mean = between.statistics[l];
            moving_variance = moving_mean + (between.statistics[l + 1] - moving_mean) / 2;
        }
        biased = !batch_normed() || between.after;
        if (hidden && between.learned) slope = between.slopes[l];
    }
    bool batch_normed() const { return normed && between.norm == Norm::kBatch; }

    const Between& between;
    bool hidden;
    int fan_in, units, fan_out;
    std::int64_t weights;  // places in a trial's parameters, and of the moving statistics in a trial's statistics
    bool skip, normed;
    int normed_width;
    /// A bias before batch normalisation has no gradient: the mean takes it out. What rounding would leave of the sum
    /// is noise, which Adam would make steps of.
    bool biased = true;
    std::int64_t gamma = 0, beta = 0, slope = 0, moving_mean = 0, moving_variance = 0;
    Panel input;                     // with a feature of ones
    Panel error;                     // of the output: first z, then derivatives, then the error
    Panel hat;                       // normalised, before scale and shift
    Panel negative;                  // min(z, 0), where a slope is trained
    Buffer mean, variance, inverse;  // per unit; `inverse` per row for layer normalisation
};

/// Nobody looks on while a batch goes through the network.
struct Unwatched {
    void arrived(std::size_t, Panel&) {}
    bool goes_on(std::size_t, Panel&, Panel&) { return true; }
    void returned(std::size_t, Panel&) {}
};

}  // namespace firstlight
