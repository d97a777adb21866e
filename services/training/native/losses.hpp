// Losses: each turns a chunk of outputs into its error (in place) and adds up what the chunk's rows lost.
//
// Outputs, targets and errors are feature-major, as everything in a chunk. A row's loss is the mean over its outputs.
#pragma once

#include <algorithm>
#include <limits>

#include "partial_sums.hpp"
#include "products.hpp"
#include "vector_math.hpp"

namespace firstlight {

enum class Loss : int { kMae, kMse, kHuber, kCrossEntropy, kBinaryCrossEntropy };

/// Sums over rows. `loss` also serves training; the others are for evaluation.
struct Sums {
    double loss = 0;
    double absolute = 0;
    double squared = 0;
    std::int64_t correct = 0;
    double lowest = std::numeric_limits<double>::infinity();    // output of a regression
    double highest = -std::numeric_limits<double>::infinity();

    Sums& operator+=(const Sums& other) {
        loss += other.loss, absolute += other.absolute, squared += other.squared, correct += other.correct;
        lowest = std::min(lowest, other.lowest), highest = std::max(highest, other.highest);
        return *this;
    }
};

/// Rows of a chunk with a residual so small that float32 is not sure of its sign; see signs.hpp.
struct Doubts {
    explicit Doubts(float largest) : near(largest) {}

    float near;  // residuals up to this size are
    int count = 0;
    int rows[kLargeChunk];
};

/// One number of every row of a chunk, which are to be added up.
template <int C>
struct RowValues {
    float values[C];

    FL_INLINE void put(int row, Vec v) { store(values + row, v); }
    /// The sum over the first rows. Of a vector that has one of them, all lanes must have been put.
    FL_INLINE double sum(int rows) {
        const int last = (rows + kPartials - 1) / kPartials * kPartials;
        for (int row = padded(rows); row < last; row += kLanes) put(row, Vec{});
        return sum_in_double(values, last);
    }
};

/// `rows` of the chunk are real; the error of the others becomes zero. `scale` = 1 / (rows of the batch * outputs).
/// Training under the absolute loss also notes the doubtful rows.
template <int C, bool kTrain>
void regression_loss(Loss kind, float delta, float* z, const float* target, int outputs, int rows, float scale,
                     Sums& total, Doubts* doubts = nullptr) {
    RowValues<C> losses, sizes, squared;
    Vec lowest = splat(std::numeric_limits<float>::infinity()), highest = -lowest;
    for (int first = 0; first < rows; first += kLanes) {
        const Int real = first_lanes(rows - first);
        Vec lost{}, off{}, squares{};
        Int doubtful{};
        for (int o = 0; o < outputs; ++o) {
            float* at = z + o * C + first;
            const Vec difference = real ? load(at) - load(target + o * C + first) : Vec{};
            const Vec size = abs(difference);
            Vec error;
            if (kind == Loss::kMae) {
                lost += size;
                error = difference == 0.0f ? Vec{} : copysign(splat(1.0f), difference);
                error = difference == difference ? error : difference;
                if (kTrain) doubtful |= size <= doubts->near;
            } else if (kind == Loss::kMse) {
                lost = fma(difference, difference, lost);
                error = 2.0f * difference;
            } else {
                lost += size <= delta ? 0.5f * difference * difference : delta * (size - 0.5f * delta);
                error = max(min(difference, delta), -delta);
            }
            if (kTrain) {
                store(at, error * scale);
            } else {
                off += size, squares = fma(difference, difference, squares);
                lowest = real ? min(lowest, load(at)) : lowest, highest = real ? max(highest, load(at)) : highest;
            }
        }
        losses.put(first, lost);
        if (kTrain && any(doubtful & real))
            for (int i = 0; i < std::min(kLanes, rows - first); ++i)
                if (doubtful[i]) doubts->rows[doubts->count++] = first + i;
        if (!kTrain) sizes.put(first, off), squared.put(first, squares);
    }
    if (kTrain)  // vectors without a single real row
        for (int first = (rows + kLanes - 1) / kLanes * kLanes; first < C; first += kLanes)
            for (int o = 0; o < outputs; ++o) store(z + o * C + first, Vec{});
    total.loss += losses.sum(rows) / outputs;
    if (!kTrain)
        for (int i = 0; i < kLanes; ++i) {
            total.lowest = std::min(total.lowest, static_cast<double>(lowest[i]));
            total.highest = std::max(total.highest, static_cast<double>(highest[i]));
        }
    if (!kTrain) total.absolute += sizes.sum(rows), total.squared += squared.sum(rows);
}

/// Softmax cross-entropy of logits against class numbers; counts the rows whose first largest logit is the class.
template <int C, bool kTrain>
void cross_entropy_loss(float* z, const std::int32_t* labels, int outputs, int rows, float scale, Sums& total) {
    RowValues<C> losses;
    for (int first = 0; first < C; first += kLanes) {
        const Int real = first_lanes(rows - first);
        Int label;
        std::memcpy(&label, labels + first, sizeof(label));
        Vec largest = load(z + first);
        Vec own = label == 0 ? largest : Vec{};
        Int best{};
        for (int o = 1; o < outputs; ++o) {
            const Vec logit = load(z + o * C + first);
            best = logit > largest ? Int{} + o : best;
            largest = max(logit, largest);
            own = label == o ? logit : own;
        }
        Vec mass{};
        for (int o = 0; o < outputs; ++o) {
            const Vec share = exponential(load(z + o * C + first) - largest);
            mass += share;
            if (kTrain) store(z + o * C + first, share);
        }
        const Vec lost = real ? logarithm(mass) + largest - own : Vec{};
        losses.put(first, lost);
        const Int hits = real & (best == label);
        for (int i = 0; i < kLanes; ++i) total.correct -= hits[i];
        if (!kTrain) continue;
        const Vec weight = real ? scale / mass : Vec{};
        const Vec share = real ? splat(scale) : Vec{};
        for (int o = 0; o < outputs; ++o) {
            float* at = z + o * C + first;
            store(at, fma(load(at), weight, label == o ? -share : Vec{}));
        }
    }
    total.loss += losses.sum(C);
}

/// Cross-entropy of one logit, whose logistic function is the probability of class 1, against classes 0 and 1; counts
/// the rows whose logit is on the side of zero of their class. A logit that is not finite has no finite loss.
template <int C, bool kTrain>
void binary_cross_entropy_loss(float* z, const std::int32_t* labels, int rows, float scale, Sums& total) {
    RowValues<C> losses;
    for (int first = 0; first < C; first += kLanes) {
        const Int real = first_lanes(rows - first);
        Int label;
        std::memcpy(&label, labels + first, sizeof(label));
        const Vec logit = load(z + first);
        const Vec one = label == 1 ? splat(1.0f) : Vec{};
        // The difference first: it is exactly zero on the right side, so that a small loss keeps its digits.
        const Vec lost = fnma(one, logit, max(logit, 0.0f)) + log_one_plus(exponential(-abs(logit)));
        losses.put(first, real ? lost : Vec{});
        const Int hits = real & ((logit > 0.0f) == (label == 1));
        for (int i = 0; i < kLanes; ++i) total.correct -= hits[i];
        if (!kTrain) continue;
        const Vec side = fnma(2.0f, one, 1.0f);  // logistic(z) - 1 = -logistic(-z)
        store(z + first, real ? scale * side * logistic(side * logit) : Vec{});
    }
    total.loss += losses.sum(C);
}

}  // namespace firstlight
