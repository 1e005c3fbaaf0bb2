// The lean norm_conv_forward: conv_norm.h. Its kernel is lean_forward.cuh.
#include "kernels/cuda/norm_conv/conv_norm.h"
#include "kernels/cuda/norm_conv/conv_norm_host.cuh"
#include "kernels/cuda/norm_conv/lean/lean_run.cuh"

namespace ek::kernels::EK_TARGET {

template <class T>
bool leans_norm_conv(const NormConvShape& shape, const NormConvInput<T>& input,
                     const NormConvOutput<T>& output) {
  return shape.normalizes && shape.relu && output.out_mean != nullptr &&
         aligned_to_16(input.y, input.shortcut, output.act, output.out) &&
         is_lean_shape(shape.conv);
}

template <class T>
std::size_t lean_norm_conv_workspace_bytes(const NormConvShape& shape) {
  std::size_t bytes = 0;
  with_lean_shape(shape.conv, [&]<class Shape>() {
    using Atom = std::conditional_t<std::is_same_v<T, bf16>, Bf16Atom, Tf32Atom>;
    using Tile = LeanTile<Atom, Shape::size, Shape::channels>;
    bytes = pairs_bytes(Tile::tiles(shape.conv.batch), Shape::channels);
  });
  return bytes;
}

template <class T>
void lean_norm_conv_forward(Stream stream, const NormConvShape& shape,
                            const NormConvInput<T>& input, ConvPack weight,
                            const NormConvOutput<T>& output, Workspace workspace) {
  const Conv2dShape& s = shape.conv;
  check_shape(s, "norm_conv_forward");
  require_argument(leans_norm_conv<T>(shape, input, output),
                   "norm_conv_forward, lean: a call that leans_norm_conv names expected, for so "
                   "many channels",
                   s.in_c);
  require_argument(workspace.bytes >= lean_norm_conv_workspace_bytes<T>(shape),
                   "norm_conv_forward, lean: a larger workspace expected",
                   std::int64_t(workspace.bytes));
  with_atom<T>(s.products, [&](auto atom) {
    norm_convolve_lean<decltype(atom), T>(stream, s,
                                          {input,
                                           static_cast<const std::uint32_t*>(weight.data),
                                           float(shape.eps),
                                           output.act,
                                           output.out,
                                           static_cast<TilePair*>(workspace.data),
                                           {output.out_mean, output.out_var}});
  });
}

template decltype(leans_norm_conv<float>) leans_norm_conv<float>;
template decltype(leans_norm_conv<bf16>) leans_norm_conv<bf16>;
template decltype(lean_norm_conv_workspace_bytes<float>) lean_norm_conv_workspace_bytes<float>;
template decltype(lean_norm_conv_workspace_bytes<bf16>) lean_norm_conv_workspace_bytes<bf16>;
template decltype(lean_norm_conv_forward<float>) lean_norm_conv_forward<float>;
template decltype(lean_norm_conv_forward<bf16>) lean_norm_conv_forward<bf16>;

}  // namespace ek::kernels::EK_TARGET
