#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#if defined(__AVX512BF16__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels/math/bf16.h"

namespace ek::kernels::cpu {

// n neighbouring elements of a tensor as one SIMD register of A; a plain A where n is 1.
template <class A, int n>
struct LaneValues {
  typedef A type __attribute__((vector_size(n * sizeof(A))));
};
template <class A>
struct LaneValues<A, 1> {
  using type = A;
};

template <int n>
using FloatLanes = typename LaneValues<float, n>::type;

// n bf16 numbers, widened.
template <int n>
inline FloatLanes<n> load_bf16(const bf16* from) {
  if constexpr (n == 1) {
    return math::bf16_to_float(*from);
#if defined(__AVX512F__)
  } else if constexpr (n == 16) {
    __m256i halves;
    std::memcpy(&halves, from, sizeof halves);
    // (The form without a mask makes GCC 12 warn of its own header.)
    const __m512i words = _mm512_maskz_cvtepu16_epi32(__mmask16(-1), halves);
    return FloatLanes<n>(typename LaneValues<std::uint32_t, n>::type(words) << 16);
#endif
#if defined(__AVX2__)
  } else if constexpr (n == 8) {
    __m128i halves;
    std::memcpy(&halves, from, sizeof halves);
    const __m256i words = _mm256_cvtepu16_epi32(halves);
    return FloatLanes<n>(typename LaneValues<std::uint32_t, n>::type(words) << 16);
#endif
  } else {
    typename LaneValues<std::uint16_t, n>::type halves;
    std::memcpy(&halves, from, sizeof halves);
    using Words = typename LaneValues<std::uint32_t, n>::type;
    return FloatLanes<n>(__builtin_convertvector(halves, Words) << 16);
  }
}

// math::float_to_bf16 on n lanes, by integer arithmetic.
template <int n>
inline void round_to_bf16(FloatLanes<n> values, bf16* to) {
  if constexpr (n == 1) {
    *to = math::float_to_bf16(values);
  } else {
    using Words = typename LaneValues<std::uint32_t, n>::type;
    using Halves = typename LaneValues<std::uint16_t, n>::type;
    const Words bits = Words(values), upper = bits >> 16;
    const Words rounded = (bits + 0x7FFF + (upper & 1)) >> 16;
    const Halves halves =
        __builtin_convertvector(values != values ? upper | 0x40 : rounded, Halves);
    std::memcpy(static_cast<void*>(to), &halves, sizeof halves);
  }
}

// The same in one instruction where the machine has it. That takes denormal numbers for zero, as
// the bf16 products of such a machine do anyway; every other number gets the same bits.
template <int n>
inline void store_bf16(FloatLanes<n> values, bf16* to) {
#if defined(__AVX512BF16__) && defined(__AVX512VL__)
  if constexpr (n == 1) {
    const __m128bh half = _mm_cvtneps_pbh(_mm_set_ss(values));
    std::memcpy(static_cast<void*>(to), &half, sizeof(bf16));
    return;
  } else if constexpr (n == 16) {
    const __m256bh halves = _mm512_cvtneps_pbh(__m512(values));
    std::memcpy(static_cast<void*>(to), &halves, sizeof halves);
    return;
  }
#endif
  round_to_bf16<n>(values, to);
}

}  // namespace ek::kernels::cpu
