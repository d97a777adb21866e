// Batch and layer normalisation of a batch in chunks, and their gradients.
//
// Both are gamma (z - mean) / sqrt(variance + epsilon) + beta with the population's variance: over the batch's rows for
// each unit (Ioffe & Szegedy 2015), or over the units for each row (Ba, Kiros & Hinton 2016). Units are taken kLanes at
// a time where sums run along the rows, so that panels must be readable up to a whole vector of units.
#pragma once

#include "panel.hpp"
#include "vector_math.hpp"

namespace firstlight {

/// Sums of kLanes units along the rows of a panel: `add(unit of the group, offset of its values, sum, last)` adds a
/// vector of values to its partial sum; `last` clears the lanes that are no rows.
template <int C, class F>
FL_INLINE Vec row_sums(int rows, long pitch, int unit, F&& add) {
    Partials partials[kLanes];
    for (int first = 0; first < rows; first += kPartials)
        FL_UNROLL(4)
        for (int v = 0; v < kPartialVectors; ++v) {
            const int row = first + v * kLanes;
            const long at = first / C * pitch + first % C + v * kLanes;
            const Int real = first_lanes(rows - row);
            FL_UNROLL(16)
            for (int i = 0; i < kLanes; ++i) {
                Vec& sum = partials[i].part[v];
                const Vec with = add(i, static_cast<long>(unit + i) * C + at, sum);
                sum = rows - row >= kLanes ? with : (real ? with : sum);
            }
        }
    return sums(partials);
}

/// Mean and variance of each unit over the rows.
template <int C>
void batch_moments(Panel& panel, int rows, int width, float* mean, float* variance) {
    const float* z = panel.chunk<C>(0);
    const long pitch = panel.pitch<C>();
    const float share = 1.0f / static_cast<float>(rows);
    for (int u = 0; u < width; u += kLanes) {
        const auto value = [&](int, long at, Vec sum) { return sum + load(z + at); };
        store(mean + u, row_sums<C>(rows, pitch, u, value) * share);
        const auto square = [&](int i, long at, Vec sum) {
            const Vec away = load(z + at) - splat(mean[u + i]);
            return fma(away, away, sum);
        };
        store(variance + u, row_sums<C>(rows, pitch, u, square) * share);
    }
}

inline void inverse_roots(const float* variance, float epsilon, int width, float* inverse) {
    for (int u = 0; u < width; u += kLanes) store(inverse + u, 1.0f / square_root(load(variance + u) + epsilon));
}

/// Normalises in place by mean and inverse root of each unit; `hat` gets the values before scale and shift.
template <int C>
void batch_normalize(Panel& panel, Panel& hat, int chunks, int width, const float* mean, const float* inverse,
                     const float* gamma, const float* beta) {
    for (int c = 0; c < chunks; ++c) {
        float* z = panel.chunk<C>(c);
        float* kept = hat.chunk<C>(c);
        for (int u = 0; u < width; ++u)
            FL_UNROLL(8)
            for (int b = 0; b < C; b += kLanes) {
                const long at = static_cast<long>(u) * C + b;
                const Vec plain = (load(z + at) - mean[u]) * inverse[u];
                store(kept + at, plain);
                store(z + at, fma(plain, gamma[u], beta[u]));
            }
    }
}

/// Gradients of scale and shift from the error d, which is zero in rows that are not real; the same for both sorts.
template <int C>
void scale_gradients(Panel& error, Panel& hat, int rows, int width, float* gamma, float* beta) {
    const float* d = error.chunk<C>(0);
    const float* plain = hat.chunk<C>(0);
    const long pitch = error.pitch<C>(), other = hat.pitch<C>();
    for (int u = 0; u < width; u += kLanes) {
        Partials shift[kLanes], scale[kLanes];
        for (int first = 0; first < rows; first += kPartials)
            FL_UNROLL(4)
            for (int v = 0; v < kPartialVectors; ++v) {
                const long inside = static_cast<long>(u) * C + first % C + v * kLanes;
                const float* d_at = d + first / C * pitch + inside;
                const float* plain_at = plain + first / C * other + inside;
                FL_UNROLL(16)
                for (int i = 0; i < kLanes; ++i) {
                    const Vec value = load(d_at + i * C);
                    shift[i].part[v] += value;
                    scale[i].part[v] = fma(value, load(plain_at + i * C), scale[i].part[v]);
                }
            }
        const int real = std::min(kLanes, width - u);
        store_first(beta + u, sums(shift), real);
        store_first(gamma + u, sums(scale), real);
    }
}

/// Turns the error behind a batch normalisation into the one before it, given the gradients of scale and shift.
template <int C>
void batch_backward(Panel& error, Panel& hat, int rows, int width, const float* inverse, const float* gamma,
                    const float* gamma_gradient, const float* beta_gradient) {
    const float share = 1.0f / static_cast<float>(rows);
    for (int first = 0; first < rows; first += C) {
        float* d = error.chunk<C>(first / C);
        const float* plain = hat.chunk<C>(first / C);
        for (int u = 0; u < width; ++u) {
            const float factor = gamma[u] * inverse[u];
            const float mean = beta_gradient[u] * share, slope = gamma_gradient[u] * share;
            FL_UNROLL(8)
            for (int b = 0; b < C; b += kLanes) {
                const long at = static_cast<long>(u) * C + b;
                const Vec back = factor * fnma(load(plain + at), slope, load(d + at) - mean);
                store(d + at, first_lanes(rows - first - b) ? back : Vec{});
            }
        }
    }
}

/// Normalises every row of a chunk in place over its units; `inverse` gets one number per row.
template <int C>
void layer_normalize(float* z, float* hat, int width, float epsilon, const float* gamma, const float* beta,
                     float* inverse) {
    const float share = 1.0f / static_cast<float>(width);
    for (int b = 0; b < C; b += kLanes) {
        Vec total[2] = {}, squares[2] = {};
        for (int u = 0; u < width; ++u) total[u & 1] += load(z + static_cast<long>(u) * C + b);
        const Vec mean = (total[0] + total[1]) * share;
        for (int u = 0; u < width; ++u) {
            const Vec away = load(z + static_cast<long>(u) * C + b) - mean;
            squares[u & 1] = fma(away, away, squares[u & 1]);
        }
        const Vec root = 1.0f / square_root(fma(squares[0] + squares[1], share, epsilon));
        store(inverse + b, root);
        for (int u = 0; u < width; ++u) {
            const long at = static_cast<long>(u) * C + b;
            const Vec plain = (load(z + at) - mean) * root;
            store(hat + at, plain);
            store(z + at, fma(plain, gamma[u], beta[u]));
        }
    }
}

/// Turns the error behind a layer normalisation of a chunk into the one before it.
template <int C>
void layer_backward(float* d, const float* hat, int width, const float* inverse, const float* gamma) {
    const float share = 1.0f / static_cast<float>(width);
    for (int b = 0; b < C; b += kLanes) {
        Vec total{}, along{};
        for (int u = 0; u < width; ++u) {
            const long at = static_cast<long>(u) * C + b;
            const Vec inner = load(d + at) * gamma[u];
            total += inner, along = fma(inner, load(hat + at), along);
        }
        const Vec mean = total * share, slope = along * share, root = load(inverse + b);
        for (int u = 0; u < width; ++u) {
            const long at = static_cast<long>(u) * C + b;
            store(d + at, root * fnma(load(hat + at), slope, fma(load(d + at), gamma[u], -mean)));
        }
    }
}

}  // namespace firstlight
