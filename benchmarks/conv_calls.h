#pragma once
#include "benchmarks/cases.h"
#include "kernels/conv.h"

// Convolutions as calls with operands, for the cases that contain one.
namespace ek::bench {

// Weights for a pass: random OHWI, packed where the pass reads a pack.
template <class B, class T>
kernels::ConvPack make_pack(Operands& o, const kernels::Conv2dShape& s, kernels::Conv2dPass pass) {
  const float* ohwi = o.random<float>(s.weight_size());
  const std::size_t bytes = kernels::conv2d_pack_bytes<B, T>(s, pass);
  if (bytes == 0) return {ohwi};
  std::uint8_t* pack = o.random<std::uint8_t>(std::int64_t(bytes));
  kernels::conv2d_pack<B, T>(o.stream(), s, pass, ohwi, pack);
  return {pack};
}

// Scratch of one pass of conv.h.
template <class B, class T>
kernels::Workspace conv_workspace(Operands& o, const kernels::Conv2dShape& s,
                                  kernels::Conv2dPass pass) {
  return o.workspace(kernels::conv2d_workspace_bytes<B, T>(s, pass));
}

// A pass by the CPU's plain path, T = float or bf16: conv_cpu.cpp.
template <class T>
Call plain_conv_call(const kernels::Conv2dShape& s, kernels::Conv2dPass pass, Operands& o);

}  // namespace ek::bench
