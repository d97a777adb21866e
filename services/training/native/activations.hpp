// The table of activation functions: value and derivative of a whole buffer in one pass.
#pragma once

#include <algorithm>

#include "activations_piecewise.hpp"
#include "activations_smooth.hpp"

namespace firstlight {

/// Reads z from zd and writes the value to h; with kTrain also the derivative to zd. n is a multiple of kLanes.
template <class F, bool kTrain>
void activate(const float* parameters, float* zd, float* h, long n) {
    float p[4];
    std::copy(parameters, parameters + 4, p);
    for (long i = 0; i < n; i += kLanes) {
        Vec value, derivative;
        F::at(load(zd + i), p, value, derivative);
        store(h + i, value);
        if (kTrain) store(zd + i, derivative);
    }
}

using Activation = void (*)(const float*, float*, float*, long);

struct NamedActivation {
    const char* name;
    Activation value, value_and_derivative;
    /// Value at z under up to four parameters, in double.
    double (*exact)(double, const double*);
};

template <class F>
constexpr NamedActivation named(const char* name) {
    return {name, &activate<F, false>, &activate<F, true>, &F::exact};
}

/// An activation's code is its place here; members.py has the same names in the same order, compared at loading.
inline constexpr NamedActivation kActivations[] = {
    named<Identity>("identity"),
    named<Relu>("relu"),
    named<LeakyRelu>("leaky_relu"),
    named<Tanh>("tanh"),
    named<Sigmoid>("sigmoid"),
    named<Elu>("elu"),
    named<Gelu>("gelu"),
    named<GeluTanh>("gelu_tanh"),
    named<Silu>("silu"),
    named<Softplus>("softplus"),
    named<LogSigmoid>("log_sigmoid"),
    named<Mish>("mish"),
    named<Softsign>("softsign"),
    named<HardTanh>("hard_tanh"),
    named<HardSigmoid>("hard_sigmoid"),
    named<HardSilu>("hard_silu"),
    named<Threshold>("threshold"),
    named<HardShrink>("hard_shrink"),
    named<SoftShrink>("soft_shrink"),
    named<TanhShrink>("tanh_shrink"),
    named<ScaledTanh>("scaled_tanh"),
    named<SquaredRelu>("squared_relu"),
    named<Squareplus>("squareplus"),
    named<Sine>("sine"),
    named<Snake>("snake"),
    named<Arctan>("arctan"),
    named<Erf>("erf"),
    named<Gaussian>("gaussian"),
    named<Exponential>("exponential"),
    named<SparsePlus>("sparse_plus"),
    named<Cosine>("cosine"),
    named<Sinc>("sinc"),
    named<Arcsinh>("arcsinh"),
    named<BentIdentity>("bent_identity"),
    named<Isru>("isru"),
    named<Elish>("elish"),
    named<Lisht>("lisht"),
    named<Phish>("phish"),
    named<Serf>("serf"),
    named<TanhExp>("tanh_exp"),
};

}  // namespace firstlight
