// Counts of values between fixed edges.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "moments.hpp"

namespace firstlight {

/// Edges of a histogram; see HISTOGRAM_EDGES in services/science/diagnostics.py.
constexpr int kEdges = 41;

/// A value belongs to bin k when k edges are at most as large as it is. Where a value lies among the edges is looked up
/// by its sign, exponent and first digits, and corrected by the edges that lie within the same digits: one at most, if
/// edges lie further apart than an eighth of their size.
class Histogram {
public:
    explicit Histogram(const float* edges) {
        std::copy_n(edges, kEdges, edges_);
        edges_[kEdges] = std::numeric_limits<float>::quiet_NaN();  // which no value reaches
        for (std::uint32_t key = 0; key < kKeys; ++key) {
            const bool negative = key >> (31 - kShift);
            const float nearer = value(key << kShift), farther = value((key << kShift) | ((1u << kShift) - 1));
            const float low = negative ? farther : nearer, high = negative ? nearer : farther;
            const bool infinite = std::isinf(nearer);  // farther is NaN, but none that arithmetic makes
            first_[key] = static_cast<std::uint8_t>(infinite ? (negative ? 0 : kEdges) : bin(low));
            if (!infinite && low <= high) steps_ = std::max(steps_, bin(high) - bin(low));
        }
    }

    /// Adds the values of `width` units of a panel on its first rows to counts[kEdges + 1]; NaN goes to the last.
    template <int C>
    void count(Panel& panel, int rows, int width, std::int64_t* counts) const {
        std::uint32_t part[kParts][kEdges + 1 + kParts] = {};
        over_values<C>(panel, rows, width, [&](const float* at, long n) {
            if (steps_ <= 1) {
                add(at, n, part, [this](float x, int k) { return k + (x >= edges_[k]); });
            } else {
                add(at, n, part, [this](float x, int k) {
                    for (int step = 0; step < steps_; ++step) k += x >= edges_[k];
                    return k;
                });
            }
        });
        for (const auto& own : part)
            for (int k = 0; k <= kEdges; ++k) counts[k] += own[k];
    }

private:
    static constexpr int kShift = 20;  // leaves the sign, eight digits of the exponent and three of the fraction
    static constexpr std::uint32_t kKeys = 1u << (32 - kShift);
    static constexpr int kParts = 4;   // counted apart, so that equal neighbours need not wait for one another

    static float value(std::uint32_t bits) {
        float found;
        std::memcpy(&found, &bits, sizeof(found));
        return found;
    }
    /// NaN is above every edge.
    int bin(float x) const { return static_cast<int>(std::upper_bound(edges_, edges_ + kEdges, x) - edges_); }

    template <class F>
    void add(const float* at, long n, std::uint32_t (&part)[kParts][kEdges + 1 + kParts], F&& correct) const {
        const auto found = [&](float x) {
            std::uint32_t bits;
            std::memcpy(&bits, &x, sizeof(bits));
            return correct(x, first_[bits >> kShift]);
        };
        long i = 0;
        for (; i + kParts <= n; i += kParts)
            for (int p = 0; p < kParts; ++p) ++part[p][found(at[i + p])];
        for (; i < n; ++i) ++part[0][found(at[i])];
    }

    float edges_[kEdges + 1];
    std::uint8_t first_[kKeys] = {};
    int steps_ = 0;
};

}  // namespace firstlight
