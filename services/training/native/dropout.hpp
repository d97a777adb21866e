// Dropout: NumPy's Philox stream, and the masks that its float32 numbers make.
#pragma once

#include <cstdint>
#include <vector>

#include "shape.hpp"
#include "vector.hpp"

namespace firstlight {

__extension__ typedef unsigned __int128 Product128;

/// Philox 4x64-10 (Salmon et al., SC 2011) under a key. NumPy counts before it draws: block b is that of counter b + 1.
struct Philox {
    std::uint64_t seed, stream;

    /// Writes the 32-bit halves, low one first, of `count` blocks of four words, from block `first` on.
    void halves(std::uint64_t first, long count, std::uint32_t* out) const {
        for (long i = 0; i < count; ++i) {
            std::uint64_t c[4] = {first + static_cast<std::uint64_t>(i) + 1, 0, 0, 0};
            std::uint64_t key0 = seed, key1 = stream;
        FL_UNROLL(10)
            for (int round = 0; round < 10; ++round) {
                const auto p = static_cast<Product128>(c[0]) * 0xD2E7470EE14C6C93u;
                const auto q = static_cast<Product128>(c[2]) * 0xCA5A826395121157u;
                c[0] = static_cast<std::uint64_t>(q >> 64) ^ c[1] ^ key0;
                c[1] = static_cast<std::uint64_t>(q);
                c[2] = static_cast<std::uint64_t>(p >> 64) ^ c[3] ^ key1;
                c[3] = static_cast<std::uint64_t>(p);
                key0 += 0x9E3779B97F4A7C15u;
                key1 += 0xBB67AE8584CAA73Bu;
            }
            for (int k = 0; k < 4; ++k) {
                out[8 * i + 2 * k] = static_cast<std::uint32_t>(c[k]);
                out[8 * i + 2 * k + 1] = static_cast<std::uint32_t>(c[k] >> 32);
            }
        }
    }
};

/// Rows whose bits share a word.
constexpr int kMaskRows = 32;

/// Which activations stay, for one seed and a stretch of batches. A word holds one unit's bits of kMaskRows rows; words
/// of all hidden layers' units, each layer padded to whole vectors, make a block, and blocks follow one another.
class Masks {
public:
    explicit Masks(const Shape& shape) : shape_(shape) {
        for (int l = 0; l + 1 < shape.layers; ++l) {
            layers_.push_back(block_);
            block_ += padded(shape.widths[l + 1]);
            units_ += shape.widths[l + 1];
        }
    }

    /// Batches of a stretch whose words stay within the second-level cache, at most `most`.
    static std::int64_t stretch(const Shape& shape, std::int64_t most) {
        const Masks layout(shape);
        const std::int64_t batch = layout.block_ * layout.blocks(shape.batch_size);
        return std::max<std::int64_t>(1, std::min(most, kMostWords / std::max<std::int64_t>(1, batch)));
    }

    /// Draws the masks of the rows begin..end of an epoch, which starts at row 0, unless it has them.
    void draw(const Philox& philox, std::int64_t begin, std::int64_t end) {
        const bool same = philox.seed == philox_.seed && philox.stream == philox_.stream;
        if (same && begin == begin_ && end == end_) return;
        philox_ = philox, begin_ = begin, end_ = end;
        const std::int64_t size = shape_.batch_size, batches = (end - begin + size - 1) / size;
        words_.resize(static_cast<std::size_t>(batches * blocks(size) * block_));
        for (std::int64_t at = begin; at < end; at += size) draw_batch(at, static_cast<int>(std::min(size, end - at)));
    }

    /// The first block of the batch that begins at row `at`.
    const std::uint32_t* batch(std::int64_t at) const {
        return words_.data() + place(at);
    }
    long block() const { return block_; }
    long layer(std::size_t l) const { return layers_[l]; }

private:
    static constexpr std::int64_t kMostWords = 1 << 18;

    std::int64_t place(std::int64_t at) const {
        return (at - begin_) / shape_.batch_size * blocks(shape_.batch_size) * block_;
    }
    static std::int64_t blocks(std::int64_t rows) { return (rows + kMaskRows - 1) / kMaskRows; }

    void draw_batch(std::int64_t at, int rows) {
        std::uint64_t number = static_cast<std::uint64_t>(at) * units_;  // of the epoch's numbers, the next
        std::uint32_t* const words = words_.data() + place(at);
        for (std::size_t l = 0; l < layers_.size(); ++l) {
            const int units = shape_.widths[l + 1];
            for (int first = 0; first < rows; first += kMaskRows) {
                const int here = std::min(kMaskRows, rows - first);
                const long count = static_cast<long>(here) * units;
                const long skip = static_cast<long>(number % 8), drawn = (skip + count + 7) / 8;
                numbers_.resize(static_cast<std::size_t>(std::max<long>(8 * drawn + kLanes, numbers_.size())));
                philox_.halves(number / 8, drawn, numbers_.data());
                pack(numbers_.data() + skip, here, units, words + first / kMaskRows * block_ + layers_[l]);
                number += count;
            }
        }
    }

    /// NumPy's float32 is the upper 24 bits over 2^24: compared as whole numbers.
    void pack(const std::uint32_t* numbers, int rows, int units, std::uint32_t* words) const {
        const auto least = static_cast<std::int32_t>(shape_.between->keep_from);
        for (int u = 0; u < units; u += kLanes) {
            Int word{};
            for (int r = 0; r < rows; ++r) {
                Uint drawn;
                std::memcpy(&drawn, numbers + static_cast<long>(r) * units + u, sizeof(drawn));
                const Int kept = reinterpret_cast<Int>(drawn >> 8) >= least;
                word |= kept & static_cast<std::int32_t>(1u << r);
            }
            std::memcpy(words + u, &word, sizeof(word));
        }
    }

    const Shape& shape_;
    Philox philox_{};
    std::int64_t begin_ = -1, end_ = -1;
    std::uint64_t units_ = 0;
    long block_ = 0;
    std::vector<long> layers_;
    std::vector<std::uint32_t> words_, numbers_;
};

/// Multiplies the activations that stay by `enlarge` and makes the others zero: C rows, from row `first` of a batch on,
/// of a layer whose words begin at `words`. With kBoth the same happens to `also`.
template <int C, bool kBoth>
void drop(const std::uint32_t* words, long block, int first, int units, float enlarge, float* h, float* also) {
    const Int lane = (Int{} + 1) << lane_numbers();
    words += first / kMaskRows * block;
    const int shift = first % kMaskRows;
    for (int u = 0; u < units; ++u)
        FL_UNROLL(8)
        for (int b = 0; b < C; b += kLanes) {
            const std::uint32_t bits = words[b / kMaskRows * block + u] >> (shift + b % kMaskRows);
            const Int kept = ((Int{} + static_cast<std::int32_t>(bits)) & lane) != 0;
            const long at = static_cast<long>(u) * C + b;
            store(h + at, kept ? load(h + at) * enlarge : Vec{});
            if (kBoth) store(also + at, kept ? load(also + at) * enlarge : Vec{});
        }
}

}  // namespace firstlight
