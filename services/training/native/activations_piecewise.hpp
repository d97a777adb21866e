// Activation functions made of straight lines and parabolas: value h and derivative d at z.
//
// The derivative at a kink is the one PyTorch's autograd gives.
#pragma once

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
struct HardTanh {  // p: lower, upper; also relu6
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        h = min(max(z, p[0]), p[1]);
        d = ((z > p[0]) & (z < p[1])) ? splat(1.0f) : Vec{};
    }
};
struct HardSigmoid {  // p: slope, intercept: clip(slope * z + intercept, 0, 1)
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec line = fma(p[0], z, p[1]);
        h = min(max(line, 0.0f), 1.0f);
        d = ((line > 0.0f) & (line < 1.0f)) ? splat(p[0]) : Vec{};
    }
};
struct HardSilu {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        const Vec gate = min(max(fma(z, 1.0f / 6.0f, 0.5f), 0.0f), 1.0f);
        h = z * gate;
        d = ((z > -3.0f) & (z < 3.0f)) ? fma(z, 1.0f / 3.0f, 0.5f) : (z < 0.0f ? Vec{} : splat(1.0f));
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
struct SquaredRelu {  // p: scale, shift; also star relu
    FL_INLINE static void at(Vec z, const float* p, Vec& h, Vec& d) {
        const Vec positive = max(z, 0.0f);
        h = fma(p[0] * positive, positive, p[1]), d = 2.0f * p[0] * positive;
    }
};
struct SparsePlus {
    FL_INLINE static void at(Vec z, const float*, Vec& h, Vec& d) {
        d = min(max(fma(0.5f, z, 0.5f), 0.0f), 1.0f);
        h = z >= 1.0f ? z : d * d;
    }
};

}  // namespace firstlight
