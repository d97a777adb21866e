// The activation functions once more, in double, one number at a time: for the few rows that float32 cannot decide.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "exact_math.hpp"

namespace firstlight {

/// Value at z under up to four parameters.
using ExactActivation = double (*)(double, const double*);

namespace exact {

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

}  // namespace exact

/// In the order of `kActivations`, and with the same parameters.
inline constexpr std::array<ExactActivation, 40> kExactActivations = {
    [](double z, const double*) { return z; },                                                         // identity
    [](double z, const double*) { return std::max(z, 0.0); },                                          // relu
    [](double z, const double* p) { return z > 0 ? z : p[0] * z; },                                    // leaky relu
    [](double z, const double*) { return exact::tanh(z); },                                              // tanh
    [](double z, const double*) { return exact::logistic(z); },                                        // sigmoid
    [](double z, const double* p) { return p[1] * (z > 0 ? z : p[0] * exact::expm1(p[2] * z)); },        // elu
    [](double z, const double*) { return exact::gelu(z); },                                            // gelu
    [](double z, const double*) { return exact::gelu_tanh(z); },                                       // gelu by tanh
    [](double z, const double* p) { return p[1] * z * exact::logistic(p[0] * z); },                    // silu
    [](double z, const double* p) { return p[0] * z > p[1] ? z : exact::softplus(p[0] * z) / p[0]; },  // softplus
    [](double z, const double*) { return -exact::softplus(-z); },                                      // log sigmoid
    [](double z, const double*) { return z * exact::tanh(exact::softplus(z)); },                         // mish
    [](double z, const double*) { return z / (1 + std::abs(z)); },                                     // softsign
    [](double z, const double* p) { return exact::clip(z, p[0], p[1]); },                              // hard tanh
    [](double z, const double* p) { return exact::clip(p[0] * z + p[1], 0, 1); },                      // hard sigmoid
    [](double z, const double*) { return z * exact::clip(z / 6 + 0.5, 0, 1); },                        // hard silu
    [](double z, const double* p) { return z <= p[0] ? p[1] : z; },                                    // threshold
    [](double z, const double* p) { return std::abs(z) <= p[0] ? 0 : z; },                             // hard shrink
    [](double z, const double* p) { return z - exact::clip(z, -p[0], p[0]); },                         // soft shrink
    [](double z, const double*) { return z - exact::tanh(z); },                                          // tanh shrink
    [](double z, const double* p) { return p[0] * exact::tanh(p[1] * z); },                              // scaled tanh
    [](double z, const double* p) { return p[0] * std::max(z, 0.0) * std::max(z, 0.0) + p[1]; },       // squared relu
    [](double z, const double* p) { return exact::squareplus(z, p[0]); },                              // squareplus
    [](double z, const double* p) { return exact::sin(p[0] * z); },                                      // sine
    [](double z, const double* p) { return z + exact::sin(p[0] * z) * exact::sin(p[0] * z) / p[0]; },      // snake
    [](double z, const double*) { return exact::atan(z); },                                              // arctan
    [](double z, const double*) { return exact::erf(z); },                                               // erf
    [](double z, const double*) { return exact::exp(-z * z); },                                          // gaussian
    [](double z, const double*) { return exact::exp(z); },                                               // exponential
    [](double z, const double*) { return z >= 1 ? z : exact::square(exact::clip(0.5 * z + 0.5, 0, 1)); },  // sparse plus
    [](double z, const double*) { return exact::cos(z); },                                               // cosine
    [](double z, const double*) { return z == 0 ? 1 : exact::sin(z) / z; },                              // sinc
    [](double z, const double*) { return exact::asinh(z); },                                             // arcsinh
    [](double z, const double*) { return 0.5 * z * z / (std::sqrt(z * z + 1) + 1) + z; },              // bent identity
    [](double z, const double* p) { return exact::isru(z, p); },                                       // isru
    [](double z, const double*) { return (z >= 0 ? z : exact::expm1(z)) * exact::logistic(z); },         // elish
    [](double z, const double*) { return z * exact::tanh(z); },                                          // lisht
    [](double z, const double*) { return z * exact::tanh(exact::gelu(z)); },                             // phish
    [](double z, const double*) { return z * exact::erf(exact::softplus(z)); },                          // serf
    [](double z, const double*) { return z * exact::tanh(exact::exp(z)); },                                // tanh exp
};

}  // namespace firstlight
