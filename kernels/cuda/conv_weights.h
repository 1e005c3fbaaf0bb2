#pragma once
// What kernels/cuda/conv.cu asks of the weight gradient, which conv_weights.cu implements.
#include <cstddef>

#include "kernels/conv.h"
#include "kernels/cuda/primitives.cuh"

namespace ek::kernels::EK_TARGET {

// Bytes of workspace that conv2d_backward_weights<Backend, T> wants for `shape`, whose check has
// passed; T = float, double, bf16. They hold for every named version.
template <class T>
std::size_t backward_weights_workspace_bytes(const Conv2dShape& shape);

// A weight gradient that is still to be added up, by add_splits of conv_weights_sum.cuh, while its
// workspace lasts.
struct SplitSum {
  std::int64_t weights = 0;  // 0: it is there already
  int splits = 0;
  const float* partials = nullptr;
  float* dweight = nullptr;
};

// conv2d_backward_weights<Backend, T> but for that sum, so that whoever has a last launch to make
// can make it with that one. T = float, bf16.
template <class T>
SplitSum backward_weights_to_sum(Stream stream, const Conv2dShape& shape, const T* x, const T* dy,
                                 float* dweight, Workspace workspace);

}  // namespace ek::kernels::EK_TARGET
