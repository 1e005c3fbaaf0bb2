#include "models/toy.h"

#include <cmath>

#include "engine/profile/profiler.h"

namespace ek {

Toy::Toy(std::int64_t num_classes, ClassifierKind classifier, double cosine_scale)
    : Model("toy", num_classes, features),
      classifier_(classifier, "fc2", features, num_classes, cosine_scale) {
  parameters_ = {
      {"fc1.weight", {features, inputs}, Init::normal, std::sqrt(2.0 / double(inputs))},
      {"bn.weight", {features}, Init::ones},
      {"bn.bias", {features}, Init::zeros},
  };
  for (ParameterSpec& spec : classifier_.parameters()) parameters_.push_back(std::move(spec));
  buffers_ = {{"bn.running_mean", {features}, Init::zeros},
              {"bn.running_var", {features}, Init::ones}};
}

Outputs Toy::forward(Weights& weights, const Tensor& x) const {
  const Shape shape = x ? x.shape() : Shape{};
  const std::int64_t batch = shape.rank() > 0 ? shape[0] : 0;
  require(shape == Shape{batch, inputs} || shape == Shape{batch, 1, 1, inputs},
          "{}: x must be [batch, {}] or [batch, 1, 1, {}], got {}", name(), inputs, inputs,
          shape.str());
  require(x.dtype() == DType::float32 || x.dtype() == DType::float64,
          "{}: x must be float32 or float64, got {}", name(), name_of(x.dtype()));
  require_fits(name(), parameters(), weights.params(), x.dtype());
  require_fits(name(), buffers(), weights.buffers(), x.dtype());

  auto first = [&] {
    const LayerScope layer("fc1");
    return ops::linear(ops::reshape(x, {batch, inputs}), weights["fc1.weight"], {});
  };
  const Tensor y = first();
  auto norm = [&] {
    const LayerScope layer("bn");
    const auto of_training = weights.running("bn");
    const ops::PreNorm pending{y, of_training ? *of_training : ops::channel_stats(y)};
    weights.note("bn", pending);
    return ops::norm_act(y, pending.stats, weights["bn.weight"], weights["bn.bias"], {},
                         {.eps = bn_eps, .relu = true});
  };
  const Tensor hidden = norm();
  return {{"logits", classifier_.logits(weights, hidden)}, {"features", hidden}};
}

}  // namespace ek
