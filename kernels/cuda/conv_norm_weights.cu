// The weight gradient of norm_conv where the activation was not kept: conv_norm.h. Its kernel is
// conv_weights_mma.cuh with the prologue below.
#include "kernels/cuda/conv_norm.cuh"
#include "kernels/cuda/conv_norm.h"
#include "kernels/cuda/conv_weights_run.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

// y to the activation. Registers belong to the sums, so the channels' factors are in shared memory.
template <class T>
struct NormWindowPrologue {
  static constexpr bool kIdentity = false;
  NormConvInput<T> input;
  float eps;
  bool relu;

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

}  // namespace

template <class T>
bool fuses_norm_weights(const Conv2dShape& shape) {
  return serves<typename Products<T>::Exact>(shape);
}

template <class T>
void norm_backward_weights(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                           const T* dout, float* dweight, Workspace workspace) {
  const auto run = [&]<class Product>() {
    run_mma<Product>(stream, shape.conv, input.y, dout, dweight, workspace,
                     NormWindowPrologue<T>{input, float(shape.eps), shape.relu},
                     aligned_to_16(input.shortcut));
  };
  shape.conv.products == FloatProducts::tf32
      ? run.template operator()<typename Products<T>::Rounded>()
      : run.template operator()<typename Products<T>::Exact>();
}

template decltype(fuses_norm_weights<float>) fuses_norm_weights<float>;
template decltype(fuses_norm_weights<bf16>) fuses_norm_weights<bf16>;
template decltype(norm_backward_weights<float>) norm_backward_weights<float>;
template decltype(norm_backward_weights<bf16>) norm_backward_weights<bf16>;

}  // namespace ek::kernels::EK_TARGET
