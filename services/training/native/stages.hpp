// One trial with something between its dense layers: normalisation, dropout, skips, gates or trained slopes.
//
// Batch normalisation needs a whole batch at every layer, so that a batch goes through the network layer by layer, each
// in chunks of C rows, where network.hpp takes one chunk through all layers.
#pragma once

#include <cmath>
#include <type_traits>
#include <vector>

#include "activations.hpp"
#include "dropout.hpp"
#include "gradients.hpp"
#include "normalization.hpp"
#include "optimizers.hpp"
#include "rows.hpp"
#include "signs.hpp"
#include "stage.hpp"

namespace firstlight {

/// The buffers of one thread, made anew for every call and used for one trial after another.
class StagedWorkspace {
public:
    explicit StagedWorkspace(const Shape& shape)
        : shape_(shape), between_(*shape.between), masks_(shape), signs_(shape), gradient_(shape.parameters + kLanes),
          arriving_{spare(shape), spare(shape)}, passed_(spare(shape)),
          targets_(shape.widths[shape.layers], kLargeChunk),
          rows_(static_cast<std::size_t>(widest(shape)) * kLargeChunk) {
        for (int l = 0; l < shape.layers; ++l) stages_.emplace_back(shape, l, capacity(shape));
    }

    /// As Workspace::train.
    std::int64_t train(const Settings& settings, double rate, const Numbers& numbers, const Rows& data,
                       const std::int32_t* order, std::int64_t begin, std::int64_t end,
                       const Control& control, Sums& total) {
        if (between_.keep_from) masks_.draw({numbers.seed, numbers.stream}, begin, end);
        for (std::int64_t at = begin; at < end && !control.stopped(); at += shape_.batch_size) {
            const int rows = static_cast<int>(std::min<std::int64_t>(shape_.batch_size, end - at));
            const std::uint32_t* words = between_.keep_from ? masks_.batch(at) : nullptr;
            Sums batch;
            sized(rows, [&](auto size) {
                constexpr int C = decltype(size)::value;
                gather_batch<C>(data, order + at, rows);
                const int ahead = static_cast<int>(std::min<std::int64_t>(end - at - rows, rows));
                for (int b = 0; b < ahead; ++b) __builtin_prefetch(data.inputs + data.stride * order[at + rows + b]);
                forward<C>(settings, numbers.w, rows, words);
                for (int first = 0; first < rows; first += C) {
                    float* y = targets_.chunk<C>(0);
                    float* z = stages_.back().error.chunk<C>(first / C);
                    Doubts doubts{signs_.near(data)};
                    const int here = std::min(C, rows - first);
                    training_loss<C>(shape_, data, order + at + first, here, rows, y, z, batch, doubts);
                    if (!doubts.count) continue;
                    const Batch whole{data, order + at, rows, &masks_, words};
                    signs_.settle<C>(settings, numbers, whole, first, doubts, y, z);
                }
                if (!std::isfinite(batch.loss)) return;
                move_statistics(numbers.statistics);
                const float step = static_cast<float>(rate), decay = static_cast<float>(rate * settings.weight_decay);
                backward<C>(settings, {false, settings.plain(), step, decay}, numbers, rows, words);
            });
            total.loss += batch.loss;
            total.correct += batch.correct;
            if (!std::isfinite(batch.loss)) return at;
            ++*numbers.step;
            if (!settings.plain()) step_parameters(settings, rate, numbers, gradient_.get(), shape_.parameters);
        }
        return -1;
    }

