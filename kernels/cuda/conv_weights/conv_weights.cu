// The gradient of a convolution's weights; kernels/conv.h states the maths. The versions:
//   plain   one thread, one weight; any shape and type
//   mma     tensor cores, float and bf16: conv_weights_mma.cuh. The rule takes it from 16 pixels on
#include "kernels/cuda/conv_weights/conv_weights.h"

#include "kernels/cuda/base/team.cuh"
#include "kernels/cuda/conv/conv_call.cuh"
#include "kernels/cuda/conv/conv_plain.cuh"
#include "kernels/cuda/conv_weights/conv_weights_run.cuh"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

// One thread, one weight: the products of all pairs of pixels that it joins, in the order of the
// output's pixels. The teaching rung: every pixel is read once per weight, from the caches at best.
template <class T>
__global__ void __launch_bounds__(kItemThreads)
    gradient_plain(PlainShape s, std::int64_t weights, const T* x, const T* dy, Acc<T>* dweight) {
  for (std::int64_t w = first_item(); w < weights; w += all_items()) {
    const std::int64_t i = w % s.group_in_c, tap = w / s.group_in_c % (s.kernel_h * s.kernel_w);
    const std::int64_t o = w / s.group_in_c / (s.kernel_h * s.kernel_w);
    const std::int64_t channel = o / s.group_out_c * s.group_in_c + i;
    Acc<T> sum = 0;
    for (std::int64_t p = 0; p < s.batch * s.out_rows * s.out_columns; ++p) {
      const std::int64_t n = p / (s.out_rows * s.out_columns);
      const std::int64_t row = p / s.out_columns % s.out_rows, column = p % s.out_columns;
      const std::int64_t h = row * s.stride_h + tap / s.kernel_w - s.pad_h;
      const std::int64_t v = column * s.stride_w + tap % s.kernel_w - s.pad_w;
      if (h < 0 || h >= s.in_h || v < 0 || v >= s.in_w) continue;
      const T in = x[((n * s.in_h + h) * s.in_w + v) * s.in_c + channel];
      sum = std::fma(plain_factor(in, s.products), plain_factor(dy[p * s.out_c + o], s.products),
                     sum);
    }
    dweight[w] = sum;
  }
}

enum Version { plain, mma };  // as kernels/base/versions.cpp has them

template <class T, class Again>
bool takes_mma(const Conv2dShape& s, const Again& again) {
  constexpr std::int64_t worth_it = 16;
  constexpr const char* function = "conv2d_backward_weights";
  const int named = named_version(function);
  bool served = false;
  if constexpr (Products<T>::any) served = serves<typename Products<T>::Exact>(s);
  require_argument(named != mma || served || s.batch == 0,
                   "conv2d_backward_weights: version mma expected float or bf16, and images that "
                   "fit its tiles",
                   s.input_size());
  const bool wanted = s.output_size() / s.out_c >= worth_it;
  if (named >= 0) return served && named == mma;
  return chosen(conv_call<T>(function, s), served ? 3 : 1, served && wanted ? mma : plain, again) ==
         mma;
}

template <class T>
void run(Stream stream, const Conv2dShape& s, const T* x, const T* dy, Acc<T>* dweight,
         Workspace workspace) {
  check_shape(s, "conv2d_backward_weights");
  const auto again = [&] { run<T>(stream, s, x, dy, dweight, workspace); };
  if (takes_mma<T>(s, again)) {
    if constexpr (Products<T>::any) {
      using P = Products<T>;
      return s.products == FloatProducts::tf32
                 ? run_mma<typename P::Rounded>(stream, s, x, dy, dweight, workspace,
                                                NoWindowPrologue())
                 : run_mma<typename P::Exact>(stream, s, x, dy, dweight, workspace,
                                              NoWindowPrologue());
    }
  }
  launch<&gradient_plain<T>>(for_items(s.weight_size(), stream), PlainShape(s), s.weight_size(), x,
                             dy, dweight);
}

}  // namespace

template <class T>
std::size_t backward_weights_workspace_bytes(const Conv2dShape& s) {
  if constexpr (Products<T>::any) {
    return partial_bytes<typename Products<T>::Exact>(s);
  } else {
    return 0;
  }
}
template decltype(backward_weights_workspace_bytes<float>) backward_weights_workspace_bytes<float>;
template decltype(backward_weights_workspace_bytes<double>)
    backward_weights_workspace_bytes<double>;
template decltype(backward_weights_workspace_bytes<bf16>) backward_weights_workspace_bytes<bf16>;

}  // namespace EK_TARGET

template <class B, class T>
void conv2d_backward_weights(Stream stream, const Conv2dShape& s, const T* x, const T* dy,
                             Acc<T>* dweight, Workspace workspace) {
  EK_TARGET::run<T>(stream, s, x, dy, dweight, workspace);
}

using EK_TARGET::Backend;
template decltype(conv2d_backward_weights<Backend, float>) conv2d_backward_weights<Backend, float>;
template decltype(conv2d_backward_weights<Backend, double>)
    conv2d_backward_weights<Backend, double>;
template decltype(conv2d_backward_weights<Backend, bf16>) conv2d_backward_weights<Backend, bf16>;

}  // namespace ek::kernels
