#pragma once
#include <string_view>
#include <vector>

#include "engine/ops.h"
#include "models/parameters.h"
#include "models/weights.h"

namespace ek {

// linear: logits = features weight^T + bias.
// cosine: logits = scale * cos(features_i, weight_k), without bias (docs/protocol.md).
enum class ClassifierKind : std::uint8_t { linear, cosine };

// "linear" or "cosine"; Error that names both for anything else.
ClassifierKind parse_classifier(std::string_view text);

// The last layer of a network: weight [classes, features] under "PREFIX.weight", for `linear` also
// bias [classes] under "PREFIX.bias".
class Classifier {
 public:
  // `scale` multiplies the cosines; 1 leaves scaling to the loss, as LDAM has it.
  Classifier(ClassifierKind kind, std::string prefix, std::int64_t features, std::int64_t classes,
             double scale = 1);

  // linear: weight normal with deviation sqrt(2 / features), bias uniform in +-1 / sqrt(features);
  // cosine: rows of unit length.
  std::vector<ParameterSpec> parameters() const;
  // The head over a network's last activation x [batch, height, width, features]: the mean over its
  // pixels and the logits of that.
  ops::PooledLinear head(const Weights& weights, const Tensor& x) const;
  // features [batch, features] -> [batch, classes]
  Tensor logits(const Weights& weights, const Tensor& features) const;

 private:
  ClassifierKind kind_;
  std::string weight_name_, bias_name_;
  std::int64_t features_, classes_;
  double scale_;
};

}  // namespace ek
