#pragma once
#include <string>
#include <vector>

#include "models/classifier.h"
#include "models/model.h"

namespace ek {

// The CIFAR ResNet of 6n + 2 layers (n = 1, 3, 5 blocks per stage: ResNet-8, -20, -32) with
// parameter-free shortcuts, docs/protocol.md. Any input extent works; the paper's is 32x32.
// ResNet-32 has 464,154 parameters for 10 classes and 470,004 for 100.
class ResNetCifar final : public Model {
 public:
  static constexpr std::int64_t features = 64;
  static constexpr double bn_eps = 1e-5;

  ResNetCifar(std::string name, int blocks_per_stage, std::int64_t num_classes,
              ClassifierKind classifier, double cosine_scale = 1,
              kernels::FloatProducts products = kernels::FloatProducts::exact);

  using Model::forward;
  Outputs forward(Weights& weights, const Tensor& x) const override;

 private:
  struct Block {
    std::string prefix;  // "layer1.0."
    std::int64_t out_channels, stride;
    bool same_shape;  // the shortcut is the identity
  };
  void add_conv_norm(const std::string& conv, const std::string& norm, std::int64_t in_channels,
                     std::int64_t out_channels);

  std::vector<Block> blocks_;
  Classifier classifier_;
  kernels::FloatProducts products_;  // of the convolutions
};

}  // namespace ek
