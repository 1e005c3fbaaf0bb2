#include "methods/meta/inner_objective.h"

#include "engine/autodiff/functional.h"
#include "engine/ops.h"

namespace ek {

Tensor InnerObjective::cotangent(const Tensor& losses, const Params& theta) const {
  if (known_cotangent) return known_cotangent(losses, theta);
  const auto of_losses = [&](const Params& l) { return value(l["losses"], theta); };
  return grad(of_losses, Params({{"losses", losses}}))["losses"];
}

Params InnerObjective::gradient(const Tensor& losses, const Params& theta, const Tensor& slopes,
                                const Number& scale) const {
  if (known_gradient) return known_gradient(losses, theta, slopes, scale);
  const Tensor scaled = ops::affine(slopes, scale);
  const InnerObjective tape = by_tape();
  return grad(
      [&](const Params& t) { return ops::sum(ops::mul(scaled, tape.cotangent(losses, t))); },
      theta);
}

InnerObjective class_weighted_mean(const Tensor& labels) {
  const auto cotangent = [labels](const Tensor&, const Params& theta) {
    return ops::affine(ops::take(theta["class_weights"], labels), 1.0 / double(labels.numel()));
  };
  return {
      .value =
          [cotangent](const Tensor& losses, const Params& theta) {
            return ops::sum(ops::mul(losses, cotangent(losses, theta)));
          },
      .known_cotangent = cotangent,
      .known_gradient =
          [labels](const Tensor&, const Params& theta, const Tensor& slopes, const Number& scale) {
            const Tensor scaled = ops::affine(slopes, scale / double(labels.numel()));
            const std::int64_t classes = theta["class_weights"].numel();
            return theta.with({ops::segment_sum(scaled, labels, classes)});
          }};
}

Params as_class_weights(const Tensor& weights) {
  require(weights.rank() == 1, "class weights of shape {}, [C] expected", weights.shape().str());
  return Params({{"class_weights", weights}});
}

}  // namespace ek
