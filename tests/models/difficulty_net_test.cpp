// Difficulty-Net: sizes, the golden problem of the spec, derivatives.
#include "models/difficulty_net.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "tests/catch.h"
#include "tests/paths.h"

namespace {

using ek::DifficultyNet;
using ek::DriverTarget;
using ek::Params;
using ek::Shape;
using ek::Tensor;
using ek::Tensors;

nlohmann::json golden() {
  std::ifstream file(source_dir() + "/tests/golden/meta_gradients.json");
  return nlohmann::json::parse(file).at("difficulty_net");
}

Tensor tensor_of(const nlohmann::json& j) {
  std::vector<double> values;
  if (!j[0].is_array()) {
    return Tensor::from(j.get<std::vector<double>>(), Shape{std::int64_t(j.size())});
  }
  for (const auto& row : j) {
    for (const auto& value : row) values.push_back(value.get<double>());
  }
  return Tensor::from(values, {std::int64_t(j.size()), std::int64_t(j[0].size())});
}

Params theta(const nlohmann::json& j) {
  std::vector<Params::Entry> entries;
  for (const char* n : {"1", "2", "3"}) {
    entries.push_back({std::string("fc") + n + ".weight", tensor_of(j.at(std::string("V") + n))});
    if (const auto c = j.find(std::string("c") + n); c != j.end()) {
      entries.push_back({std::string("fc") + n + ".bias", tensor_of(*c)});
    }
  }
  return Params(std::move(entries));
}

// Largest difference relative to the largest entry; NaN if anything is.
double error(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = a.to_vector(), y = b.to_vector();
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i] - y[i])) return x[i] - y[i];
    difference = std::max(difference, std::abs(x[i] - y[i]));
    size = std::max(size, std::abs(y[i]));
  }
  return difference / size;
}

// The golden numbers are float64 results of another program on a handful of operations.
constexpr double tolerance = 1e-13;
const Tensor class_accuracy = Tensor::from(std::vector<double>{0.9, 0.5, 0.1}, {3});

}  // namespace

TEST_CASE("Difficulty-Net: sizes and starting values", "[difficulty_net]") {
  for (const auto& [classes, hidden] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 2},
                                                          {2, 4},
                                                          {3, 4},
                                                          {4, 8},
                                                          {10, 16},
                                                          {100, 128},
                                                          {365, 512},
                                                          {1000, 1024},
                                                          {8142, 8192}}) {
    REQUIRE(DifficultyNet(classes).hidden() == hidden);
  }
  REQUIRE(DifficultyNet(100, true, 256).hidden() == 256);

  const DifficultyNet net(100);
  const Params params = net.init(4);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : params) names.push_back(name);
  REQUIRE(names == std::vector<std::string>{"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias",
                                            "fc3.weight", "fc3.bias"});
  REQUIRE(params["fc1.weight"].shape() == Shape{128, 100});
  REQUIRE(params["fc3.weight"].shape() == Shape{100, 128});
  REQUIRE(DifficultyNet(100, false).init(4).size() == 3);
  for (const auto& [name, tensor] : params) {
    INFO(name);
    const double bound = 1 / std::sqrt(name.starts_with("fc1") ? 100.0 : 128.0);
    const auto values = tensor.to_vector();
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    // Of 100 or more uniform numbers one lies in each outer twentieth (all but 6 in a thousand).
    REQUIRE(float(*low) >= -float(bound));
    REQUIRE(*low < -0.9 * bound);
    REQUIRE(float(*high) <= float(bound));
    REQUIRE(*high > 0.9 * bound);
  }
}

TEST_CASE("Difficulty-Net: golden problem", "[difficulty_net]") {
  for (const char* variant : {"no_bias", "with_bias"}) {
    INFO(variant);
    const nlohmann::json problem = golden().at(variant), expected = problem.at("expected");
    const DifficultyNet net(3, std::string(variant) == "with_bias");
    REQUIRE(net.hidden() == 4);
    const Params params = theta(problem.at("theta"));
    const Tensor d = net.difficulty(params, class_accuracy);
    REQUIRE(error(d, tensor_of(expected.at("d"))) <= tolerance);
    REQUIRE(error(ek::class_weights(d), tensor_of(expected.at("w"))) <= tolerance);
    REQUIRE(error(ek::driver_target(class_accuracy, DriverTarget::one_minus_share),
                  tensor_of(expected.at("driver_target"))) <= tolerance);

    const Params at({{"d", d}});
    const auto [loss, gradient] = ek::value_and_grad(
        [&](const Params& p) {
          return ek::driver_loss(p["d"], class_accuracy, DriverTarget::one_minus_share);
        },
        at);
    REQUIRE(std::abs(loss.item() - expected.at("driver_loss").get<double>()) <= tolerance);
    REQUIRE(error(gradient["d"], tensor_of(expected.at("dDriver_dd"))) <= tolerance);

    // d G / d d from d G / d w through the normalisation of Eq. 4.
    const auto lin = ek::linearize([](const Params& p) { return ek::class_weights(p["d"]); }, at);
    const Tensor dG_dd = lin.vjp(tensor_of(expected.at("dG_dw")))["d"];
    REQUIRE(error(dG_dd, tensor_of(expected.at("dG_dd"))) <= 1e-11);  // a difference of likes

    // Both paths down to the parameters: meta loss and 0.3 times driver loss.
    const auto both = ek::linearize_tensors(
        [&](const Tensors& in) {
          const Tensor difficulty = net.difficulty(params.with(in), class_accuracy);
          return Tensors{
              ek::class_weights(difficulty),
              ek::driver_loss(difficulty, class_accuracy, DriverTarget::one_minus_share)};
        },
        params.tensors());
    const Tensor lambda = Tensor::full({}, 0.3, ek::DType::float64);
    const Tensors exact = both.vjp({tensor_of(expected.at("dG_dw")), lambda});
    const Tensors detached = both.vjp({{}, lambda});
    const Tensors expected_exact = theta(expected.at("grad_theta_exact")).tensors();
    const Tensors expected_detached = theta(expected.at("grad_theta_detached")).tensors();
    for (std::size_t i = 0; i < exact.size(); ++i) {
      REQUIRE(error(exact[i], expected_exact[i]) <= 1e-11);
      REQUIRE(error(detached[i], expected_detached[i]) <= 1e-11);
    }
  }
}

