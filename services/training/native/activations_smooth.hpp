// Smooth activation functions: value h and derivative d at z; and the value in double.
#pragma once

#include "exact_math.hpp"
#include "vector_math.hpp"

namespace firstlight {

struct Tanh {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = hyperbolic_tangent(z), d = fnma(h, h, 1.0f); }
    static double exact(double z, const double*) { return exact::tanh(z); }
};
struct Sigmoid {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = logistic(z), d = fnma(h, h, h); }
    static double exact(double z, const double*) { return exact::logistic(z); }
};
struct Elu {  // p: alpha, scale, input scale: scale * (z or alpha * (e^(input scale * z) - 1)); also selu and celu
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec negative = p[0] * exponential_minus_one(min(p[2] * z, 0.0f));
        h = p[1] * (z > 0.0f ? z : negative);
        d = p[1] * (z > 0.0f ? splat(1.0f) : p[2] * (negative + p[0]));
        d = z == z ? d : z;
    }
    static double exact(double z, const double* p) { return p[1] * (z > 0 ? z : p[0] * exact::expm1(p[2] * z)); }
};
struct Gelu {  // z * Phi(z)
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec phi = fma(0.5f, error_function(z * 0.707106781f), 0.5f);
        h = z * phi;
        d = fma(z * 0.398942280f, exponential(-0.5f * z * z), phi);
    }
    static double exact(double z, const double*) { return exact::gelu(z); }
};
struct GeluTanh {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec u = 0.797884561f * z * fma(0.044715f * z, z, 1.0f);
        const Vec t = hyperbolic_tangent(u);
        const Vec half = fma(0.5f, t, 0.5f);
        h = z * half;
        d = fma(0.398942280f * z * fnma(t, t, 1.0f), fma(0.134145f * z, z, 1.0f), half);
    }
    static double exact(double z, const double*) { return exact::gelu_tanh(z); }
};
struct Silu {  // p: beta, scale: scale * z * sigmoid(beta * z); also e-swish
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec s = logistic(p[0] * z);
        h = p[1] * z * s;
        d = fma(p[0] * h, 1.0f - s, p[1] * s);
    }
    static double exact(double z, const double* p) { return p[1] * z * exact::logistic(p[0] * z); }
};
struct Softplus {  // p: beta, threshold
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec x = p[0] * z;
        h = x > p[1] ? z : softplus(x) * (1.0f / p[0]);
        d = x > p[1] ? splat(1.0f) : logistic(x);
    }
    static double exact(double z, const double* p) { return p[0] * z > p[1] ? z : exact::softplus(p[0] * z) / p[0]; }
};
struct LogSigmoid {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = -softplus(-z), d = logistic(-z); }
    static double exact(double z, const double*) { return -exact::softplus(-z); }
};
struct Mish {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec e = exponential(min(z, 20.0f));
        const Vec n = e * (e + 2.0f);
        const Vec inverse = 1.0f / (n + 2.0f);
        const Vec near = n * inverse;
        const Vec t = fma(fnma(n + 2.0f, near, n), inverse, near);  // tanh(ln(1 + e^z))
        h = z * t;
        d = fma(z, 4.0f * (1.0f + e) * inverse * (e * inverse), t);
    }
    static double exact(double z, const double*) { return z * exact::tanh(exact::softplus(z)); }
};
struct Softsign {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec inverse = 1.0f / (1.0f + min(abs(z), 1e30f));
        h = z * inverse, d = inverse * inverse;
    }
    static double exact(double z, const double*) { return z / (1 + std::abs(z)); }
};
struct TanhShrink {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec t = hyperbolic_tangent(z);
        h = z - t, d = t * t;
    }
    static double exact(double z, const double*) { return z - exact::tanh(z); }
};
struct ScaledTanh {  // p: outer scale, inner scale; also LeCun's tanh
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec t = hyperbolic_tangent(p[1] * z);
        h = p[0] * t, d = p[0] * p[1] * fnma(t, t, 1.0f);
    }
    static double exact(double z, const double* p) { return p[0] * exact::tanh(p[1] * z); }
};
struct Squareplus {  // p: b
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec root = square_root(fma(z, z, p[0]));
        h = z < 0.0f ? 0.5f * p[0] / (root - z) : 0.5f * (z + root);
        d = h / root;
    }
    static double exact(double z, const double* p) { return exact::squareplus(z, p[0]); }
};
struct Sine {  // p: frequency
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        Vec cosine;
        sine_and_cosine(p[0] * z, h, cosine);
        d = p[0] * cosine;
    }
    static double exact(double z, const double* p) { return exact::sin(p[0] * z); }
};
struct Snake {  // p: a; z + sin(a z)^2 / a
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        Vec sine, cosine;
        sine_and_cosine(p[0] * z, sine, cosine);
        h = fma(sine * sine, 1.0f / p[0], z);
        d = fma(2.0f * sine, cosine, 1.0f);
    }
    static double exact(double z, const double* p) { return z + exact::sin(p[0] * z) * exact::sin(p[0] * z) / p[0]; }
};
struct Arctan {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        h = arctangent(z), d = 1.0f / (1.0f + min(z * z, 1e30f));
    }
    static double exact(double z, const double*) { return exact::atan(z); }
};
struct Erf {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        h = error_function(z), d = 1.12837917f * exponential(-z * z);
    }
    static double exact(double z, const double*) { return exact::erf(z); }
};
struct Gaussian {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = exponential(-z * z), d = -2.0f * z * h; }
    static double exact(double z, const double*) { return exact::exp(-z * z); }
};
struct Exponential {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = exponential(z), d = h; }
    static double exact(double z, const double*) { return exact::exp(z); }
};
struct Cosine {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        Vec sine;
        sine_and_cosine(z, sine, h);
        d = -sine;
    }
    static double exact(double z, const double*) { return exact::cos(z); }
};
struct Sinc {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        Vec sine, cosine;
        sine_and_cosine(z, sine, cosine);
        const Vec u = z * z;
        const Vec safe = u < 1e-6f ? splat(1.0f) : z;
        h = u < 1e-6f ? fnma(u, 1.0f / 6.0f, 1.0f) : sine / safe;
        // Near zero the difference of cosine and quotient cancels: Taylor's series.
        const Vec series = z * polynomial(u, {-1.0f / 3, 1.0f / 30, -1.0f / 840, 1.0f / 45360, -1.0f / 3991680});
        d = u < 1.0f ? series : (cosine - h) / safe;
    }
    static double exact(double z, const double*) { return z == 0 ? 1 : exact::sin(z) / z; }
};
struct Arcsinh {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec y = min(abs(z), 1e18f);
        const Vec root = square_root(fma(y, y, 1.0f));
        const Vec t = y + y * y / (1.0f + root);
        h = copysign(t < 1.0f ? log_one_plus(min(t, 1.0f)) : logarithm(1.0f + t), z);
        d = 1.0f / root;
    }
    static double exact(double z, const double*) { return exact::asinh(z); }
};
struct BentIdentity {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec root = square_root(fma(z, z, 1.0f));
        h = 0.5f * z * z / (root + 1.0f) + z;
        d = 0.5f * z / root + 1.0f;
    }
    static double exact(double z, const double*) { return 0.5 * z * z / (std::sqrt(z * z + 1) + 1) + z; }
};
struct Isru {  // p: alpha, 1 where positive arguments pass unchanged (isrlu)
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec y = p[1] > 0.0f ? min(z, 0.0f) : z;
        const Vec inverse = 1.0f / square_root(fma(p[0] * y, y, 1.0f));
        h = z * inverse, d = inverse * inverse * inverse;
    }
    static double exact(double z, const double* p) { return exact::isru(z, p); }
};
struct Elish {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec s = logistic(z);
        const Vec grown = exponential_minus_one(min(z, 0.0f));
        const Vec x = z >= 0.0f ? z : grown;
        h = x * s;
        d = s * fma(x, 1.0f - s, z >= 0.0f ? splat(1.0f) : grown + 1.0f);
    }
    static double exact(double z, const double*) { return (z >= 0 ? z : exact::expm1(z)) * exact::logistic(z); }
};
struct Lisht {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec t = hyperbolic_tangent(z);
        h = z * t, d = fma(z, fnma(t, t, 1.0f), t);
    }
    static double exact(double z, const double*) { return z * exact::tanh(z); }
};
struct Phish {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        Vec gelu, slope;
        Gelu::at(z, nullptr, gelu, slope);
        const Vec t = hyperbolic_tangent(gelu);
        h = z * t, d = fma(z * fnma(t, t, 1.0f), slope, t);
    }
    static double exact(double z, const double*) { return z * exact::tanh(exact::gelu(z)); }
};
struct Serf {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec inner = softplus(z);
        const Vec gate = error_function(inner);
        h = z * gate, d = fma(z * 1.12837917f * exponential(-inner * inner), logistic(z), gate);
    }
    static double exact(double z, const double*) { return z * exact::erf(exact::softplus(z)); }
};
struct TanhExp {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec grown = exponential(min(z, 20.0f));
        const Vec t = hyperbolic_tangent(grown);
        h = z * t, d = fma(z * grown, fnma(t, t, 1.0f), t);
    }
    static double exact(double z, const double*) { return z * exact::tanh(exact::exp(z)); }
};

}  // namespace firstlight
