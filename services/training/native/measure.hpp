// What the layers of a trial look like: signals on validation rows, gradients on training rows, dead units.
//
// The quantities are those of services/training/diagnostics.py, as the network in float32 finds them; they are summed in
// double.
#pragma once

#include <cmath>
#include <vector>

#include "histogram.hpp"
#include "moments.hpp"
#include "stages.hpp"

namespace firstlight {

/// What is to be measured, and on what; laid out as the structure of the same name in structures.py.
struct Probe {
    const Rows* training;
    const Rows* validation;       // in tiles
    std::int64_t gradient_rows;   // the first of each
    std::int64_t signal_rows;
    std::int32_t signals;         // whether the moments, saturation and histogram are wanted
    std::int32_t dead;            // whether dead units are
    std::int32_t gradients;
    std::int32_t edges_count;     // kEdges
    const float* edges;           // of the histogram
    const float* flat_below;      // per trial: slopes under this are flat
    const std::uint8_t* healthy;  // per trial: whether it is measured
};

/// The numbers of one layer of one trial; laid out as LAYER in structures.py.
struct LayerNumbers {
    Moments pre, post;
    double gradient_norm, gradient_variance, backward_second_moment;
    std::int64_t flat;  // activations with a flat slope
    std::int64_t dead;  // units
    std::int64_t counts[kEdges + 1];
};

/// One thread's buffers. The shape's batches are as long as the most rows that are looked at together.
class ProbeWorkspace : public StagedWorkspace {
public:
    explicit ProbeWorkspace(const Shape& shape) : StagedWorkspace(shape), alive_(stages_.size()) {
        for (std::size_t l = 0; l < stages_.size(); ++l) alive_[l].resize(static_cast<std::size_t>(stages_[l].units));
    }

    /// Measures a trial: one entry of `found` for every layer.
    void measure(const Settings& settings, float* w, const Probe& probe, const Histogram& histogram, float flat_below,
                 LayerNumbers* found) {
        if (probe.signals || probe.dead) signals(settings, w, probe, histogram, flat_below, found);
        if (probe.dead) confirm(settings, w, probe, found);
        if (probe.gradients) gradients(settings, w, probe, found);
    }

private:
    static constexpr int C = kChunk;

    struct Signals : Unwatched {
        ProbeWorkspace& of;
        const Probe& probe;
        const Histogram& histogram;
        float flat_below;
        int rows;
        LayerNumbers* found;

        void arrived(std::size_t l, Panel& z) {
            if (probe.signals) found[l].pre = moments<C>(z, rows, of.stages_[l].fan_out);
        }
        bool goes_on(std::size_t l, Panel& slopes, Panel& h) {
            const int units = of.stages_[l].units;
            if (probe.signals) {
                found[l].post = moments<C>(h, rows, units);
                histogram.count<C>(h, rows, units, found[l].counts);
                if (of.between_.factor == 1) found[l].flat = flat<C>(slopes, rows, units, flat_below);
            }
            of.look(l, rows, slopes, h);
            return true;
        }
    };

    /// Looks for life in the units not known to live, up to the last layer that has any.
    struct Search : Unwatched {
        ProbeWorkspace& of;
        int rows;
        std::size_t last;

        bool goes_on(std::size_t l, Panel& slopes, Panel& h) {
            of.look(l, rows, slopes, h);
            return l < last;
        }
    };

    struct Errors : Unwatched {
        ProbeWorkspace& of;
        int rows;
        LayerNumbers* found;

        void returned(std::size_t l, Panel& error) {
            const int width = of.stages_[l].fan_out;
            // The mean loss has a share of 1 / rows of each row's.
            found[l].backward_second_moment = squares<C>(error, rows, width) * rows / width;
        }
    };

