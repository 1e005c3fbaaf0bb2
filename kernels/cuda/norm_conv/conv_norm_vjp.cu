// norm_conv_vjp, fused and joined: conv_norm.h. The kernels are conv_halo.cuh, run backward with
// the prologue and the epilogue of conv_norm_vjp.cuh, and the weight gradient.
#include "kernels/cuda/norm_conv/conv_norm.h"

#include "kernels/cuda/base/scratch.h"
#include "kernels/cuda/norm_conv/conv_norm_host.cuh"
#include "kernels/cuda/norm_conv/conv_norm_joined_plan.cuh"
#include "kernels/cuda/norm_conv/conv_norm_run.cuh"
#include "kernels/cuda/norm_conv/lean/lean_run.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

template <class T>
ConvProblem backward_problem(const Conv2dShape& s, const T* dout, const T* dy) {
  return conv_problem<T>(s, true, dout, nullptr, dy);
}

template <class T>
HaloPlan backward_plan(const Conv2dShape& s) {
  return halo_plan<T>(backward_problem<T>(s, nullptr, nullptr), 1);
}

}  // namespace

template <class T>
bool fuses_norm_conv_vjp(const NormConvShape& shape) {
  const Conv2dShape& s = shape.conv;
  return shape.normalizes && s.batch > 0 &&
         covers_input(backward_problem<T>(s, nullptr, nullptr)) &&
         backward_plan<T>(s).shared_bytes <= kMostSharedBytes && fuses_norm_weights<T>(s);
}

template <class T>
bool joins_norm_conv_vjp(const NormConvShape& shape) {
  return fuses_norm_conv_vjp<T>(shape) &&
         with_joined<typename Products<T>::Exact>(shape.conv, backward_plan<T>(shape.conv),
                                                  ServedByAny());
}

template <class T>
bool leans_norm_conv_vjp(const NormConvShape& shape, const NormConvInput<T>& input,
                         const NormConvSaved<T>& saved, const NormConvCotangents<T>& cotangents,
                         const NormConvGradients<T>& gradients) {
  const T* const out = cotangents.dout_mean ? saved.out : nullptr;
  const bool products = std::is_same_v<T, bf16> || shape.conv.products == FloatProducts::tf32;
  return products && joins_norm_conv_vjp<T>(shape) && is_lean_shape(shape.conv) &&
         aligned_to_16(input.y, input.shortcut, saved.act, out, cotangents.dout, cotangents.dact,
                       gradients.dy, gradients.dshortcut);
}

template <class T>
std::size_t fused_norm_conv_vjp_workspace_bytes(const NormConvShape& shape) {
  const Conv2dShape& s = shape.conv;
  return padded_bytes<T>(s.output_size()) +
         padded_bytes<TilePair>(backward_plan<T>(s).tiles() * s.in_c) +
         backward_weights_workspace_bytes<T>(s);
}

