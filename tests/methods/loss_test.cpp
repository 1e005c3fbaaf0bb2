#include "methods/losses/loss.h"

#include "engine/autodiff/functional.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/golden.h"

using ek::DType;
using ek::Loss;
using ek::Normalizer;
using ek::Params;
using ek::Tensor;
using nlohmann::json;

namespace {

// Spec methods-reweighting 1: relative, with an absolute floor of 1e-6.
struct Tolerance {
  DType dtype;
  double relative;
};
constexpr Tolerance tolerances[] = {{DType::float64, 1e-9}, {DType::float32, 2e-5}};
constexpr double absolute_floor = 1e-6;

bool close(const std::vector<double>& a, const std::vector<double>& b, double relative) {
  // In float64 the absolute floor would hide what 1e-9 is meant to see: it is scaled alike.
  const double floor = relative < 1e-6 ? 1e-3 : absolute_floor / relative;
  return worst_error(a, b, floor) <= relative;
}

Tensor matrix(const json& rows, DType dtype) {
  const auto shape = {std::int64_t(rows.size()), std::int64_t(rows[0].size())};
  return Tensor::from(numbers(rows), shape).to(dtype);
}

Tensor vector(const std::vector<double>& values) {
  return Tensor::from(values, {std::int64_t(values.size())});
}

Tensor label_tensor(const std::vector<std::int64_t>& labels) {
  return Tensor::from(labels, {std::int64_t(labels.size())});
}

std::vector<std::int64_t> integers(const json& value) {
  std::vector<std::int64_t> out;
  for (double x : numbers(value)) out.push_back(std::int64_t(x));
  return out;
}

// {loss, gradient with respect to the logits}.
std::pair<double, std::vector<double>> value_and_gradient(const Loss& loss, const Tensor& logits,
                                                          const Tensor& labels) {
  auto f = [&](const Params& p) { return loss.scalar(p["logits"], labels); };
  const auto [value, gradient] = ek::value_and_grad(f, Params({{"logits", logits}}));
  return {value.item(), gradient["logits"].to_vector()};
}

// Runs every golden case called `golden_name` and returns how many there were.
int check_golden(const std::string& golden_name, const std::string& loss_name,
                 const json& options) {
  const json file = golden("losses.json");
  int cases = 0;
  for (const json& entry : file["cases"]) {
    if (entry["name"] != golden_name) continue;
    ++cases;
    const json& in = entry["inputs"];
    const json& expected = entry["expected"];
    const Tensor labels = label_tensor(integers(in["labels"]));
    for (const Tolerance& t : tolerances) {
      INFO(golden_name << " case " << entry["case"] << " in " << ek::name_of(t.dtype));
      const Loss loss = Loss::make(loss_name, options, integers(in["class_counts"]), t.dtype);
      const Tensor logits = matrix(in["logits"], t.dtype);
      const auto [value, gradient] = value_and_gradient(loss, logits, labels);
      REQUIRE(close({value}, numbers(expected["loss"]), t.relative));
      REQUIRE(close(gradient, numbers(expected["grad_logits"]), t.relative));
      if (expected.contains("terms") && !loss.class_weights()) {
        REQUIRE(close(loss.per_sample(logits, labels).to_vector(), numbers(expected["terms"]),
                      t.relative));
      }
    }
  }
  return cases;
}

}  // namespace

TEST_CASE("losses: golden values and gradients in float64 and float32") {
  REQUIRE(check_golden("ce", "cross-entropy", json::object()) == 3);
  REQUIRE(check_golden("balanced_softmax", "balanced-softmax", json::object()) == 3);
  REQUIRE(check_golden("logit_adjusted", "logit-adjusted", {{"tau", 1.5}}) == 3);
  REQUIRE(check_golden("weighted_ce_mean_batch", "class-weighted",
                       {{"beta", 0.9999}, {"normalizer", "mean_batch"}}) == 2);
  REQUIRE(check_golden("weighted_ce_mean_weighted", "class-weighted",
                       {{"beta", 0.9999}, {"normalizer", "mean_weighted"}}) == 2);
}

