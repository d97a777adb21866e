// Activation functions made of straight lines and parabolas: value h and derivative d at z; and the value in
// double, one number at a time, for the few rows that float32 cannot decide.
//
// The derivative at a kink is the one PyTorch's autograd gives.
#pragma once

#include "exact_math.hpp"
#include "vector_math.hpp"

namespace firstlight {

struct Identity {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) { h = z, d = splat(1.0f); }
    static double exact(double z, const double*) { return z; }
};
struct Relu {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        h = max(z, 0.0f), d = z > 0.0f ? splat(1.0f) : Vec{};
    }
    static double exact(double z, const double*) { return std::max(z, 0.0); }
};
struct LeakyRelu {  // p: negative slope
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        d = z > 0.0f ? splat(1.0f) : splat(p[0]);
        h = z * d;
    }
    static double exact(double z, const double* p) { return z > 0 ? z : p[0] * z; }
};
struct HardTanh {  // p: lower, upper; also relu6
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        h = min(max(z, p[0]), p[1]);
        d = ((z > p[0]) & (z < p[1])) ? splat(1.0f) : Vec{};
    }
    static double exact(double z, const double* p) { return exact::clip(z, p[0], p[1]); }
};
struct HardSigmoid {  // p: slope, intercept: clip(slope * z + intercept, 0, 1)
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec line = fma(p[0], z, p[1]);
        h = min(max(line, 0.0f), 1.0f);
        d = ((line > 0.0f) & (line < 1.0f)) ? splat(p[0]) : Vec{};
    }
    static double exact(double z, const double* p) { return exact::clip(p[0] * z + p[1], 0, 1); }
};
struct HardSilu {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec gate = min(max(fma(z, 1.0f / 6.0f, 0.5f), 0.0f), 1.0f);
        h = z * gate;
        d = ((z > -3.0f) & (z < 3.0f)) ? fma(z, 1.0f / 3.0f, 0.5f) : (z < 0.0f ? Vec{} : splat(1.0f));
    }
    static double exact(double z, const double*) { return z * exact::clip(z / 6 + 0.5, 0, 1); }
};
struct Threshold {  // p: threshold, value
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        h = z <= p[0] ? splat(p[1]) : z;
        d = z <= p[0] ? Vec{} : splat(1.0f);
    }
    static double exact(double z, const double* p) { return z <= p[0] ? p[1] : z; }
};
struct HardShrink {  // p: lambda
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        d = abs(z) <= p[0] ? Vec{} : splat(1.0f);
        h = abs(z) <= p[0] ? Vec{} : z;
    }
    static double exact(double z, const double* p) { return std::abs(z) <= p[0] ? 0 : z; }
};
struct SoftShrink {  // p: lambda
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        d = abs(z) <= p[0] ? Vec{} : splat(1.0f);
        h = abs(z) <= p[0] ? Vec{} : z - copysign(splat(p[0]), z);
    }
    static double exact(double z, const double* p) { return z - exact::clip(z, -p[0], p[0]); }
};
struct SquaredRelu {  // p: scale, shift; also star relu
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec positive = max(z, 0.0f);
        h = fma(p[0] * positive, positive, p[1]), d = 2.0f * p[0] * positive;
    }
    static double exact(double z, const double* p) { return p[0] * std::max(z, 0.0) * std::max(z, 0.0) + p[1]; }
};
struct SparsePlus {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        d = min(max(fma(0.5f, z, 0.5f), 0.0f), 1.0f);
        h = z >= 1.0f ? z : d * d;
    }
    static double exact(double z, const double*) {
        return z >= 1 ? z : exact::square(exact::clip(0.5 * z + 0.5, 0, 1));
    }
};

}  // namespace firstlight
