// norm_conv; kernels/norm_conv.h states the maths. Its versions:
//   plain  each pass runs the kernels of norm.h and conv.h one after another; what passes between
//          them lies in the workspace as whole tensors
//   fused  forward and jvp in one pass over the images, vjp in two, conv_norm.h; float and bf16, by
//          default where that serves (vjp: not where dweight alone is wanted, nor at stride 2)
//   joined of vjp alone: both passes in one launch, by default where that serves
//   lean   of forward the fused pass and of vjp the joined launch with their sizes as constants, by
//          default for the shapes of a ResNet for small images
#include "kernels/norm_conv.h"

#include <algorithm>

#include "kernels/cuda/base/scratch.h"
#include "kernels/cuda/conv/conv_call.cuh"
#include "kernels/cuda/norm_act.h"
#include "kernels/cuda/norm_conv/conv_norm.h"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

std::int64_t in_rows(const NormConvShape& s) {
  return s.conv.batch * s.conv.in_h * s.conv.in_w;
}
std::int64_t out_rows(const NormConvShape& s) {
  return s.conv.batch * s.conv.out_h() * s.conv.out_w();
}

template <class T>
NormParams<T> params_of(const NormConvShape& s, const NormConvInput<T>& in) {
  return {in_rows(s), s.conv.in_c, s.eps, s.relu, in.mean, in.var, in.gamma, in.beta};
}

void require_images(const NormConvShape& s, bool statistics, const char* expected) {
  require_argument(s.conv.batch > 0 || !statistics, expected, s.conv.batch);
}

// The convolution's input: y where nothing is normalised, what was kept, or the same again in the
// workspace.
template <class T>
const T* activation(Stream stream, const NormConvShape& s, const NormConvInput<T>& in,
                    const T* kept, Scratch& scratch) {
  if (!s.normalizes) return in.y;
  if (kept) return kept;
  T* act = scratch.take<T>(s.conv.input_size());
  norm_act_forward<Backend, T>(stream, params_of(s, in), in.y, in.shortcut, act);
  return act;
}

// As kernels/base/versions.cpp has them: kLean of forward, the last two of vjp.
enum Version { kPlain, kFused, kLean, kJoined = 2, kJoinedLean };

// The versions that serve a call (kernels/cuda/base/choice.cuh), and which of them the rule takes.
struct Candidates {
  unsigned served;
  Version rule;
};
Candidates fused_where(bool serves) {
  return serves ? Candidates{3, kFused} : Candidates{1, kPlain};
}
template <class T>
Candidates for_values(const NormConvShape& shape, const NormConvInput<T>& input,
                      const NormConvOutput<T>& output) {
  if (leans_norm_conv<T>(shape, input, output)) return {7, kLean};
  return fused_where(fuses_norm_conv<T>(shape, output.act != nullptr));
}
template <class T>
Candidates for_cotangents(const NormConvShape& shape, const NormConvInput<T>& input,
                          const NormConvSaved<T>& saved, const NormConvCotangents<T>& cotangents,
                          const NormConvGradients<T>& gradients) {
  const bool fuses = gradients.dy != nullptr && fuses_norm_conv_vjp<T>(shape);
  if (!fuses || !joins_norm_conv_vjp<T>(shape)) return fused_where(fuses);
  const bool leans = leans_norm_conv_vjp<T>(shape, input, saved, cotangents, gradients);
  return leans ? Candidates{15, kJoinedLean} : Candidates{7, kJoined};
}

// The version that runs. `candidates()`: of float and bf16; of double there is plain alone.
template <class T, class Of, class Again>
int version_of(const Call& call, const Of& candidates, const Again& again) {
  const int named = named_version(call.function);
  if constexpr (std::is_same_v<T, double>) {
    require_argument(named <= kPlain, "norm_conv: of float64 the version plain (0) alone expected",
                     std::int64_t(named));
    return kPlain;
  } else {
    if (named >= 0) return named;
    const Candidates of = candidates();
    return chosen(call, of.served, of.rule, again);
  }
}

// The larger one of what plain wants and of what fused does, where it is.
template <class T>
std::size_t with_fused(std::size_t plain, NormConvPass pass, const NormConvShape& shape) {
  if constexpr (std::is_same_v<T, double>) {
    return plain;
  } else if (pass == NormConvPass::vjp) {
    return fuses_norm_conv_vjp<T>(shape)
               ? std::max(plain, fused_norm_conv_vjp_workspace_bytes<T>(shape))
               : plain;
  } else {
    return std::max({plain, fused_norm_conv_workspace_bytes<T>(shape),
                     lean_norm_conv_workspace_bytes<T>(shape)});
  }
}

}  // namespace
}  // namespace EK_TARGET

