// The fused norm_conv_forward: conv_norm.h. Its kernel is conv_halo.cuh with the prologue and the
// epilogue of conv_norm.cuh.
#include "kernels/cuda/norm_conv/conv_norm.h"

#include "kernels/cuda/norm_conv/conv_norm_host.cuh"
#include "kernels/cuda/norm_conv/conv_norm_run.cuh"

namespace ek::kernels::EK_TARGET {

template <class T>
bool fuses_norm_conv(const NormConvShape& shape, bool kept) {
  const ConvProblem p = conv_problem<T>(shape.conv, false, nullptr, nullptr, nullptr);
  return halo_plan<T>(p, 1).shared_bytes <= kMostSharedBytes &&
         halo_plan<T>(p, 2).shared_bytes <= kMostSharedBytes &&
         (!kept || !shape.normalizes || covers_input(p));
}

template <class T>
std::size_t fused_norm_conv_workspace_bytes(const NormConvShape& shape) {
  return pairs_bytes(tiles_of<T>(shape, 1), shape.conv.out_c);
}

template <class T>
void fused_norm_conv_forward(Stream stream, const NormConvShape& shape,
                             const NormConvInput<T>& input, ConvPack weight,
                             const NormConvOutput<T>& output, Workspace workspace) {
  const Conv2dShape& s = shape.conv;
  check_shape(s, "norm_conv_forward");
  const bool statistics = output.out_mean != nullptr;
  require_argument(s.batch > 0 || !statistics,
                   "norm_conv_forward: images for their statistics expected", s.batch);
  if (s.batch == 0) return;
  require_argument(fuses_norm_conv<T>(shape, output.act != nullptr),
                   "norm_conv_forward, fused: a shape that fuses_norm_conv names expected, for a "
                   "kernel of so many rows",
                   s.kernel_h);
  require_argument(!statistics || workspace.bytes >= fused_norm_conv_workspace_bytes<T>(shape),
                   "norm_conv_forward, fused: a larger workspace expected",
                   std::int64_t(workspace.bytes));
  const TilePairs pairs = statistics ? pairs_in(workspace, s.out_c) : TilePairs{};
  ConvProblem p = conv_problem<T>(s, false, input.y, nullptr, output.out);
  p.in_vectors = p.in_vectors && aligned_to_16(input.shortcut, output.act);
  with_atom<T>(s.products, [&](auto atom) {
    norm_convolve<decltype(atom)>(
        stream, p, {source_of(input.y, weight), {}, 1}, output.out,
        NormPrologue<T>{input, float(shape.eps), shape.relu, shape.normalizes, output.act},
        MomentsEpilogue{pairs, {output.out_mean, output.out_var}});
  });
}

template decltype(fuses_norm_conv<float>) fuses_norm_conv<float>;
template decltype(fuses_norm_conv<bf16>) fuses_norm_conv<bf16>;
template decltype(fused_norm_conv_workspace_bytes<float>) fused_norm_conv_workspace_bytes<float>;
template decltype(fused_norm_conv_workspace_bytes<bf16>) fused_norm_conv_workspace_bytes<bf16>;
template decltype(fused_norm_conv_forward<float>) fused_norm_conv_forward<float>;
template decltype(fused_norm_conv_forward<bf16>) fused_norm_conv_forward<bf16>;

}  // namespace ek::kernels::EK_TARGET
