// The gradient of a convolution's weights; kernels/conv.h states the maths.
#include "kernels/cuda/conv_weights.h"

#include "kernels/cuda/packs.cuh"
#include "kernels/cuda/team.cuh"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

// A shape as a kernel reads it, with the size of the output, and channels by group.
struct Geometry {
  std::int64_t batch, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w;
  std::int64_t stride_h, stride_w, pad_h, pad_w, group_in_c, group_out_c;

  explicit Geometry(const Conv2dShape& s)
      : batch(s.batch),
        in_h(s.in_h),
        in_w(s.in_w),
        in_c(s.in_c),
        out_h(s.out_h()),
        out_w(s.out_w()),
        out_c(s.out_c),
        kernel_h(s.kernel_h),
        kernel_w(s.kernel_w),
        stride_h(s.stride_h),
        stride_w(s.stride_w),
        pad_h(s.pad_h),
        pad_w(s.pad_w),
        group_in_c(s.in_c / s.groups),
        group_out_c(s.out_c / s.groups) {}

  __device__ std::int64_t weights() const { return out_c * kernel_h * kernel_w * group_in_c; }
};

// One thread, one weight: the products of all pairs of pixels that it joins, in the order of the
// output's pixels. The teaching rung: every pixel is read once per weight, from the caches at best.
template <class T>
__global__ void __launch_bounds__(kItemThreads)
    gradient_plain(Geometry g, const T* x, const T* dy, Acc<T>* dweight) {
  for (std::int64_t w = first_item(); w < g.weights(); w += all_items()) {
    const std::int64_t i = w % g.group_in_c, tap = w / g.group_in_c % (g.kernel_h * g.kernel_w);
    const std::int64_t o = w / g.group_in_c / (g.kernel_h * g.kernel_w);
    const std::int64_t channel = o / g.group_out_c * g.group_in_c + i;
    Acc<T> sum = 0;
    for (std::int64_t p = 0; p < g.batch * g.out_h * g.out_w; ++p) {
      const std::int64_t n = p / (g.out_h * g.out_w);
      const std::int64_t h = p / g.out_w % g.out_h * g.stride_h + tap / g.kernel_w - g.pad_h;
      const std::int64_t v = p % g.out_w * g.stride_w + tap % g.kernel_w - g.pad_w;
      if (h < 0 || h >= g.in_h || v < 0 || v >= g.in_w) continue;
      const T in = x[((n * g.in_h + h) * g.in_w + v) * g.in_c + channel];
      sum = std::fma(widened(in), widened(dy[p * g.out_c + o]), sum);
    }
    dweight[w] = sum;
  }
}

}  // namespace

template <class T>
std::size_t backward_weights_workspace_bytes(const Conv2dShape& shape) {
  check_shape(shape, "conv2d_backward_weights");
  return 0;
}
template decltype(backward_weights_workspace_bytes<float>) backward_weights_workspace_bytes<float>;
template decltype(backward_weights_workspace_bytes<double>)
    backward_weights_workspace_bytes<double>;
template decltype(backward_weights_workspace_bytes<bf16>) backward_weights_workspace_bytes<bf16>;

}  // namespace EK_TARGET

template <class B, class T>
void conv2d_backward_weights(Stream stream, const Conv2dShape& shape, const T* x, const T* dy,
                             Acc<T>* dweight, Workspace) {
  using namespace EK_TARGET;
  check_shape(shape, "conv2d_backward_weights");
  launch<&gradient_plain<T>>(for_items(shape.weight_size(), stream), Geometry(shape), x, dy,
                             dweight);
}

using EK_TARGET::Backend;
template decltype(conv2d_backward_weights<Backend, float>) conv2d_backward_weights<Backend, float>;
template decltype(conv2d_backward_weights<Backend, double>)
    conv2d_backward_weights<Backend, double>;
template decltype(conv2d_backward_weights<Backend, bf16>) conv2d_backward_weights<Backend, bf16>;

}  // namespace ek::kernels