template <class T>
void fused_norm_conv_vjp(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                         const NormConvSaved<T>& saved, ConvPack weight,
                         const NormConvCotangents<T>& cotangents,
                         const NormConvGradients<T>& gradients, VjpLaunch how,
                         Workspace workspace) {
  const Conv2dShape& s = shape.conv;
  const bool joined = how != VjpLaunch::two, lean = how == VjpLaunch::lean;
  check_shape(s, "norm_conv_vjp");
  require_argument(gradients.dy != nullptr,
                   "norm_conv_vjp, fused: a gradient of y that is wanted expected",
                   std::int64_t(0));
  require_argument(fuses_norm_conv_vjp<T>(shape),
                   "norm_conv_vjp, fused: a shape that fuses_norm_conv_vjp names expected, for a "
                   "stride of",
                   s.stride_h);
  require_argument(!joined || joins_norm_conv_vjp<T>(shape),
                   "norm_conv_vjp, joined: a shape that joins_norm_conv_vjp names expected, for a "
                   "kernel of so many rows",
                   s.kernel_h);
  require_argument(!lean || leans_norm_conv_vjp<T>(shape, input, saved, cotangents, gradients),
                   "norm_conv_vjp, lean: a call that leans_norm_conv_vjp names expected, for so "
                   "many channels",
                   s.in_c);
  Scratch scratch(workspace, "norm_conv_vjp, fused: a larger workspace expected");
  const bool statistics = cotangents.dout_mean != nullptr;
  T* const stored = statistics && !joined ? scratch.take<T>(s.output_size()) : nullptr;
  const TilePairs pairs{scratch.take<TilePair>(backward_plan<T>(s).tiles() * s.in_c), int(s.in_c)};

  ConvProblem p = backward_problem<T>(s, cotangents.dout, gradients.dy);
  const StatsPrologue<T> prologue{statistics ? saved.out : nullptr,
                                  saved.out_mean,
                                  cotangents.dout_mean,
                                  cotangents.dout_var,
                                  float(1 / double(s.batch * s.out_h() * s.out_w())),
                                  stored};
  p.in_vectors = p.in_vectors && aligned_to_16(prologue.out, stored);
  const bool vectors = p.out_vectors && aligned_to_16(input.y, input.shortcut, saved.act,
                                                      cotangents.dact, gradients.dshortcut);
  const MergeCotangentSums rule{{},
                                input.var,
                                input.gamma,
                                shape.eps,
                                gradients.dmean,
                                gradients.dvar,
                                gradients.dgamma,
                                gradients.dbeta};
  const ConvSources<T> sources{source_of(cotangents.dout, weight), {}, 1};
  const ActivationEpilogue<T> epilogue{pairs,
                                       rule,
                                       input,
                                       saved.act,
                                       cotangents.dact,
                                       gradients.dy,
                                       gradients.dshortcut,
                                       float(shape.eps),
                                       shape.relu,
                                       vectors};
  if (joined) {
    const bool kept = saved.act != nullptr;
    const JoinedWeights<T> weights{kept ? saved.act : input.y,
                                   cotangents.dout,
                                   {{input, float(shape.eps), shape.relu}, kept},
                                   gradients.dweight};
    with_atom<T>(s.products, [&](auto atom) {
      using Atom = decltype(atom);
      auto run = &norm_convolve_joined<Atom>;
      if constexpr (!std::is_same_v<Atom, SplitAtom>) {
        if (lean) run = &norm_convolve_joined_lean<Atom, typename Atom::Element>;
      }
      run(stream, s, p, sources, gradients.dy, prologue, epilogue, weights, scratch.rest());
    });
    return;
  }
  with_atom<T>(s.products, [&](auto atom) {
    norm_convolve_vjp<decltype(atom)>(stream, p, sources, gradients.dy, prologue, epilogue);
  });
  const T* dout = statistics ? stored : cotangents.dout;
  if (saved.act) {
    conv2d_backward_weights<Backend, T>(stream, s, saved.act, dout, gradients.dweight,
                                        scratch.rest());
  } else {
    norm_backward_weights<T>(stream, shape, input, dout, gradients.dweight, scratch.rest());
  }
}

template decltype(fuses_norm_conv_vjp<float>) fuses_norm_conv_vjp<float>;
template decltype(fuses_norm_conv_vjp<bf16>) fuses_norm_conv_vjp<bf16>;
template decltype(joins_norm_conv_vjp<float>) joins_norm_conv_vjp<float>;
template decltype(joins_norm_conv_vjp<bf16>) joins_norm_conv_vjp<bf16>;
template decltype(leans_norm_conv_vjp<float>) leans_norm_conv_vjp<float>;
template decltype(leans_norm_conv_vjp<bf16>) leans_norm_conv_vjp<bf16>;
template decltype(fused_norm_conv_vjp_workspace_bytes<float>)
    fused_norm_conv_vjp_workspace_bytes<float>;
template decltype(fused_norm_conv_vjp_workspace_bytes<bf16>)
    fused_norm_conv_vjp_workspace_bytes<bf16>;
template decltype(fused_norm_conv_vjp<float>) fused_norm_conv_vjp<float>;
template decltype(fused_norm_conv_vjp<bf16>) fused_norm_conv_vjp<bf16>;

}  // namespace ek::kernels::EK_TARGET
