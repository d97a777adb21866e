// Weights with twice the digits of float32: a weight w and a residual that holds what rounding took from it.
//
// A weight of order 1 that moves by 1e-4 loses half of the step's digits to rounding, at every step anew. After some
// thousand steps such a network stands 1e-6 away from where exact arithmetic leads it, which is enough to flip the sign
// of a small error under the absolute loss: from there on the two part. With residuals the distance stays near 1e-7.
// The sum is Dekker's Fast2Sum (Numerische Mathematik 18, 1971), exact where the weight is the larger of the two.
#pragma once

namespace firstlight {

/// Returns w + change, rounded, and leaves in `residual` what rounding took. T is a float or a vector of them.
template <class T>
inline __attribute__((always_inline)) T compensated_sum(T w, T change, T& residual) {
    const T sum = w + change;
    residual = change - (sum - w);
    return sum;
}

}  // namespace firstlight
