#pragma once
// What kernels/cuda/conv/conv.cu asks of the weight gradient, which conv_weights.cu implements.
#include <cstddef>

#include "kernels/conv.h"
#include "kernels/cuda/base/primitives.cuh"

namespace ek::kernels::EK_TARGET {

// Bytes of workspace that conv2d_backward_weights<Backend, T> wants for `shape`, whose check has
// passed; T = float, double, bf16. They hold for every named version.
template <class T>
std::size_t backward_weights_workspace_bytes(const Conv2dShape& shape);

}  // namespace ek::kernels::EK_TARGET
