// kernels/conv.h by cuDNN.
#include "kernels/conv.h"

#include <type_traits>

#include "kernels/cuda/vendor/cudnn_plan.h"
#include "kernels/cuda/vendor/vendor.h"
#include "kernels/elementwise.h"

namespace ek::kernels {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

using vendor::ConvPlan;
using vendor::handle_on;
using vendor::plan_for;

template <class T>
constexpr bool is_bf16 = std::is_same_v<T, bf16>;

constexpr std::size_t kAlignment = 256;
std::size_t padded(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// A bf16 weight gradient leaves cuDNN as bf16, in front of the workspace, and is widened.
template <class T>
std::size_t rounded_weights_bytes(const Conv2dShape& s) {
  return is_bf16<T> ? padded(std::size_t(s.weight_size()) * sizeof(T)) : 0;
}

void require_workspace(const Workspace& workspace, std::size_t bytes, const char* op) {
  require(workspace.bytes >= bytes, "{}: a workspace of {} bytes expected, got {}", op, bytes,
          workspace.bytes);
}

// y = beta y + conv(x, weight)
template <class T>
void forward(Stream stream, const Conv2dShape& s, const T* x, const void* weight, float beta, T* y,
             Workspace workspace) {
  const ConvPlan& plan = plan_for(s, Conv2dPass::forward, is_bf16<T>);
  require_workspace(workspace, plan.workspace_bytes, "conv2d_forward");
  const float one = 1;
  vendor::check(
      cudnnConvolutionForward(handle_on(stream), &one, plan.x.get(), x, plan.weight.get(), weight,
                              plan.convolution.get(), cudnnConvolutionFwdAlgo_t(plan.algorithm),
                              workspace.data, plan.workspace_bytes, &beta, plan.y.get(), y),
      s, "conv2d_forward");
}

}  // namespace

// A pack is the OHWI weights as bf16; float32 weights are read as they are.
template <class B, class T>
std::size_t conv2d_pack_bytes(const Conv2dShape& s, Conv2dPass pass) {
  check_shape(s, "conv2d_pack");
  if (!is_bf16<T> || pass == Conv2dPass::backward_weights) return 0;
  return std::size_t(s.weight_size()) * sizeof(T);
}

template <class B, class T>
void conv2d_pack(Stream stream, const Conv2dShape& s, Conv2dPass pass, const Acc<T>* ohwi,
                 void* pack) {
  require(conv2d_pack_bytes<B, T>(s, pass) > 0,
          "conv2d_pack: a pass that reads a pack expected, got pass {}", int(pass));
  convert<Cuda, Acc<T>, T>(stream, s.weight_size(), ohwi, static_cast<T*>(pack));
}

template <class B, class T>
std::size_t conv2d_workspace_bytes(const Conv2dShape& s, Conv2dPass pass) {
  check_shape(s, "conv2d");
  if (s.batch == 0) return 0;
  const Conv2dPass planned = pass == Conv2dPass::tangent ? Conv2dPass::forward : pass;
  const std::size_t bytes = plan_for(s, planned, is_bf16<T>).workspace_bytes;
  return pass == Conv2dPass::backward_weights ? rounded_weights_bytes<T>(s) + bytes : bytes;
}

template <class B, class T>
void conv2d_forward(Stream stream, const Conv2dShape& s, const T* x, ConvPack weight, T* y,
                    Workspace workspace) {
  check_shape(s, "conv2d_forward");
  if (s.batch > 0) forward(stream, s, x, weight.data, 0, y, workspace);
}

template <class B, class T>
void conv2d_backward_data(Stream stream, const Conv2dShape& s, const T* dy, ConvPack weight, T* dx,
                          Workspace workspace) {
  check_shape(s, "conv2d_backward_data");
  if (s.batch == 0) return;
  const ConvPlan& plan = plan_for(s, Conv2dPass::backward_data, is_bf16<T>);
  require_workspace(workspace, plan.workspace_bytes, "conv2d_backward_data");
  const float one = 1, zero = 0;
  vendor::check(cudnnConvolutionBackwardData(
                    handle_on(stream), &one, plan.weight.get(), weight.data, plan.y.get(), dy,
                    plan.convolution.get(), cudnnConvolutionBwdDataAlgo_t(plan.algorithm),
                    workspace.data, plan.workspace_bytes, &zero, plan.x.get(), dx),
                s, "conv2d_backward_data");
}

// With bf16 images the gradient is rounded to bf16 on its way, which that of kernels/cuda is not.
template <class B, class T>
void conv2d_backward_weights(Stream stream, const Conv2dShape& s, const T* x, const T* dy,
                             Acc<T>* dweight, Workspace workspace) {
  check_shape(s, "conv2d_backward_weights");
  if (s.batch == 0) return fill<Cuda, Acc<T>>(stream, s.weight_size(), 0, dweight);
  const ConvPlan& plan = plan_for(s, Conv2dPass::backward_weights, is_bf16<T>);
  const std::size_t front = rounded_weights_bytes<T>(s);
  require_workspace(workspace, front + plan.workspace_bytes, "conv2d_backward_weights");
  const float one = 1, zero = 0;
  void* result = is_bf16<T> ? workspace.data : dweight;
  vendor::check(cudnnConvolutionBackwardFilter(
                    handle_on(stream), &one, plan.x.get(), x, plan.y.get(), dy,
                    plan.convolution.get(), cudnnConvolutionBwdFilterAlgo_t(plan.algorithm),
                    static_cast<std::byte*>(workspace.data) + front, plan.workspace_bytes, &zero,
                    plan.weight.get(), result),
                s, "conv2d_backward_weights");
  if constexpr (is_bf16<T>) {
    convert<Cuda, T, Acc<T>>(stream, s.weight_size(), static_cast<const T*>(result), dweight);
  }
}

// Two forward passes, the second one added to the first: with bf16 two roundings.
template <class B, class T>
void conv2d_tangent(Stream stream, const Conv2dShape& s, const T* x, ConvPack weight,
                    const T* x_tangent, ConvPack weight_tangent, T* y_tangent,
                    Workspace workspace) {
  check_shape(s, "conv2d_tangent");
  require(x_tangent || weight_tangent.data,
          "conv2d_tangent: one or two tangents expected, got none");
  if (s.batch == 0) return;
  if (x_tangent) forward(stream, s, x_tangent, weight.data, 0, y_tangent, workspace);
  if (weight_tangent.data) {
    forward(stream, s, x, weight_tangent.data, x_tangent ? 1.0f : 0.0f, y_tangent, workspace);
  }
}

#pragma GCC diagnostic pop

template decltype(conv2d_pack_bytes<Vendor, float>) conv2d_pack_bytes<Vendor, float>;
template decltype(conv2d_pack_bytes<Vendor, bf16>) conv2d_pack_bytes<Vendor, bf16>;
template decltype(conv2d_pack<Vendor, float>) conv2d_pack<Vendor, float>;
template decltype(conv2d_pack<Vendor, bf16>) conv2d_pack<Vendor, bf16>;
template decltype(conv2d_workspace_bytes<Vendor, float>) conv2d_workspace_bytes<Vendor, float>;
template decltype(conv2d_workspace_bytes<Vendor, bf16>) conv2d_workspace_bytes<Vendor, bf16>;
template decltype(conv2d_forward<Vendor, float>) conv2d_forward<Vendor, float>;
template decltype(conv2d_forward<Vendor, bf16>) conv2d_forward<Vendor, bf16>;
template decltype(conv2d_backward_data<Vendor, float>) conv2d_backward_data<Vendor, float>;
template decltype(conv2d_backward_data<Vendor, bf16>) conv2d_backward_data<Vendor, bf16>;
template decltype(conv2d_backward_weights<Vendor, float>) conv2d_backward_weights<Vendor, float>;
template decltype(conv2d_backward_weights<Vendor, bf16>) conv2d_backward_weights<Vendor, bf16>;
template decltype(conv2d_tangent<Vendor, float>) conv2d_tangent<Vendor, float>;
template decltype(conv2d_tangent<Vendor, bf16>) conv2d_tangent<Vendor, bf16>;

}  // namespace ek::kernels
