#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/operands.h"
#include "engine/precision.h"
#include "kernels/conv.h"

// The table of what is measured: one case for each kernel family, shape, precision and version.
namespace ek::bench {

using Call = std::function<void()>;

struct Case {
  std::string family, shape;
  Precision precision;
  std::string version = "evenkeel";
  // Of one call: floating-point operations of the convolutions and matrix products (0: it has
  // none), and the bytes that it has to move at least, every operand once.
  double flop = 0, bytes = 0;
  // A call with operands of its own. Empty: this machine has nothing to call.
  std::function<Call(Operands&)> make = {};

  std::string name() const;  // FAMILY/SHAPE/PRECISION/VERSION
};

// All cases, in the order of the table.
std::vector<Case> all_cases();

// By family. The float32 and the bf16 case of a shape stand together.
std::vector<Case> conv_cases();       // conv2d_*
std::vector<Case> norm_conv_cases();  // norm_conv_*
std::vector<Case> norm_cases();       // channel_stats_*, norm_act_*
std::vector<Case> dense_cases();      // gemm, softmax_cross_entropy, segment_sum
std::vector<Case> image_cases();      // augment, global pool, subsample, elementwise, convert
std::vector<Case> optim_cases();      // sgd, adam, add_scaled

// A convolution of ResNet-32 for CIFAR at batch 128; in_c-out_c@HxW of its input, s2 for stride 2.
struct Layer {
  std::string_view name;
  kernels::Conv2dShape shape;
  bool stem = false;
};
const std::vector<Layer>& resnet32_layers();

// The precision of kernels for T.
template <class T>
constexpr Precision precision_of() {
  return sizeof(T) == sizeof(float) ? Precision::float32 : Precision::bf16;
}

}  // namespace ek::bench
