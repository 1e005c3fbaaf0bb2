#pragma once
#include "benchmarks/operands.h"
#include "kernels/conv.h"
#include "kernels/cpu/conv_slices.h"

// Convolutions as calls with operands, for the cases that contain one.
namespace ek::bench {

// Weights for a pass: random OHWI, packed where the pass reads a pack.
template <class T>
kernels::ConvPack make_pack(Operands& o, const kernels::Conv2dShape& s, kernels::Conv2dPass pass) {
  const float* ohwi = o.random<float>(s.weight_size());
  const std::size_t bytes = kernels::conv2d_pack_bytes<kernels::Cpu, T>(s, pass);
  if (bytes == 0) return {ohwi};
  std::byte* pack = reinterpret_cast<std::byte*>(o.random<std::uint8_t>(std::int64_t(bytes)));
  kernels::conv2d_pack<kernels::Cpu, T>({}, s, pass, ohwi, pack);
  return {pack};
}

// Scratch of one pass of conv.h.
template <class T>
kernels::Workspace conv_workspace(Operands& o, const kernels::Conv2dShape& s,
                                  kernels::Conv2dPass pass) {
  return o.workspace(kernels::conv2d_workspace_bytes<kernels::Cpu, T>(s, pass));
}

}  // namespace ek::bench
