#pragma once
// Batch norm on both sides of the convolution of conv_halo.cuh: a prologue that normalises what is
// read, and an epilogue that takes the statistics of what is written. kernels/norm_conv.h states
// the maths.
#include "kernels/cuda/conv_fusion.cuh"
#include "kernels/norm_conv.h"

namespace ek::kernels::EK_TARGET {

// act = [relu](gamma (y - mean) / sqrt(var + eps) + beta [+ shortcut]), rounded to T once: the bits
// of norm_act_forward. Where `act` is not null the owner of an element stores it.
template <class T>
struct NormPrologue {
  static constexpr bool kIdentity = false;
  NormConvInput<T> input;
  float eps;
  bool relu, normalizes;
  T* act;

  template <int N>
  struct Channels {
    float mean[N], scale[N], beta[N];
  };

  template <int N>
  __device__ Channels<N> channels(int, int channel) const {
    Channels<N> of = {};
    if (!normalizes) return of;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float inverse_std = 1.0f / std::sqrt(input.var[channel + i] + eps);
      of.mean[i] = input.mean[channel + i];
      of.scale[i] = input.gamma[channel + i] * inverse_std;
      of.beta[i] = input.beta[channel + i];
    }
    return of;
  }

  template <int N>
  __device__ void operator()(const Channels<N>& of, Pack<T, N>& values, std::int64_t at, int,
                             bool owned) const {
    if (!normalizes) return;
    Pack<T, N> added = {};
    if (input.shortcut) added = load_pack<N>(input.shortcut + at);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      float v = (widened(values.values[i]) - of.mean[i]) * of.scale[i] + of.beta[i] +
                widened(added.values[i]);
      if (relu && v < 0) v = 0;  // a NaN passes
      values.values[i] = narrowed<T>(v);
    }
    if (owned && act) store_pack<N>(act + at, values);
  }
};

// Mean and sum of squared deviations from it (M2) of a tile's values as stored, per channel.
struct TileMoments {
  float mean, m2;
};

// Writes moments[tile][channel] and counts[tile]. Two passes over the tile, so nothing cancels.
// The threads of a channel take every so many-th pixel, and are added up in order.
struct MomentsEpilogue {
  static constexpr bool kIdentity = false;
  TileMoments* moments;  // null: no statistics
  int* counts;
  int all_channels;

  template <class T>
  __device__ void operator()(const StoredTile<T>& tile) const {
    if (moments == nullptr) return;
    constexpr int most = 128;
    EK_SHARED(sums, SharedArray<float, most>);
    const int threads = int(blockDim.x), width = tile.pitch - kPieceChannels<T>;
    const int c = int(threadIdx.x) % width, first = int(threadIdx.x) / width;
    const int apart = threads / width;
    const int count = tile.existing();
    const auto add_up = [&](const auto& term) {
      float sum = 0;
      for (int pixel = first; pixel < tile.pixels; pixel += apart) {
        if (c < tile.channels && tile.exists(pixel)) sum += term(widened(tile(pixel, c)));
      }
      sums[int(threadIdx.x)] = sum;
      __syncthreads();
      float total = 0;
      for (int i = 0; i < apart; ++i) total += sums[i * width + c];
      __syncthreads();
      return total;
    };
    const float mean = add_up([](float x) { return x; }) / float(count);
    const float m2 = add_up([mean](float x) { return (x - mean) * (x - mean); });
    if (first == 0 && c < tile.channels) {
      moments[tile.tile * all_channels + tile.first_channel + c] = {mean, m2};
    }
    if (threadIdx.x == 0 && tile.first_channel == 0) counts[tile.tile] = count;
  }
};

}  // namespace ek::kernels::EK_TARGET
