#pragma once
// What the weight gradient of norm_conv computes where it loads: the prologues of
// conv_weights_load.cuh. Registers belong to the sums there, so the channels' factors are in shared
// memory.
#include "kernels/cuda/norm_conv/conv_norm_vjp.cuh"

namespace ek::kernels::EK_TARGET {

// y to the activation.
template <class T>
struct NormWindowPrologue {
  static constexpr bool kIdentity = false;
  NormConvInput<T> input;
  float eps;
  bool relu;

  __device__ static constexpr bool computes() { return true; }

  template <int channels>
  struct Factors {
    alignas(16) SharedArray<float, channels> mean, scale, beta;
  };

  template <int channels>
  __device__ void fill(Factors<channels>& factors, int channel, int existing) const {
    for (int i = int(threadIdx.x); i < existing; i += int(blockDim.x)) {
      NormChannels<1> of;
      of.load(input, eps, channel + i);
      factors.mean[i] = of.mean[0];
      factors.scale[i] = of.scale[0];
      factors.beta[i] = of.beta[0];
    }
  }
  template <int N, int channels>
  __device__ void operator()(const Factors<channels>& factors, int column, Pack<T, N>& values,
                             std::int64_t at) const {
    const auto mean = load_pack<N>(&factors.mean[column]),
               scale = load_pack<N>(&factors.scale[column]),
               beta = load_pack<N>(&factors.beta[column]);
    NormChannels<N> of;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      of.mean[i] = mean.values[i];
      of.scale[i] = scale.values[i];
      of.beta[i] = beta.values[i];
    }
    values = of.activation(values, input.shortcut, at, relu);
  }
};

// The same, or the activation itself where it was kept.
template <class T>
struct KeptWindowPrologue : NormWindowPrologue<T> {
  bool kept;

  template <int channels>
  using Factors = typename NormWindowPrologue<T>::template Factors<channels>;

  __device__ bool computes() const { return !kept; }

  template <int channels>
  __device__ void fill(Factors<channels>& factors, int channel, int existing) const {
    if (!kept) NormWindowPrologue<T>::fill(factors, channel, existing);
  }
};

// dout with what comes through the statistics, as StatsPrologue has it, of dout and out.
template <class T>
struct StatsRowPrologue {
  static constexpr bool kIdentity = false;
  StatsPrologue<T> of;

  template <int rows>
  struct Factors {
    alignas(16) SharedArray<float, rows> mean, constant, slope;
  };

  __device__ const T* beside() const { return of.out; }

  template <int rows>
  __device__ void fill(Factors<rows>& factors, int row, int existing) const {
    if (of.out == nullptr) return;
    for (int i = int(threadIdx.x); i < existing; i += int(blockDim.x)) {
      const auto channel = of.template channels<1>(0, row + i);
      factors.mean[i] = channel.mean[0];
      factors.constant[i] = channel.constant[0];
      factors.slope[i] = channel.slope[0];
    }
  }
  template <int N, int rows>
  __device__ void operator()(const Factors<rows>& factors, int column, Pack<T, N>& values,
                             const Pack<T, N>& out) const {
    const auto mean = load_pack<N>(&factors.mean[column]),
               constant = load_pack<N>(&factors.constant[column]),
               slope = load_pack<N>(&factors.slope[column]);
    typename StatsPrologue<T>::template Channels<N> channels;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      channels.mean[i] = mean.values[i];
      channels.constant[i] = constant.values[i];
      channels.slope[i] = slope.values[i];
    }
    of.add(channels, values, out);
  }
};

}  // namespace ek::kernels::EK_TARGET
