#pragma once
#include <cstddef>
#include <optional>

#include "kernels/conv.h"

namespace ek::kernels::cpu {

// float32 convolution through oneDNN. Arguments as in kernels/conv.h. Every pass runs slice by
// slice of the batch, each slice with a primitive made for one thread, so the bits cannot depend on
// the number of threads. Primitives are made at the first call for a shape and pass and kept.
// Where oneDNN has no good implementation the functions do nothing and return false (nullopt).

std::optional<std::size_t> onednn_workspace_bytes(const Conv2dShape& shape, Conv2dPass pass);

bool onednn_forward(const Conv2dShape& shape, const float* x, const float* weight, float* y,
                    Workspace workspace);
bool onednn_backward_data(const Conv2dShape& shape, const float* dy, const float* weight, float* dx,
                          Workspace workspace);
bool onednn_backward_weights(const Conv2dShape& shape, const float* x, const float* dy,
                             float* dweight, Workspace workspace);

// y_tangent = conv(x_tangent, weight) + conv(x, weight_tangent), no pointer null.
bool onednn_tangent(const Conv2dShape& shape, const float* x, const float* weight,
                    const float* x_tangent, const float* weight_tangent, float* y_tangent,
                    Workspace workspace);

}  // namespace ek::kernels::cpu
