#include "kernels/conv.h"

#include <algorithm>
#include <type_traits>

#include "kernels/cpu/conv_plain.h"
#include "kernels/error.h"
#ifdef EK_HAS_ONEDNN
#include "kernels/cpu/conv_onednn.h"
#endif

// The CPU convolution: float32 through oneDNN where it is built in and has a good implementation,
// everything else through the plain path.
namespace ek::kernels {
namespace {

void check(const Conv2dShape& s, const char* op) {
  require(s.batch >= 0 && s.in_h > 0 && s.in_w > 0 && s.in_c > 0 && s.out_c > 0 && s.kernel_h > 0 &&
              s.kernel_w > 0,
          "{}: positive sizes expected, got images {}x{}x{}x{}, weights {}x{}x{}", op, s.batch,
          s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w);
  require(s.stride_h > 0 && s.stride_w > 0 && s.pad_h >= 0 && s.pad_w >= 0,
          "{}: stride >= 1 and padding >= 0 expected, got stride {}x{}, padding {}x{}", op,
          s.stride_h, s.stride_w, s.pad_h, s.pad_w);
  require(s.groups > 0 && s.in_c % s.groups == 0 && s.out_c % s.groups == 0,
          "{}: groups that divide the channels expected, got {} for {} to {} channels", op,
          s.groups, s.in_c, s.out_c);
  require(s.kernel_h <= s.in_h + 2 * s.pad_h && s.kernel_w <= s.in_w + 2 * s.pad_w,
          "{}: kernel within the padded image expected, got {}x{} on {}x{} with padding {}x{}", op,
          s.kernel_h, s.kernel_w, s.in_h, s.in_w, s.pad_h, s.pad_w);
}

template <class T>
constexpr bool use_onednn() {
#ifdef EK_HAS_ONEDNN
  return std::is_same_v<T, float>;
#else
  return false;
#endif
}

template <class T>
std::size_t workspace_bytes(const Conv2dShape& s, Conv2dPass pass) {
  check(s, "conv2d");
  if (s.batch == 0) return 0;
  const std::size_t plain = cpu::plain_workspace_bytes<T>(s, pass);
#ifdef EK_HAS_ONEDNN
  if constexpr (use_onednn<T>()) {
    const std::size_t bytes = cpu::onednn_workspace_bytes(s, pass).value_or(plain);
    if (pass != Conv2dPass::tangent) return bytes;
    // With one tangent null it is a forward pass.
    return std::max(bytes, cpu::onednn_workspace_bytes(s, Conv2dPass::forward).value_or(plain));
  }
#endif
  return plain;
}

template <class T>
void forward(const Conv2dShape& s, const T* x, const T* weight, T* y, Workspace workspace) {
  check(s, "conv2d_forward");
  if (s.batch == 0) return;
#ifdef EK_HAS_ONEDNN
  if constexpr (use_onednn<T>()) {
    if (cpu::onednn_forward(s, x, weight, y, workspace)) return;
  }
#endif
  cpu::plain_forward(s, x, weight, y, false, workspace);
}

template <class T>
void backward_data(const Conv2dShape& s, const T* dy, const T* weight, T* dx, Workspace workspace) {
  check(s, "conv2d_backward_data");
  if (s.batch == 0) return;
#ifdef EK_HAS_ONEDNN
  if constexpr (use_onednn<T>()) {
    if (cpu::onednn_backward_data(s, dy, weight, dx, workspace)) return;
  }
#endif
  cpu::plain_backward_data(s, dy, weight, dx, workspace);
}

template <class T>
void backward_weights(const Conv2dShape& s, const T* x, const T* dy, T* dweight,
                      Workspace workspace) {
  check(s, "conv2d_backward_weights");
  if (s.batch == 0) {
    std::fill(dweight, dweight + s.weight_size(), T(0));
    return;
  }
#ifdef EK_HAS_ONEDNN
  if constexpr (use_onednn<T>()) {
    if (cpu::onednn_backward_weights(s, x, dy, dweight, workspace)) return;
  }
#endif
  cpu::plain_backward_weights(s, x, dy, dweight, workspace);
}

template <class T>
void tangent(const Conv2dShape& s, const T* x, const T* weight, const T* x_tangent,
             const T* weight_tangent, T* y_tangent, Workspace workspace) {
  check(s, "conv2d_tangent");
  require(x_tangent || weight_tangent, "conv2d_tangent: at least one tangent expected, got none");
  if (!weight_tangent) return forward(s, x_tangent, weight, y_tangent, workspace);
  if (!x_tangent) return forward(s, x, weight_tangent, y_tangent, workspace);
  if (s.batch == 0) return;
#ifdef EK_HAS_ONEDNN
  if constexpr (use_onednn<T>()) {
    if (cpu::onednn_tangent(s, x, weight, x_tangent, weight_tangent, y_tangent, workspace)) return;
  }
#endif
  cpu::plain_forward(s, x_tangent, weight, y_tangent, false, workspace);
  cpu::plain_forward(s, x, weight_tangent, y_tangent, true, workspace);
}

}  // namespace

template <>
std::size_t conv2d_workspace_bytes<Cpu, float>(const Conv2dShape& shape, Conv2dPass pass) {
  return workspace_bytes<float>(shape, pass);
}
template <>
std::size_t conv2d_workspace_bytes<Cpu, double>(const Conv2dShape& shape, Conv2dPass pass) {
  return workspace_bytes<double>(shape, pass);
}

template <>
void conv2d_forward<Cpu, float>(Stream, const Conv2dShape& shape, const float* x,
                                const float* weight, float* y, Workspace workspace) {
  forward(shape, x, weight, y, workspace);
}
template <>
void conv2d_forward<Cpu, double>(Stream, const Conv2dShape& shape, const double* x,
                                 const double* weight, double* y, Workspace workspace) {
  forward(shape, x, weight, y, workspace);
}

template <>
void conv2d_backward_data<Cpu, float>(Stream, const Conv2dShape& shape, const float* dy,
                                      const float* weight, float* dx, Workspace workspace) {
  backward_data(shape, dy, weight, dx, workspace);
}
template <>
void conv2d_backward_data<Cpu, double>(Stream, const Conv2dShape& shape, const double* dy,
                                       const double* weight, double* dx, Workspace workspace) {
  backward_data(shape, dy, weight, dx, workspace);
}

template <>
void conv2d_backward_weights<Cpu, float>(Stream, const Conv2dShape& shape, const float* x,
                                         const float* dy, float* dweight, Workspace workspace) {
  backward_weights(shape, x, dy, dweight, workspace);
}
template <>
void conv2d_backward_weights<Cpu, double>(Stream, const Conv2dShape& shape, const double* x,
                                          const double* dy, double* dweight, Workspace workspace) {
  backward_weights(shape, x, dy, dweight, workspace);
}

template <>
void conv2d_tangent<Cpu, float>(Stream, const Conv2dShape& shape, const float* x,
                                const float* weight, const float* x_tangent,
                                const float* weight_tangent, float* y_tangent,
                                Workspace workspace) {
  tangent(shape, x, weight, x_tangent, weight_tangent, y_tangent, workspace);
}
template <>
void conv2d_tangent<Cpu, double>(Stream, const Conv2dShape& shape, const double* x,
                                 const double* weight, const double* x_tangent,
                                 const double* weight_tangent, double* y_tangent,
                                 Workspace workspace) {
  tangent(shape, x, weight, x_tangent, weight_tangent, y_tangent, workspace);
}

}  // namespace ek::kernels
