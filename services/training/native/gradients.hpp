// The gradient of a dense layer's weights and biases on a chunk: g[i][o] = sum over rows b of in[i][b] * delta[o][b].
//
// Vectors run along the outputs o here, which needs the error row-major (transposed below). The last few outputs of a
// width such as 50 = 3 * 16 + 2 would fill a vector badly: they are summed along the batch instead.
#pragma once

#include "products.hpp"

namespace firstlight {

/// Above this many left-over outputs a partly filled vector is cheaper than sums along the batch.
constexpr int kMostSummed = kLanes * 3 / 8;

constexpr int column_vectors(int fan_out) {
    return fan_out / kLanes + (fan_out % kLanes > kMostSummed ? 1 : 0);
}

FL_INLINE Vec sunk(Vec g, const float* gradient, const float* w, const GradientSink& sink, int n) {
    const bool add = sink.mode == Sink::kAdd || sink.mode == Sink::kAddAndDescend;
    if (add) g += n == kLanes ? load(gradient) : load_first(gradient, n);
    if (sink.mode == Sink::kStore || sink.mode == Sink::kAdd) return g;
    return sink.keep * (n == kLanes ? load(w) : load_first(w, n)) - sink.rate * g;
}

/// R rows (inputs) by V vectors of outputs; only the first `last` lanes of the last vector are outputs.
template <int C, int R, int V>
void gradient_tile(const float* in, const float* rows, int rows_stride, float* gradient, float* w, int fan_out,
                   int last, const GradientSink& sink) {
    Vec sum[R][V];
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[r][v] = Vec{};
#pragma GCC unroll 2
    for (int b = 0; b < C; ++b) {
        Vec row[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) row[v] = load(rows + b * rows_stride + v * kLanes);
#pragma GCC unroll 32
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sum[r][v] += splat(in[r * C + b]) * row[v];
    }
    float* target = sink.mode == Sink::kStore || sink.mode == Sink::kAdd ? gradient : w;
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            const long at = static_cast<long>(r) * fan_out + v * kLanes;
            const int n = v == V - 1 ? last : kLanes;
            const Vec value = sunk(sum[r][v], gradient + at, w + at, sink, n);
            if (n == kLanes) {
                store(target + at, value);
            } else {
                store_first(target + at, value, n);
            }
        }
}

using GradientTile = void (*)(const float*, const float*, int, float*, float*, int, int, const GradientSink&);

constexpr int kGradientVectors = kRegisters == 32 ? 4 : 3;
constexpr int gradient_rows(int vectors) { return std::min(14, (kRegisters - 1 - vectors) / vectors); }

template <int C, int V, int... R>
constexpr auto gradient_tiles(std::integer_sequence<int, R...>) {
    return std::array<GradientTile, 14>{&gradient_tile<C, R + 1, V>...};
}

template <int C, int... V>
constexpr auto gradient_tables(std::integer_sequence<int, V...>) {
    return std::array<std::array<GradientTile, 14>, sizeof...(V)>{
        gradient_tiles<C, V + 1>(std::make_integer_sequence<int, gradient_rows(V + 1)>{})...};
}

/// rows[b][o] = delta[o][b] for the outputs that gradient_product takes by vectors.
template <int C>
void transpose_delta(const float* delta, int fan_out, float* rows) {
    const int vectors = column_vectors(fan_out);
    for (int v = 0; v < vectors; ++v)
        for (int block = 0; block < C / kLanes; ++block) {
            Vec square[kLanes];
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; ++i) square[i] = load(delta + (v * kLanes + i) * C + block * kLanes);
            transpose(square);
#pragma GCC unroll 16
            for (int i = 0; i < kLanes; ++i)
                store(rows + static_cast<long>(block * kLanes + i) * vectors * kLanes + v * kLanes, square[i]);
        }
}

/// Outputs from `first` on, one column of the gradient at a time.
template <int C>
void summed_columns(const float* in, const float* delta, int inputs, int first, int fan_out, float* gradient, float* w,
                    const GradientSink& sink) {
    for (int o = first; o < fan_out; ++o)
        for (int i = 0; i < inputs; i += kLanes) {
            Vec partial[kLanes];
#pragma GCC unroll 16
            for (int r = 0; r < kLanes; ++r) {
                // Rows beyond the last repeat it; their sums are not used.
                const float* x = in + std::min(i + r, inputs - 1) * C;
                partial[r] = load(x) * load(delta + o * C);
#pragma GCC unroll 8
                for (int v = kLanes; v < C; v += kLanes) partial[r] += load(x + v) * load(delta + o * C + v);
            }
            const Vec column = sums(partial);
            const int n = std::min(kLanes, inputs - i);
            for (int r = 0; r < n; ++r) {
                const long at = static_cast<long>(i + r) * fan_out + o;
                float g = column[r];
                if (sink.mode == Sink::kAdd || sink.mode == Sink::kAddAndDescend) g += gradient[at];
                if (sink.mode == Sink::kStore || sink.mode == Sink::kAdd) {
                    gradient[at] = g;
                } else {
                    w[at] = sink.keep * w[at] - sink.rate * g;
                }
            }
        }
}

/// The gradient of `inputs` = fan_in + 1 rows (the last one the bias), put away as `sink` says.
template <int C>
void gradient_product(const float* in, const float* delta, const float* rows, int inputs, int fan_out, float* gradient,
                      float* w, const GradientSink& sink) {
    static constexpr auto tables = gradient_tables<C>(std::make_integer_sequence<int, kGradientVectors>{});
    const int vectors = column_vectors(fan_out);
    const int covered = std::min(fan_out, vectors * kLanes);
    in_parts(vectors, kGradientVectors, [&](int v, int count) {
        const int o = v * kLanes;
        const int last = std::min(kLanes, covered - o - (count - 1) * kLanes);
        in_parts(inputs, gradient_rows(count), [&](int first, int rows_here) {
            const long at = static_cast<long>(first) * fan_out + o;
            tables[count - 1][rows_here - 1](in + first * C, rows + o, vectors * kLanes, gradient + at, w + at, fan_out,
                                             last, sink);
        });
    });
    summed_columns<C>(in, delta, inputs, covered, fan_out, gradient, w, sink);
}

}  // namespace firstlight
