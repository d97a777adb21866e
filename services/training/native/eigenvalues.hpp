// Eigenvalues of many small symmetric matrices, a matrix per lane.
//
// Householder reflections make a matrix tridiagonal, then rational QL steps with Wilkinson's shift split off one
// eigenvalue after another (Pal, Walker & Kahan; Parlett 1980, The Symmetric Eigenvalue Problem, section 8-15). What is
// within a rounding of the largest diagonal entry counts as zero.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "partial_sums.hpp"

namespace firstlight {

typedef std::int64_t Longs __attribute__((vector_size(kHalf * 8)));

FL_INLINE Doubles doubles(double x) { return Doubles{} + x; }
FL_INLINE Doubles square_root(Doubles x) {
    Doubles root;
    for (int i = 0; i < kHalf; ++i) root[i] = std::sqrt(x[i]);
    return root;
}

/// Room for kHalf matrices with `size` rows.
class Eigenvalues {
public:
    explicit Eigenvalues(int size)
        : n_(size), matrix_(static_cast<std::size_t>(size) * size), diagonal_(size), squares_(size), v_(size), q_(size) {}

    /// From `count` <= kHalf matrices, one after another, to the eigenvalues of each, in no particular order; NaN where
    /// the steps do not come to an end.
    void find(const double* matrices, int count, double* values) {
        const std::size_t all = static_cast<std::size_t>(n_) * n_;
        std::fill(matrix_.begin(), matrix_.end(), Doubles{});
        for (int lane = 0; lane < count; ++lane)
            for (std::size_t i = 0; i < all; ++i) matrix_[i][lane] = matrices[lane * all + i];
        Doubles largest{};
        for (int i = 0; i < n_; ++i) largest = at(i, i) > largest ? at(i, i) : largest;
        const Doubles scale = largest > 0.0 ? largest : doubles(1.0);
        const Doubles inverse = 1.0 / scale;
        for (Doubles& entry : matrix_) entry *= inverse;
        tridiagonal();
        const Doubles known = split() ? scale : doubles(std::nan(""));
        for (int lane = 0; lane < count; ++lane)
            for (int i = 0; i < n_; ++i) values[lane * n_ + i] = diagonal_[i][lane] * known[lane];
    }

private:
    Doubles& at(int row, int column) { return matrix_[static_cast<std::size_t>(row) * n_ + column]; }

    /// Leaves the diagonal and the squares beside it; only the lower half of the matrix is used.
    void tridiagonal() {
        for (int k = 0; k < n_; ++k) {
            diagonal_[k] = at(k, k);
            squares_[k] = Doubles{};
            if (k + 1 < n_) reflect(k);
        }
    }

    /// Turns the column below entry k of the diagonal onto its first entry: v is the mirror's normal, v v / 2 = h.
    void reflect(int k) {
        const int first = k + 1;
        for (int i = first; i < n_; ++i) v_[i] = at(i, k), squares_[k] = fma(v_[i], v_[i], squares_[k]), q_[i] = Doubles{};
        if (first + 1 == n_) return;
        const Doubles norm = square_root(squares_[k]);
        const Doubles size = v_[first] < 0.0 ? -v_[first] : v_[first], h = fma(size, norm, squares_[k]);
        const Doubles inverse = h > 0.0 ? 1.0 / h : Doubles{};
        v_[first] += v_[first] < 0.0 ? -norm : norm;
        Doubles along{};
        for (int i = first; i < n_; ++i) {
            const Doubles* row = &at(i, 0);
            Doubles even = row[i] * v_[i], odd{};
            const Doubles own = v_[i];
            int j = first;
            for (; j + 1 < i; j += 2) {
                even = fma(row[j], v_[j], even), odd = fma(row[j + 1], v_[j + 1], odd);
                q_[j] = fma(row[j], own, q_[j]), q_[j + 1] = fma(row[j + 1], own, q_[j + 1]);
            }
            if (j < i) even = fma(row[j], v_[j], even), q_[j] = fma(row[j], own, q_[j]);
            q_[i] += even + odd;
        }
        for (int i = first; i < n_; ++i) q_[i] *= inverse, along = fma(q_[i], v_[i], along);
        along *= 0.5 * inverse;
        for (int i = first; i < n_; ++i) q_[i] = fnma(along, v_[i], q_[i]);
        for (int i = first; i < n_; ++i) {
            Doubles* row = &at(i, 0);
            const Doubles a = v_[i], b = q_[i];
            for (int j = first; j <= i; ++j) row[j] = fnma(a, q_[j], fnma(b, v_[j], row[j]));
        }
    }

    /// Steps until nothing is left beside the diagonal; false when that takes too many.
    bool split() {
        constexpr double kTiny = std::numeric_limits<double>::epsilon() * std::numeric_limits<double>::epsilon();
        for (int steps = 0, begin = 0; steps < 30 * n_; ++steps) {
            // Each lane works on its first block: from `low` to before the next zero beside the diagonal, `high`.
            Longs low = Longs{} + n_, high = Longs{} + (n_ - 1), zero = high;
            for (int i = n_ - 2; i >= begin; --i) {
                const Longs some = squares_[i] > kTiny;
                low = some ? Longs{} + i : low;
                high = some ? zero : high;
                zero = some ? zero : Longs{} + i;
            }
            int first = n_, last = 0;
            for (int lane = 0; lane < kHalf; ++lane) {
                first = std::min(first, static_cast<int>(low[lane]));
                if (low[lane] < n_) last = std::max(last, static_cast<int>(high[lane]));
            }
            if (first == n_) return true;
            begin = first;
            step(low, high, first, last);
        }
        return false;
    }

    void step(Longs low, Longs high, int first, int last) {
        Doubles here{}, next{}, beside = doubles(1.0);
        for (int lane = 0; lane < kHalf; ++lane) {
            const auto l = static_cast<std::size_t>(low[lane]);
            if (low[lane] >= n_) continue;
            here[lane] = diagonal_[l][lane], next[lane] = diagonal_[l + 1][lane], beside[lane] = squares_[l][lane];
        }
        beside = square_root(beside);
        const Doubles half = (next - here) / (2.0 * beside), root = square_root(fma(half, half, doubles(1.0)));
        const Doubles shift = here - beside / (half + (half < 0.0 ? -root : root));
        Doubles c{}, s{}, gamma{}, p{};
        for (int i = last - 1; i >= first; --i) {
            const Longs active = (low <= i) & (high > i), start = high == i + 1;
            const Doubles below = diagonal_[i + 1] - shift;
            c = start ? doubles(1.0) : c;
            s = start ? Doubles{} : s;
            gamma = start ? below : gamma;
            p = start ? below * below : p;
            const Doubles square = squares_[i], r = p + square, inverse = 1.0 / r;
            squares_[i + 1] = active & ~start ? s * r : squares_[i + 1];
            const Doubles before = c, old = gamma, entry = diagonal_[i];
            c = p * inverse;
            s = square * inverse;
            gamma = fnma(s, old, c * (entry - shift));
            diagonal_[i + 1] = active ? old + (entry - gamma) : diagonal_[i + 1];
            p = c != 0.0 ? gamma * gamma / c : before * square;
            const Longs end = active & (low == i);
            squares_[i] = end ? s * p : squares_[i];
            diagonal_[i] = end ? shift + gamma : entry;
        }
    }

    int n_;
    std::vector<Doubles> matrix_, diagonal_, squares_, v_, q_;
};

}  // namespace firstlight
