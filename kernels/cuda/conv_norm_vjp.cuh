#pragma once
// The cotangents of norm_conv's input on the convolution of conv_halo.cuh, run backward: a prologue
// that adds to the cotangent of the output what comes through its statistics, and an epilogue that
// takes the gradient of the activation through ReLU and normalisation while it is in shared memory.
#include "kernels/cuda/conv_norm.cuh"

namespace ek::kernels::EK_TARGET {

// dout + dmean / rows + 2 dvar (out - mean) / rows, as channel_stats_vjp computes and rounds it;
// dout alone where the statistics have no cotangent. Its owner stores it where `stored` is not
// null, for the weight gradient to read.
template <class T>
struct StatsPrologue {
  static constexpr bool kIdentity = false;
  static constexpr int kWidth = kPieceChannels<T>, kResidentBlocks = 4;
  const T* out;  // null: no statistics
  const float *mean, *dmean, *dvar;
  float share;  // 1 / rows
  T* stored;

  template <int N>
  struct Channels {
    float mean[N], constant[N], slope[N];
  };

  template <int N>
  __device__ Channels<N> channels(int, int channel) const {
    Channels<N> of = {};
    if (out == nullptr) return of;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      of.mean[i] = mean[channel + i];
      of.constant[i] = of_channel(dmean, channel + i) * share;
      of.slope[i] = 2 * of_channel(dvar, channel + i) * share;
    }
    return of;
  }
  template <int N>
  __device__ void operator()(const Channels<N>& of, Pack<T, N>& values, std::int64_t at, int,
                             bool owned) const {
    if (out == nullptr) return;
    const Pack<T, N> of_out = load_pack<N>(out + at);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float v = widened(values.values[i]) +
                      (of.constant[i] + of.slope[i] * (widened(of_out.values[i]) - of.mean[i]));
      values.values[i] = narrowed<T>(v);
    }
    if (owned && stored) store_pack<N>(stored + at, values);
  }
};

// With d the gradient of the activation that the tile holds, rounded to T:
//
//   g = mask (d + dact)     mask = act > 0 (1 without ReLU), act as stored
//   dshortcut = g     dy = gamma g / sqrt(var + eps)
//
// and of each channel the sums of g and of g (y - mean) over the tile, from which merge_tiles makes
// the cotangents of mean, var, gamma and beta. A thread stays with its piece of channels: it sums
// in registers over its pixels, in order; then come the lanes of a warp, in a tree, and the warps.
template <class T>
struct ActivationEpilogue : TilePairs {
  static constexpr bool kIdentity = false, kStores = true;
  static constexpr int kMostChannels = 32;  // of a tile
  NormConvInput<T> input;
  const T* act;   // null: computed again from y
  const T* dact;  // null: zero
  T *dy, *dshortcut;
  float eps;
  bool relu, vectors;

  struct WarpSums {
    SharedArray<float, kHaloWarps * kMostChannels> first, second;
  };

  // N elements of a pixel from the channel `of` is about.
  template <int N>
  __device__ void run(const NormChannels<N>& of, const T* gradient, std::int64_t at, float* first,
                      float* second) const {
    const Pack<T, N> y = load_pack<N>(input.y + at), d = load_pack<N>(gradient);
    const Pack<float, N> more = values_or_zero<N>(dact, at);
    Pack<T, N> mask = {};
    if (relu) {
      mask = act ? load_pack<N>(act + at) : of.activation(y, input.shortcut, at, true);
    }
    Pack<T, N> to_y, to_shortcut;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const bool passes = !relu || widened(mask.values[i]) > 0;
      const float g = passes ? widened(d.values[i]) + more.values[i] : 0.0f;
      first[i] += g;
      second[i] += g * (widened(y.values[i]) - of.mean[i]);
      to_y.values[i] = narrowed<T>(of.scale[i] * g);
      to_shortcut.values[i] = narrowed<T>(g);
    }
    store_pack<N>(dy + at, to_y);
    if (dshortcut) store_pack<N>(dshortcut + at, to_shortcut);
  }

  // visit(pixel) for the thread's pixels that exist.
  template <class Visit>
  __device__ void for_pixels(const StoredTile<T>& tile, int pieces, const Visit& visit) const {
    const int apart = kHaloThreads / pieces;
    for (int pixel = int(threadIdx.x) / pieces; pixel < tile.pixels; pixel += apart) {
      if (tile.exists(pixel)) visit(pixel);
    }
  }

  __device__ void operator()(const StoredTile<T>& tile) const {
    constexpr int size = kPieceChannels<T>;
    EK_SHARED(sums, WarpSums);
    const int pieces = tile.width / size, c = int(threadIdx.x) % pieces * size;
    const int channel = tile.first_channel + c;
    float first[size] = {}, second[size] = {};
    if (vectors && c < tile.channels) {
      NormChannels<size> of;
      of.load(input, eps, channel);
      for_pixels(tile, pieces, [&](int pixel) {
        run(of, tile.values + pixel * tile.pitch + c, tile.at(pixel) + c, first, second);
      });
    } else {
#pragma unroll
      for (int i = 0; i < size; ++i) {
        if (c + i >= tile.channels) continue;
        NormChannels<1> of;
        of.load(input, eps, channel + i);
        for_pixels(tile, pieces, [&](int pixel) {
          run(of, tile.values + pixel * tile.pitch + c + i, tile.at(pixel) + c + i, first + i,
              second + i);
        });
      }
    }
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
#pragma unroll
    for (int i = 0; i < size; ++i) {
      for (int distance = 16; distance >= pieces; distance /= 2) {
        first[i] += __shfl_down_sync(0xFFFFFFFF, first[i], distance);
        second[i] += __shfl_down_sync(0xFFFFFFFF, second[i], distance);
      }
      if (lane >= pieces) continue;
      sums.first[warp * kMostChannels + c + i] = first[i];
      sums.second[warp * kMostChannels + c + i] = second[i];
    }
    __syncthreads();
    const int own = int(threadIdx.x);
    float total[2] = {0, 0};
    for (int i = 0; i < kHaloWarps && own < tile.width; ++i) {
      total[0] += sums.first[i * kMostChannels + own];
      total[1] += sums.second[i * kMostChannels + own];
    }
    store(tile, total[0], total[1]);
  }
};

}  // namespace ek::kernels::EK_TARGET
