// Optimizers: one pass over all parameters of a trial, in PyTorch's forms.
#pragma once

#include <cmath>
#include <limits>

#include "compensated.hpp"
#include "partial_sums.hpp"
#include "vector_math.hpp"

namespace firstlight {

enum class Rule : std::int32_t { kSgd, kAdam, kAdamW, kRmsprop, kAdagrad };

/// What one trial's optimizer is; laid out as kernel.py's structure of the same name.
struct Settings {
    Rule rule;
    std::int32_t activation;
    std::int32_t nesterov, centered, amsgrad;
    std::int32_t learned;  // whether the activation's first parameter is trained
    double momentum, dampening, beta1, beta2, epsilon, weight_decay, rate_decay, clip_norm;
    float activation_parameters[4];
    double exact_parameters[4];  // the same, before rounding

    /// Plain gradient descent needs no state and can be done where the gradient is made.
    bool plain() const { return rule == Rule::kSgd && momentum == 0 && !(clip_norm > 0); }
};

/// The numbers of one trial that training changes.
struct Numbers {
    float* w;
    float* residual;     // of the weights; see compensated.hpp
    float* moments;      // arrays as long as w, one after another
    std::int64_t* step;  // batches taken
    float* statistics;   // moving ones of batch normalisation
    std::uint64_t seed, stream;  // of the epoch's dropout
};

/// Multiplies the gradient so that its Euclidean norm is at most `most` (torch.nn.utils.clip_grad_norm_).
inline void clip(float* g, long n, double most) {
    constexpr long kBlock = 64 * kPartials;
    double total = 0;
    for (long i = 0; i < n; i += kBlock) total += product_sum(g + i, g + i, std::min(kBlock, n - i));
    const double norm = std::sqrt(total);
    if (norm + 1e-6 <= most) return;
    const float factor = static_cast<float>(most / (norm + 1e-6));
    for (long i = 0; i < n; i += kLanes) store(g + i, load(g + i) * factor);
}

/// A moving mean's next value. In the form b * mean + (1 - b) * value, b and 1 - b rounded each for itself do not add up
/// to 1: with 0.999 every mean would be 1.3e-5 too large.
FL_INLINE Vec toward(Vec mean, Vec value, float share) { return fma(share, value - mean, mean); }

/// Finite for finite x: the difference of two infinities would be none.
FL_INLINE Vec squared(Vec x) { return min(x * x, std::numeric_limits<float>::max()); }

/// base^n for n >= 0: of multiplications alone, since the C library's `pow` is not the same everywhere.
inline double power(double base, std::int64_t n) {
    double result = 1;
    for (; n > 0; n /= 2, base *= base)
        if (n % 2) result *= base;
    return result;
}

/// One step on n parameters (a multiple of kLanes), after the step has been counted.
inline void step_parameters(const Settings& s, double rate, const Numbers& numbers, float* g, long n) {
    if (s.clip_norm > 0) clip(g, n, s.clip_norm);
    float* const w = numbers.w;
    float* const first = numbers.moments;
    float* const second = first + n;
    float* const third = second + n;
    const auto step = static_cast<double>(*numbers.step);
    const auto subtract = [&](long i, Vec change) {
        Vec residual = load(numbers.residual + i);
        store(w + i, compensated_sum<Vec>(load(w + i), residual - change, residual));
        store(numbers.residual + i, residual);
    };
    const float decay = static_cast<float>(s.weight_decay);
    const float epsilon = static_cast<float>(s.epsilon);
    switch (s.rule) {
    case Rule::kSgd: {
        const float momentum = static_cast<float>(s.momentum), r = static_cast<float>(rate);
        const float fresh = step == 1 ? 1.0f : static_cast<float>(1 - s.dampening);
        for (long i = 0; i < n; i += kLanes) {
            Vec gradient = fma(decay, load(w + i), load(g + i));
            if (s.momentum != 0) {
                const Vec velocity = fma(momentum, load(first + i), fresh * gradient);
                store(first + i, velocity);
                gradient = s.nesterov ? fma(momentum, velocity, gradient) : velocity;
            }
            subtract(i, r * gradient);
        }
        break;
    }
    case Rule::kAdam:
    case Rule::kAdamW: {
        const bool decoupled = s.rule == Rule::kAdamW;
        const float shrink = decoupled ? static_cast<float>(rate * s.weight_decay) : 0.0f;
        const float l2 = decoupled ? 0.0f : decay;
        const float c1 = static_cast<float>(1 - s.beta1);
        const float c2 = static_cast<float>(1 - s.beta2);
        const float r = static_cast<float>(rate / (1 - power(s.beta1, *numbers.step)));
        const float unbias = static_cast<float>(1 / std::sqrt(1 - power(s.beta2, *numbers.step)));
        for (long i = 0; i < n; i += kLanes) {
            const Vec weight = load(w + i);
            const Vec gradient = fma(l2, weight, load(g + i));
            const Vec mean = toward(load(first + i), gradient, c1);
            Vec square = toward(load(second + i), squared(gradient), c2);
            store(first + i, mean);
            store(second + i, square);
            if (s.amsgrad) {
                square = max(square, load(third + i));
                store(third + i, square);
            }
            subtract(i, fma(shrink, weight, r * mean / fma(square_root(square), unbias, epsilon)));
        }
        break;
    }
    case Rule::kRmsprop: {
        const float rest = static_cast<float>(1 - s.beta2);
        const float momentum = static_cast<float>(s.momentum), r = static_cast<float>(rate);
        for (long i = 0; i < n; i += kLanes) {
            const Vec gradient = fma(decay, load(w + i), load(g + i));
            const Vec square = toward(load(first + i), squared(gradient), rest);
            store(first + i, square);
            Vec variance = square;
            if (s.centered) {
                const Vec mean = toward(load(third + i), gradient, rest);
                store(third + i, mean);
                variance = max(fnma(mean, mean, square), 0.0f);
            }
            Vec move = gradient / (square_root(variance) + epsilon);
            if (s.momentum > 0) {
                move = fma(momentum, load(second + i), move);
                store(second + i, move);
            }
            subtract(i, r * move);
        }
        break;
    }
    case Rule::kAdagrad: {
        const float r = static_cast<float>(rate / (1 + (step - 1) * s.rate_decay));
        for (long i = 0; i < n; i += kLanes) {
            const Vec gradient = fma(decay, load(w + i), load(g + i));
            const Vec square = fma(gradient, gradient, load(first + i));
            store(first + i, square);
            subtract(i, r * gradient / (square_root(square) + epsilon));
        }
        break;
    }
    }
}

}  // namespace firstlight
