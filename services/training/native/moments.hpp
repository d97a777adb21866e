// Sums over the values of a layer or a matrix, in double.
#pragma once

#include <algorithm>

#include "panel.hpp"
#include "partial_sums.hpp"

namespace firstlight {

/// Mean and variance (ddof 0).
struct Moments {
    double mean = 0, variance = 0;
};

/// Calls f(address, n) for stretches of values that lie one after another: `width` units of a panel on its first rows.
template <int C, class F>
FL_INLINE void over_values(Panel& panel, int rows, int width, F&& f) {
    for (int first = 0; first < rows; first += C) {
        const float* at = panel.chunk<C>(first / C);
        if (rows - first >= C) {
            f(at, static_cast<long>(width) * C);
        } else {
            for (int u = 0; u < width; ++u) f(at + static_cast<long>(u) * C, static_cast<long>(rows - first));
        }
    }
}

/// Sums of values and squares, all less `origin`: near the values, so that a small variance keeps its digits.
class RunningMoments {
public:
    explicit RunningMoments(double origin) : origin_(origin) {}

    void add(const float* values, long n) {
        long i = 0;
        for (; i + kPartials <= n; i += kPartials)
            FL_UNROLL(8)
            for (int v = 0; v < DoublePartials::kVectors; ++v) {
                const Doubles away = load_doubles(values + i + v * kHalf) - origin_;
                first_.part[v] += away;
                second_.part[v] = fma(away, away, second_.part[v]);
            }
        for (; i < n; ++i) {
            const double away = values[i] - origin_;
            left_first_ += away, left_second_ = fma(away, away, left_second_);
        }
        count_ += n;
    }
    Moments moments() const {
        const double n = static_cast<double>(count_), away = (first_.sum() + left_first_) / n;
        const double variance = second() / n - away * away;
        return {origin_ + away, variance < 0 ? 0 : variance};
    }
    /// Sum of the squares.
    double second() const { return second_.sum() + left_second_; }

private:
    double origin_;
    DoublePartials first_, second_;
    double left_first_ = 0, left_second_ = 0;
    long count_ = 0;
};

template <int C>
Moments moments(Panel& panel, int rows, int width) {
    RunningMoments found(*panel.chunk<C>(0));
    over_values<C>(panel, rows, width, [&](const float* at, long n) { found.add(at, n); });
    return found.moments();
}

inline Moments moments(const float* values, long n) {
    RunningMoments found(values[0]);
    found.add(values, n);
    return found.moments();
}

/// Sum of the squares of `width` units on the first rows.
template <int C>
double squares(Panel& panel, int rows, int width) {
    RunningMoments found(0);
    over_values<C>(panel, rows, width, [&](const float* at, long n) { found.add(at, n); });
    return found.second();
}

inline double squares(const float* values, long n) {
    RunningMoments found(0);
    found.add(values, n);
    return found.second();
}

/// How many values are smaller than `bound` in absolute value.
template <int C>
std::int64_t flat(Panel& slopes, int rows, int width, float bound) {
    std::int64_t found = 0;
    over_values<C>(slopes, rows, width, [&](const float* at, long n) {
        Int below{};
        long i = 0;
        for (; i + kLanes <= n; i += kLanes) below -= abs(load(at + i)) < bound;
        for (; i < n; ++i) found += std::abs(at[i]) < bound;
        for (int lane = 0; lane < kLanes; ++lane) found += below[lane];
    });
    return found;
}

/// Whether a unit has a value other than zero on any of the first rows; NaN is none.
template <int C>
bool any_nonzero(Panel& panel, int rows, int unit) {
    for (int first = 0; first < rows; first += C) {
        const float* at = panel.chunk<C>(first / C) + static_cast<long>(unit) * C;
        for (int b = 0; b < std::min(C, rows - first); ++b)
            if (at[b] != 0) return true;
    }
    return false;
}

}  // namespace firstlight