    /// Adds the sums over rows begin..end of a data set that lies in tiles; begin is a multiple of kChunk. With `own`,
    /// each batch is normalised by its own statistics, and begin is a multiple of the batch size.
    void evaluate(const Settings& settings, const float* w, const float* statistics, bool own, const Rows& tiles,
                  std::int64_t begin, std::int64_t end, Sums& total) {
        for (Stage& s : stages_)
            if (s.batch_normed() && !own) {
                std::copy_n(statistics + s.moving_mean, s.normed_width, s.mean.get());
                std::copy_n(statistics + s.moving_variance, s.normed_width, s.variance.get());
            }
        const int size = own ? shape_.batch_size : kChunk, outputs = shape_.widths[shape_.layers];
        for (std::int64_t at = begin; at < end; at += size) {
            const int rows = static_cast<int>(std::min<std::int64_t>(size, end - at));
            for (int first = 0; first < rows; first += kChunk) {
                float* x = stages_[0].input.chunk<kChunk>(first / kChunk);
                from_tiles(tiles.inputs, shape_.widths[0], at + first, std::min(kChunk, rows - first), x);
            }
            forward<kChunk>(settings, w, rows, nullptr, own);
            for (int first = 0; first < rows; first += kChunk) {
                const int here = std::min(kChunk, rows - first);
                std::int32_t labels[kChunk] = {};
                if (tiles.labels != nullptr) {
                    std::copy_n(tiles.labels + at + first, here, labels);
                } else {
                    from_tiles(tiles.targets, outputs, at + first, here, targets_.chunk<kChunk>(0));
                }
                evaluation_loss<kChunk>(shape_, targets_.chunk<kChunk>(0), labels, here,
                                        stages_.back().error.chunk<kChunk>(first / kChunk), total);
            }
        }
    }

    /// Batch normalisation's statistics over the first `count` rows of a data set, in batches each of which is
    /// normalised by its own on the way; laid out as the moving ones.
    void pool(const Settings& settings, const float* w, const Rows& data, std::int64_t count,
              const Control& control, float* statistics) {
        std::vector<double> first(static_cast<std::size_t>(between_.statistics_size)), second(first);
        std::vector<std::int32_t> order(static_cast<std::size_t>(shape_.batch_size));
        for (std::int64_t at = 0; at < count && !control.stopped(); at += shape_.batch_size) {
            const int rows = static_cast<int>(std::min<std::int64_t>(shape_.batch_size, count - at));
            for (int b = 0; b < rows; ++b) order[b] = static_cast<std::int32_t>(at + b);
            sized(rows, [&](auto size) {
                constexpr int C = decltype(size)::value;
                gather_batch<C>(data, order.data(), rows);
                forward<C>(settings, w, rows, nullptr);
            });
            for (Stage& s : stages_)
                for (int u = 0; u < (s.batch_normed() ? s.normed_width : 0); ++u) {
                    const double mean = s.mean.get()[u];
                    first[s.moving_mean + u] += rows * mean;
                    second[s.moving_mean + u] += rows * (s.variance.get()[u] + mean * mean);
                }
        }
        for (Stage& s : stages_)
            for (int u = 0; u < (s.batch_normed() ? s.normed_width : 0); ++u) {
                const double mean = first[s.moving_mean + u] / static_cast<double>(count);
                const double square = second[s.moving_mean + u] / static_cast<double>(count);
                statistics[s.moving_mean + u] = static_cast<float>(mean);
                statistics[s.moving_variance + u] = static_cast<float>(std::max(0.0, square - mean * mean));
            }
    }

protected:
    static bool large(const Shape& shape) {
        return shape.parameters > kManyParameters && shape.batch_size > kLargeChunk / 2;
    }
    static int capacity(const Shape& shape) {
        const int size = large(shape) ? kLargeChunk : kChunk;
        return (shape.batch_size + size - 1) / size * size;
    }
    static int widest(const Shape& shape) {
        int found = 0;
        for (int l = 0; l < shape.layers; ++l) found = std::max(found, padded(shape.widths[l + 1]));
        return found * shape.between->factor;
    }
    /// Room for a gradient on its way back, where no product can put it into its place at once.
    static Panel spare(const Shape& shape) {
        const Between& b = *shape.between;
        const bool needed = b.residual || b.learned || b.factor > 1 || (b.norm != Norm::kNone && b.after);
        return Panel(needed ? widest(shape) : 0, capacity(shape));
    }

