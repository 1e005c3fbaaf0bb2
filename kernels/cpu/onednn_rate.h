#pragma once
#include <optional>

#include "kernels/conv.h"

namespace ek::kernels {

// Wall time in ms of one call of oneDNN's own convolution primitive for a shape and pass: the best
// of `repetitions` after a warm-up, all threads on the whole batch, images NHWC, weights in the
// layout that the primitive asks for. A yardstick for the kernels here, not used by them, and the
// one place under kernels/ that allocates. oneDNN has no tangent: a forward pass and one that adds
// to it. With bf16 images and weights are bfloat16, weight gradients float32; else all is float32.
// nullopt without oneDNN and where oneDNN has no implementation for the shape.
std::optional<double> onednn_conv_ms(const Conv2dShape& shape, Conv2dPass pass, bool bf16,
                                     int repetitions = 12);

}  // namespace ek::kernels
