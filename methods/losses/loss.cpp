#include "methods/losses/loss.h"

#include <algorithm>

#include "engine/io/text.h"
#include "engine/profile/profiler.h"
#include "methods/recipes/parts.h"

namespace ek {

const std::vector<std::string>& normalizer_names() {
  static const std::vector<std::string> names{"mean_batch", "mean_weighted", "sum_normalised"};
  return names;
}

Normalizer parse_normalizer(std::string_view text) {
  const auto& names = normalizer_names();
  const auto found = std::ranges::find(names, text);
  require(found != names.end(), "normalizer: expected one of {}, came '{}'{}",
          fmt::join(names, ", "), printable(text), did_you_mean(text, names));
  return Normalizer(found - names.begin());
}

Tensor reduce_losses(const Tensor& losses, const Tensor& weights, Normalizer normalizer) {
  require(losses.rank() == 1, "reduce_losses: losses expected [batch], came {}",
          losses.shape().str());
  if (!weights) return ops::mean(losses);
  require(weights.shape() == losses.shape(), "reduce_losses: weights expected {}, came {}",
          losses.shape().str(), weights.shape().str());
  const Tensor weighted = ops::mul(losses, weights);
  if (normalizer == Normalizer::mean_batch) return ops::mean(weighted);

  Tensor total = ops::sum(weights);
  if (normalizer == Normalizer::mean_weighted) total = ops::stop_gradient(total);
  // A sum of 0 becomes a constant 1, without a branch on a value that may live on a device.
  const Tensor nonzero = ops::square(total);
  const Tensor one = Tensor::full(total.shape(), 1, total.dtype(), total.device());
  const Tensor denominator =
      ops::add(ops::gate(total, nonzero), ops::affine(ops::gate(one, nonzero), -1, 1));
  return ops::div(ops::sum(weighted), denominator);
}

Loss Loss::from_recipe(const Recipe& recipe, const std::vector<std::int64_t>& class_counts,
                       DType dtype) {
  return make(recipe.text("loss.name"), recipe.at("loss"), class_counts, dtype);
}

Loss Loss::make(std::string_view name, const nlohmann::json& options,
                const std::vector<std::int64_t>& class_counts, DType dtype) {
  const LossEntry& entry = find_loss(name);
  const std::string who = "loss " + entry.name;
  require(options.is_object(), "{}: expected an object of options, came {}", who, shown(options));
  std::vector<KeySpec> keys = entry.keys;
  keys.push_back({"loss.name", entry.name, "", {entry.name}});
  keys.push_back({"loss.normalizer", "mean_batch", "", normalizer_names()});
  nlohmann::json all;
  for (const KeySpec& key : keys) all[key.path.substr(5)] = key.fallback;
  for (const auto& [option, value] : options.items()) {
    const auto key = std::ranges::find(keys, "loss." + option, &KeySpec::path);
    if (key == keys.end()) recipe_parts::fail_unknown("loss." + option, keys, who);
    all[option] = recipe_parts::checked(*key, {key->path, value}, who);
  }
  Loss loss;
  loss.parts_ = entry.make(all, class_counts, dtype);
  loss.normalizer_ = parse_normalizer(all["normalizer"].get<std::string>());
  return loss;
}

Loss Loss::to(Device device) const {
  Loss moved = *this;
  ops::SoftmaxLossOptions& options = moved.parts_.options;
  for (Tensor* constant : {&options.offset, &options.margin, &options.mask, &options.targets,
                           &moved.parts_.class_weights}) {
    if (*constant) *constant = constant->to(device);
  }
  return moved;
}

Tensor Loss::per_sample(const Tensor& logits, const Tensor& labels) const {
  const LayerScope layer("loss");
  return ops::softmax_cross_entropy(logits, labels, parts_.options);
}

Tensor Loss::scalar(const Tensor& logits, const Tensor& labels) const {
  const LayerScope layer("loss");
  Tensor weights;
  if (parts_.class_weights) weights = ops::take(parts_.class_weights, labels);
  return reduce_losses(per_sample(logits, labels), weights, normalizer_);
}

}  // namespace ek
