#include <algorithm>

#include "engine/io/text.h"
#include "methods/losses/class_weights.h"
#include "methods/losses/loss.h"
#include "methods/recipes/parts.h"

namespace ek {
namespace {

using nlohmann::json;
using Counts = std::vector<std::int64_t>;

Tensor constant(const std::vector<double>& values, DType dtype) {
  return Tensor::from(values, {std::int64_t(values.size())}).to(dtype);
}

KeySpec smoothing_key() {
  return {
      "loss.label_smoothing", 0.0, "share of the target spread evenly over all classes", {}, 0, 1};
}

LossParts smoothed(const json& options) {
  LossParts parts;
  parts.options.label_smoothing = options["label_smoothing"].get<double>();
  return parts;
}

LossParts cross_entropy(const json& options, const Counts&, DType) {
  return smoothed(options);
}

LossParts class_weighted(const json& options, const Counts& counts, DType dtype) {
  LossParts parts = smoothed(options);
  const std::string kind = options["weights"].get<std::string>();
  std::vector<double> weights;
  if (kind == "effective-number") {
    weights = effective_number_weights(counts, options["beta"].get<double>());
  } else if (kind == "power") {
    weights = power_weights(counts, options["power"].get<double>());
  } else {
    weights = power_weights(counts, kind == "inverse" ? 1.0 : 0.5);
  }
  parts.class_weights = constant(weights, dtype);
  return parts;
}

// Cross-entropy of logits + tau * log of counts or shares.
LossParts with_prior(const json& options, const Counts& counts, DType dtype, double tau,
                     bool share) {
  LossParts parts = smoothed(options);
  // Smoothing would ask for probability where the prior is zero.
  require(parts.options.label_smoothing == 0 || std::ranges::count(counts, 0) == 0,
          "loss with a prior: label_smoothing expected 0 while some class has no training images, "
          "came {}",
          parts.options.label_smoothing);
  std::vector<double> offset = log_counts(counts, share);
  for (std::size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] > 0) offset[c] *= tau;
  }
  parts.options.offset = constant(offset, dtype);
  return parts;
}

LossParts balanced_softmax(const json& options, const Counts& counts, DType dtype) {
  return with_prior(options, counts, dtype, 1, false);
}

LossParts logit_adjusted(const json& options, const Counts& counts, DType dtype) {
  return with_prior(options, counts, dtype, options["tau"].get<double>(), true);
}

}  // namespace

const std::vector<LossEntry>& loss_registry() {
  static const std::vector<LossEntry> entries{
      {"cross-entropy", "softmax cross-entropy", {smoothing_key()}, cross_entropy},
      {"class-weighted",
       "cross-entropy with a constant weight per class, mean 1 over the classes",
       {{"loss.weights",
         "effective-number",
         "what the class weights follow",
         {"effective-number", "inverse", "square-root", "power"}},
        {"loss.beta",
         0.9999,
         "effective-number: 0 is no weighting, towards 1 inverse frequency",
         {},
         0,
         0.999999999999},
        {"loss.power", 1.0, "power: the weight is n_c^-power", {}, 0, 10},
        smoothing_key()},
       class_weighted},
      {"balanced-softmax",
       "cross-entropy of logits + log n_c",
       {smoothing_key()},
       balanced_softmax},
      {"logit-adjusted",
       "cross-entropy of logits + tau * log(n_c / N)",
       {{"loss.tau", 1.0, "strength of the adjustment", {}, 0}, smoothing_key()},
       logit_adjusted},
  };
  return entries;
}

const LossEntry& find_loss(std::string_view name) {
  std::vector<std::string> names;
  for (const LossEntry& entry : loss_registry()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  fail("loss '{}' is not known (known: {}){}", printable(name), fmt::join(names, ", "),
       did_you_mean(name, names));
}

}  // namespace ek
