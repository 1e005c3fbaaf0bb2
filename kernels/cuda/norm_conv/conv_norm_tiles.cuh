#pragma once
// The numbers that each tile of conv_halo.cuh leaves of its channels, and how the last block makes
// those of a channel of them.
#include "kernels/cuda/conv/conv_fusion.cuh"

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

// A rule says which two sums over the tiles a channel's pairs are for, and stores at last what
// follows from them. Moments are merged as deviations d of the tiles' means from that of the first
// tile, in double: from the sums of n d and of M2 + n d^2, n the pixels of a tile,
//   mean = first + sum(n d) / N     M2 = sum(M2 + n d^2) - sum(n d)^2 / N
// The first tile is as far from the mean as M2 allows, n (first - mean)^2 <= M2, so the difference
// cancels at most a factor N / n of double's accuracy, and each tile costs no division.
struct MergeMoments {
  static constexpr bool kMoments = true;
  float *mean, *var;

  __device__ static void add(double (&sums)[2], TilePair tile, double first, double pixels) {
    const double d = tile.first - first, weighted = pixels * d;
    sums[0] += weighted;
    sums[1] += tile.second + weighted * d;
  }
  __device__ void finish(int c, double first, double rows, const double (&sums)[2]) const {
    const double share = 1 / rows, d = sums[0] * share;
    mean[c] = float(first + d);
    var[c] = float((sums[1] - sums[0] * d) * share);
  }
};

// Both of a pair are summed as they are.
struct MergeSums {
  static constexpr bool kMoments = false;

  __device__ static void add(double (&sums)[2], TilePair tile, double, double) {
    sums[0] += tile.first;
    sums[1] += tile.second;
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
  // merges what all of them left (of a very large grid the last block of all, everything). The
  // order of additions follows from the shape, so the bits do not depend on who was last. The
  // tile's shared memory is overwritten.
  template <class T, class Rule>
  __device__ void merge(const StoredTile<T>& tile, const Rule& rule) const {
    const BlockPlace& b = tile.block;
    const bool apart = b.height <= kMergeTickets;
    if (!last_of(launch_tickets() + (apart ? b.y : 0), apart ? b.width : b.width * b.height))
      return;
    const int begin = apart ? tile.first_channel : 0;
    const int end = apart ? begin + tile.channels : channels;
#pragma unroll 1  // here and below: once a launch, and registers belong to the convolution
    for (int c = begin; c < end; c += kMergedChannels) {
      merge_channels(tile, rule, c, end - c < kMergedChannels ? end - c : kMergedChannels);
    }
  }

 private:
  // Of channels that a block merges at a time; a thread has two neighbours, 16 bytes of a tile.
  static constexpr int kMergedChannels = 32;
  using Neighbours = Pack<TilePair, 2>;
  struct WarpTotals {
    SharedArray<double, kHaloWarps * kMergedChannels> first, second;
  };

  // All threads, `count` channels from c on. Threads that follow each other have a tile's channels,
  // then those of the next tile, so that a warp reads whole lines; a thread adds up every so
  // many-th tile in order, a tree those of a warp, and the warps are added in order. While other
  // multiprocessors wait for this one, what counts is how many loads are on their way at a time.
  template <class T, class Rule>
  __device__ void merge_channels(const StoredTile<T>& tile, const Rule& rule, int c,
                                 int count) const {
    int slots = 1;  // of two channels
    while (2 * slots < count) slots *= 2;
    const int own = int(threadIdx.x) % slots * 2, apart = kHaloThreads / slots;
    double sums[2][2] = {};
    if (own < count) add_tiles(tile, rule, c + own, own + 1 < count, slots, apart, sums);
    auto& totals = *reinterpret_cast<WarpTotals*>(&shared_memory<unsigned char>());
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll 1
      for (int distance = 16; distance >= slots; distance /= 2) {
        sums[i][0] += __shfl_down_sync(0xFFFFFFFF, sums[i][0], distance);
        sums[i][1] += __shfl_down_sync(0xFFFFFFFF, sums[i][1], distance);
      }
      if (lane >= slots) continue;
      totals.first[warp * kMergedChannels + own + i] = sums[i][0];
      totals.second[warp * kMergedChannels + own + i] = sums[i][1];
    }
    __syncthreads();
    const int i = int(threadIdx.x);
    if (i < count) {
      double total[2] = {};
      for (int w = 0; w < kHaloWarps; ++w) {
        total[0] += totals.first[w * kMergedChannels + i];
        total[1] += totals.second[w * kMergedChannels + i];
      }
      const double first = Rule::kMoments ? pairs[c + i].first : 0.0f;
      const double rows = double(tile.place.h.count) * tile.place.w.count * tile.p.batch;
      rule.finish(c + i, first, rows, total);
    }
    __syncthreads();
  }

  // sums of channels c and, with `both`, c + 1 over the tiles thread / slots, then every apart-th.
  template <class T, class Rule>
  __device__ void add_tiles(const StoredTile<T>& tile, const Rule& rule, int c, bool both,
                            int slots, int apart, double (&sums)[2][2]) const {
    constexpr int at_once = 8;
    const bool vectors = both && channels % 2 == 0 && c % 2 == 0;
    const auto pair_of = [&](int i) {
      const TilePair* const from = pairs + std::int64_t(i) * channels + c;
      if (vectors) return load_vec<Neighbours>(from);
      return Neighbours{
          {load_vec<TilePair>(from), both ? load_vec<TilePair>(from + 1) : TilePair{}}};
    };
    const int begin = int(threadIdx.x) / slots, tiles = int(tile.block.width);
    Neighbours first = {};
    TileCorner corner(tile.plan, begin);
    const TileCorner step(tile.plan, apart);
    if (Rule::kMoments) first = pair_of(0);
#pragma unroll 1
    for (int i = begin; i < tiles; i += at_once * apart) {
      Neighbours loaded[at_once];
#pragma unroll
      for (int j = 0; j < at_once; ++j) {
        loaded[j] = i + j * apart < tiles ? pair_of(i + j * apart) : Neighbours{};
      }
#pragma unroll
      for (int j = 0; j < at_once; ++j) {
        if (i + j * apart >= tiles) continue;
        const double pixels = Rule::kMoments ? tile.existing(corner) : 0;
        corner.advance(tile.plan, step);
        rule.add(sums[0], loaded[j].values[0], first.values[0].first, pixels);
        rule.add(sums[1], loaded[j].values[1], first.values[1].first, pixels);
      }
    }
  }
};

}  // namespace ek::kernels::EK_TARGET
