// Activation functions: value and derivative of a whole buffer in one pass.
//
// The derivative at a kink is the one PyTorch's autograd gives. The order of `Kind` is known to kernel.py.
#pragma once

#include <array>
#include <utility>

#include "vector_math.hpp"

namespace firstlight {

struct Identity {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = z, d = splat(1.0f); }
};
struct Relu {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        h = max(z, 0.0f), d = z > 0.0f ? splat(1.0f) : Vec{};
    }
};
struct LeakyRelu {  // p: negative slope
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        d = z > 0.0f ? splat(1.0f) : splat(p[0]);
        h = z * d;
    }
};
struct Tanh {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = hyperbolic_tangent(z), d = 1.0f - h * h; }
};
struct Sigmoid {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = logistic(z), d = h * (1.0f - h); }
};
struct Elu {  // p: alpha, scale, input scale: scale * (z or alpha * (e^(input scale * z) - 1)); also selu and celu
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec negative = p[0] * exponential_minus_one(min(p[2] * z, 0.0f));
        h = p[1] * (z > 0.0f ? z : negative);
        d = p[1] * (z > 0.0f ? splat(1.0f) : p[2] * (negative + p[0]));
        d = z == z ? d : z;
    }
};
struct Gelu {  // z * Phi(z)
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec phi = 0.5f + 0.5f * error_function(z * 0.707106781f);
        h = z * phi;
        d = phi + z * 0.398942280f * exponential(-0.5f * z * z);
    }
};
struct GeluTanh {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec u = 0.797884561f * z * (1.0f + 0.044715f * z * z);
        const Vec t = hyperbolic_tangent(u);
        h = 0.5f * z * (1.0f + t);
        d = 0.5f * (1.0f + t) + 0.5f * z * (1.0f - t * t) * 0.797884561f * (1.0f + 0.134145f * z * z);
    }
};
struct Silu {  // p: beta
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec s = logistic(p[0] * z);
        h = z * s;
        d = s + p[0] * h * (1.0f - s);
    }
};
struct Softplus {  // p: beta, threshold
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec x = p[0] * z;
        h = x > p[1] ? z : softplus(x) * (1.0f / p[0]);
        d = x > p[1] ? splat(1.0f) : logistic(x);
    }
};
struct LogSigmoid {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = -softplus(-z), d = logistic(-z); }
};
struct Mish {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec e = exponential(min(z, 20.0f));
        const Vec n = e * (e + 2.0f);
        const Vec t = quotient(n, n + 2.0f);  // tanh(ln(1 + e^z))
        h = z * t;
        d = t + z * (quotient(4.0f * (1.0f + e), (n + 2.0f)) * quotient(e, n + 2.0f));
    }
};
struct Softsign {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec inverse = quotient(splat(1.0f), 1.0f + min(abs(z), 1e30f));
        h = z * inverse, d = inverse * inverse;
    }
};
struct HardTanh {  // p: lower, upper; also relu6
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        h = min(max(z, p[0]), p[1]);
        d = (z > p[0]) & (z < p[1]) ? splat(1.0f) : Vec{};
    }
};
struct HardSigmoid {  // p: slope, intercept: clip(slope * z + intercept, 0, 1)
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec line = p[0] * z + p[1];
        h = min(max(line, 0.0f), 1.0f);
        d = (line > 0.0f) & (line < 1.0f) ? splat(p[0]) : Vec{};
    }
};
struct HardSilu {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec gate = min(max(z * (1.0f / 6.0f) + 0.5f, 0.0f), 1.0f);
        h = z * gate;
        d = (z > -3.0f) & (z < 3.0f) ? z * (1.0f / 3.0f) + 0.5f : (z < 0.0f ? Vec{} : splat(1.0f));
    }
};
struct Threshold {  // p: threshold, value
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        h = z <= p[0] ? splat(p[1]) : z;
        d = z <= p[0] ? Vec{} : splat(1.0f);
    }
};
struct HardShrink {  // p: lambda
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        d = abs(z) <= p[0] ? Vec{} : splat(1.0f);
        h = abs(z) <= p[0] ? Vec{} : z;
    }
};
struct SoftShrink {  // p: lambda
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        d = abs(z) <= p[0] ? Vec{} : splat(1.0f);
        h = abs(z) <= p[0] ? Vec{} : z - copysign(splat(p[0]), z);
    }
};
struct TanhShrink {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec t = hyperbolic_tangent(z);
        h = z - t, d = t * t;
    }
};
struct ScaledTanh {  // p: outer scale, inner scale; also LeCun's tanh
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec t = hyperbolic_tangent(p[1] * z);
        h = p[0] * t, d = p[0] * p[1] * (1.0f - t * t);
    }
};
struct SquaredRelu {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec positive = max(z, 0.0f);
        h = positive * positive, d = 2.0f * positive;
    }
};
struct Squareplus {  // p: b
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec root = square_root(z * z + p[0]);
        h = z < 0.0f ? 0.5f * p[0] / (root - z) : 0.5f * (z + root);
        d = h / root;
    }
};
struct Sine {  // p: frequency
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        Vec cosine;
        sine_and_cosine(p[0] * z, h, cosine);
        d = p[0] * cosine;
    }
};
struct Snake {  // p: a; z + sin(a z)^2 / a
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        Vec sine, cosine;
        sine_and_cosine(p[0] * z, sine, cosine);
        h = z + sine * sine * (1.0f / p[0]);
        d = 1.0f + 2.0f * sine * cosine;
    }
};
struct Arctan {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        h = arctangent(z), d = quotient(splat(1.0f), 1.0f + min(z * z, 1e30f));
    }
};
struct Erf {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        h = error_function(z), d = 1.12837917f * exponential(-z * z);
    }
};
struct Gaussian {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = exponential(-z * z), d = -2.0f * z * h; }
};
struct Exponential {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = exponential(z), d = h; }
};

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

template <bool kTrain>
constexpr auto kActivations =
    activations_of<kTrain, Identity, Relu, LeakyRelu, Tanh, Sigmoid, Elu, Gelu, GeluTanh, Silu, Softplus, LogSigmoid,
                   Mish, Softsign, HardTanh, HardSigmoid, HardSilu, Threshold, HardShrink, SoftShrink, TanhShrink,
                   ScaledTanh, SquaredRelu, Squareplus, Sine, Snake, Arctan, Erf, Gaussian, Exponential>();

}  // namespace firstlight
