// Elementary functions in double, accurate to some 1e-15 and the same to the bit on every processor.
//
// The C library's differ between processors, systems and versions in the last digit. Power series and continued
// fractions that need no fitted constants serve here: the few rows that float32 cannot decide are all that use them.
// Formulas: Abramowitz & Stegun 1964, 4.1.27, 4.2.1, 4.3.65, 4.4.42, 4.6.31, 7.1.6, 7.1.14.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace firstlight::exact {

inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }

/// c[0] + c[1] x + c[2] x^2 + ...
template <std::size_t N>
double series(double x, const std::array<double, N>& c) {
    double value = c[N - 1];
    for (std::size_t i = N - 1; i-- > 0;) value = fma(value, x, c[i]);
    return value;
}

/// 1 / (first + k step)! for k = 0, 1, ..., with turning signs where `turning`.
template <std::size_t N>
constexpr std::array<double, N> inverse_factorials(int first, int step, bool turning) {
    std::array<double, N> c{};
    double factorial = 1;
    for (int n = 1, k = 0; k < static_cast<int>(N); ++n) {
        if (n > 1) factorial *= n;
        if (n < first || (n - first) % step) continue;
        c[static_cast<std::size_t>(k)] = (turning && k % 2 ? -1 : 1) / factorial;
        ++k;
    }
    return c;
}

/// 1 / (2k + 1) for k = 0, 1, ..., with turning signs where `turning`.
template <std::size_t N>
constexpr std::array<double, N> odd_inverses(bool turning) {
    std::array<double, N> c{};
    for (std::size_t k = 0; k < N; ++k) c[k] = (turning && k % 2 ? -1.0 : 1.0) / static_cast<double>(2 * k + 1);
    return c;
}

/// The nearest whole number of |x| < 2^51.
inline double nearest(double x) {
    constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52: adding it leaves no fraction bits
    return (x + kShift) - kShift;
}

/// 2^n for -1022 <= n <= 1023.
inline double power_of_two(int n) {
    const std::uint64_t bits = static_cast<std::uint64_t>(n + 1023) << 52;
    double value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}

/// e^x - 1 for |x| < 0.4.
inline double small_expm1(double x) {
    static constexpr auto c = inverse_factorials<14>(1, 1, false);
    return x * series(x, c);
}

inline double exp(double x) {
    if (!(x < 709.7)) return x > 709.7 ? std::numeric_limits<double>::infinity() : x;
    if (x < -745.0) return 0;
    const double whole = nearest(x * 1.4426950408889634);
    const double r = fma(-whole, 1.9082149292705877e-10, fma(-whole, 0.6931471803691238, x));  // ln 2 in two parts
    const int n = static_cast<int>(whole), half = n / 2;
    return (1 + small_expm1(r)) * power_of_two(half) * power_of_two(n - half);
}

inline double expm1(double x) { return std::abs(x) < 0.4 ? small_expm1(x) : exp(x) - 1; }

/// 2 artanh(s) for |s| <= 1/3.
inline double twice_artanh(double s) {
    static constexpr auto c = odd_inverses<18>(false);
    return 2 * s * series(s * s, c);
}

/// ln(x) for normal x > 0; infinity and NaN stay.
inline double log(double x) {
    if (!(x < std::numeric_limits<double>::infinity())) return x;
    int n;
    double m = std::frexp(x, &n);  // 0.5 <= m < 1
    if (m < 0.7071067811865476) m *= 2, --n;
    return fma(n, 0.6931471805599453, twice_artanh((m - 1) / (m + 1)));
}

/// ln(1 + t) for t >= 0.
inline double log1p(double t) { return t <= 1 ? twice_artanh(t / (2 + t)) : log(1 + t); }

inline double tanh(double x) {
    if (!(std::abs(x) < 20)) return x > 0 ? 1 : (x < 0 ? -1 : x);
    const double e = expm1(2 * std::abs(x));
    return std::copysign(e / (e + 2), x);
}

