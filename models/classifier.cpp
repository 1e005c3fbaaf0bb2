#include "models/classifier.h"

#include <cmath>

#include "engine/autodiff/fused.h"
#include "engine/ops.h"
#include "engine/profile/profiler.h"

namespace ek {

ClassifierKind parse_classifier(std::string_view text) {
  if (text == "linear") return ClassifierKind::linear;
  if (text == "cosine") return ClassifierKind::cosine;
  fail("classifier: \"{}\" is not known; there are linear and cosine", text);
}

Classifier::Classifier(ClassifierKind kind, std::string prefix, std::int64_t features,
                       std::int64_t classes, double scale)
    : kind_(kind),
      weight_name_(prefix + ".weight"),
      bias_name_(prefix + ".bias"),
      features_(features),
      classes_(classes),
      scale_(scale) {}

std::vector<ParameterSpec> Classifier::parameters() const {
  if (kind_ == ClassifierKind::cosine) {
    return {{weight_name_, {classes_, features_}, Init::unit_rows}};
  }
  return {{weight_name_, {classes_, features_}, Init::normal, std::sqrt(2.0 / double(features_))},
          {bias_name_, {classes_}, Init::uniform, 1 / std::sqrt(double(features_))}};
}

ops::PooledLinear Classifier::head(const Weights& weights, const Tensor& x) const {
  if (kind_ == ClassifierKind::linear && fuses_launches_on(x.device())) {
    const LayerScope layer(std::string_view(weight_name_).substr(0, weight_name_.rfind('.')));
    return ops::pooled_linear(x, weights[weight_name_], weights[bias_name_]);
  }
  auto pool = [&] {
    const LayerScope layer("pool");
    return ops::global_avg_pool(x);
  };
  const Tensor features = pool();
  return {features, logits(weights, features)};
}

Tensor Classifier::logits(const Weights& weights, const Tensor& features) const {
  const LayerScope layer(std::string_view(weight_name_).substr(0, weight_name_.rfind('.')));
  const Tensor& weight = weights[weight_name_];
  if (kind_ == ClassifierKind::linear) return ops::linear(features, weight, weights[bias_name_]);
  if (scale_ == 1) return ops::cosine_linear(features, weight);
  return ops::cosine_linear(features, weight,
                            Tensor::full({1}, scale_, weight.dtype(), weight.device()));
}

}  // namespace ek
