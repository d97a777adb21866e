// The three matrix products of a dense layer on a chunk of rows.
//
// A chunk holds C rows of the batch, feature-major: element (feature f, row b) lies at f * C + b. A weight matrix is
// (fan_in + 1, fan_out), row-major, its last row the bias; the chunk of a layer's input ends with a feature of ones.
// Running vectors along the batch wastes nothing on widths such as 50 that are no multiple of the vector width.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "vector.hpp"

namespace firstlight {

/// Rows of a full chunk. Chosen so that the buffers of a 50-50 network stay in a 48 KiB first-level cache.
constexpr int kChunk = 32;

/// Rows of a chunk where the parameters do not fit the caches anyhow: they are read and written once per chunk.
constexpr int kLargeChunk = 128;
constexpr std::int64_t kManyParameters = 1 << 16;

/// What becomes of a weight gradient: it is added to the one that is there or replaces it, and is stored or at once
/// used for a step of plain gradient descent, w -= rate * g + decay * w.
struct GradientSink {
    bool add;
    bool descend;
    float rate;
    float decay;
};

/// Where a gradient and the weights it belongs to lie.
struct Target {
    float* gradient;
    float* w;
    float* residual;  // of the weights; see compensated.hpp

    Target operator+(long by) const { return {gradient + by, w + by, residual + by}; }
};

// ---- rows of C = A B, A broadcast: the forward product and the gradient of the layer's input ----------------------

/// Vectors of the batch in one tile, and the most output features that fit the registers beside them.
template <int C>
constexpr int tile_vectors() {
    return std::min(C / kLanes, kLanes >= 16 ? 2 : (kRegisters == 32 ? 4 : 2));
}
template <int C>
constexpr int tile_rows() {
    return std::min(14, (kRegisters - 4) / tile_vectors<C>());
}

/// What a tile computes. A rectified forward product goes on to max(z, slope * z), 0 <= slope <= 1: identity, relu and
/// leaky relu; the backward product then knows the derivative from the sign of that value.
enum class Product { kForward, kForwardRectified, kBackward, kBackwardRectified };

/// With few features the additions of a tile would wait for one another: several partial sums run side by side. How many
/// depends on the features of the whole product alone, so that no bit depends on the tiles.
constexpr int partial_sums(int features) { return features >= 4 ? 1 : (features >= 2 ? 2 : 4); }

/// One tile: out[r][b] = start(r) + sum over k of a(r, k) * in[k][b], for R features r, in P partial sums: term k goes
/// to partial sum k % P, but the last depth % P terms go to the first.
///
/// Forward, a(r, k) = a[k * stride + r] and start = side[r], the bias. Backward, a(r, k) = a[r * stride + k], and the
/// sum is multiplied by the derivative: what stood in out, or as the sign of side[r][b] says.
template <int C, int R, int P, Product kProduct>
void row_tile(const float* a, int stride, int depth, const float* in, const float* side, float slope, float* out) {
    constexpr bool kForward = kProduct == Product::kForward || kProduct == Product::kForwardRectified;
    constexpr int V = tile_vectors<C>();
    for (int block = 0; block < C / kLanes; block += V) {
        Vec sum[P][R][V];
        FL_UNROLL(4)
        for (int p = 0; p < P; ++p)
            FL_UNROLL(32)
            for (int r = 0; r < R; ++r)
                FL_UNROLL(4)
                for (int v = 0; v < V; ++v) sum[p][r][v] = kForward && p == 0 ? splat(side[r]) : Vec{};
        const float* x = in + block * kLanes;
        int k = 0;
        for (; k + P <= depth; k += P)
            FL_UNROLL(4)
            for (int p = 0; p < P; ++p) {
                const float* weights = kForward ? a + static_cast<long>(k + p) * stride : a + k + p;
                Vec row[V];
                FL_UNROLL(4)
                for (int v = 0; v < V; ++v) row[v] = load(x + (k + p) * C + v * kLanes);
                FL_UNROLL(32)
                for (int r = 0; r < R; ++r)
                    FL_UNROLL(4)
                    for (int v = 0; v < V; ++v)
                        sum[p][r][v] = fma(kForward ? weights[r] : weights[static_cast<long>(r) * stride], row[v], sum[p][r][v]);
            }
        if constexpr (P > 1)
            for (; k < depth; ++k) {
                const float* weights = kForward ? a + static_cast<long>(k) * stride : a + k;
                FL_UNROLL(32)
                for (int r = 0; r < R; ++r)
                    FL_UNROLL(4)
                    for (int v = 0; v < V; ++v)
                        sum[0][r][v] = fma(kForward ? weights[r] : weights[static_cast<long>(r) * stride],
                                           load(x + k * C + v * kLanes), sum[0][r][v]);
            }
        FL_UNROLL(32)
        for (int r = 0; r < R; ++r)
            FL_UNROLL(4)
            for (int v = 0; v < V; ++v) {
                Vec total = sum[0][r][v];
                FL_UNROLL(4)
                for (int p = 1; p < P; ++p) total += sum[p][r][v];
                const long at = r * C + (block + v) * kLanes;
                if constexpr (kProduct == Product::kForwardRectified) total = max(slope * total, total);
                if constexpr (kProduct == Product::kBackward) total *= load(out + at);
                if constexpr (kProduct == Product::kBackwardRectified)
                    total = load(side + at) > 0.0f ? total : slope * total;
                store(out + at, total);
            }
    }
}

using RowTile = void (*)(const float*, int, int, const float*, const float*, float, float*);

/// By the features of a tile, for products of four features and more.
template <int C, Product kProduct, int... R>
constexpr auto row_tiles(std::integer_sequence<int, R...>) {
    return std::array<RowTile, sizeof...(R)>{&row_tile<C, R + 1, 1, kProduct>...};
}
/// By the features of the whole product.
template <int C, Product kProduct>
constexpr std::array<RowTile, 3> kNarrowTiles = {&row_tile<C, 1, partial_sums(1), kProduct>,
                                                 &row_tile<C, 2, partial_sums(2), kProduct>,
                                                 &row_tile<C, 3, partial_sums(3), kProduct>};

/// Calls f(first, count) over 0..n in the fewest nearly equal parts of at most `most`.
template <class F>
FL_INLINE void in_parts(int n, int most, F&& f) {
    const int parts = (n + most - 1) / most;
    for (int part = 0, first = 0; part < parts; ++part) {
        const int count = (n - first + parts - part - 1) / (parts - part);
        f(first, count);
        first += count;
    }
}

/// out[o][b] = bias[o] + sum over i of w[i][o] * in[i][b].
template <int C, Product kProduct = Product::kForward>
void forward_product(const float* w, int fan_in, int fan_out, const float* in, float slope, float* out) {
    static constexpr auto tiles = row_tiles<C, kProduct>(std::make_integer_sequence<int, tile_rows<C>()>{});
    const float* bias = w + static_cast<long>(fan_in) * fan_out;
    if (partial_sums(fan_out) > 1)
        return kNarrowTiles<C, kProduct>[fan_out - 1](w, fan_out, fan_in, in, bias, slope, out);
    in_parts(fan_out, tile_rows<C>(), [&](int first, int count) {
        tiles[count - 1](w + first, fan_out, fan_in, in, bias + first, slope, out + static_cast<long>(first) * C);
    });
}

/// out[i][b] = derivative * sum over o of w[i][o] * delta[o][b], the derivative as row_tile finds it.
template <int C, Product kProduct = Product::kBackward>
void backward_product(const float* w, int fan_in, int fan_out, const float* delta, const float* side, float slope,
                      float* out) {
    static constexpr auto tiles = row_tiles<C, kProduct>(std::make_integer_sequence<int, tile_rows<C>()>{});
    if (partial_sums(fan_in) > 1)
        return kNarrowTiles<C, kProduct>[fan_in - 1](w, fan_out, fan_out, delta, side, slope, out);
    in_parts(fan_in, tile_rows<C>(), [&](int first, int count) {
        const long at = static_cast<long>(first) * C;
        tiles[count - 1](w + static_cast<long>(first) * fan_out, fan_out, fan_out, delta, side + at, slope, out + at);
    });
}

}  // namespace firstlight
