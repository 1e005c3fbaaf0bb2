#pragma once
// From the tiles' numbers to those of a channel; and what the fused passes of norm_conv share on
// the host.
#include "kernels/cuda/conv_norm.cuh"
#include "kernels/cuda/conv_versions.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

constexpr int kMergeThreads = 128;

// A rule merges the pairs of more and more rows, and at last stores what follows for a channel.
// This one is Chan's formula: mean and M2 of both.
struct MergeMoments {
  float *mean, *var;

  __device__ static void merge(double count, double (&a)[2], double more, const double (&b)[2]) {
    const double delta = b[0] - a[0], share = more / (count + more);
    a[0] += delta * share;
    a[1] += b[1] + delta * delta * count * share;
  }
  __device__ void finish(int c, double rows, const double (&a)[2]) const {
    mean[c] = float(a[0]);
    var[c] = float(a[1] / rows);
  }
};

struct MergeSums {
  __device__ static void merge(double, double (&a)[2], double, const double (&b)[2]) {
    a[0] += b[0];
    a[1] += b[1];
  }
};

struct MergeTangentSums : MergeSums {
  float *mean, *var;

  __device__ void finish(int c, double rows, const double (&a)[2]) const {
    mean[c] = float(a[0] / rows);
    var[c] = float(2 * a[1] / rows);
  }
};

// One warp, one channel c: a lane merges every 32nd tile in order, then a tree over the lanes; in
// double.
template <class Rule>
__device__ void merge_channel(std::int64_t tiles, const TilePairs& of, const Rule& rule, int c) {
  const int lane = int(threadIdx.x) % 32;
  if (c >= of.channels) return;
  double rows = 0, total[2] = {0, 0};
  const auto merge = [&](double more_rows, const double(&more)[2]) {
    if (more_rows == 0) return;
    rule.merge(rows, total, more_rows, more);
    rows += more_rows;
  };
  for (std::int64_t tile = lane; tile < tiles; tile += 32) {
    const auto pair = load_vec<TilePair>(of.pairs + tile * of.channels + c);
    merge(of.counts[tile], {pair.first, pair.second});
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    const double more_rows = __shfl_down_sync(0xFFFFFFFF, rows, distance);
    const double more[2] = {__shfl_down_sync(0xFFFFFFFF, total[0], distance),
                            __shfl_down_sync(0xFFFFFFFF, total[1], distance)};
    merge(more_rows, more);
  }
  if (lane == 0) rule.finish(c, rows, total);
}

template <class Rule>
__global__ void __launch_bounds__(kMergeThreads)
    merge_tiles(std::int64_t tiles, TilePairs of, Rule rule) {
  merge_channel(tiles, of, rule, int(blockIdx.x) * (kMergeThreads / 32) + int(threadIdx.x) / 32);
}

template <class Rule>
void launch_merge(Stream stream, std::int64_t tiles, const TilePairs& pairs, const Rule& rule) {
  constexpr int warps = kMergeThreads / 32;
  const dim3 grid(unsigned((pairs.channels + warps - 1) / warps));
  launch<&merge_tiles<Rule>>({grid, dim3(kMergeThreads), 0, stream}, tiles, pairs, rule);
}

// The numbers of `tiles` tiles in a workspace: pairs, then counts.
inline std::size_t pairs_bytes(std::int64_t tiles, std::int64_t channels) {
  return std::size_t(tiles * channels) * sizeof(TilePair) + std::size_t(tiles) * sizeof(int);
}
inline TilePairs pairs_in(Workspace workspace, std::int64_t tiles, std::int64_t channels) {
  auto* pairs = static_cast<TilePair*>(workspace.data);
  return {pairs, reinterpret_cast<int*>(pairs + tiles * channels), int(channels)};
}

template <class T>
std::int64_t tiles_of(const NormConvShape& shape, int sources) {
  return halo_plan<T>(conv_problem<T>(shape.conv, false, nullptr, nullptr, nullptr), sources)
      .tiles();
}

template <class T>
ConvSource<T> source_of(const T* image, ConvPack weight) {
  return {image, static_cast<const std::uint32_t*>(weight.data)};
}

// run(atom) with the atom for T and the products of the shape.
template <class T, class Run>
void with_atom(FloatProducts products, const Run& run) {
  if constexpr (std::is_same_v<T, bf16>) {
    run(Bf16Atom());
  } else if (products == FloatProducts::tf32) {
    run(Tf32Atom());
  } else {
    run(SplitAtom());
  }
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET
