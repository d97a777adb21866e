// One trial: a multilayer perceptron trained for a stretch of an epoch, and evaluated.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "activations.hpp"
#include "gradients.hpp"
#include "optimizers.hpp"
#include "panel.hpp"
#include "rows.hpp"
#include "signs.hpp"

namespace firstlight {

/// The buffers of one thread, made anew for every call and used for one trial after another.
class Workspace {
public:
    explicit Workspace(const Shape& shape) : shape_(shape), signs_(shape), gradient_(shape.parameters + kLanes) {
        const int* widths = shape.widths;
        if (shape.parameters > kManyParameters && shape.batch_size > kLargeChunk / 2) chunk_ = kLargeChunk;
        int widest = 0;
        for (int l = 0; l < shape.layers; ++l) {
            inputs_.emplace_back(static_cast<std::size_t>(padded(widths[l] + 1) + kLanes) * chunk_);
            errors_.emplace_back(static_cast<std::size_t>(padded(widths[l + 1]) + kLanes) * chunk_);
            widest = std::max(widest, padded(widths[l + 1]));
        }
        rows_ = std::make_unique<Buffer>(static_cast<std::size_t>(widest) * chunk_);
        targets_ = std::make_unique<Buffer>(static_cast<std::size_t>(padded(widths[shape.layers])) * chunk_);
    }

    /// Trains on batches of `order` from row `begin` to row `end`; adds up the loss each row had in its batch.
    /// Returns the position in the order of the first batch whose loss is not finite, or -1; it changes nothing.
    std::int64_t train(const Settings& settings, double rate, const Numbers& numbers, const Rows& data,
                       const std::int32_t* order, std::int64_t begin, std::int64_t end,
                       const Control& control, Sums& total) {
        for (std::int64_t at = begin; at < end && !control.stopped(); at += shape_.batch_size) {
            const int rows = static_cast<int>(std::min<std::int64_t>(shape_.batch_size, end - at));
            Sums batch;
            ++*numbers.step;
            for (int done = 0; done < rows;) {
                const int left = rows - done;
                const int size = std::min(left, chunk_ > kChunk && left > chunk_ / 2 ? chunk_ : kChunk);
                const bool last = left == size;
                const Pass pass{settings, rate, rows, done == 0, last};
                const std::int32_t* rows_at = order + at + done;
                const std::int64_t after = end - at - done - size;
                const int ahead = static_cast<int>(std::min<std::int64_t>(after, kChunk));
                if (size > kChunk) {
                    train_chunk<kLargeChunk>(pass, numbers, data, rows_at, size, ahead, batch);
                } else if (size > kChunk / 2) {
                    train_chunk<kChunk>(pass, numbers, data, rows_at, size, ahead, batch);
                } else {
                    train_chunk<kChunk / 2>(pass, numbers, data, rows_at, size, ahead, batch);
                }
                if (!std::isfinite(batch.loss)) break;
                done += size;
            }
            total.loss += batch.loss;
            total.correct += batch.correct;
            if (!std::isfinite(batch.loss)) {
                --*numbers.step;
                return at;
            }
            if (!settings.plain()) step_parameters(settings, rate, numbers, gradient_.get(), shape_.parameters);
        }
        return -1;
    }

    /// Adds the sums over rows begin..end of a data set that lies in tiles; begin is a multiple of kChunk.
    void evaluate(const Settings& settings, const float* w, const Rows& tiles, std::int64_t begin, std::int64_t end,
                  Sums& total) {
        const int outputs = shape_.widths[shape_.layers];
        const long width = shape_.widths[0];
        for (std::int64_t row = begin; row < end; row += kChunk) {
            const int rows = static_cast<int>(std::min<std::int64_t>(kChunk, end - row));
            float* z = forward<kChunk, false>(settings, w, tiles.inputs + row * width);
            const float* targets = tiles.targets ? tiles.targets + row * outputs : nullptr;
            evaluation_loss<kChunk>(shape_, targets, tiles.labels ? tiles.labels + row : nullptr, rows, z, total);
        }
    }

private:
    struct Pass {
        const Settings& settings;
        double rate;
        int batch_rows;
        bool first, last;  // chunk of the batch
    };

    /// Whether the activation is max(z, slope * z) with 0 <= slope <= 1, which the products do on the way.
    static bool rectifies(const Settings& settings, float& slope) {
        slope = settings.activation == 0 ? 1 : (settings.activation == 1 ? 0 : settings.activation_parameters[0]);
        return settings.activation <= 2 && slope >= 0 && slope <= 1;
    }

    /// Returns the outputs of the last layer.
    template <int C, bool kTrain>
    float* forward(const Settings& settings, const float* w, const float* in) {
        const int* widths = shape_.widths;
        for (int l = 0; l < shape_.layers; ++l) {
            float* z = errors_[l].get();
            const float* weights = w + shape_.offsets[l];
            if (l + 1 == shape_.layers) {
                forward_product<C>(weights, widths[l], widths[l + 1], in, 0, z);
                return z;
            }
            float* h = inputs_[l + 1].get();
            const long n = static_cast<long>(widths[l + 1]) * C;
            float slope;
            if (rectifies(settings, slope)) {
                forward_product<C, Product::kForwardRectified>(weights, widths[l], widths[l + 1], in, slope, h);
            } else {
                forward_product<C>(weights, widths[l], widths[l + 1], in, 0, z);
                const NamedActivation& f = kActivations[settings.activation];
                (kTrain ? f.value_and_derivative : f.value)(settings.activation_parameters, z, h, n);
            }
            if (kTrain)
                for (int b = 0; b < C; b += kLanes) store(h + n + b, splat(1.0f));
            in = h;
        }
        return nullptr;
    }

    template <int C>
    void train_chunk(const Pass& pass, const Numbers& numbers, const Rows& data, const std::int32_t* order, int rows,
                     int ahead, Sums& total) {
        const int* widths = shape_.widths;
        float* x = inputs_[0].get();
        gather<C>(data.inputs, data.stride, widths[0], order, rows, x);
        for (int b = 0; b < ahead; ++b) __builtin_prefetch(data.inputs + data.stride * order[rows + b]);
        for (int b = 0; b < C; b += kLanes) store(x + static_cast<long>(widths[0]) * C + b, splat(1.0f));
        float* z = forward<C, true>(pass.settings, numbers.w, x);
        Doubts doubts{signs_.near(data)};
        training_loss<C>(shape_, data, order, rows, pass.batch_rows, targets_->get(), z, total, doubts);
        if (doubts.count) {
            const Batch batch{data, order, pass.batch_rows, nullptr, nullptr};
            signs_.settle<C>(pass.settings, numbers, batch, 0, doubts, targets_->get(), z);
        }
        if (std::isfinite(total.loss)) backward<C>(pass, numbers);
    }

    template <int C>
    void backward(const Pass& pass, const Numbers& numbers) {
        const int* widths = shape_.widths;
        const Settings& settings = pass.settings;
        const GradientSink sink{!pass.first, pass.last && settings.plain(), static_cast<float>(pass.rate),
                                static_cast<float>(pass.rate * settings.weight_decay)};
        for (int l = shape_.layers - 1; l >= 0; --l) {
            float* delta = errors_[l].get();
            const float* weights = numbers.w + shape_.offsets[l];
            float slope;
            if (l > 0 && rectifies(settings, slope)) {
                backward_product<C, Product::kBackwardRectified>(weights, widths[l], widths[l + 1], delta,
                                                                 inputs_[l].get(), slope, errors_[l - 1].get());
            } else if (l > 0) {
                float* below = errors_[l - 1].get();
                backward_product<C>(weights, widths[l], widths[l + 1], delta, below, 0, below);
            }
            transpose_delta<C>(delta, widths[l + 1], rows_->get());
            const Target target = Target{gradient_.get(), numbers.w, numbers.residual} + shape_.offsets[l];
            gradient_product<C>(inputs_[l].get(), delta, rows_->get(), widths[l] + 1, widths[l + 1], target, sink);
        }
    }

    const Shape& shape_;
    SureSigns signs_;
    int chunk_ = kChunk;
    Buffer gradient_;
    std::vector<Buffer> inputs_;  // of each layer, feature-major, with a feature of ones
    std::vector<Buffer> errors_;  // of each layer's output: first z, then f'(z), then the error
    std::unique_ptr<Buffer> rows_;
    std::unique_ptr<Buffer> targets_;
};

}  // namespace firstlight
