#pragma once
// What the fused passes of norm_conv share on the host.
#include "kernels/cuda/conv/conv_versions.cuh"
#include "kernels/cuda/norm_conv/conv_norm.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

// Of the numbers of `tiles` tiles in a workspace.
inline std::size_t pairs_bytes(std::int64_t tiles, std::int64_t channels) {
  return std::size_t(tiles * channels) * sizeof(TilePair);
}
inline TilePairs pairs_in(Workspace workspace, std::int64_t channels) {
  return {static_cast<TilePair*>(workspace.data), int(channels)};
}

template <class T>
std::int64_t tiles_of(const NormConvShape& shape, int sources) {
  return halo_plan<T>(conv_problem<T>(shape.conv, false, nullptr, nullptr, nullptr), sources)
      .tiles();
}

template <class T>
ConvSource<T> source_of(const T* image, ConvPack weight) {
  return {image, static_cast<const std::uint32_t*>(weight.data)};
}

// run(atom) with the atom for T and the products of the shape.
template <class T, class Run>
void with_atom(FloatProducts products, const Run& run) {
  if constexpr (std::is_same_v<T, bf16>) {
    run(Bf16Atom());
  } else if (products == FloatProducts::tf32) {
    run(Tf32Atom());
  } else {
    run(SplitAtom());
  }
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET
