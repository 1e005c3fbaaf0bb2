#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/operands.h"
#include "engine/tensor/device.h"
#include "engine/tensor/precision.h"
#include "kernels/conv.h"

// The table of what is measured: one case for each kernel family, shape, precision and version.
namespace ek::bench {

struct Case {
  std::string family, shape;
  Precision precision;
  std::string version = "evenkeel";
  // Of one call: floating-point operations of the convolutions and matrix products (0: it has
  // none), and the bytes that it has to move at least, every operand once.
  double flop = 0, bytes = 0;
  // A call with operands of its own. Empty: this machine has nothing to call.
  std::function<Call(Operands&)> make = {};
  kernels::FloatProducts products = kernels::FloatProducts::exact;  // of float32

  std::string precision_name() const;  // float32, tf32, bf16
  std::string name() const;            // FAMILY/SHAPE/PRECISION/VERSION
};

// All cases of a device at `batch` images, in the order of the table. "evenkeel" is what programs
// run; on a GPU each version of kernels/base/versions.h follows under its own name.
std::vector<Case> all_cases(const Device& device, std::int64_t batch = 128);

// By family. The float32 and the bf16 case of a shape stand together.
std::vector<Case> conv_cases(const Device& device, std::int64_t batch);       // conv2d_*
std::vector<Case> norm_conv_cases(const Device& device, std::int64_t batch);  // norm_conv_*
std::vector<Case> norm_cases(const Device& device,
                             std::int64_t batch);  // channel_stats_*, norm_act_*
std::vector<Case> dense_cases(const Device& device,
                              std::int64_t batch);  // gemm, softmax_cross_entropy, segment_sum
std::vector<Case> image_cases(
    const Device& device,
    std::int64_t batch);  // augment, global pool, subsample, elementwise, convert
std::vector<Case> pool_cases(const Device& device, std::int64_t batch);   // max and average pool
std::vector<Case> optim_cases(const Device& device, std::int64_t batch);  // sgd, adam, add_scaled
std::vector<Case> pack_cases(const Device& device, std::int64_t batch);   // write_packs, *_and_pack

// A convolution of ResNet-32 for CIFAR; in_c-out_c@HxW of its input, s2 for stride 2.
struct Layer {
  std::string_view name;
  kernels::Conv2dShape shape;
  bool stem = false;
};
std::vector<Layer> resnet32_layers(std::int64_t batch);

// The precision of kernels for T.
template <class T>
constexpr Precision precision_of() {
  return sizeof(T) == sizeof(float) ? Precision::float32 : Precision::bf16;
}

}  // namespace ek::bench
