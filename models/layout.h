#pragma once
#include "engine/training/params.h"

namespace ek {

// Layouts of rank-4 tensors. Files and PyTorch keep channels second (images NCHW, convolution
// weights OIHW), the engine keeps them last (NHWC, OHWI). Copies of any dtype; not
// recorded on tapes.
Tensor channels_last(const Tensor& x);   // [a, c, h, w] -> [a, h, w, c]
Tensor channels_first(const Tensor& x);  // [a, h, w, c] -> [a, c, h, w]

// Parameters or buffers between the two: every rank-4 tensor is a convolution weight and is
// converted; the others are copied as they are. Results are flat.
Params to_file_layout(const Params& params);
Params from_file_layout(const Params& params);

}  // namespace ek
