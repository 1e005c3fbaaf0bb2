#pragma once
// Batch norm on both sides of the convolution of conv_halo.cuh: a prologue that normalises what is
// read, and an epilogue that takes the statistics of what is written. kernels/norm_conv.h states
// the maths.
#include "kernels/cuda/norm_conv/conv_norm_tiles.cuh"
#include "kernels/norm_conv.h"

namespace ek::kernels::EK_TARGET {

// N values from element i on in float; zeros where there is no tensor.
template <int N, class T>
__device__ Pack<float, N> values_or_zero(const T* from, std::int64_t i) {
  Pack<float, N> values = {};
  if (from == nullptr) return values;
  const Pack<T, N> stored = load_pack<N>(from + i);
#pragma unroll
  for (int j = 0; j < N; ++j) values.values[j] = widened(stored.values[j]);
  return values;
}

// A number per channel, wherever its array lies; 0 where there is none.
__device__ inline float of_channel(const float* values, int channel) {
  return values == nullptr ? 0.0f : values[channel];
}

// What becomes of y, with the channels' factors in registers.
template <int N>
struct NormChannels {
  float mean[N], scale[N], beta[N];

  template <class T>
  __device__ void load(const NormConvInput<T>& input, float eps, int channel) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      mean[i] = input.mean[channel + i];
      scale[i] = input.gamma[channel + i] * (1.0f / std::sqrt(input.var[channel + i] + eps));
      beta[i] = input.beta[channel + i];
    }
  }
  // [relu](gamma (y - mean) / sqrt(var + eps) + beta [+ shortcut]), rounded to T once
  template <class T>
  __device__ Pack<T, N> activation(const Pack<T, N>& y, const T* shortcut, std::int64_t at,
                                   bool relu) const {
    return activation(y, values_or_zero<N>(shortcut, at), relu);
  }
  template <class T>
  __device__ Pack<T, N> activation(const Pack<T, N>& y, const Pack<float, N>& added,
                                   bool relu) const {
    Pack<float, N> act;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      float v = (widened(y.values[i]) - mean[i]) * scale[i] + beta[i] + added.values[i];
      if (relu && v < 0) v = 0;  // a NaN passes
      act.values[i] = v;
    }
    return narrowed_pack<T>(act);
  }
};

// y to the activation, whose owner stores it where `act` is not null.
template <class T>
struct NormPrologue {
  static constexpr bool kIdentity = false;
  static constexpr int kWidth = kPieceChannels<T>, kResidentBlocks = 4;
  NormConvInput<T> input;
  float eps;
  bool relu, normalizes;
  T* act;

  template <int N>
  __device__ NormChannels<N> channels(int, int channel) const {
    NormChannels<N> of = {};
    if (normalizes) of.load(input, eps, channel);
    return of;
  }
  template <int N>
  __device__ void operator()(const NormChannels<N>& of, Pack<T, N>& values, std::int64_t at, int,
                             bool owned) const {
    if (!normalizes) return;
    values = of.activation(values, input.shortcut, at, relu);
    if (owned && act) store_pack<N>(act + at, values);
  }
};

// Statistics of the outputs. Two passes over the tile, so nothing cancels.
struct MomentsEpilogue : TilePairs {
  static constexpr bool kIdentity = false, kStores = false;
  MergeMoments rule;

  template <class T>
  __device__ void operator()(const StoredTile<T>& tile) const {
    if (pairs == nullptr) return;
    EK_SHARED(sums, SharedArray<float, kHaloThreads>);
    const float sum =
        sum_over_pixels(tile, sums, [&](int pixel, int c) { return widened(tile(pixel, c)); });
    const float mean = sum / float(tile.existing(TileCorner(tile.plan, int(tile.block.x))));
    const float m2 = sum_over_pixels(tile, sums, [&](int pixel, int c) {
      const float d = widened(tile(pixel, c)) - mean;
      return d * d;
    });
    store(tile, mean, m2);
    merge(tile, rule);
  }
};

}  // namespace ek::kernels::EK_TARGET
