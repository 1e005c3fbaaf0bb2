// The convolution: kernels/conv.h states the maths, conv_plain.cuh has the plain kernels.
#include "kernels/conv.h"

#include <algorithm>

#include "kernels/arguments.h"
#include "kernels/cuda/conv_plain.cuh"
#include "kernels/cuda/conv_weights.h"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr std::int64_t kMostBlocks = 1 << 16;  // each then works on several elements

dim3 plain_grid(std::int64_t elements) {
  return dim3(unsigned(std::min((elements + kPlainThreads - 1) / kPlainThreads, kMostBlocks)));
}

template <class T>
PlainSource<T> source(const T* image, ConvPack weight) {
  return {image, static_cast<const Acc<T>*>(weight.data)};
}

template <class T>
void convolve(Stream stream, const Conv2dShape& s, const PlainSource<T>& first,
              const PlainSource<T>& second, T* y) {
  if (s.output_size() == 0) return;
  launch<&conv_plain<T>>({plain_grid(s.output_size()), dim3(kPlainThreads), 0, stream},
                         PlainShape(s), first, second, y);
}

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
std::size_t conv2d_pack_bytes(const Conv2dShape& s, Conv2dPass) {
  check_shape(s, "conv2d_pack");
  return 0;
}

template <class B, class T>
void conv2d_pack(Stream, const Conv2dShape& s, Conv2dPass pass, const Acc<T>*, void*) {
  check_shape(s, "conv2d_pack");
  require_argument(false, "conv2d_pack: a pass that reads a pack expected", std::int64_t(pass));
}

template <class B, class T>
std::size_t conv2d_workspace_bytes(const Conv2dShape& s, Conv2dPass pass) {
  check_shape(s, "conv2d");
  if (pass != Conv2dPass::backward_weights) return 0;
  return EK_TARGET::backward_weights_workspace_bytes<T>(s);
}

template <class B, class T>
void conv2d_forward(Stream stream, const Conv2dShape& s, const T* x, ConvPack weight, T* y,
                    Workspace) {
  using namespace EK_TARGET;
  check_shape(s, "conv2d_forward");
  convolve<T>(stream, s, source(x, weight), {}, y);
}

template <class B, class T>
void conv2d_tangent(Stream stream, const Conv2dShape& s, const T* x, ConvPack weight,
                    const T* x_tangent, ConvPack weight_tangent, T* y_tangent, Workspace) {
  using namespace EK_TARGET;
  check_shape(s, "conv2d_tangent");
  require_argument(x_tangent || weight_tangent.data, "conv2d_tangent: one or two tangents expected",
                   std::int64_t(0));
  convolve<T>(stream, s, source(x_tangent, weight),
              source(weight_tangent.data ? x : nullptr, weight_tangent), y_tangent);
}

template <class B, class T>
void conv2d_backward_data(Stream stream, const Conv2dShape& s, const T* dy, ConvPack weight, T* dx,
                          Workspace) {
  using namespace EK_TARGET;
  check_shape(s, "conv2d_backward_data");
  if (s.input_size() == 0) return;
  launch<&conv_plain_backward_data<T>>({plain_grid(s.input_size()), dim3(kPlainThreads), 0, stream},
                                       PlainShape(s), dy, static_cast<const Acc<T>*>(weight.data),
                                       dx);
}

using EK_TARGET::Backend;
template decltype(conv2d_pack_bytes<Backend, float>) conv2d_pack_bytes<Backend, float>;
template decltype(conv2d_pack_bytes<Backend, double>) conv2d_pack_bytes<Backend, double>;
template decltype(conv2d_pack_bytes<Backend, bf16>) conv2d_pack_bytes<Backend, bf16>;
template decltype(conv2d_pack<Backend, float>) conv2d_pack<Backend, float>;
template decltype(conv2d_pack<Backend, double>) conv2d_pack<Backend, double>;
template decltype(conv2d_pack<Backend, bf16>) conv2d_pack<Backend, bf16>;
template decltype(conv2d_workspace_bytes<Backend, float>) conv2d_workspace_bytes<Backend, float>;
template decltype(conv2d_workspace_bytes<Backend, double>) conv2d_workspace_bytes<Backend, double>;
template decltype(conv2d_workspace_bytes<Backend, bf16>) conv2d_workspace_bytes<Backend, bf16>;
template decltype(conv2d_forward<Backend, float>) conv2d_forward<Backend, float>;
template decltype(conv2d_forward<Backend, double>) conv2d_forward<Backend, double>;
template decltype(conv2d_forward<Backend, bf16>) conv2d_forward<Backend, bf16>;
template decltype(conv2d_tangent<Backend, float>) conv2d_tangent<Backend, float>;
template decltype(conv2d_tangent<Backend, double>) conv2d_tangent<Backend, double>;
template decltype(conv2d_tangent<Backend, bf16>) conv2d_tangent<Backend, bf16>;
template decltype(conv2d_backward_data<Backend, float>) conv2d_backward_data<Backend, float>;
template decltype(conv2d_backward_data<Backend, double>) conv2d_backward_data<Backend, double>;
template decltype(conv2d_backward_data<Backend, bf16>) conv2d_backward_data<Backend, bf16>;

}  // namespace ek::kernels
