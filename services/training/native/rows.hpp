// Rows of a data set: brought into feature-major order chunk by chunk, and what a chunk's outputs lose against them.
#pragma once

#include "losses.hpp"
#include "shape.hpp"

namespace firstlight {

/// Rows of a data set. Training reads rows (row-major, `stride` floats apart, kLanes floats of slack at the end),
/// evaluation reads tiles of kChunk rows, feature-major.
struct Rows {
    std::int64_t count;
    std::int64_t stride;
    const float* inputs;
    const float* targets;          // regression; the same layout with `outputs` in place of the stride
    const std::int32_t* labels;    // classification
    float near;                    // residuals up to this size may have the wrong sign in float32
};

/// Copies rows of the data set into feature-major order; places beyond the last row repeat it.
template <int C>
void gather(const float* data, std::int64_t stride, int width, const std::int32_t* order, int rows, float* out) {
    for (int block = 0; block < C; block += kLanes) {
        const float* source[kLanes];
        for (int b = 0; b < kLanes; ++b) source[b] = data + stride * order[std::min(block + b, rows - 1)];
        if (width == 1) {
            for (int b = 0; b < kLanes; ++b) out[block + b] = *source[b];
            continue;
        }
        for (int f = 0; f < width; f += kLanes) {
            Vec square[kLanes];
            FL_UNROLL(16)
            for (int b = 0; b < kLanes; ++b) square[b] = load(source[b] + f);
            transpose(square);
            const int n = std::min(kLanes, width - f);
            FL_UNROLL(16)
            for (int i = 0; i < kLanes; ++i)
                if (i < n) store(out + static_cast<long>(f + i) * C + block, square[i]);
        }
    }
}

/// Rows from tiles of kChunk rows, which need not begin with a tile; places beyond the last row repeat it.
inline void from_tiles(const float* tiles, int width, std::int64_t row, int rows, float* out) {
    if (row % kChunk == 0) {
        std::copy_n(tiles + row * width, static_cast<long>(width) * kChunk, out);
        return;
    }
    for (int b = 0; b < kChunk; ++b) {
        const std::int64_t from = row + std::min(b, rows - 1);
        const float* source = tiles + from / kChunk * kChunk * width + from % kChunk;
        for (int f = 0; f < width; ++f) out[f * kChunk + b] = source[f * kChunk];
    }
}

/// What the derivative of a row's loss by an output is multiplied by, in a batch of `rows`.
inline float loss_scale(const Shape& shape, int rows) {
    const int outputs = shape.loss == Loss::kCrossEntropy ? 1 : shape.widths[shape.layers];
    return 1.0f / (static_cast<float>(rows) * static_cast<float>(outputs));
}

/// Loss and error of a chunk in training; `order` begins with the chunk's rows, `batch` is how many the batch has.
template <int C>
void training_loss(const Shape& shape, const Rows& data, const std::int32_t* order, int rows, int batch, float* targets,
                   float* z, Sums& total, Doubts& doubts) {
    const int outputs = shape.widths[shape.layers];
    const float scale = loss_scale(shape, batch);
    if (data.labels != nullptr) {
        std::int32_t labels[C];
        for (int b = 0; b < C; ++b) labels[b] = data.labels[order[std::min(b, rows - 1)]];
        if (shape.loss == Loss::kCrossEntropy) {
            cross_entropy_loss<C, true>(z, labels, outputs, rows, scale, total);
        } else {
            binary_cross_entropy_loss<C, true>(z, labels, rows, scale, total);
        }
    } else {
        gather<C>(data.targets, outputs, outputs, order, rows, targets);
        regression_loss<C, true>(shape.loss, shape.huber_delta, z, targets, outputs, rows, scale, total, &doubts);
    }
}

/// Sums over a chunk in evaluation; targets or labels are the chunk's own, in its order.
template <int C>
void evaluation_loss(const Shape& shape, const float* targets, const std::int32_t* labels, int rows, float* z,
                     Sums& total) {
    const int outputs = shape.widths[shape.layers];
    if (shape.loss == Loss::kCrossEntropy) {
        cross_entropy_loss<C, false>(z, labels, outputs, rows, 0, total);
    } else if (shape.loss == Loss::kBinaryCrossEntropy) {
        binary_cross_entropy_loss<C, false>(z, labels, rows, 0, total);
    } else {
        regression_loss<C, false>(shape.loss, shape.huber_delta, z, targets, outputs, rows, 0, total);
    }
}

}  // namespace firstlight
