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

const Tensor& LossInputs::operator[](std::string_view name) const {
  const auto found = std::ranges::find(entries_, name, &Entry::first);
  if (found == entries_.end()) {
    std::vector<std::string_view> names;
    for (const Entry& entry : entries_) names.push_back(entry.first);
    fail("loss: '{}' is missing (given: {})", name, fmt::join(names, ", "));
  }
  return found->second;
}

std::vector<LossArgument> logits_and_labels() {
  return {{"logits", "[B, C]"}, {"labels", "[B]", LossArgument::Kind::labels}};
}

Tensor LossSetup::constant(const std::vector<double>& values) const {
  return Tensor::from(values, {std::int64_t(values.size())}).to(dtype).to(device);
}

Loss Loss::from_recipe(const Recipe& recipe, const std::vector<std::int64_t>& class_counts,
                       DType dtype, Device device) {
  return make(recipe.text("loss.name"), recipe.at("loss"), class_counts, dtype, device);
}

Loss Loss::make(std::string_view name, const nlohmann::json& options,
                const std::vector<std::int64_t>& class_counts, DType dtype, Device device) {
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
  const LossSetup setup{all, class_counts, dtype, device};
  Loss loss;
  loss.entry_ = &entry;
  loss.function_ = entry.make(setup);
  if (entry.class_weights) loss.class_weights_ = entry.class_weights(setup);
  loss.normalizer_ = parse_normalizer(all["normalizer"].get<std::string>());
  return loss;
}

Loss Loss::cross_entropy() {
  return make("cross-entropy", nlohmann::json::object(), {}, DType::float32);
}

Tensor Loss::operator()(const LossInputs& inputs) const {
  const LayerScope layer("loss");
  return function_(inputs);
}

void Loss::require_of_logits(std::string_view who) const {
  for (const LossArgument& argument : entry_->arguments) {
    require(argument.name == "logits" || argument.name == "labels",
            "{}: loss {} needs {} {}, which this method does not give", who, entry_->name,
            argument.name, argument.shape);
  }
}

Tensor Loss::per_sample(const Tensor& logits, const Tensor& labels) const {
  require(entry_->kind == LossKind::per_sample, "loss {} is of a batch, not of its samples",
          entry_->name);
  return (*this)({{"logits", logits}, {"labels", labels}});
}

Tensor Loss::scalar(const Tensor& logits, const Tensor& labels) const {
  return scalar({{"logits", logits}, {"labels", labels}});
}

Tensor Loss::scalar(const LossInputs& inputs) const {
  const LayerScope layer("loss");
  if (entry_->kind == LossKind::batch) return function_(inputs);
  Tensor weights;
  if (class_weights_) weights = ops::take(class_weights_, inputs["labels"]);
  return reduce_losses(function_(inputs), weights, normalizer_);
}

double absorbed_prior(const Recipe& recipe) {
  const std::string sampler = recipe.text("data.sampler");
  require(sampler == "shuffled",
          "prior correction: data.sampler is {}, which trains on another prior than that of the "
          "class counts; only shuffled is defined",
          sampler);
  return find_loss(recipe.text("loss.name")).absorbed_prior(recipe.at("loss"));
}

}  // namespace ek
