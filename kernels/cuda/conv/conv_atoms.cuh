#pragma once
// The three ways in which tensor cores multiply a fragment of 16 pixels and one of 16 output
// channels. All three take k-steps of 32 bytes a pixel, so ldmatrix, tiles and packs are the same:
//
//   Tf32Atom    8 channels of float32, both factors rounded to tf32 before they come here
//   SplitAtom   8 channels of float32 in float32's accuracy: split_products.cuh
//   Bf16Atom    16 channels of bf16
#include <bit>
#include <cstdint>

#include "kernels/cuda/base/split_products.cuh"
#include "kernels/cuda/conv/conv_pack.cuh"

namespace ek::kernels::EK_TARGET {

// 16 pixels x a k-step, from a tile in shared memory: lane l brings the address of byte 16 (l / 16)
// of pixel l % 16. Pixels lie an odd multiple of 16 bytes apart, so eight rows of 16 bytes meet all
// 32 banks once.
struct PixelFragment {
  std::uint32_t r[4];
  __device__ explicit PixelFragment(const void* row) { ldmatrix(r, row); }
};

// A k-step x 16 channels, a lane's 16 bytes of it.
struct WeightFragment {
  std::uint32_t r[4];
  __device__ WeightFragment() {}
  __device__ explicit WeightFragment(const std::uint32_t* fragment) {
    const auto words = load_vec<uint4>(fragment + threadIdx.x % 32 * 4);
    r[0] = words.x;
    r[1] = words.y;
    r[2] = words.z;
    r[3] = words.w;
  }
};

// Sums of 16 pixels x 16 channels: lane 4g + t holds, of columns 8 j + 2 t and the next one, row g
// in sums[j][0..1] and row g + 8 in sums[j][2..3].
using FragmentSums = float[2][4];

struct Tf32Atom {
  using Element = float;
  static constexpr bool kRounds = true;  // rounded() changes what a tile holds
  using Pixels = PixelFragment;
  using Weights = WeightFragment;

  __device__ static float rounded(float x) { return std::bit_cast<float>(to_tf32(x)); }
  __device__ static void multiply(FragmentSums& c, const Pixels& a, const Weights& b) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const std::uint32_t half[2] = {b.r[2 * j], b.r[2 * j + 1]};
      mma_tf32(c[j], a.r, half);
    }
  }
};

struct SplitAtom {
  using Element = float;
  static constexpr bool kRounds = false;
  struct Pixels : SplitWords<4> {
    __device__ explicit Pixels(const void* row) { split(PixelFragment(row).r); }
  };
  struct Weights : SplitWords<4> {
    __device__ Weights() {}
    __device__ explicit Weights(const std::uint32_t* fragment) {
      split(WeightFragment(fragment).r);
    }
  };

  __device__ static float rounded(float x) { return x; }
  __device__ static void multiply(FragmentSums& c, const Pixels& a, const Weights& b) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      mma_split(c[j], a, {{b.big[2 * j], b.big[2 * j + 1]}, {b.small[2 * j], b.small[2 * j + 1]}});
    }
  }
};

struct Bf16Atom {
  using Element = bf16;
  static constexpr bool kRounds = false;
  using Pixels = PixelFragment;
  using Weights = WeightFragment;

  __device__ static bf16 rounded(bf16 x) { return x; }
  __device__ static void multiply(FragmentSums& c, const Pixels& a, const Weights& b) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const std::uint32_t half[2] = {b.r[2 * j], b.r[2 * j + 1]};
      mma_bf16(c[j], a.r, half);
    }
  }
};

}  // namespace ek::kernels::EK_TARGET
