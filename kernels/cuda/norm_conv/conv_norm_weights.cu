// The weight gradient of norm_conv where the activation was not kept: conv_norm.h. Its kernel is
// conv_weights_mma.cuh with the prologue of conv_norm_window.cuh.
#include "kernels/cuda/conv_weights/conv_weights_run.cuh"
#include "kernels/cuda/norm_conv/conv_norm.h"
#include "kernels/cuda/norm_conv/conv_norm_window.cuh"

namespace ek::kernels::EK_TARGET {

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