// First the tensors that pass between kernels, then the workspace that these want, in turn.
template <class B, class T>
std::size_t norm_conv_workspace_bytes(const NormConvShape& shape, NormConvPass pass) {
  using namespace EK_TARGET;
  const Conv2dShape& s = shape.conv;
  const auto conv = [&](Conv2dPass of) { return conv2d_workspace_bytes<B, T>(s, of); };
  const std::size_t in = shape.normalizes ? padded_bytes<T>(s.input_size()) : 0;
  const std::size_t out = padded_bytes<T>(s.output_size());
  const std::size_t in_sums = norm_workspace_bytes<B, T>(in_rows(shape), s.in_c);
  const std::size_t out_sums = norm_workspace_bytes<B, T>(out_rows(shape), s.out_c);
  std::size_t plain = 0;
  switch (pass) {
    case NormConvPass::forward:
      plain = in + std::max(conv(Conv2dPass::forward), out_sums);
      break;
    case NormConvPass::vjp:
      plain =
          in + out +
          std::max({conv(Conv2dPass::backward_weights), conv(Conv2dPass::backward_data), in_sums});
      break;
    case NormConvPass::jvp:
      plain = 2 * in + std::max({conv(Conv2dPass::forward), conv(Conv2dPass::tangent), out_sums});
      break;
  }
  return with_fused<T>(plain, pass, shape);
}

template <class B, class T>
void norm_conv_forward(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                       ConvPack weight, const NormConvOutput<T>& output, Workspace workspace) {
  using namespace EK_TARGET;
  const Conv2dShape& s = shape.conv;
  const bool statistics = output.out_mean != nullptr;
  require_images(shape, statistics, "norm_conv_forward: expected images, for their statistics");
  const bool kept = output.act != nullptr;
  const int version = version_of<T>(
      norm_conv_call<T>("norm_conv_forward", shape, input.shortcut, kept, statistics),
      [&] { return for_values<T>(shape, input, output); },
      [&] { norm_conv_forward<B, T>(stream, shape, input, weight, output, workspace); });
  if (version != kPlain) {
    if constexpr (!std::is_same_v<T, double>) {
      const auto run = version == kLean ? &lean_norm_conv_forward<T> : &fused_norm_conv_forward<T>;
      run(stream, shape, input, weight, output, workspace);
    }
    return;
  }
  Scratch scratch(workspace, "norm_conv_forward: expected a larger workspace");
  const T* act = input.y;
  if (shape.normalizes) {
    T* written = output.act ? output.act : scratch.take<T>(s.input_size());
    norm_act_forward<B, T>(stream, params_of(shape, input), input.y, input.shortcut, written);
    act = written;
  }
  conv2d_forward<B, T>(stream, s, act, weight, output.out, scratch.rest());
  if (!statistics) return;
  channel_stats_forward<B, T>(stream, out_rows(shape), s.out_c, output.out, output.out_mean,
                              output.out_var, scratch.rest());
}

template <class B, class T>
void norm_conv_vjp(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                   const NormConvSaved<T>& saved, ConvPack weight,
                   const NormConvCotangents<T>& cotangents, const NormConvGradients<T>& gradients,
                   Workspace workspace) {
  using namespace EK_TARGET;
  const Conv2dShape& s = shape.conv;
  const bool of_input = gradients.dy != nullptr;
  const int version = version_of<T>(
      norm_conv_call<T>("norm_conv_vjp", shape, input.shortcut, saved.act, cotangents.dout_mean,
                        {of_input}),
      [&] { return for_cotangents<T>(shape, input, saved, cotangents, gradients); },
      [&] {
        norm_conv_vjp<B, T>(stream, shape, input, saved, weight, cotangents, gradients, workspace);
      });
  if (version != kPlain) {
    if constexpr (!std::is_same_v<T, double>) {
      const VjpLaunch how = version == kFused    ? VjpLaunch::two
                            : version == kJoined ? VjpLaunch::joined
                                                 : VjpLaunch::lean;
      fused_norm_conv_vjp<T>(stream, shape, input, saved, weight, cotangents, gradients, how,
                             workspace);
    }
    return;
  }
  Scratch scratch(workspace, "norm_conv_vjp: expected a larger workspace");
  const T* dout = cotangents.dout;
  if (cotangents.dout_mean) {
    T* with_statistics = scratch.take<T>(s.output_size());
    channel_stats_vjp<B, T>(stream, out_rows(shape), s.out_c, saved.out, saved.out_mean,
                            cotangents.dout_mean, cotangents.dout_var, dout, with_statistics);
    dout = with_statistics;
  }
  const T* act = activation(stream, shape, input, saved.act, scratch);
  conv2d_backward_weights<B, T>(stream, s, act, dout, gradients.dweight, scratch.rest());
  if (!gradients.dy) return;
  T* dact = gradients.dy;  // which becomes dy in place
  conv2d_backward_data<B, T>(stream, s, dout, weight, dact, scratch.rest());
  if (!shape.normalizes) return;
  norm_act_vjp_of_sum<T>(stream, params_of(shape, input), input.y, act, dact, cotangents.dact,
                         {gradients.dy, gradients.dshortcut, gradients.dmean, gradients.dvar,
                          gradients.dgamma, gradients.dbeta},
                         scratch.rest());
}