TEST_CASE("losses: sum_normalised differentiates its denominator, mean_weighted does not") {
  const std::vector<double> l{0.5, 2.0, 1.25}, a{1.0, 0.25, 2.0};
  // sum a = 3.25, sum a l = 3.5.
  const double sum = 3.25, value = 3.5 / sum;
  constexpr double tolerance = 1e-14;  // a handful of float64 operations

  auto gradients = [&](Normalizer normalizer) {
    auto f = [&](const Params& p) {
      return ek::reduce_losses(p["losses"], p["weights"], normalizer);
    };
    const Params at({{"losses", vector(l)}, {"weights", vector(a)}});
    const auto [result, gradient] = ek::value_and_grad(f, at);
    return std::tuple(result.item(), gradient["losses"].to_vector(),
                      gradient["weights"].to_vector());
  };
  std::vector<double> by_losses, constant_denominator, moving_denominator, by_losses_batch,
      by_batch;
  for (int i = 0; i < 3; ++i) {
    by_losses.push_back(a[i] / sum);
    constant_denominator.push_back(l[i] / sum);
    moving_denominator.push_back((l[i] - value) / sum);
    by_losses_batch.push_back(a[i] / 3);
    by_batch.push_back(l[i] / 3);
  }
  const auto [batch, batch_l, batch_a] = gradients(Normalizer::mean_batch);
  REQUIRE(worst_error({batch}, {3.5 / 3}, 1) <= tolerance);
  REQUIRE(worst_error(batch_l, by_losses_batch, 1) <= tolerance);
  REQUIRE(worst_error(batch_a, by_batch, 1) <= tolerance);

  const auto [weighted, weighted_l, weighted_a] = gradients(Normalizer::mean_weighted);
  REQUIRE(worst_error({weighted}, {value}, 1) <= tolerance);
  REQUIRE(worst_error(weighted_l, by_losses, 1) <= tolerance);
  REQUIRE(worst_error(weighted_a, constant_denominator, 1) <= tolerance);

  const auto [normalised, normalised_l, normalised_a] = gradients(Normalizer::sum_normalised);
  REQUIRE(worst_error({normalised}, {value}, 1) <= tolerance);
  REQUIRE(worst_error(normalised_l, by_losses, 1) <= tolerance);
  REQUIRE(worst_error(normalised_a, moving_denominator, 1) <= tolerance);
}

TEST_CASE("losses: weights that sum to zero divide by one") {
  for (Normalizer normalizer : {Normalizer::mean_weighted, Normalizer::sum_normalised}) {
    for (const std::vector<double>& a : {std::vector<double>{0, 0}, std::vector<double>{1, -1}}) {
      auto f = [&](const Params& p) {
        return ek::reduce_losses(vector({3, 5}), p["weights"], normalizer);
      };
      const auto [value, gradient] = ek::value_and_grad(f, Params({{"weights", vector(a)}}));
      REQUIRE(value.item() == 3 * a[0] + 5 * a[1]);
      REQUIRE(gradient["weights"].to_vector() == std::vector<double>{3, 5});
    }
  }
}

TEST_CASE("losses: without weights every normaliser is the mean") {
  for (const std::string& name : ek::normalizer_names()) {
    const Tensor value = ek::reduce_losses(vector({1, 2, 6}), {}, ek::parse_normalizer(name));
    REQUIRE(value.item() == 3);
  }
}

TEST_CASE("losses: label smoothing against its formula") {
  // One row, z = (2, -1, 0.5), label 0: (1 - e) (lse - z_0) + e (lse - mean z).
  const double z[] = {2, -1, 0.5}, e = 0.3;
  const double lse = std::log(std::exp(z[0]) + std::exp(z[1]) + std::exp(z[2]));
  const double expected = (1 - e) * (lse - z[0]) + e * (lse - (z[0] + z[1] + z[2]) / 3);
  const Loss loss =
      Loss::make("cross-entropy", {{"label_smoothing", e}}, {9, 4, 1}, DType::float64);
  const double value =
      loss.scalar(Tensor::from(std::vector<double>(z, z + 3), {1, 3}), label_tensor({0})).item();
  REQUIRE(worst_error({value}, {expected}, 1e-6) <= 1e-13);
}

