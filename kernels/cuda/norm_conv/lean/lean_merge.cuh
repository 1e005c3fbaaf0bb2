#pragma once
// TilePairs::merge (conv_norm_tiles.cuh) where channels are constants and every tile is whole.
#include "kernels/cuda/norm_conv/conv_norm_tiles.cuh"

namespace ek::kernels::EK_TARGET {

// Channels c .. c + Count of `tiles` tiles of Pixels pixels, which have C channels; by all threads
// of the last block. Threads that follow each other have a tile's channels, two each; loads of 16
// tiles are on their way at a time, since the whole GPU waits.
template <int C, int Count, int Pixels, int Threads, class Rule>
__device__ __forceinline__ void merge_lean(const TilePair* pairs, int c, int tiles,
                                           const Rule& rule) {
  using Neighbours = Pack<TilePair, 2>;
  constexpr int slots = Count / 2, apart = Threads / slots, warps = Threads / 32, at_once = 16;
  struct WarpTotals {
    SharedArray<double, warps * Count> first, second;
  };
  const int own = int(threadIdx.x) % slots * 2;
  const TilePair* const from = pairs + c + own;
  const auto begin = load_vec<Neighbours>(from);
  double sums[2][2] = {};
#pragma unroll 1
  for (int i = int(threadIdx.x) / slots; i < tiles; i += at_once * apart) {
    Neighbours loaded[at_once];
#pragma unroll
    for (int j = 0; j < at_once; ++j) {
      const int tile = i + j * apart;
      loaded[j] = tile < tiles ? load_vec<Neighbours>(from + tile * C) : Neighbours{};
    }
#pragma unroll
    for (int j = 0; j < at_once; ++j) {
      if (i + j * apart >= tiles) continue;
      rule.add(sums[0], loaded[j].values[0], begin.values[0].first, Pixels);
      rule.add(sums[1], loaded[j].values[1], begin.values[1].first, Pixels);
    }
  }
  auto& totals = *reinterpret_cast<WarpTotals*>(&shared_memory<unsigned char>());
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int distance = 16; distance >= slots; distance /= 2) {
      sums[i][0] += __shfl_down_sync(0xFFFFFFFF, sums[i][0], distance);
      sums[i][1] += __shfl_down_sync(0xFFFFFFFF, sums[i][1], distance);
    }
    if (lane >= slots) continue;
    totals.first[warp * Count + own + i] = sums[i][0];
    totals.second[warp * Count + own + i] = sums[i][1];
  }
  __syncthreads();
  const int i = int(threadIdx.x);
  if (i >= Count) return;
  double total[2] = {};
  for (int w = 0; w < warps; ++w) {
    total[0] += totals.first[w * Count + i];
    total[1] += totals.second[w * Count + i];
  }
  rule.finish(c + i, pairs[c + i].first, double(tiles) * Pixels, total);
}

}  // namespace ek::kernels::EK_TARGET
