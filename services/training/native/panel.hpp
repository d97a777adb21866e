// Aligned scratch memory of one thread.
#pragma once

#include <cstdlib>
#include <new>

#include "vector.hpp"

namespace firstlight {

/// Floats that begin at a cache line, zero at first.
class Buffer {
public:
    explicit Buffer(std::size_t floats = 0) {
        const std::size_t bytes = (floats * sizeof(float) + 127) / 64 * 64;
        data_ = static_cast<float*>(std::aligned_alloc(64, bytes));
        if (data_ == nullptr) throw std::bad_alloc();
        std::memset(data_, 0, bytes);
    }
    Buffer(Buffer&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(data_); }
    float* get() { return data_; }

private:
    float* data_;
};

/// A whole batch in chunks of C rows, each feature-major; readable up to a whole vector of features beyond the last.
class Panel {
public:
    Panel(int features, int rows)
        : height_(padded(features) + kLanes), data_(static_cast<std::size_t>(features ? height_ * rows : 0)) {}

    template <int C>
    float* chunk(int number) {
        return data_.get() + number * pitch<C>();
    }
    /// Floats from one chunk to the next.
    template <int C>
    long pitch() const {
        return height_ * C;
    }

private:
    long height_;
    Buffer data_;
};

}  // namespace firstlight