template <class B, class T>
void norm_conv_jvp(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                   const NormConvSaved<T>& saved, ConvPack weight,
                   const NormConvTangents<T>& tangents, const NormConvOutput<T>& output,
                   Workspace workspace) {
  using namespace EK_TARGET;
  const Conv2dShape& s = shape.conv;
  const NormActTangents<T> to_norm{tangents.y,   tangents.shortcut, tangents.mean,
                                   tangents.var, tangents.gamma,    tangents.beta};
  const bool any_to_norm =
      to_norm.y || to_norm.shortcut || to_norm.mean || to_norm.var || to_norm.gamma || to_norm.beta;
  const bool to_act = shape.normalizes ? any_to_norm : to_norm.y != nullptr;
  const bool statistics = output.out_mean != nullptr;
  require_argument(to_act || tangents.weight.data,
                   "norm_conv_jvp: expected a tangent that is not zero", std::int64_t(0));
  require_argument(to_act || !output.act,
                   "norm_conv_jvp: expected no output for the tangent of act, which is zero",
                   std::int64_t(1));
  require_images(shape, statistics, "norm_conv_jvp: expected images, for their statistics");
  const bool kept = output.act != nullptr;
  const int version = version_of<T>(
      norm_conv_call<T>("norm_conv_jvp", shape, input.shortcut, kept, statistics,
                        {to_act, tangents.weight.data != nullptr}),
      [&] { return fused_where(fuses_norm_conv<T>(shape, kept)); },
      [&] {
        norm_conv_jvp<B, T>(stream, shape, input, saved, weight, tangents, output, workspace);
      });
  if (version != kPlain) {
    if constexpr (!std::is_same_v<T, double>) {
      fused_norm_conv_jvp<T>(stream, shape, input, saved, weight, tangents, output, workspace);
    }
    return;
  }
  Scratch scratch(workspace, "norm_conv_jvp: expected a larger workspace");
  const T* act = nullptr;
  if (tangents.weight.data || (shape.normalizes && shape.relu)) {
    act = activation(stream, shape, input, saved.act, scratch);
  }
  const T* act_tangent = to_norm.y;
  if (shape.normalizes && to_act) {
    T* written = output.act ? output.act : scratch.take<T>(s.input_size());
    norm_act_jvp<B, T>(stream, params_of(shape, input), input.y, act, to_norm, written);
    act_tangent = written;
  }
  if (to_act && tangents.weight.data) {
    conv2d_tangent<B, T>(stream, s, act, weight, act_tangent, tangents.weight, output.out,
                         scratch.rest());
  } else if (to_act) {
    conv2d_forward<B, T>(stream, s, act_tangent, weight, output.out, scratch.rest());
  } else {
    conv2d_forward<B, T>(stream, s, act, tangents.weight, output.out, scratch.rest());
  }
  if (!statistics) return;
  channel_stats_jvp<B, T>(stream, out_rows(shape), s.out_c, saved.out, saved.out_mean, output.out,
                          output.out_mean, output.out_var, scratch.rest());
}

using EK_TARGET::Backend;
template decltype(norm_conv_workspace_bytes<Backend, bf16>)
    norm_conv_workspace_bytes<Backend, bf16>;
template decltype(norm_conv_workspace_bytes<Backend, float>)
    norm_conv_workspace_bytes<Backend, float>;
template decltype(norm_conv_workspace_bytes<Backend, double>)
    norm_conv_workspace_bytes<Backend, double>;
template decltype(norm_conv_forward<Backend, bf16>) norm_conv_forward<Backend, bf16>;
template decltype(norm_conv_forward<Backend, float>) norm_conv_forward<Backend, float>;
template decltype(norm_conv_forward<Backend, double>) norm_conv_forward<Backend, double>;
template decltype(norm_conv_vjp<Backend, bf16>) norm_conv_vjp<Backend, bf16>;
template decltype(norm_conv_vjp<Backend, float>) norm_conv_vjp<Backend, float>;
template decltype(norm_conv_vjp<Backend, double>) norm_conv_vjp<Backend, double>;
template decltype(norm_conv_jvp<Backend, bf16>) norm_conv_jvp<Backend, bf16>;
template decltype(norm_conv_jvp<Backend, float>) norm_conv_jvp<Backend, float>;
template decltype(norm_conv_jvp<Backend, double>) norm_conv_jvp<Backend, double>;

}  // namespace ek::kernels
