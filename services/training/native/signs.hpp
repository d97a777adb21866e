// Under the absolute loss a residual's sign is its gradient: where float32 cannot tell it, double does.
#pragma once

#include <algorithm>
#include <vector>

#include "activations.hpp"
#include "dropout.hpp"
#include "losses.hpp"
#include "optimizers.hpp"
#include "rows.hpp"

namespace firstlight {

/// A batch: its rows of a data set, and which activations dropout keeps of them (null without it).
struct Batch {
    const Rows& data;
    const std::int32_t* order;
    int rows;
    const Masks* masks;
    const std::uint32_t* words;
};

/// Runs single rows forward in double by the compensated weights. Not under batch normalisation, where a row's outputs
/// depend on the whole batch.
class SureSigns {
public:
    explicit SureSigns(const Shape& shape) : shape_(shape) {
        possible_ = shape.loss == Loss::kMae && !(shape.between && shape.between->norm == Norm::kBatch);
        const int factor = shape.between ? shape.between->factor : 1;
        for (int l = 0; l <= shape.layers; ++l) longest_ = std::max(longest_, shape.widths[l] * factor);
        z_.resize(longest_), h_.resize(longest_);
    }

    /// How small a residual has to be to be doubtful; none is small enough where nothing can be done about it.
    float near(const Rows& data) const { return possible_ ? data.near : -1.0f; }

    /// Gives the errors z of a chunk's doubtful rows the signs that double finds; the chunk begins at the batch's row
    /// `first`, and its targets are feature-major as z.
    template <int C>
    void settle(const Settings& settings, const Numbers& numbers, const Batch& batch, int first, const Doubts& doubts,
                const float* targets, float* z) {
        const int outputs = shape_.widths[shape_.layers];
        const float scale = loss_scale(shape_, batch.rows);
        for (int i = 0; i < doubts.count; ++i) {
            const int row = doubts.rows[i];
            forward(settings, numbers, batch, first + row);
            for (int o = 0; o < outputs; ++o) {
                const double residual = z_[o] - static_cast<double>(targets[o * C + row]);
                const float sign = static_cast<float>((residual > 0) - (residual < 0));
                z[o * C + row] = residual == residual ? sign * scale : static_cast<float>(residual);
            }
        }
    }

private:
    /// From a row of the batch to its outputs, which lie in `z_`.
    void forward(const Settings& settings, const Numbers& numbers, const Batch& batch, int row) {
        const Between* between = shape_.between;
        const float* x = batch.data.inputs + batch.data.stride * batch.order[row];
        std::copy_n(x, shape_.widths[0], h_.data());
        for (int l = 0; l < shape_.layers; ++l) {
            const bool hidden = l + 1 < shape_.layers;
            const int fan_in = shape_.widths[l], units = shape_.widths[l + 1];
            product(numbers, shape_.offsets[l], fan_in, hidden && between ? units * between->factor : units);
            if (!hidden) return;
            if (!between) {
                activate(settings, nullptr, units);
                z_.swap(h_);
                continue;
            }
            const bool normed = between->norm == Norm::kLayer;
            if (normed && !between->after) normalize(numbers, l, units * between->factor);
            const double slope = between->learned ? weight(numbers, between->slopes[l]) : 0;
            activate(settings, between->learned && settings.learned ? &slope : nullptr, units);
            if (normed && between->after) normalize(numbers, l, units);
            if (batch.words != nullptr) {
                const Masks& masks = *batch.masks;
                const std::uint32_t* words = batch.words + row / kMaskRows * masks.block() + masks.layer(l);
                for (int u = 0; u < units; ++u) z_[u] *= words[u] >> row % kMaskRows & 1 ? between->enlarge : 0.0;
            }
            if (between->residual && fan_in == units)
                for (int u = 0; u < units; ++u) z_[u] += h_[u];
            z_.swap(h_);
        }
    }

    static double weight(const Numbers& numbers, std::int64_t at) {
        return static_cast<double>(numbers.w[at]) + static_cast<double>(numbers.residual[at]);
    }

    void product(const Numbers& numbers, std::int64_t offset, int fan_in, int fan_out) {
        const std::int64_t bias = offset + static_cast<std::int64_t>(fan_in) * fan_out;
        for (int o = 0; o < fan_out; ++o) z_[o] = weight(numbers, bias + o);
        double* z = z_.data();
        for (int i = 0; i < fan_in; ++i) {
            const float* w = numbers.w + offset + static_cast<std::int64_t>(i) * fan_out;
            const float* rest = numbers.residual + offset + static_cast<std::int64_t>(i) * fan_out;
            const double x = h_[i];
            for (int o = 0; o < fan_out; ++o) z[o] = fma(x, static_cast<double>(w[o]) + static_cast<double>(rest[o]), z[o]);
        }
    }

    /// In place; of gated units, where the second half is the gate's, into the first half.
    void activate(const Settings& settings, const double* slope, int units) {
        const auto f = kActivations[settings.activation].exact;
        const double* p = slope ? slope : settings.exact_parameters;
        if (shape_.between && shape_.between->factor == 2) {
            for (int u = 0; u < units; ++u) z_[u] *= f(z_[units + u], p);
        } else {
            for (int u = 0; u < units; ++u) z_[u] = f(z_[u], p);
        }
    }

    /// Layer normalisation in place.
    void normalize(const Numbers& numbers, int l, int width) {
        const std::int64_t* scales = shape_.between->scales + l;
        const std::int64_t gamma = scales[0], beta = gamma + (scales[1] - gamma) / 2;
        double mean = 0, variance = 0;
        for (int u = 0; u < width; ++u) mean += z_[u] / width;
        for (int u = 0; u < width; ++u) variance += (z_[u] - mean) * (z_[u] - mean) / width;
        const double root = std::sqrt(variance + shape_.between->epsilon);
        for (int u = 0; u < width; ++u)
            z_[u] = (z_[u] - mean) / root * weight(numbers, gamma + u) + weight(numbers, beta + u);
    }

    const Shape& shape_;
    bool possible_;
    int longest_ = 0;
    std::vector<double> z_, h_;
};

}  // namespace firstlight
