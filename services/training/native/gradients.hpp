// The gradient of a dense layer's weights and biases on a chunk: g[i][o] = sum over rows b of in[i][b] * delta[o][b].
//
// Vectors run along the outputs o here, which needs the error row-major (transposed below); a layer of very few outputs
// would fill them badly and is summed along the batch instead. Within a layer every output is summed in the same order:
// units that are equal stay equal.
#pragma once

#include "compensated.hpp"
#include "partial_sums.hpp"
#include "products.hpp"

namespace firstlight {

/// Layers of up to this many outputs are summed along the batch.
constexpr int kMostSummed = 3;

constexpr int column_vectors(int fan_out) { return fan_out <= kMostSummed ? 0 : padded(fan_out) / kLanes; }

/// Moves a weight by a gradient g. T is a float or a vector; `get` and `put` read and write it at an address.
template <class T, class Get, class Put>
FL_INLINE void descend(T g, const Target& at, const GradientSink& sink, Get&& get, Put&& put) {
    const T w = get(at.w);
    T residual = get(at.residual);
    put(at.w, compensated_sum<T>(w, fnma(sink.decay, w, fnma(sink.rate, g, residual)), residual));
    put(at.residual, residual);
}

/// Calls f(row, vector, offset, get, put) for every vector of a tile. Only the first `last` lanes of a row's last
/// vector are outputs, and `get` and `put` keep to them.
template <int R, int V, class F>
FL_INLINE void for_each_vector(int fan_out, int last, F&& f) {
    const auto get = [](const float* p) { return load(p); };
    const auto put = [](float* p, Vec v) { store(p, v); };
FL_UNROLL(32)
    for (int r = 0; r < R; ++r)
FL_UNROLL(4)
        for (int v = 0; v < V - 1; ++v) f(r, v, static_cast<long>(r) * fan_out + v * kLanes, get, put);
    const auto get_first = [last](const float* p) { return load_first(p, last); };
    const auto put_first = [last](float* p, Vec v) { store_first(p, v, last); };
FL_UNROLL(32)
    for (int r = 0; r < R; ++r)
        f(r, V - 1, static_cast<long>(r) * fan_out + (V - 1) * kLanes, get_first, put_first);
}

/// R rows (inputs) by V vectors of outputs; only the first `last` lanes of the last vector are outputs.
template <int C, int R, int V>
void gradient_tile(const float* in, const float* rows, int rows_stride, const Target& target, int fan_out, int last,
                   const GradientSink& sink) {
    Vec sum[R][V];
FL_UNROLL(32)
    for (int r = 0; r < R; ++r)
FL_UNROLL(4)
        for (int v = 0; v < V; ++v) sum[r][v] = Vec{};
    for (int b = 0; b < C; ++b) {
        Vec row[V];
FL_UNROLL(4)
        for (int v = 0; v < V; ++v) row[v] = load(rows + b * rows_stride + v * kLanes);
FL_UNROLL(32)
        for (int r = 0; r < R; ++r)
FL_UNROLL(4)
            for (int v = 0; v < V; ++v) sum[r][v] = fma(in[r * C + b], row[v], sum[r][v]);
    }
    const GradientSink local = sink;  // so that the compiler knows that no store changes it
    if (local.add)
        for_each_vector<R, V>(fan_out, last, [&](int r, int v, long at, auto&& get, auto&&) {
            sum[r][v] += get(target.gradient + at);
        });
    if (local.descend) {
        for_each_vector<R, V>(fan_out, last, [&](int r, int v, long at, auto&& get, auto&& put) {
            descend(sum[r][v], target + at, local, get, put);
        });
    } else {
        for_each_vector<R, V>(fan_out, last, [&](int r, int v, long at, auto&&, auto&& put) {
            put(target.gradient + at, sum[r][v]);
        });
    }
}

using GradientTile = void (*)(const float*, const float*, int, const Target&, int, int, const GradientSink&);

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

/// rows[b][o] = delta[o][b] where gradient_product takes the outputs by vectors.
template <int C>
void transpose_delta(const float* delta, int fan_out, float* rows) {
    const int vectors = column_vectors(fan_out);
    for (int v = 0; v < vectors; ++v)
        for (int block = 0; block < C / kLanes; ++block) {
            Vec square[kLanes];
FL_UNROLL(16)
            for (int i = 0; i < kLanes; ++i) square[i] = load(delta + (v * kLanes + i) * C + block * kLanes);
            transpose(square);
FL_UNROLL(16)
            for (int i = 0; i < kLanes; ++i)
                store(rows + static_cast<long>(block * kLanes + i) * vectors * kLanes + v * kLanes, square[i]);
        }
}

/// Puts away n numbers of a gradient that lie `stride` floats apart.
FL_INLINE void put_away(Vec g, int n, int stride, Target at, const GradientSink& sink) {
    if (stride == 1) {
        const auto get = [n](const float* p) { return load_first(p, n); };
        const auto put = [n](float* p, Vec v) { store_first(p, v, n); };
        if (sink.add) g += get(at.gradient);
        if (sink.descend) return descend(g, at, sink, get, put);
        return put(at.gradient, g);
    }
    const auto get = [](const float* p) { return *p; };
    const auto put = [](float* p, float v) { *p = v; };
    float column[kLanes];
    store(column, g);
    for (int r = 0; r < n; ++r, at = at + stride) {
        const float own = sink.add ? column[r] + *at.gradient : column[r];
        if (sink.descend) {
            descend(own, at, sink, get, put);
        } else {
            *at.gradient = own;
        }
    }
}

/// One column of the gradient after the other. `in` may be read beyond its last row.
template <int C>
void summed_columns(const float* in, const float* delta, int inputs, int fan_out, const Target& target,
                    const GradientSink& sink) {
    const GradientSink local = sink;
    for (int o = 0; o < fan_out; ++o)
        for (int i = 0; i < inputs; i += kLanes) {
            Partials partials[kLanes];
            FL_UNROLL(16)
            for (int r = 0; r < kLanes; ++r)
                FL_UNROLL(8)
                for (int b = 0; b < C; b += kPartials)
                    FL_UNROLL(4)
                    for (int v = 0; v < kPartialVectors; ++v) {
                        const Vec x = load(in + (i + r) * C + b + v * kLanes), d = load(delta + o * C + b + v * kLanes);
                        Vec& sum = partials[r].part[v];
                        sum = b == 0 ? x * d : fma(x, d, sum);
                    }
            const Target at = target + (static_cast<long>(i) * fan_out + o);
            put_away(sums(partials), std::min(kLanes, inputs - i), fan_out, at, local);
        }
}

/// The gradient of `inputs` = fan_in + 1 rows (the last one the bias), put away as `sink` says.
template <int C>
void gradient_product(const float* in, const float* delta, const float* rows, int inputs, int fan_out,
                      const Target& target, const GradientSink& sink) {
    static constexpr auto tables = gradient_tables<C>(std::make_integer_sequence<int, kGradientVectors>{});
    const int vectors = column_vectors(fan_out);
    if (vectors == 0) return summed_columns<C>(in, delta, inputs, fan_out, target, sink);
    in_parts(vectors, kGradientVectors, [&](int v, int count) {
        const int o = v * kLanes;
        const int last = std::min(kLanes, fan_out - o - (count - 1) * kLanes);
        in_parts(inputs, gradient_rows(count), [&](int first, int rows_here) {
            const long at = static_cast<long>(first) * fan_out + o;
            tables[count - 1][rows_here - 1](in + first * C, rows + o, vectors * kLanes, target + at, fan_out, last,
                                             sink);
        });
    });
}

}  // namespace firstlight
