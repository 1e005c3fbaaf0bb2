#pragma once
// The numbers that each tile of conv_halo.cuh leaves of its channels, and how the last block makes
// those of a channel of them.
#include "kernels/cuda/conv_fusion.cuh"

namespace ek::kernels::EK_TARGET {

// Two numbers of a tile and a channel. For statistics: the mean, and the sum of squared deviations
// from it (M2).
struct TilePair {
  float first, second;
};

// The sum over a tile's pixels of term(pixel, c), c = thread % tile.width; zero for channels that
// do not exist. The threads of a channel take every so many-th pixel, and are added up in order.
template <class T, class Term>
__device__ float sum_over_pixels(const StoredTile<T>& tile, SharedArray<float, kHaloThreads>& sums,
                                 const Term& term) {
  const int c = int(threadIdx.x) % tile.width, apart = kHaloThreads / tile.width;
  float sum = 0;
  if (c < tile.channels) {
    for (int pixel = int(threadIdx.x) / tile.width; pixel < tile.pixels; pixel += apart) {
      if (tile.exists(pixel)) sum += term(pixel, c);
    }
  }
  __syncthreads();
  sums[int(threadIdx.x)] = sum;
  __syncthreads();
  float total = 0;
  for (int i = 0; i < apart; ++i) total += sums[i * tile.width + c];
  return total;
}

// A rule merges the pairs of more and more rows, and at last stores what follows for a channel.
// This one is Chan's formula: mean and M2 of both.
struct MergeMoments {
  float *mean, *var;

  // What `merge` wants to know of the rows, which are the same for all channels.
  __device__ static double share(double count, double more) { return more / (count + more); }
  __device__ static void merge(double count, double (&a)[2], double share, const double (&b)[2]) {
    const double delta = b[0] - a[0];
    a[0] += delta * share;
    a[1] += b[1] + delta * delta * count * share;
  }
  __device__ void finish(int c, double rows, const double (&a)[2]) const {
    mean[c] = float(a[0]);
    var[c] = float(a[1] / rows);
  }
};

struct MergeSums {
  __device__ static double share(double, double) { return 0; }
  __device__ static void merge(double, double (&a)[2], double, const double (&b)[2]) {
    a[0] += b[0];
    a[1] += b[1];
  }
};

// What a warp knows of kMergedChannels neighbouring channels; they have their rows in common.
constexpr int kMergedChannels = 4;
struct MergedRows {
  double rows = 0, totals[kMergedChannels][2] = {};

  template <class Rule>
  __device__ void merge(const Rule& rule, double more_rows,
                        const double (&more)[kMergedChannels][2]) {
    const double share = rule.share(rows, more_rows);
#pragma unroll
    for (int i = 0; i < kMergedChannels; ++i) rule.merge(rows, totals[i], share, more[i]);
    rows += more_rows;
  }
};

// The tickets of the tiles' merges are the first ones of a launch.
constexpr unsigned kMergeTickets = 64;

// Where the numbers of the tiles go: pairs[tile][channel].
struct TilePairs {
  TilePair* pairs;  // null: not wanted
  int channels;

  template <class T>
  __device__ void store(const StoredTile<T>& tile, float first, float second) const {
    const int c = int(threadIdx.x);
    if (c >= tile.channels) return;
    pairs[std::int64_t(tile.block.x) * channels + tile.first_channel + c] = {first, second};
  }

  // Behind store, of a problem with one class: the last block of those that have the same channels
  // merges what all of them left (of a very large grid the last block of all, everything). A
  // thread's order of tiles follows from the shape, so the bits do not depend on who was last.
  template <class T, class Rule>
  __device__ void merge(const StoredTile<T>& tile, const Rule& rule) const {
    const BlockPlace& b = tile.block;
    const bool apart = b.height <= kMergeTickets;
    if (!last_of(launch_tickets() + (apart ? b.y : 0), apart ? b.width : b.width * b.height))
      return;
    const int begin = apart ? tile.first_channel : 0;
    const int end = apart ? begin + tile.channels : channels;
    constexpr int step = kHaloWarps * kMergedChannels;
    for (int c = begin + int(threadIdx.x) / 32 * kMergedChannels; c < end; c += step) {
      merge_channels(tile, rule, c, end - c);
    }
  }

 private:
  // One warp, `count` channels from c on, at most kMergedChannels: a lane merges every 32nd tile in
  // order, then a tree over the lanes; in double.
  template <class T, class Rule>
  __device__ void merge_channels(const StoredTile<T>& tile, const Rule& rule, int c,
                                 int count) const {
    const int lane = int(threadIdx.x) % 32, tiles = int(tile.block.width);
    MergedRows merged;
#pragma unroll 2
    for (int i = lane; i < tiles; i += 32) {
      const TilePair* const from = pairs + std::int64_t(i) * channels + c;
      double more[kMergedChannels][2];
#pragma unroll
      for (int j = 0; j < kMergedChannels; ++j) {
        const auto pair = j < count ? load_vec<TilePair>(from + j) : TilePair{0, 0};
        more[j][0] = pair.first;
        more[j][1] = pair.second;
      }
      merged.merge(rule, tile.existing(TileCorner(tile.plan, i)), more);
    }
#pragma unroll 1  // once a launch: registers belong to the convolution
    for (int distance = 16; distance > 0; distance /= 2) {
      double more[kMergedChannels][2];
#pragma unroll
      for (int j = 0; j < kMergedChannels; ++j) {
        more[j][0] = __shfl_down_sync(0xFFFFFFFF, merged.totals[j][0], distance);
        more[j][1] = __shfl_down_sync(0xFFFFFFFF, merged.totals[j][1], distance);
      }
      const double rows = __shfl_down_sync(0xFFFFFFFF, merged.rows, distance);
      if (rows != 0) merged.merge(rule, rows, more);
    }
    if (lane != 0) return;
#pragma unroll
    for (int j = 0; j < kMergedChannels; ++j) {
      if (j < count) rule.finish(c + j, merged.rows, merged.totals[j]);
    }
  }
};

}  // namespace ek::kernels::EK_TARGET