    /// Calls f with the rows of a chunk, as a constant, that suit a batch.
    template <class F>
    void sized(int rows, F&& f) const {
        if (large(shape_) && rows > kLargeChunk / 2) {
            f(std::integral_constant<int, kLargeChunk>{});
        } else if (rows > kChunk / 2) {
            f(std::integral_constant<int, kChunk>{});
        } else {
            f(std::integral_constant<int, kChunk / 2>{});
        }
    }

    template <int C>
    void gather_batch(const Rows& data, const std::int32_t* order, int rows) {
        for (int first = 0; first < rows; first += C)
            gather<C>(data.inputs, data.stride, shape_.widths[0], order + first, std::min(C, rows - first),
                      stages_[0].input.chunk<C>(first / C));
    }

    /// Whether a trial's activation has a trained slope: leaky relu by the slope among its parameters.
    bool learns(const Settings& settings) const { return between_.learned && settings.learned; }

    /// Whether nothing comes between a layer's activation and the next layer's product but factors.
    bool direct(const Settings& settings) const {
        const bool normed_after = between_.norm != Norm::kNone && between_.after;
        return !normed_after && between_.factor == 1 && !between_.residual && !learns(settings);
    }

    /// From the gathered inputs to the outputs, which lie in the last stage's `error`. Batch normalisation is by the
    /// batch's own statistics, or else by those in `mean` and `variance`. `watch` sees every hidden layer.
    template <int C, class Watch = Unwatched>
    void forward(const Settings& settings, const float* w, int rows, const std::uint32_t* words, bool own = true,
                 Watch&& watch = {}) {
        const int chunks = (rows + C - 1) / C;
        for (std::size_t l = 0; l < stages_.size(); ++l) {
            Stage& s = stages_[l];
            for (int c = 0; c < chunks; ++c) {
                float* x = s.input.chunk<C>(c);
                for (int b = 0; b < C; b += kLanes) store(x + static_cast<long>(s.fan_in) * C + b, splat(1.0f));
                forward_product<C>(w + s.weights, s.fan_in, s.fan_out, x, 0, s.error.chunk<C>(c));
            }
            if (!s.hidden) return;
            Panel& out = stages_[l + 1].input;
            if (s.normed && !between_.after) normalize<C>(s, s.error, w, rows, own);
            watch.arrived(l, s.error);
            for (int c = 0; c < chunks; ++c) activate<C>(settings, s, w, c, out.chunk<C>(c));
            if (!watch.goes_on(l, s.error, out)) return;
            if (s.normed && between_.after) normalize<C>(s, out, w, rows, own);
            for (int c = 0; c < chunks; ++c) {
                float* h = out.chunk<C>(c);
                if (words != nullptr) thin_out<C>(settings, l, words, c, h);
                if (!s.skip) continue;
                const float* x = s.input.chunk<C>(c);
                for (long i = 0; i < static_cast<long>(s.units) * C; i += kLanes) store(h + i, load(h + i) + load(x + i));
            }
        }
    }

    /// Dropout of a chunk; where a product finds the derivatives in `error`, they are masked on the way.
    template <int C>
    void thin_out(const Settings& settings, std::size_t l, const std::uint32_t* words, int c, float* h) {
        Stage& s = stages_[l];
        words += masks_.layer(l);
        if (direct(settings)) {
            drop<C, true>(words, masks_.block(), c * C, s.units, between_.enlarge, h, s.error.chunk<C>(c));
        } else {
            drop<C, false>(words, masks_.block(), c * C, s.units, between_.enlarge, h, nullptr);
        }
    }

    template <int C>
    void normalize(Stage& s, Panel& panel, const float* w, int rows, bool own) {
        const int chunks = (rows + C - 1) / C;
        float* inverse = s.inverse.get();
        if (between_.norm == Norm::kBatch) {
            if (own) batch_moments<C>(panel, rows, s.normed_width, s.mean.get(), s.variance.get());
            inverse_roots(s.variance.get(), between_.epsilon, s.normed_width, inverse);
            batch_normalize<C>(panel, s.hat, chunks, s.normed_width, s.mean.get(), inverse, w + s.gamma, w + s.beta);
            return;
        }
        for (int c = 0; c < chunks; ++c)
            layer_normalize<C>(panel.chunk<C>(c), s.hat.chunk<C>(c), s.normed_width, between_.epsilon, w + s.gamma,
                               w + s.beta, inverse + c * C);
    }

