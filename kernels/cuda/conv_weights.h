#pragma once
#include "kernels/conv.h"
#include "kernels/cuda/primitives.cuh"

namespace ek::kernels::EK_TARGET {

// Workspace of conv2d_backward_weights (conv_weights.cu), whichever version runs.
template <class T>
std::size_t backward_weights_workspace_bytes(const Conv2dShape& shape);

}  // namespace ek::kernels::EK_TARGET
