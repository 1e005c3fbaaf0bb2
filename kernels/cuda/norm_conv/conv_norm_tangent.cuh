#pragma once
// The tangent of norm_conv on the convolution of conv_halo.cuh, which reads two sources: the
// tangent of the activation against the weights, and the activation against their tangent. Both are
// computed from y where they are read.
#include "kernels/cuda/norm_conv/conv_norm.cuh"

namespace ek::kernels::EK_TARGET {

// act' = mask (a y' + b + c (y - mean) + shortcut') with, per channel,
//   a = gamma r     b = beta' - a mean'     c = (gamma' - 1/2 a r var') r     r = 1 / sqrt(var +
//   eps)
// and mask = act > 0 (1 without ReLU), act as stored.
template <class T>
struct NormTangentPrologue {
  static constexpr bool kIdentity = false;
  static constexpr int kWidth = 4, kResidentBlocks = 3;
  NormConvInput<T> input;
  NormConvTangents<T> tangents;
  const T* act;  // null: computed again from y
  float eps;
  bool relu;
  int of_tangent;     // the source that is y and becomes act'; -1: none
  int of_activation;  // the source that is y and becomes act; -1: none (it is act already)
  T* act_tangent;     // stored by its owner; null: not wanted

  template <int N>
  struct Channels {
    NormChannels<N> of_y;
    float constant[N], slope[N];  // b and c
  };

  template <int N>
  __device__ Channels<N> channels(int source, int channel) const {
    Channels<N> of = {};
    if (source != of_tangent && source != of_activation) return of;
    of.of_y.load(input, eps, channel);
    if (source != of_tangent) return of;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float r = 1.0f / std::sqrt(input.var[channel + i] + eps), a = of.of_y.scale[i];
      of.constant[i] =
          of_channel(tangents.beta, channel + i) - a * of_channel(tangents.mean, channel + i);
      of.slope[i] = (of_channel(tangents.gamma, channel + i) -
                     0.5f * a * r * of_channel(tangents.var, channel + i)) *
                    r;
    }
    return of;
  }

  template <int N>
  __device__ void operator()(const Channels<N>& of, Pack<T, N>& values, std::int64_t at, int source,
                             bool owned) const {
    if (source == of_activation) values = of.of_y.activation(values, input.shortcut, at, relu);
    if (source != of_tangent) return;
    const Pack<float, N> y = values_or_zero<N>(tangents.y, at);
    const Pack<float, N> added = values_or_zero<N>(tangents.shortcut, at);
    Pack<T, N> mask = {};
    if (relu) {
      mask = act ? load_pack<N>(act + at) : of.of_y.activation(values, input.shortcut, at, relu);
    }
    Pack<float, N> tangent;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      float v = of.constant[i] + of.slope[i] * (widened(values.values[i]) - of.of_y.mean[i]) +
                of.of_y.scale[i] * y.values[i] + added.values[i];
      if (relu && !(widened(mask.values[i]) > 0)) v = 0;
      tangent.values[i] = v;
    }
    values = narrowed_pack<T>(tangent);
    if (owned && act_tangent) store_pack<N>(act_tangent + at, values);
  }
};

// Tangents of the statistics need, of each channel, the sums of out' and of (out - mean) out'.
struct MergeTangentSums : MergeSums {
  float *mean, *var;

  __device__ void finish(int c, double, double rows, const double (&a)[2]) const {
    mean[c] = float(a[0] / rows);
    var[c] = float(2 * a[1] / rows);
  }
};

template <class T>
struct TangentMomentsEpilogue : TilePairs {
  static constexpr bool kIdentity = false, kStores = false;
  MergeTangentSums rule;
  const T* out;
  const float* mean;

  __device__ void operator()(const StoredTile<T>& tile) const {
    if (pairs == nullptr) return;
    EK_SHARED(sums, SharedArray<float, kHaloThreads>);
    const float first =
        sum_over_pixels(tile, sums, [&](int pixel, int c) { return widened(tile(pixel, c)); });
    const float second = sum_over_pixels(tile, sums, [&](int pixel, int c) {
      return (widened(out[tile.at(pixel) + c]) - mean[tile.first_channel + c]) *
             widened(tile(pixel, c));
    });
    store(tile, first, second);
    merge(tile, rule);
  }
};

}  // namespace ek::kernels::EK_TARGET