    /// From pre-activations in `error` to activations h, with the derivatives left in their place; gated units leave
    /// those by both halves.
    template <int C>
    void activate(const Settings& settings, Stage& s, const float* w, int c, float* h) {
        float* z = s.error.chunk<C>(c);
        const long n = static_cast<long>(s.units) * C;
        const Activation f = kActivations[settings.activation].value_and_derivative;
        if (between_.factor == 2) {
            float* gate = z + n;
            f(settings.activation_parameters, gate, h, n);
            for (long i = 0; i < n; i += kLanes) {
                const Vec a = load(z + i), g = load(h + i);
                store(z + i, g);
                store(gate + i, load(gate + i) * a);
                store(h + i, a * g);
            }
        } else if (learns(settings)) {
            float* negative = s.negative.chunk<C>(c);
            for (long i = 0; i < n; i += kLanes) store(negative + i, min(load(z + i), 0.0f));
            const float parameters[4] = {w[s.slope]};
            f(parameters, z, h, n);
        } else {
            f(settings.activation_parameters, z, h, n);
        }
    }

    void move_statistics(float* statistics) {
        for (Stage& s : stages_) {
            if (!s.batch_normed()) continue;
            const auto move = [&](float* kept, const float* found) {
                for (int u = 0; u < s.normed_width; ++u) kept[u] = fma(between_.fresh, found[u] - kept[u], kept[u]);
            };
            move(statistics + s.moving_mean, s.mean.get());
            move(statistics + s.moving_variance, s.variance.get());
        }
    }

    /// From the errors of the outputs to all gradients; plain gradient descent takes its step on the way. `watch` sees
    /// the error of every hidden layer.
    template <int C, class Watch = Unwatched>
    void backward(const Settings& settings, const GradientSink& sink, const Numbers& numbers, int rows,
                  const std::uint32_t* words, Watch&& watch = {}) {
        const int chunks = (rows + C - 1) / C;
        const Target all{gradient_.get(), numbers.w, numbers.residual};
        for (const Stage& s : stages_)  // also of a trial that trains none: the one before it may have
            if (s.hidden && between_.learned) gradient_.get()[s.slope] = 0;
        for (int l = shape_.layers - 1; l >= 0; --l) {
            Stage& s = stages_[l];
            if (l > 0) {
                if (direct(settings)) {
                    for (int c = 0; c < chunks; ++c) {
                        float* below = stages_[l - 1].error.chunk<C>(c);
                        backward_product<C>(numbers.w + s.weights, s.fan_in, s.fan_out, s.error.chunk<C>(c), below, 0,
                                            below);
                    }
                } else {
                    arrive<C>(l, numbers.w, chunks);
                    pass_back<C>(settings, l - 1, numbers.w, rows, words);
                }
                watch.returned(l - 1, stages_[l - 1].error);
                if (stages_[l - 1].normed && !between_.after)
                    unnormalize<C>(stages_[l - 1], stages_[l - 1].error, numbers.w, rows);
            }
            for (int c = 0; c < chunks; ++c) {
                float* delta = s.error.chunk<C>(c);
                transpose_delta<C>(delta, s.fan_out, rows_.get());
                const GradientSink own{c > 0, sink.descend && c + 1 == chunks, sink.rate, sink.decay};
                gradient_product<C>(s.input.chunk<C>(c), delta, rows_.get(), s.fan_in + s.biased, s.fan_out,
                                    all + s.weights, own);
            }
        }
        if (sink.descend) descend_between(all, sink);
    }

