#include "models/difficulty_net.h"

#include <bit>
#include <cmath>

#include "engine/ops.h"
#include "engine/profile/profiler.h"

namespace ek {
namespace {

// One element repeated to [n].
Tensor spread(const Tensor& scalar, std::int64_t n) {
  return ops::broadcast_to(ops::reshape(scalar, {1}), {n});
}

void require_vector(std::string_view who, std::string_view what, const Tensor& x) {
  require(x.defined() && x.rank() == 1 && x.numel() > 0, "{}: {} must be [classes], got {}", who,
          what, x.defined() ? x.shape().str() : "nothing");
}

}  // namespace

DriverTarget parse_driver_target(std::string_view text) {
  if (text == "one_minus_share") return DriverTarget::one_minus_share;
  if (text == "one_minus_accuracy") return DriverTarget::one_minus_accuracy;
  fail("driver_target: \"{}\" is not known; there are one_minus_share and one_minus_accuracy",
       text);
}

DifficultyNet::DifficultyNet(std::int64_t inputs, bool bias, std::int64_t hidden)
    : inputs_(inputs), hidden_(hidden), bias_(bias) {
  require(inputs >= 1 && hidden >= 0,
          "difficulty_net: inputs must be at least 1 and hidden at least 0, got {} and {}", inputs,
          hidden);
  if (hidden_ == 0) hidden_ = std::int64_t(1) << std::bit_width(std::uint64_t(inputs));
  auto add_layer = [&](const std::string& name, std::int64_t out, std::int64_t in) {
    const double bound = 1 / std::sqrt(double(in));
    parameters_.push_back({name + ".weight", {out, in}, Init::uniform, bound});
    if (bias) parameters_.push_back({name + ".bias", {out}, Init::uniform, bound});
  };
  add_layer("fc1", hidden_, inputs_);
  add_layer("fc2", hidden_, hidden_);
  add_layer("fc3", inputs_, hidden_);
}

Tensor DifficultyNet::difficulty(const Params& params, const Tensor& class_accuracy) const {
  require_fits("difficulty_net", parameters_, params, class_accuracy.dtype());
  const Shape shape = class_accuracy.shape();
  require((shape.rank() == 1 || shape.rank() == 2) && shape.back() == inputs_,
          "difficulty_net: class accuracies must be [{}] or [n, {}], got {}", inputs_, inputs_,
          shape.str());
  const LayerScope scope("difficulty_net");
  auto layer = [&](const Tensor& x, const std::string& name) {
    return ops::linear(x, params[name + ".weight"], bias_ ? params[name + ".bias"] : Tensor{});
  };
  const Tensor x = ops::reshape(class_accuracy, {shape.numel() / inputs_, inputs_});
  const Tensor h1 = ops::relu(layer(x, "fc1"));
  const Tensor h2 = ops::relu(layer(h1, "fc2"));
  return ops::reshape(ops::sigmoid(layer(h2, "fc3")), shape);
}

Tensor class_weights(const Tensor& difficulty) {
  require_vector("class_weights", "difficulty", difficulty);
  const std::int64_t classes = difficulty.numel();
  return ops::affine(ops::div(difficulty, spread(ops::sum(difficulty), classes)), double(classes));
}

Tensor driver_target(const Tensor& class_accuracy, DriverTarget target) {
  require_vector("driver_target", "class accuracy", class_accuracy);
  if (target == DriverTarget::one_minus_accuracy) return ops::affine(class_accuracy, -1, 1);
  const Tensor total = ops::affine(ops::sum(class_accuracy), 1, 1e-12);
  return ops::affine(ops::div(class_accuracy, spread(total, class_accuracy.numel())), -1, 1);
}

Tensor driver_loss(const Tensor& difficulty, const Tensor& class_accuracy, DriverTarget target) {
  require_vector("driver_loss", "difficulty", difficulty);
  return ops::mean(ops::square(ops::sub(difficulty, driver_target(class_accuracy, target))));
}

Tensor difficulty_objective(const Tensor& difficulty, const Tensor& class_accuracy,
                            const Tensor& weight_gradient, DriverTarget target, double lambda) {
  const Tensor through_weights = ops::sum(ops::mul(class_weights(difficulty), weight_gradient));
  const Tensor driver = driver_loss(difficulty, class_accuracy, target);
  return ops::add(through_weights, ops::affine(driver, lambda));
}

}  // namespace ek