TEST_CASE("losses: a class without training images drops out of a prior") {
  const Tensor logits = Tensor::from(std::vector<double>{0.4, 3, -1}, {1, 3});
  const Tensor two = Tensor::from(std::vector<double>{0.4, -1}, {1, 2});
  for (DType dtype : {DType::float64, DType::float32}) {
    for (const char* name : {"balanced-softmax", "logit-adjusted"}) {
      const Loss loss = Loss::make(name, json::object(), {50, 0, 5}, dtype);
      const auto [value, gradient] = value_and_gradient(loss, logits.to(dtype), label_tensor({2}));
      const Loss small = Loss::make(name, json::object(), {50, 5}, dtype);
      const auto [expected, unused] = value_and_gradient(small, two.to(dtype), label_tensor({1}));
      REQUIRE(worst_error({value}, {expected}, 1e-6) <= (dtype == DType::float64 ? 1e-12 : 1e-5));
      REQUIRE(gradient[1] == 0);
    }
  }
  REQUIRE(contains(
      error_of([] {
        Loss::make("balanced-softmax", {{"label_smoothing", 0.1}}, {50, 0, 5}, DType::float64);
      }),
      "label_smoothing expected 0 while some class has no training images, came 0.1"));
}

TEST_CASE("losses: class weights by every rule") {
  auto weights = [](const json& options) {
    return Loss::make("class-weighted", options, {100, 25, 4}, DType::float64)
        .class_weights()
        .to_vector();
  };
  constexpr double tolerance = 1e-12;
  REQUIRE(worst_error(weights({{"weights", "inverse"}}), {0.1, 0.4, 2.5}, 1) <= tolerance);
  REQUIRE(worst_error(weights({{"weights", "square-root"}}), {0.375, 0.75, 1.875}, 1) <= tolerance);
  REQUIRE(worst_error(weights({{"weights", "power"}, {"power", 1}}), {0.1, 0.4, 2.5}, 1) <=
          tolerance);
  REQUIRE(worst_error(weights({{"beta", 0}}), {1, 1, 1}, 1) <= tolerance);
  REQUIRE(!Loss::cross_entropy().class_weights());
}

TEST_CASE("losses: from a recipe") {
  const auto recipe = ek::Recipe::resolve(
      R"({"loss": {"name": "logit-adjusted", "tau": 2, "normalizer": "mean_weighted"}})", "test");
  const Loss loss = Loss::from_recipe(recipe, {100, 20, 5}, DType::float64);
  REQUIRE(loss.normalizer() == Normalizer::mean_weighted);
  const Tensor logits = Tensor::from(std::vector<double>{2, -1, 0.5}, {1, 3});
  const Loss direct = Loss::make("logit-adjusted", {{"tau", 2}}, {100, 20, 5}, DType::float64);
  REQUIRE(loss.scalar(logits, label_tensor({1})).item() ==
          direct.scalar(logits, label_tensor({1})).item());
}

TEST_CASE("losses: errors name what was expected") {
  auto make = [](const char* name, const json& options) {
    return error_of([&] { Loss::make(name, options, {10, 5}, DType::float64); });
  };
  REQUIRE(make("balanced-softmx", json::object()) ==
          "loss 'balanced-softmx' is not known (known: cross-entropy, class-weighted, "
          "balanced-softmax, logit-adjusted, dive), did you mean 'balanced-softmax'?");
  REQUIRE(make("logit-adjusted", {{"tua", 1}}) ==
          "loss logit-adjusted: unknown key 'loss.tua', did you mean 'loss.tau'?");
  REQUIRE(make("class-weighted", {{"beta", 1}}) ==
          "loss class-weighted: 'loss.beta' expected a number from 0 to 0.999999999999, came 1");
  REQUIRE(
      make("cross-entropy", {{"label_smoothing", "much"}}) ==
      "loss cross-entropy: 'loss.label_smoothing' expected a number from 0 to 1, came \"much\"");
  REQUIRE(error_of([] { ek::parse_normalizer("mean_weigted"); }) ==
          "normalizer: expected one of mean_batch, mean_weighted, sum_normalised, came "
          "'mean_weigted', did you mean 'mean_weighted'?");
  REQUIRE(error_of([] {
            ek::reduce_losses(vector({1, 2}), vector({1}), Normalizer::mean_batch);
          }) == "reduce_losses: weights expected [2], came [1]");
}
