// The table of activation functions: value and derivative of a whole buffer in one pass.
#pragma once

#include <array>
#include <utility>

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

template <bool kTrain, class... F>
constexpr std::array<Activation, sizeof...(F)> activations_of() {
    return {&activate<F, kTrain>...};
}

/// In the order that members.py knows.
template <bool kTrain>
constexpr auto kActivations =
    activations_of<kTrain, Identity, Relu, LeakyRelu, Tanh, Sigmoid, Elu, Gelu, GeluTanh, Silu, Softplus, LogSigmoid,
                   Mish, Softsign, HardTanh, HardSigmoid, HardSilu, Threshold, HardShrink, SoftShrink, TanhShrink,
                   ScaledTanh, SquaredRelu, Squareplus, Sine, Snake, Arctan, Erf, Gaussian, Exponential, SparsePlus,
                   Cosine, Sinc, Arcsinh, BentIdentity, Isru, Elish, Lisht, Phish, Serf, TanhExp>();

}  // namespace firstlight