/// erf(x) for |x| <= 2.5: 2 / sqrt(pi) e^(-x^2) (x + 2 x^3 / 3 + 4 x^5 / 15 + ...), whose terms all have one sign.
inline double small_erf(double x) {
    double term = x, total = x;
    for (int n = 1; n < 80; ++n) term *= 2 * x * x / (2 * n + 1), total += term;
    return 1.1283791670955126 * exp(-x * x) * total;
}

/// erfc(x) for x >= 2: e^(-x^2) / sqrt(pi) over x + 1/2 / (x + 1 / (x + 3/2 / (x + ...))).
inline double large_erfc(double x) {
    double below = x;
    for (int n = 100; n > 0; --n) below = x + 0.5 * n / below;
    return 0.5641895835477563 * exp(-x * x) / below;
}

inline double erfc(double x) {
    if (x != x) return x;
    if (x < -2.5) return 2 - large_erfc(-x);
    return x > 2 ? large_erfc(x) : 1 - small_erf(x);
}

inline double erf(double x) {
    if (std::abs(x) <= 2.5) return small_erf(x);
    return x == x ? std::copysign(1 - large_erfc(std::abs(x)), x) : x;
}

/// The sine of x + quarters * pi / 2.
inline double sine(double x, int quarters) {
    static constexpr auto odd = inverse_factorials<9>(1, 2, true), even = inverse_factorials<9>(2, 2, true);
    if (!(std::abs(x) < 1e9)) return std::numeric_limits<double>::quiet_NaN();  // no digit of such an angle is left
    const double whole = nearest(x * 0.6366197723675814);
    const double r = fma(-whole, -1.4973849048591833e-33,
                         fma(-whole, 6.123233995736766e-17, fma(-whole, 1.5707963267948966, x)));  // pi / 2 in three parts
    const int turn = static_cast<int>(static_cast<std::int64_t>(whole) + quarters) & 3;
    const double u = r * r, value = turn & 1 ? fma(-u, series(u, even), 1.0) : r * series(u, odd);
    return turn & 2 ? -value : value;
}
inline double sin(double x) { return sine(x, 0); }
inline double cos(double x) { return sine(x, 1); }

inline double atan(double x) {
    static constexpr auto c = odd_inverses<14>(true);
    double t = std::abs(x) > 1 ? 1 / std::abs(x) : std::abs(x);
    for (int halving = 0; halving < 2; ++halving) t = t / (1 + std::sqrt(fma(t, t, 1.0)));
    const double part = 4 * t * series(t * t, c);
    return std::copysign(std::abs(x) > 1 ? 1.5707963267948966 - part : part, x);
}

inline double asinh(double x) {
    const double y = std::abs(x);
    return std::copysign(log1p(y + y * y / (1 + std::sqrt(fma(y, y, 1.0)))), x);
}

inline double logistic(double z) { return 1 / (1 + exp(-z)); }
inline double softplus(double z) { return std::max(z, 0.0) + log1p(exp(-std::abs(z))); }
inline double square(double z) { return z * z; }
inline double clip(double z, double lowest, double highest) { return std::min(std::max(z, lowest), highest); }
inline double gelu(double z) { return 0.5 * z * erfc(-z * 0.70710678118654752); }
inline double gelu_tanh(double z) {
    return 0.5 * z * (1 + tanh(0.79788456080286536 * z * (1 + 0.044715 * z * z)));
}
inline double squareplus(double z, double b) {
    const double root = std::sqrt(z * z + b);
    return z < 0 ? 0.5 * b / (root - z) : 0.5 * (z + root);
}
inline double isru(double z, const double* p) {
    const double y = p[1] > 0 ? std::min(z, 0.0) : z;
    return z / std::sqrt(1 + p[0] * y * y);
}

}  // namespace firstlight::exact
