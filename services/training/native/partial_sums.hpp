// Sums along the lanes in an order that does not depend on how many lanes a vector has.
//
// A sum over values 0, 1, 2, ... is made of kPartials partial sums: value i goes to partial sum i % kPartials. In the
// end the upper half is added to the lower half, until one number is left.
#pragma once

#include "vector.hpp"

namespace firstlight {

template <int S>
FL_INLINE void fold_stage(Vec* v) {
    // Lanes in even blocks of S keep a sum of v[i]'s lanes, those in odd blocks of v[i + S]'s.
    FL_UNROLL(16)
    for (int i = 0; i < S; ++i) {
        const Vec crossed = swap_blocks<S>(v[i], v[i + S], LaneSequence{});
        const Int odd = odd_blocks<S>(LaneSequence{});
        v[i] = (odd ? v[i + S] : v[i]) + crossed;
    }
}

/// kPartials partial sums.
struct Partials {
    Vec part[kPartialVectors] = {};

    /// The partial sums as kLanes, the upper halves added to the lower.
    FL_INLINE Vec folded() const {
        Vec left[kPartialVectors];
        FL_UNROLL(4)
        for (int i = 0; i < kPartialVectors; ++i) left[i] = part[i];
        FL_UNROLL(4)
        for (int half = kPartialVectors / 2; half > 0; half /= 2)
            FL_UNROLL(4)
            for (int i = 0; i < half; ++i) left[i] += left[i + half];
        return left[0];
    }
};

/// The sum of each of kLanes sets of partial sums, in the lane of its number.
FL_INLINE Vec sums(const Partials* partials) {
    Vec v[kLanes];
    FL_UNROLL(16)
    for (int i = 0; i < kLanes; ++i) v[i] = partials[i].folded();
    if constexpr (kLanes >= 16) fold_stage<8 % kLanes>(v);
    if constexpr (kLanes >= 8) fold_stage<4 % kLanes>(v);
    fold_stage<2>(v);
    fold_stage<1>(v);
    return v[0];
}

/// Lanes of a vector of doubles.
constexpr int kHalf = kLanes / 2;
typedef float HalfVec __attribute__((vector_size(kHalf * 4), aligned(4), may_alias));
typedef double Doubles __attribute__((vector_size(kHalf * 8)));

FL_INLINE Doubles load_doubles(const float* p) {
    return __builtin_convertvector(*reinterpret_cast<const HalfVec*>(p), Doubles);
}

/// a * b + c, rounded once.
FL_INLINE Doubles fma(Doubles a, Doubles b, Doubles c) {
#if defined(FL_AVX512)
    return _mm512_fmadd_pd(a, b, c);
#elif defined(FL_AVX2)
    return _mm256_fmadd_pd(a, b, c);
#else
    return vfmaq_f64(c, a, b);
#endif
}
/// c - a * b, rounded once.
FL_INLINE Doubles fnma(Doubles a, Doubles b, Doubles c) {
#if defined(FL_AVX512)
    return _mm512_fnmadd_pd(a, b, c);
#elif defined(FL_AVX2)
    return _mm256_fnmadd_pd(a, b, c);
#else
    return vfmsq_f64(c, a, b);
#endif
}

/// kPartials partial sums in double.
struct DoublePartials {
    static constexpr int kVectors = kPartials / kHalf;
    Doubles part[kVectors] = {};

    FL_INLINE double sum() const {
        double left[kPartials];
        FL_UNROLL(8)
        for (int i = 0; i < kVectors; ++i) std::memcpy(left + i * kHalf, part + i, sizeof(Doubles));
        FL_UNROLL(4)
        for (int half = kPartials / 2; half > 0; half /= 2)
            FL_UNROLL(8)
            for (int i = 0; i < half; ++i) left[i] += left[i + half];
        return left[0];
    }
};

/// The sum of `n` numbers, a multiple of kPartials, in double.
FL_INLINE double sum_in_double(const float* values, long n) {
    DoublePartials total;
    for (long i = 0; i < n; i += kPartials)
        FL_UNROLL(8)
        for (int j = 0; j < DoublePartials::kVectors; ++j) total.part[j] += load_doubles(values + i + j * kHalf);
    return total.sum();
}

/// The sum of partial sums, in double.
FL_INLINE double sum_in_double(const Partials& partials) {
    float values[kPartials];
    FL_UNROLL(4)
    for (int i = 0; i < kPartialVectors; ++i) store(values + i * kLanes, partials.part[i]);
    return sum_in_double(values, kPartials);
}

/// The sum of a[i] * b[i] over `n` numbers, a multiple of kPartials.
FL_INLINE double product_sum(const float* a, const float* b, long n) {
    Partials total;
    for (long i = 0; i < n; i += kPartials)
        FL_UNROLL(4)
        for (int v = 0; v < kPartialVectors; ++v) {
            const long at = i + v * kLanes;
            total.part[v] = fma(load(a + at), load(b + at), total.part[v]);
        }
    return sum_in_double(total);
}

}  // namespace firstlight