TEST_CASE("Difficulty-Net: derivatives of the whole chain", "[difficulty_net]") {
  const DifficultyNet net(10);
  const Params params = net.init(1, ek::DType::float64),
               direction = net.init(2, ek::DType::float64);
  std::vector<double> accuracies;
  for (int c = 0; c < 10; ++c) accuracies.push_back(0.1 * c);
  const Tensor accuracy = Tensor::from(accuracies, {10});
  for (const DriverTarget target :
       {DriverTarget::one_minus_share, DriverTarget::one_minus_accuracy}) {
    auto f = [&](const Params& p) {
      const Tensor d = net.difficulty(p, accuracy);
      const Tensor w = ek::class_weights(d);
      return ek::ops::add(ek::ops::sum(ek::ops::mul(ek::ops::square(w), accuracy)),
                          ek::driver_loss(d, accuracy, target));
    };
    // Four-point differences: rounding of 1e-16 / step, truncation of step^4.
    const double step = 1e-4;
    auto at = [&](double k) { return f(ek::add_scaled(params, k * step, direction)).item(); };
    const double difference = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step);
    const double tangent = ek::jvp(f, params, direction).second.item();
    REQUIRE(std::abs(tangent - difference) <= 1e-9 * std::abs(tangent));
    REQUIRE(std::abs(ek::dot(ek::grad(f, params), direction) - tangent) <=
            1e-12 * std::abs(tangent));
  }
}

TEST_CASE("Difficulty-Net: rows, and the first epoch", "[difficulty_net]") {
  const DifficultyNet net(3);
  const Params params = net.init(1, ek::DType::float64);
  const Tensor rows = Tensor::from(std::vector<double>{0.1, 0.2, 0.3, 0.9, 0.5, 0.1}, {2, 3});
  const Tensor both = net.difficulty(params, rows);
  REQUIRE(both.shape() == Shape{2, 3});
  REQUIRE(error(both.slice(3, {3}), net.difficulty(params, class_accuracy)) <= 1e-15);

  // Accuracies of zero: targets 1, and without biases d = 1/2 and w = 1 exactly.
  const Tensor zero = Tensor::zeros({3}, ek::DType::float64);
  const DifficultyNet no_bias(3, false);
  const Tensor d = no_bias.difficulty(no_bias.init(1, ek::DType::float64), zero);
  REQUIRE(d.to_vector() == std::vector<double>(3, 0.5));
  REQUIRE(ek::class_weights(d).to_vector() == std::vector<double>(3, 1.0));
  REQUIRE(ek::driver_target(zero, DriverTarget::one_minus_share).to_vector() ==
          std::vector<double>(3, 1.0));
  REQUIRE(error(ek::driver_target(class_accuracy, DriverTarget::one_minus_accuracy),
                Tensor::from(std::vector<double>{0.1, 0.5, 0.9}, {3})) <= 1e-15);
}

TEST_CASE("Difficulty-Net: errors", "[difficulty_net]") {
  const DifficultyNet net(3);
  REQUIRE_THROWS_WITH(net.difficulty(net.init(0), Tensor::zeros({4}, ek::DType::float32)),
                      "difficulty_net: class accuracies must be [3] or [n, 3], got [4]");
  REQUIRE_THROWS_WITH(
      net.difficulty(DifficultyNet(3, false).init(0, ek::DType::float64), class_accuracy),
      "difficulty_net: fc1.bias [4] is missing");
  REQUIRE_THROWS_WITH(ek::class_weights(Tensor::zeros({2, 3}, ek::DType::float32)),
                      "class_weights: difficulty must be [classes], got [2, 3]");
  REQUIRE_THROWS_WITH(DifficultyNet(0),
                      "difficulty_net: inputs must be at least 1 and hidden at least 0, got 0 and "
                      "0");
  REQUIRE(ek::parse_driver_target("one_minus_accuracy") == DriverTarget::one_minus_accuracy);
  REQUIRE_THROWS_WITH(ek::parse_driver_target("share"),
                      "driver_target: \"share\" is not known; there are one_minus_share and "
                      "one_minus_accuracy");
}
