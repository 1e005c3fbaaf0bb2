// The convolution: kernels/conv.h states the maths. Here a version is picked, from the plain one
// up:
//   plain  conv_plain.cuh   one thread, one output; every type
//   mma    conv_mma.cuh     tensor cores; gathers the pixels of each tap
//   halo   conv_halo.cuh    tensor cores; a tile of pixels with its halo, fetched once for all taps
// conv_problem.cuh says what the last two compute, conv_pack.cuh how weights lie.
#include "kernels/conv.h"

#include <algorithm>
#include <utility>

#include "kernels/base/arguments.h"
#include "kernels/cuda/conv/conv_call.cuh"
#include "kernels/cuda/conv/conv_halo_plan.cuh"
#include "kernels/cuda/conv/conv_plain.cuh"
#include "kernels/cuda/conv/conv_versions.cuh"
#include "kernels/cuda/conv_weights/conv_weights.h"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr std::int64_t kMostBlocks = 1 << 16;  // each then works on several elements

// Places of the versions in kernels/base/versions.cpp.
enum Version { plain = 0, mma = 1, halo = 2 };

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
void run_plain(Stream stream, const Conv2dShape& s, bool backward, const Operand<T>& first,
               const Operand<T>& second, T* out) {
  const PackLayout layout(s, backward, kStepChannels<T>);
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
ConvSource<T> source(const Operand<T>& of) {
  return {of.image, static_cast<const std::uint32_t*>(of.weight.data)};
}

// The version that a shape is for: tensor cores, with a halo where the tile fits into shared memory
// (it does not for kernels of 16 x 16, say). Not for float64, nor for one channel to one: of the
// 8 x 16 products of a fragment they would use one.
template <class T, class Again>
int version_for(const char* op, const Call& call, const ConvProblem& p, int sources,
                const Again& again) {
  const int named = named_version(op);
  if (std::is_same_v<T, double>) {
    require_argument(named <= plain, "conv2d: of float64 the version plain (0) alone expected",
                     std::int64_t(named));
    return plain;
  }
  if (named >= 0) return named;
  const bool fits = halo_plan<T>(p, sources).shared_bytes <= kMostSharedBytes;
  const int rule = p.pack.in_c == 1 && p.pack.out_c == 1 ? plain : fits ? halo : mma;
  return chosen(call, fits ? 7 : 3, rule, again);
}

template <class Atom, class T>
void run_tensor(Stream stream, int version, const ConvProblem& p, const ConvSources<T>& sources,
                T* out) {
  version == mma ? convolve_mma<Atom>(stream, p, sources, out)
                 : convolve_halo<Atom>(stream, p, sources, out);
}

// Forward, tangent (two operands) and backward data.
template <class T>
void convolve(Stream stream, const char* op, const Conv2dShape& s, bool backward, Operand<T> first,
              Operand<T> second, T* out) {
  if ((backward ? s.input_size() : s.output_size()) == 0) return;
  if (first.image == nullptr) std::swap(first, second);
  const ConvProblem p = conv_problem(s, backward, first.image, second.image, out);
  const ConvSources<T> sources{source(first), source(second), second.image == nullptr ? 1 : 2};
  const Call call = conv_call<T>(op, s, {sources.count - 1});
  const int version = version_for<T>(
      op, call, p, sources.count, [&] { convolve(stream, op, s, backward, first, second, out); });
  if (version == plain) {
    run_plain(stream, s, backward, first, second, out);
  } else if constexpr (std::is_same_v<T, bf16>) {
    run_tensor<Bf16Atom>(stream, version, p, sources, out);
  } else if constexpr (std::is_same_v<T, float>) {
    s.products == FloatProducts::tf32 ? run_tensor<Tf32Atom>(stream, version, p, sources, out)
                                      : run_tensor<SplitAtom>(stream, version, p, sources, out);
  }
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
