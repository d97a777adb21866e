// Float vectors of a processor's own width on the compiler's vector extension: AVX-512, AVX2 and NEON from one source.
//
// Every number is the same whatever the width. Two rules see to that: what is rounded once is written as one fused
// multiply-add (`fma`, `fnma`; the compiler makes none of its own), and no order of additions depends on kLanes
// (partial_sums.hpp, products.hpp).
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>
#define FL_AVX512 1
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define FL_AVX2 1
#elif defined(__aarch64__)
#include <arm_neon.h>
#define FL_NEON 1
#else
#error "the kernel needs fused multiply-adds: x86-64-v3 (AVX2 and FMA) or later, or aarch64"
#endif

#if defined(__clang__)
#define FL_UNROLL(n) _Pragma("unroll")
#else
#define FL_PRAGMA(text) _Pragma(#text)
#define FL_UNROLL(n) FL_PRAGMA(GCC unroll n)
#endif

namespace firstlight {

#if defined(FL_AVX512)
constexpr int kLanes = 16;
constexpr int kRegisters = 32;
#elif defined(FL_AVX2)
constexpr int kLanes = 8;
constexpr int kRegisters = 16;
#else
constexpr int kLanes = 4;
constexpr int kRegisters = 32;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef std::int32_t Int __attribute__((vector_size(kLanes * 4)));
typedef std::uint32_t Uint __attribute__((vector_size(kLanes * 4)));
typedef float UnalignedVec __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

#define FL_INLINE inline __attribute__((always_inline))

/// Rounds up to a multiple of the vector width.
constexpr int padded(int n) { return (n + kLanes - 1) / kLanes * kLanes; }

/// Partial sums that a sum along the lanes is made of, whatever the width: those of the widest vectors.
constexpr int kPartials = 16;
constexpr int kPartialVectors = kPartials / kLanes;

template <int... I>
FL_INLINE Vec filled(float x, std::integer_sequence<int, I...>) {
    return Vec{(static_cast<void>(I), x)...};
}

using LaneSequence = std::make_integer_sequence<int, kLanes>;

FL_INLINE Vec splat(float x) { return filled(x, LaneSequence{}); }
FL_INLINE Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
FL_INLINE void store(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }

/// a * b + c, rounded once.
FL_INLINE Vec fma(Vec a, Vec b, Vec c) {
#if defined(FL_AVX512)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(FL_AVX2)
    return _mm256_fmadd_ps(a, b, c);
#else
    return vfmaq_f32(c, a, b);
#endif
}
/// c - a * b, rounded once.
FL_INLINE Vec fnma(Vec a, Vec b, Vec c) {
#if defined(FL_AVX512)
    return _mm512_fnmadd_ps(a, b, c);
#elif defined(FL_AVX2)
    return _mm256_fnmadd_ps(a, b, c);
#else
    return vfmsq_f32(c, a, b);
#endif
}
FL_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
FL_INLINE float fnma(float a, float b, float c) { return __builtin_fmaf(-a, b, c); }
FL_INLINE double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }

FL_INLINE Vec spread(Vec v) { return v; }
FL_INLINE Vec spread(float x) { return splat(x); }
/// The same where some of the three are one number for all lanes.
template <class A, class B, class C>
FL_INLINE Vec fma(A a, B b, C c) {
    return fma(spread(a), spread(b), spread(c));
}
template <class A, class B, class C>
FL_INLINE Vec fnma(A a, B b, C c) {
    return fnma(spread(a), spread(b), spread(c));
}

FL_INLINE Int bits(Vec v) { return reinterpret_cast<Int>(v); }
FL_INLINE Vec from_bits(Int v) { return reinterpret_cast<Vec>(v); }

/// The first n lanes from memory, zero in the others; reads nothing beyond them.
FL_INLINE Vec load_first(const float* p, int n) {
#if defined(FL_AVX512)
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#else
    if (n == kLanes) return load(p);
    float lanes[kLanes] = {};
    std::memcpy(lanes, p, sizeof(float) * n);
    return load(lanes);
#endif
}

