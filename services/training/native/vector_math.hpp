// Elementary functions on vectors, accurate to a few units in the last place of float32, the same to the bit on every
// processor: fused multiply-adds, quotients and square roots are rounded as IEEE 754 asks, and nothing else is used.
//
// The coefficients are minimax fits made for this project (weighted least squares, reweighted until the relative error
// is level). Every function lets NaN through.
#pragma once

#include <cmath>
#include <initializer_list>

#include "vector.hpp"

namespace firstlight {

template <int N>
FL_INLINE Vec polynomial(Vec x, const float (&c)[N]) {
    Vec value = splat(c[N - 1]);
    FL_UNROLL(16)
    for (int i = N - 2; i >= 0; --i) value = fma(value, x, c[i]);
    return value;
}

/// Square root, correctly rounded.
FL_INLINE Vec square_root(Vec x) {
#if defined(FL_AVX512)
    // Half the time of the instruction: Newton's steps from its estimate, and a last one by the exact remainder
    // (Markstein 1990). Exact remainders need x far from the subnormal numbers; a test tries every significand.
    const __mmask16 zero = _mm512_cmp_ps_mask(x, Vec{}, _CMP_EQ_OQ);
    const __mmask16 usual = _mm512_cmp_ps_mask(x, splat(1e-28f), _CMP_GE_OQ) & _mm512_cmp_ps_mask(x, splat(3e38f), _CMP_LT_OQ);
    if (__builtin_expect((zero | usual) != 0xffff, 0)) return _mm512_maskz_sqrt_ps(0xffff, x);
    const Vec inverse = _mm512_maskz_rsqrt14_ps(usual, x);
    Vec root = x * inverse, half = 0.5f * inverse;
    const Vec left = fnma(root, half, 0.5f);
    root = fma(root, left, root), half = fma(half, left, half);
    return fma(fnma(root, root, x), half, root);
#elif defined(FL_AVX2)
    return _mm256_sqrt_ps(x);
#else
    return vsqrtq_f32(x);
#endif
}

FL_INLINE Vec to_float(Int v) { return __builtin_convertvector(v, Vec); }

/// The nearest whole number of |x| < 2^22, as a float and (low bits) as an integer.
FL_INLINE Vec nearest(Vec x, Int& whole) {
    constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: adding it leaves no fraction bits
    const Vec shifted = x + kShift;
    whole = bits(shifted) - 0x4b400000;
    return shifted - kShift;
}

FL_INLINE Vec exponential(Vec x) {
    Int n;
    const Vec clipped = min(max(x, -87.3f), 88.72f);
    const Vec whole = nearest(clipped * 1.44269504f, n);
    const Vec r = fnma(whole, 1.42860682e-06f, fnma(whole, 0.693145752f, clipped));  // ln 2 in two parts
    const Vec tail = polynomial(r, {0.499999995f, 0.166665737f, 0.0416668609f, 0.00836373985f, 0.00139015338f});
    const Vec value = (1.0f + fma(r * r, tail, r)) * 2.0f * from_bits((n + 126) << 23);  // n may be 128
    return x < -87.3f ? Vec{} : (x > 88.72f ? splat(HUGE_VALF) : value);
}

FL_INLINE Vec hyperbolic_tangent(Vec x) {
    // Fitted up to 9.02, where tanh rounds to 1; at 9.5 the quotient lies above 1, so that far out exactly 1 comes out.
    // Fitted with both constants at 1 and the errors balanced where most arguments lie: a bias of a third of a rounding
    // leads a trained network as far away as several roundings at random do.
    const Vec y = min(max(x, -9.5f), 9.5f);
    const Vec u = y * y;
    const Vec p = polynomial(u, {1.0f, 0.134049013f, 0.00352344196f, 2.10443086e-05f, 1.39100118e-08f});
    const Vec q = polynomial(u, {1.0f, 0.467382312f, 0.0259842928f, 0.000333022093f, 8.01414103e-07f});
    return min(max(y * p / q, -1.0f), 1.0f);
}

FL_INLINE Vec logistic(Vec x) { return 1.0f / (1.0f + exponential(min(-x, 87.0f))); }

FL_INLINE Vec error_function(Vec x) {
    const Vec y = min(max(x, -4.05f), 4.05f);  // as in hyperbolic_tangent; fitted up to 3.92
    const Vec u = y * y;
    const Vec p =
        polynomial(u, {1.12837915f, 0.190407652f, 0.0527488849f, 0.00376566861f, 0.000284883996f, 2.05007978e-06f});
    const Vec q = polynomial(u, {1.0f, 0.502077129f, 0.114109606f, 0.0149693207f, 0.0011625482f, 3.80917035e-05f});
    return min(max(y * p / q, -1.0f), 1.0f);
}

/// ln(1 + t) for 0 <= t <= 1.
FL_INLINE Vec log_one_plus(Vec t) {
    const Vec s = t / (t + 2.0f);
    const Vec u = s * s;
    return 2.0f * s *
           polynomial(u, {1.0f, 0.333333397f, 0.199993455f, 0.143103611f, 0.106966253f, 0.122065342f});
}

/// Natural logarithm of normal numbers > 0; infinity and NaN stay.
FL_INLINE Vec logarithm(Vec x) {
    // x = 2^n * m with sqrt(1/2) <= m < sqrt(2)
    const Int n = (bits(x) - 0x3f3504f3) >> 23;
    const Vec m = from_bits(bits(x) - (n << 23));
    const Vec s = (m - 1.0f) / (m + 1.0f);
    const Vec u = s * s;
    const Vec part = 2.0f * s * polynomial(u, {1.0f, 0.333333326f, 0.200001931f, 0.142674812f, 0.118089618f});
    const Vec value = fma(to_float(n), 0.693145752f, fma(to_float(n), 1.42860682e-06f, part));
    return x < HUGE_VALF ? value : x;
}

/// ln(1 + e^x).
FL_INLINE Vec softplus(Vec x) { return max(x, 0.0f) + log_one_plus(exponential(-abs(x))); }

/// e^x - 1 for x <= 0.
FL_INLINE Vec exponential_minus_one(Vec x) {
    // e^x - 1 = 2 t / (1 - t), t = tanh(x / 2): no cancellation near zero.
    const Vec u = 0.25f * x * x;
    const Vec p = polynomial(u, {1.0f, 0.134049013f, 0.00352344196f, 2.10443086e-05f, 1.39100118e-08f});
    const Vec q = polynomial(u, {1.0f, 0.467382312f, 0.0259842928f, 0.000333022093f, 8.01414103e-07f});
    const Vec y = 0.5f * x * p;
    return x > -1.0f ? 2.0f * y / (q - y) : exponential(x) - 1.0f;
}

/// Sine and cosine of |x| < 1e4 (beyond that the reduction loses accuracy, as any float32 angle has).
FL_INLINE void sine_and_cosine(Vec x, Vec& sine, Vec& cosine) {
    Int n;
    const Vec whole = nearest(x * 0.318309886f, n);  // multiples of pi
    const Vec r = fnma(whole, 6.27832957e-07f, fnma(whole, 0.00096702576f, fnma(whole, 3.140625f, x)));
    const Vec u = r * r;
    const Int flip = (n & 1) << 31;
    sine = from_bits(bits(r * polynomial(u, {1.0f, -0.166666666f, 0.00833333072f, -0.000198408328f, 2.75239711e-06f,
                                             -2.38683463e-08f})) ^
                     flip);
    cosine = from_bits(bits(polynomial(u, {1.0f, -0.499999994f, 0.0416666363f, -0.00138883614f, 2.47601613e-05f,
                                           -2.60514951e-07f})) ^
                       flip);
}

FL_INLINE Vec arctangent(Vec x) {
    const Vec y = abs(x);
    const Vec inverse = 1.0f / max(y, 1.0f);
    const Vec t = y > 1.0f ? inverse : y;
    const Vec part = t * polynomial(t * t, {0.999999998f, -0.333332836f, 0.19998266f, -0.142619331f, 0.109420306f,
                                            -0.0837731521f, 0.0575520977f, -0.0308045927f, 0.0107269416f,
                                            -0.00175392959f});
    return copysign(y > 1.0f ? 1.57079633f - part : part, x);
}

}  // namespace firstlight