    /// The gradient of stage l's input, which is the output of the stage below.
    template <int C>
    void arrive(int l, const float* w, int chunks) {
        Stage& s = stages_[l];
        for (int c = 0; c < chunks; ++c) {
            float* below = arriving_[(l - 1) % 2].template chunk<C>(c);
            // A slope of 1 leaves the product as it is, whatever stands at the side.
            backward_product<C, Product::kBackwardRectified>(w + s.weights, s.fan_in, s.fan_out, s.error.chunk<C>(c),
                                                             s.input.chunk<C>(c), 1.0f, below);
            if (!s.skip) continue;
            const float* above = arriving_[l % 2].template chunk<C>(c);
            for (long i = 0; i < static_cast<long>(s.units) * C; i += kLanes)
                store(below + i, load(below + i) + load(above + i));
        }
    }

    /// From the gradient of a stage's output to that of what its activation took, in `error`.
    template <int C>
    void pass_back(const Settings& settings, int l, const float* w, int rows, const std::uint32_t* words) {
        const int chunks = (rows + C - 1) / C;
        Stage& s = stages_[l];
        Panel& arriving = arriving_[l % 2];
        const long n = static_cast<long>(s.units) * C;
        for (int c = 0; c < chunks; ++c) {
            float* d = passed_.chunk<C>(c);
            std::copy_n(arriving.chunk<C>(c), n, d);
            if (words != nullptr)
                drop<C, false>(words + masks_.layer(l), masks_.block(), c * C, s.units, between_.enlarge, d, nullptr);
        }
        if (s.normed && between_.after) unnormalize<C>(s, passed_, w, rows);
        for (int c = 0; c < chunks; ++c) {
            const float* d = passed_.chunk<C>(c);
            float* error = s.error.chunk<C>(c);
            if (learns(settings)) {
                const float* negative = s.negative.chunk<C>(c);
                gradient_.get()[s.slope] += static_cast<float>(product_sum(d, negative, n));
            }
            for (long i = 0; i < n; i += kLanes) {
                const Vec back = load(d + i);
                store(error + i, load(error + i) * back);
                if (between_.factor == 2) store(error + n + i, load(error + n + i) * back);
            }
        }
    }

    /// From the error behind a normalisation to the one before it, with the gradients of scale and shift.
    template <int C>
    void unnormalize(Stage& s, Panel& error, const float* w, int rows) {
        float* gamma = gradient_.get() + s.gamma;
        float* beta = gradient_.get() + s.beta;
        scale_gradients<C>(error, s.hat, rows, s.normed_width, gamma, beta);
        if (between_.norm == Norm::kBatch)
            return batch_backward<C>(error, s.hat, rows, s.normed_width, s.inverse.get(), w + s.gamma, gamma, beta);
        for (int c = 0; c < (rows + C - 1) / C; ++c)
            layer_backward<C>(error.chunk<C>(c), s.hat.chunk<C>(c), s.normed_width, s.inverse.get() + c * C,
                              w + s.gamma);
    }

    /// A step of plain gradient descent for scales, shifts and slopes, and of its decay for biases without a gradient.
    void descend_between(const Target& all, const GradientSink& sink) {
        const auto range = [&](std::int64_t first, std::int64_t last) {
            for (std::int64_t i = first; i < last; i += kLanes)
                descend(load(all.gradient + i), all + i, sink, [](const float* p) { return load(p); },
                        [](float* p, Vec v) { store(p, v); });
        };
        for (const Stage& s : stages_)
            for (int o = 0; o < (s.biased ? 0 : s.fan_out); ++o)
                descend(0.0f, all + (s.weights + static_cast<long>(s.fan_in) * s.fan_out + o), sink,
                        [](const float* p) { return *p; }, [](float* p, float v) { *p = v; });
        if (shape_.layers < 2) return;
        if (between_.norm != Norm::kNone) range(between_.scales[0], between_.scales[shape_.layers - 1]);
        if (between_.learned) range(between_.slopes[0], between_.slopes[shape_.layers - 1]);
    }

    const Shape& shape_;
    const Between& between_;
    Masks masks_;
    SureSigns signs_;
    Buffer gradient_;
    Panel arriving_[2];  // gradients of the outputs of a stage and the one above
    Panel passed_;
    Panel targets_;
    Buffer rows_;
    std::vector<Stage> stages_;
};

}  // namespace firstlight