/// Writes the first n lanes and nothing beyond them.
FL_INLINE void store_first(float* p, Vec v, int n) {
#if defined(FL_AVX512)
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
#else
    if (n == kLanes) return store(p, v);
    float lanes[kLanes];
    store(lanes, v);
    std::memcpy(p, lanes, sizeof(float) * n);
#endif
}

// In max and min a NaN in x stays; PyTorch and NumPy let it through as well.
FL_INLINE Vec max(Vec x, Vec bound) { return bound > x ? bound : x; }
FL_INLINE Vec min(Vec x, Vec bound) { return bound < x ? bound : x; }
FL_INLINE Vec max(Vec x, float bound) { return max(x, splat(bound)); }
FL_INLINE Vec min(Vec x, float bound) { return min(x, splat(bound)); }
FL_INLINE Vec abs(Vec x) { return from_bits(bits(x) & 0x7fffffff); }
FL_INLINE Vec copysign(Vec magnitude, Vec sign) {
    return from_bits((bits(magnitude) & 0x7fffffff) | (bits(sign) & static_cast<std::int32_t>(0x80000000)));
}

/// Lane numbers 0, 1, 2, ...
FL_INLINE Int lane_numbers() {
    Int v;
    for (int i = 0; i < kLanes; ++i) v[i] = i;
    return v;
}

/// All bits set in the first n lanes.
FL_INLINE Int first_lanes(int n) { return lane_numbers() < n; }

/// Whether any bit is set.
FL_INLINE bool any(Int v) {
#if defined(FL_AVX512)
    return _mm512_test_epi32_mask(reinterpret_cast<__m512i>(v), reinterpret_cast<__m512i>(v)) != 0;
#else
    std::uint64_t words[kLanes / 2], found = 0;
    std::memcpy(words, &v, sizeof(v));
    for (const std::uint64_t word : words) found |= word;
    return found != 0;
#endif
}

template <int S, int... I>
FL_INLINE Vec swap_blocks(Vec a, Vec b, std::integer_sequence<int, I...>) {
    // Lane j takes b[j - S] where j lies in an odd block of S lanes, a[j + S] elsewhere.
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, ((I & S) ? kLanes + I - S : I + S)...);
#else
    return __builtin_shuffle(a, b, Int{((I & S) ? kLanes + I - S : I + S)...});
#endif
}

template <int S, int... I>
FL_INLINE Int odd_blocks(std::integer_sequence<int, I...>) {
    return Int{((I & S) ? -1 : 0)...};
}

template <int S>
FL_INLINE void transpose_stage(Vec* v) {
    FL_UNROLL(16)
    for (int i = 0; i < kLanes; ++i) {
        if (i & S) continue;
        const Vec crossed = swap_blocks<S>(v[i], v[i | S], LaneSequence{});
        const Int odd = odd_blocks<S>(LaneSequence{});
        v[i] = odd ? crossed : v[i];
        v[i | S] = odd ? v[i | S] : crossed;
    }
}

/// Transposes kLanes x kLanes numbers held in kLanes vectors.
FL_INLINE void transpose(Vec* v) {
    transpose_stage<1>(v);
    transpose_stage<2>(v);
    if constexpr (kLanes >= 8) transpose_stage<4 % kLanes>(v);
    if constexpr (kLanes >= 16) transpose_stage<8 % kLanes>(v);
}

/// Makes this thread treat subnormal numbers as zero while it lives: they can cost a hundred times an ordinary number.
class FlushSubnormals {
public:
#if !defined(FL_NEON)
    FlushSubnormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }
    ~FlushSubnormals() { _mm_setcsr(saved_); }

private:
    unsigned saved_;
#else
    FlushSubnormals() {
        asm volatile("mrs %0, fpcr" : "=r"(saved_));
        asm volatile("msr fpcr, %0" : : "r"(saved_ | (1ull << 24)));
    }
    ~FlushSubnormals() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }

private:
    std::uint64_t saved_;
#endif
};

}  // namespace firstlight
