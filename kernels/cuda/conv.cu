// The convolution: kernels/conv.h states the maths. Here a version is picked; conv_plain.cuh has
// the plain kernels, conv_problem.cuh what the tensor-core ones compute, conv_mma.cuh the first of
// them.
#include "kernels/conv.h"

#include <algorithm>
#include <utility>

#include "kernels/arguments.h"
#include "kernels/cuda/conv_plain.cuh"
#include "kernels/cuda/conv_problem.cuh"
#include "kernels/cuda/conv_weights.h"
#include "kernels/versions.h"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr std::int64_t kMostBlocks = 1 << 16;  // each then works on several elements

// Places of the versions in kernels/versions.cpp.
enum Version { plain = 0, mma = 1 };

dim3 plain_grid(std::int64_t elements) {
  return dim3(unsigned(std::min((elements + kPlainThreads - 1) / kPlainThreads, kMostBlocks)));
}

// An image and the pack that it meets, whatever the pass; a null image is a source of zeros.
template <class T>
struct Operand {
  const T* image;
  ConvPack weight;
};

template <class T>
PackLayout layout_of(const Conv2dShape& s, bool backward) {
  return PackLayout(s, backward, kStepChannels<T>);
}

template <class T>
void run_plain(Stream stream, const Conv2dShape& s, bool backward, const Operand<T>& first,
               const Operand<T>& second, T* out) {
  const auto layout = layout_of<T>(s, backward);
  const Launch on{plain_grid(backward ? s.input_size() : s.output_size()), dim3(kPlainThreads), 0,
                  stream};
  if (backward) {
    launch<&conv_plain_backward_data<T>>(on, PlainShape(s), first.image,
                                         PackedWeights<T>{first.weight.data, layout}, out);
  } else {
    launch<&conv_plain<T>>(on, PlainShape(s),
                           PlainSource<T>{first.image, {first.weight.data, layout}},
                           PlainSource<T>{second.image, {second.weight.data, layout}}, out);
  }
}

template <class T>
ConvProblem problem_of(const Conv2dShape& s, bool backward, const Operand<T>& first,
                       const Operand<T>& second, const T* out) {
  const auto layout = layout_of<T>(s, backward);
  ConvProblem p{int(s.batch),    int(s.in_h),     int(s.in_w),     int(s.in_c),
                int(s.out_h()),  int(s.out_w()),  int(s.out_c),    int(s.kernel_h),
                int(s.kernel_w), int(s.stride_h), int(s.stride_w), int(s.pad_h),
                int(s.pad_w),    layout,          false,           false};
  if (backward) {
    std::swap(p.in_h, p.out_h);
    std::swap(p.in_w, p.out_w);
    std::swap(p.in_c, p.out_c);
  }
  p.in_vectors =
      layout.in_c % (16 / int(sizeof(T))) == 0 && aligned_to_16(first.image, second.image);
  p.out_vectors = layout.out_c % (16 / int(sizeof(T))) == 0 && aligned_to_16(out);
  return p;
}

template <class T>
ConvSource<T> source(const Operand<T>& of) {
  return {of.image, static_cast<const std::uint32_t*>(of.weight.data)};
}

// The version that the shape is for: tensor cores, but for float64 and for so few channels that
// most of a fragment would be padding.
template <class T>
int version_for(const char* op, const PackLayout& layout) {
  const int named = named_version(op);
  if (std::is_same_v<T, double>) {
    require_argument(named <= plain, "conv2d: float64 has the version plain (0) alone",
                     std::int64_t(named));
    return plain;
  }
  if (named >= 0) return named;
  return layout.in_c < 2 && layout.out_c < 2 ? plain : mma;
}

// Forward, tangent (two operands) and backward data.
template <class T>
void convolve(Stream stream, const char* op, const Conv2dShape& s, bool backward, Operand<T> first,
              Operand<T> second, T* out) {
  if ((backward ? s.input_size() : s.output_size()) == 0) return;
  if (first.image == nullptr) std::swap(first, second);
  const int version = version_for<T>(op, layout_of<T>(s, backward));
  if constexpr (!std::is_same_v<T, double>) {
    if (version == mma) {
      convolve_mma<T>(stream, s.products, problem_of(s, backward, first, second, out),
                      {source(first), source(second), second.image == nullptr ? 1 : 2}, out);
      return;
    }
  }
  run_plain(stream, s, backward, first, second, out);
}

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
std::size_t conv2d_workspace_bytes(const Conv2dShape& s, Conv2dPass pass) {
  check_shape(s, "conv2d");
  if (pass != Conv2dPass::backward_weights) return 0;
  return EK_TARGET::backward_weights_workspace_bytes<T>(s);
}

template <class B, class T>
void conv2d_forward(Stream stream, const Conv2dShape& s, const T* x, ConvPack weight, T* y,
                    Workspace) {
  check_shape(s, "conv2d_forward");
  EK_TARGET::convolve<T>(stream, "conv2d_forward", s, false, {x, weight}, {}, y);
}

template <class B, class T>
void conv2d_tangent(Stream stream, const Conv2dShape& s, const T* x, ConvPack weight,
                    const T* x_tangent, ConvPack weight_tangent, T* y_tangent, Workspace) {
  check_shape(s, "conv2d_tangent");
  require_argument(x_tangent || weight_tangent.data, "conv2d_tangent: one or two tangents expected",
                   std::int64_t(0));
  EK_TARGET::convolve<T>(stream, "conv2d_tangent", s, false, {x_tangent, weight},
                         {weight_tangent.data ? x : nullptr, weight_tangent}, y_tangent);
}

template <class B, class T>
void conv2d_backward_data(Stream stream, const Conv2dShape& s, const T* dy, ConvPack weight, T* dx,
                          Workspace) {
  check_shape(s, "conv2d_backward_data");
  EK_TARGET::convolve<T>(stream, "conv2d_backward_data", s, true, {dy, weight}, {}, dx);
}

using EK_TARGET::Backend;
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