    void signals(const Settings& settings, const float* w, const Probe& probe, const Histogram& histogram,
                 float flat_below, LayerNumbers* found) {
        for (std::vector<std::uint8_t>& layer : alive_) std::fill(layer.begin(), layer.end(), 0);
        const int rows = arrange(*probe.validation, 0, probe.signal_rows);
        forward<C>(settings, w, rows, nullptr, true, Signals{{}, *this, probe, histogram, flat_below, rows, found});
        const std::size_t last = stages_.size() - 1;
        if (probe.signals) found[last].pre = moments<C>(stages_[last].error, rows, stages_[last].fan_out);
    }

    void confirm(const Settings& settings, const float* w, const Probe& probe, LayerNumbers* found) {
        for (std::int64_t at = probe.signal_rows; at < probe.validation->count; at += probe.signal_rows) {
            int last = static_cast<int>(stages_.size()) - 2;
            while (last >= 0 && dead(static_cast<std::size_t>(last)) == 0) --last;
            if (last < 0) break;
            const int rows = arrange(*probe.validation, at, probe.signal_rows);
            forward<C>(settings, w, rows, nullptr, true, Search{{}, *this, rows, static_cast<std::size_t>(last)});
        }
        for (std::size_t l = 0; l + 1 < stages_.size(); ++l) found[l].dead = dead(l);
    }

    void gradients(const Settings& settings, float* w, const Probe& probe, LayerNumbers* found) {
        const Rows& data = *probe.training;
        const int rows = static_cast<int>(std::min(data.count, probe.gradient_rows));
        std::vector<std::int32_t> order(static_cast<std::size_t>(rows));
        for (int b = 0; b < rows; ++b) order[static_cast<std::size_t>(b)] = b;
        gather_batch<C>(data, order.data(), rows);
        forward<C>(settings, w, rows, nullptr);
        Panel& outputs = stages_.back().error;
        Sums batch;
        for (int first = 0; first < rows; first += C) {
            Doubts none{-1.0f};
            training_loss<C>(shape_, data, order.data() + first, std::min(C, rows - first), rows, targets_.chunk<C>(0),
                             outputs.chunk<C>(first / C), batch, none);
        }
        Errors errors{{}, *this, rows, found};
        errors.returned(stages_.size() - 1, outputs);
        const Numbers numbers{w, nullptr, nullptr, nullptr, nullptr, 0, 0};
        backward<C>(settings, {false, false, 0, 0}, numbers, rows, nullptr, errors);
        for (std::size_t l = 0; l < stages_.size(); ++l) {
            const Stage& s = stages_[l];
            const long weights = static_cast<long>(s.fan_in) * s.fan_out;
            const Moments all = moments(gradient_.get() + s.weights, weights);
            found[l].gradient_variance = all.variance;
            found[l].gradient_norm = std::sqrt(squares(gradient_.get() + s.weights, weights));
        }
    }

    /// Puts validation rows into the first stage's input, at most `most` from row `at` on; how many there are.
    int arrange(const Rows& tiles, std::int64_t at, std::int64_t most) {
        const int rows = static_cast<int>(std::min(most, tiles.count - at));
        for (int first = 0; first < rows; first += C)
            from_tiles(tiles.inputs, shape_.widths[0], at + first, std::min(C, rows - first),
                       stages_[0].input.chunk<C>(first / C));
        return rows;
    }

    /// Takes note of the units of a layer that pass a gradient on any of the rows; of gated ones, that give a value.
    void look(std::size_t l, int rows, Panel& slopes, Panel& h) {
        Panel& panel = between_.factor == 1 ? slopes : h;
        for (std::size_t u = 0; u < alive_[l].size(); ++u)
            if (!alive_[l][u]) alive_[l][u] = any_nonzero<C>(panel, rows, static_cast<int>(u));
    }

    std::int64_t dead(std::size_t l) const { return std::count(alive_[l].begin(), alive_[l].end(), 0); }

    std::vector<std::vector<std::uint8_t>> alive_;  // per layer and unit
};

}  // namespace firstlight
