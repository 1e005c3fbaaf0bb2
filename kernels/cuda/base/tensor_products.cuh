#pragma once
// Products on tensor cores of factors that lie in shared memory with k outermost: a [k][16 rows]
// and b [k][8 columns]. The sums of lane 4g + t are (g, 2t), (g, 2t + 1), (g + 8, 2t) and
// (g + 8, 2t + 1). Three ways:
//
//   Tf32Product    8 steps of k; the elements were rounded to tf32 before they came here
//   SplitProduct   8 steps of k in float32's accuracy: split_products.cuh
//   Bf16Product    16 steps of k; ldmatrix turns the elements, which move by 16 bits
//
// With rows 8 or 24 words (an odd multiple of 16 bytes for bf16) apart modulo 32 no two lanes meet
// at a bank of shared memory: see product_pitch.
#include <bit>
#include <cstdint>

#include "kernels/cuda/base/split_products.cuh"

namespace ek::kernels::EK_TARGET {

// Elements from one step of k to the next for rows of `width` elements, a multiple of 8.
constexpr int product_pitch(int width) {
  return width % 16 == 0 ? width + 8 : width;
}

// Where a lane's steps of k start in b: at k = t and t + 4.
struct FloatRows {
  const float *first, *second;

  // offset[i]: of the i-th step.
  __device__ FloatRows(const float* b, const int* offset) {
    const int t = int(threadIdx.x) % 4;
    first = b + offset[t];
    second = b + offset[t + 4];
  }
  __device__ FloatRows(const float* b, int pitch)
      : first(b + int(threadIdx.x) % 4 * pitch), second(first + 4 * pitch) {}
};

struct FloatA {
  float r[4];
  __device__ void load(const float* a, int pitch) {
    const int lane = int(threadIdx.x) % 32;
    const float* at = a + lane % 4 * pitch + lane / 4;
    r[0] = at[0];
    r[1] = at[8];
    r[2] = at[4 * pitch];
    r[3] = at[4 * pitch + 8];
  }
};
struct FloatB {
  float r[2];
  __device__ void load(const FloatRows& rows, int column) {
    const int g = int(threadIdx.x) % 32 / 4;
    r[0] = rows.first[column + g];
    r[1] = rows.second[column + g];
  }
};

template <int N>
struct FragmentWords {
  std::uint32_t r[N];
};
template <int N>
__device__ void copy_words(const float (&x)[N], std::uint32_t (&words)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) words[i] = std::bit_cast<std::uint32_t>(x[i]);
}

struct Tf32Product {
  using Element = float;
  static constexpr int depth = 8;
  static constexpr bool rounds = true;  // what lies in shared memory
  using Rows = FloatRows;

  struct A : FragmentWords<4> {
    __device__ void load(const float* a, int pitch) {
      FloatA raw;
      raw.load(a, pitch);
      copy_words(raw.r, r);
    }
  };
  struct B : FragmentWords<2> {
    __device__ void load(const FloatRows& rows, int column) {
      FloatB raw;
      raw.load(rows, column);
      copy_words(raw.r, r);
    }
  };
  __device__ static void multiply(float (&c)[4], const A& a, const B& b) { mma_tf32(c, a.r, b.r); }
};

struct SplitProduct {
  using Element = float;
  static constexpr int depth = 8;
  static constexpr bool rounds = false;
  using Rows = FloatRows;

  struct A : SplitWords<4> {
    __device__ void load(const float* a, int pitch) {
      FloatA raw;
      raw.load(a, pitch);
      split(raw.r);
    }
  };
  struct B : SplitWords<2> {
    __device__ void load(const FloatRows& rows, int column) {
      FloatB raw;
      raw.load(rows, column);
      split(raw.r);
    }
  };
  __device__ static void multiply(float (&c)[4], const A& a, const B& b) { mma_split(c, a, b); }
};

struct Bf16Product {
  using Element = bf16;
  static constexpr int depth = 16;
  static constexpr bool rounds = false;

  // Lane l names step l % 16.
  struct Rows {
    const bf16* row;
    __device__ Rows(const bf16* b, const int* offset) : row(b + offset[threadIdx.x % 16]) {}
  };
  struct A : FragmentWords<4> {
    __device__ void load(const bf16* a, int pitch) {
      const int lane = int(threadIdx.x) % 32;
      ldmatrix_trans(r, a + (lane / 16 * 8 + lane % 8) * pitch + lane / 8 % 2 * 8);
    }
  };
  struct B : FragmentWords<2> {
    __device__ void load(const Rows& rows, int column) { ldmatrix_trans(r, rows.row + column); }
  };
  __device__ static void multiply(float (&c)[4], const A& a, const B& b) { mma_bf16(c, a.r, b.r); }
};

}  // namespace ek::kernels::EK_TARGET
