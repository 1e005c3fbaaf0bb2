// The fused norm_conv_jvp: conv_norm.h. Its kernel is conv_halo.cuh with the prologue and the
// epilogue of conv_norm_tangent.cuh.
#include "kernels/cuda/norm_conv/conv_norm.h"
#include "kernels/cuda/norm_conv/conv_norm_host.cuh"
#include "kernels/cuda/norm_conv/conv_norm_run.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

template <class T>
bool moves_activation(const NormConvShape& shape, const NormConvTangents<T>& t) {
  if (!shape.normalizes) return t.y != nullptr;
  return t.y || t.shortcut || t.mean || t.var || t.gamma || t.beta;
}

}  // namespace

template <class T>
void fused_norm_conv_jvp(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                         const NormConvSaved<T>& saved, ConvPack weight,
                         const NormConvTangents<T>& tangents, const NormConvOutput<T>& output,
                         Workspace workspace) {
  const Conv2dShape& s = shape.conv;
  check_shape(s, "norm_conv_jvp");
  const bool statistics = output.out_mean != nullptr;
  require_argument(s.batch > 0 || !statistics,
                   "norm_conv_jvp: images for their statistics expected", s.batch);
  const bool moves = moves_activation(shape, tangents);
  require_argument(moves || tangents.weight.data,
                   "norm_conv_jvp, fused: one or more tangents expected", std::int64_t(0));
  require_argument(moves || output.act == nullptr,
                   "norm_conv_jvp, fused: a tangent of the activation that is not zero expected",
                   std::int64_t(0));
  if (s.batch == 0) return;
  require_argument(
      fuses_norm_conv<T>(shape, output.act != nullptr),
      "norm_conv_jvp, fused: a shape that fuses_norm_conv names expected, for a kernel "
      "of so many rows",
      s.kernel_h);
  require_argument(!statistics || workspace.bytes >= fused_norm_conv_workspace_bytes<T>(shape),
                   "norm_conv_jvp, fused: a larger workspace expected",
                   std::int64_t(workspace.bytes));

  // The tangent's source comes first, if there is one.
  const T* act = shape.normalizes && saved.act ? saved.act : input.y;
  const ConvSource<T> of_tangent = source_of(shape.normalizes ? input.y : tangents.y, weight);
  const ConvSource<T> of_act = source_of(act, tangents.weight);
  ConvSources<T> sources{of_tangent, of_act, tangents.weight.data ? 2 : 1};
  if (!moves) sources = {of_act, {}, 1};
  const bool computes = shape.normalizes && saved.act == nullptr;
  const NormTangentPrologue<T> prologue{input,
                                        tangents,
                                        saved.act,
                                        float(shape.eps),
                                        shape.relu,
                                        moves && shape.normalizes ? 0 : -1,
                                        computes ? int(moves) : -1,
                                        output.act};
  ConvProblem p = conv_problem<T>(s, false, sources.first.image, sources.second.image, output.out);
  p.in_vectors = p.in_vectors && aligned_to_16(input.shortcut, saved.act, tangents.y,
                                               tangents.shortcut, output.act);
  const TilePairs pairs = statistics ? pairs_in(workspace, s.out_c) : TilePairs{};
  with_atom<T>(s.products, [&](auto atom) {
    norm_convolve_tangent<decltype(atom)>(
        stream, p, sources, output.out, prologue,
        TangentMomentsEpilogue<T>{
            pairs, {{}, output.out_mean, output.out_var}, saved.out, saved.out_mean});
  });
}

template decltype(fused_norm_conv_jvp<float>) fused_norm_conv_jvp<float>;
template decltype(fused_norm_conv_jvp<bf16>) fused_norm_conv_jvp<bf16>;

}  // namespace ek::kernels::EK_TARGET
