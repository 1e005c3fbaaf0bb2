#pragma once
#include "models/classifier.h"
#include "models/model.h"

namespace ek {

// The smallest network with everything that makes a meta-gradient interesting, and the one of the
// golden bilevel problem (docs/meta-gradient.md):
//   x [batch, 2] -> fc1 (4 x 2, no bias) -> bn -> ReLU -> fc2
// Parameters fc1.weight, bn.weight, bn.bias, fc2.weight [classes, 4] and, with a linear classifier,
// fc2.bias; buffers bn.running_mean and bn.running_var. For study and tests: it takes no images.
class Toy final : public Model {
 public:
  static constexpr std::int64_t inputs = 2, features = 4;
  static constexpr double bn_eps = 1e-5;

  Toy(std::int64_t num_classes, ClassifierKind classifier, double cosine_scale = 1);

  // x [batch, 2] or, as an image, [batch, 1, 1, 2].
  using Model::forward;
  Outputs forward(Weights& weights, const Tensor& x) const override;

 private:
  Classifier classifier_;
};

}  // namespace ek
