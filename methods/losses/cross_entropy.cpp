// The family on one fused kernel: cross-entropy, with constant class weights, Balanced Softmax and
// the logit-adjusted loss. docs/losses.md has the formulas.
#include <algorithm>

#include "engine/ops.h"
#include "methods/losses/class_weights.h"
#include "methods/losses/loss_entry.h"

namespace ek {
namespace {

KeySpec smoothing_key() {
  return {
      "loss.label_smoothing", 0.0, "share of the target spread evenly over all classes", {}, 0, 1};
}

LossFunction fused(ops::SoftmaxLossOptions options) {
  return [options = std::move(options)](const LossInputs& in) {
    return ops::softmax_cross_entropy(in["logits"], in["labels"], options);
  };
}

LossFunction cross_entropy(const LossSetup& setup) {
  ops::SoftmaxLossOptions options;
  options.label_smoothing = setup.number("label_smoothing");
  return fused(options);
}

// Cross-entropy of logits + tau * log of counts or shares.
LossFunction with_prior(const LossSetup& setup, double tau, bool share) {
  const double smoothing = setup.number("label_smoothing");
  // Smoothing would ask for probability where the prior is zero.
  require(smoothing == 0 || std::ranges::count(setup.class_counts, 0) == 0,
          "loss with a prior: label_smoothing expected 0 while some class has no training images, "
          "came {}",
          smoothing);
  std::vector<double> offset = log_counts(setup.class_counts, share);
  for (std::size_t c = 0; c < offset.size(); ++c) {
    if (setup.class_counts[c] > 0) offset[c] *= tau;
  }
  ops::SoftmaxLossOptions options;
  options.label_smoothing = smoothing;
  options.offset = setup.constant(offset);
  return fused(options);
}

Tensor constant_weights(const LossSetup& setup) {
  const std::string kind = setup.text("weights");
  if (kind == "effective-number") {
    return setup.constant(effective_number_weights(setup.class_counts, setup.number("beta")));
  }
  const double power = kind == "power" ? setup.number("power") : kind == "inverse" ? 1.0 : 0.5;
  return setup.constant(power_weights(setup.class_counts, power));
}

}  // namespace

LossEntry cross_entropy_entry() {
  return {.name = "cross-entropy",
          .doc = "softmax cross-entropy",
          .keys = {smoothing_key()},
          .needs_counts = false,
          .make = cross_entropy};
}

LossEntry class_weighted_entry() {
  return {.name = "class-weighted",
          .doc = "cross-entropy with a constant weight per class, mean 1 over the classes",
          .keys = {{"loss.weights",
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
          .make = cross_entropy,
          .class_weights = constant_weights};
}

LossEntry balanced_softmax_entry() {
  return {.name = "balanced-softmax",
          .doc = "cross-entropy of logits + log n_c",
          .keys = {smoothing_key()},
          .absorbed_prior = prior_removed,
          .make = [](const LossSetup& setup) { return with_prior(setup, 1, false); }};
}

LossEntry logit_adjusted_entry() {
  return {
      .name = "logit-adjusted",
      .doc = "cross-entropy of logits + tau * log(n_c / N)",
      .keys = {{"loss.tau", 1.0, "strength of the adjustment", {}, 0}, smoothing_key()},
      .absorbed_prior =
          [](const nlohmann::json& options) { return 1 - options["tau"].get<double>(); },
      .make = [](const LossSetup& setup) { return with_prior(setup, setup.number("tau"), true); }};
}

}  // namespace ek
