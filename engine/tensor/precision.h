#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/tensor/device.h"
#include "engine/tensor/dtype.h"
#include "kernels/base/float_products.h"
#include "kernels/base/info.h"

namespace ek {

// What a run computes in. bf16 keeps activations and convolution operands in bfloat16;
// parameters, statistics, losses, the optimiser and meta-networks stay in float32. tf32 stores all
// as float32 does and rounds the factors of convolutions to 10 bits
// (kernels/base/float_products.h); products of the classifier, the loss and meta-networks stay
// exact. It is the GPU's, and the host executor's (docs/precision.md).
enum class Precision : std::uint8_t { float32, float64, bf16, tf32 };

// The dtype of parameters, batch-norm buffers, features, losses and everything that a checkpoint
// holds.
constexpr DType master_dtype(Precision precision) {
  return precision == Precision::float64 ? DType::float64 : DType::float32;
}

// The dtype of images and of what flows between the layers.
constexpr DType activation_dtype(Precision precision) {
  return precision == Precision::bf16 ? DType::bfloat16 : master_dtype(precision);
}

// How convolutions multiply.
constexpr kernels::FloatProducts float_products(Precision precision) {
  return precision == Precision::tf32 ? kernels::FloatProducts::tf32
                                      : kernels::FloatProducts::exact;
}

// "float32", "float64", "bf16" or "tf32": what --precision takes and what checkpoints say.
std::string_view name_of(Precision precision);

// The inverse. Error starting with `who` ("--precision", a file) that lists them.
Precision parse_precision(std::string_view text, std::string_view who = "--precision");

// The same for a program that is about to run in it on `device`. The CPU has no tf32. Its bf16 is
// refused without processor instructions for it, since it would be slower than float32; `cpu_bf16`
// names those instructions, empty for none. (Ops take bfloat16 everywhere.)
Precision runnable_precision(std::string_view text, Device device = {},
                             const std::string& cpu_bf16 = kernels::cpu_bf16());

}  // namespace ek
