#pragma once
#include <functional>
#include <optional>

#include "kernels/conv.h"
#include "kernels/gemm.h"

// oneDNN's own primitives as a yardstick for the kernels here, which do not use these: the one
// place under kernels/ that allocates.
namespace ek::kernels {

// A call of oneDNN's own convolution primitive for a shape and pass: all threads that are in force
// now on the whole batch, images NHWC, weights in the layout that the primitive asks for, operands
// random and owned by the function, `sets` of them, which its calls take in turns. oneDNN has no
// tangent: a forward pass and one that adds to it. With bf16 images and weights are bfloat16,
// weight gradients float32; else all is float32. Empty without oneDNN and where oneDNN has no
// implementation for the shape.
std::function<void()> onednn_conv_call(const Conv2dShape& shape, Conv2dPass pass, bool bf16,
                                       int sets = 1);

// The same for a matrix product; with bf16 all three matrices are bfloat16.
std::function<void()> onednn_matmul_call(const GemmShape& shape, bool bf16, int sets = 1);

// Wall time in ms of one onednn_conv_call, the best of `repetitions` after a warm-up; nullopt where
// that is empty.
std::optional<double> onednn_conv_ms(const Conv2dShape& shape, Conv2dPass pass, bool bf16,
                                     int repetitions = 12);

}  // namespace ek::kernels
