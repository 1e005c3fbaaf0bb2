// The kernels of Difficulty-Net against the model, which the engine differentiates.
#include <cmath>

#include "engine/autodiff/functional.h"
#include "engine/graph/launch_trace.h"
#include "engine/ops.h"
#include "kernels/difficulty.h"
#include "models/difficulty_net.h"
#include "tests/catch.h"

namespace {

using ek::DriverTarget;
using ek::Params;
using ek::Tensor;
using ek::kernels::Cpu;
using ek::kernels::DifficultyShape;
using ek::kernels::DifficultyTarget;

double error(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    if (std::isnan(a[i] - b[i])) return a[i] - b[i];
    difference = std::max(difference, std::abs(a[i] - b[i]));
    size = std::max(size, std::abs(b[i]));
  }
  return difference / size;
}

// Both sides add up the same few dozen numbers, in orders of their own.
constexpr double tolerance = 1e-13;

}  // namespace

TEST_CASE("Difficulty-Net: the kernels are the model and its gradient", "[difficulty_net]") {
  const std::int64_t classes = 10;
  std::vector<double> accuracy, gradient_of_weights;
  for (int c = 0; c < classes; ++c) {
    accuracy.push_back(0.05 + 0.09 * c);
    gradient_of_weights.push_back(std::sin(3.0 * c));
  }
  const Tensor accuracies = Tensor::from(accuracy, {classes});
  const Tensor g = Tensor::from(gradient_of_weights, {classes});
  for (const bool bias : {false, true}) {
    const ek::DifficultyNet net(classes, bias);
    const Params theta = net.init(3, ek::DType::float64);
    const std::vector<double> parameters = theta.flat().to_vector();
    const DifficultyShape s{classes, net.hidden(), bias};
    REQUIRE(s.parameters() == theta.numel());
    for (int layer = 1; layer <= 3; ++layer) {
      const std::string name = "fc" + std::to_string(layer);
      REQUIRE(s.weight(layer) == theta.offset(name + ".weight"));
      if (bias) REQUIRE(s.biases(layer) == theta.offset(name + ".bias"));
    }

    std::vector<double> h1(s.hidden), h2(s.hidden), d(classes), w(classes);
    ek::kernels::difficulty_forward<Cpu, double>({}, s, parameters.data(), accuracy.data(),
                                                 {h1.data(), h2.data(), d.data(), w.data()});
    const Tensor difficulty = net.difficulty(theta, accuracies);
    REQUIRE(error(d, difficulty.to_vector()) <= tolerance);
    REQUIRE(error(w, ek::class_weights(difficulty).to_vector()) <= tolerance);

    for (const bool share : {true, false}) {
      const DriverTarget target =
          share ? DriverTarget::one_minus_share : DriverTarget::one_minus_accuracy;
      const DifficultyTarget kernel_target =
          share ? DifficultyTarget::one_minus_share : DifficultyTarget::one_minus_accuracy;
      std::vector<double> gradient(parameters.size());
      std::vector<double> scratch(ek::kernels::difficulty_workspace_bytes<Cpu, double>(s) /
                                  sizeof(double));
      double driver = 0;
      ek::kernels::difficulty_backward<Cpu, double>(
          {}, s, {gradient_of_weights.data(), 0.3, kernel_target}, parameters.data(),
          accuracy.data(), {h1.data(), h2.data(), d.data(), w.data()}, gradient.data(), &driver,
          {scratch.data(), scratch.size() * sizeof(double)});
      REQUIRE(std::abs(driver - ek::driver_loss(difficulty, accuracies, target).item()) <=
              tolerance);
      const Params expected = ek::grad(
          [&](const Params& p) {
            return ek::difficulty_objective(net.difficulty(p, accuracies), accuracies, g, target,
                                            0.3);
          },
          theta);
      REQUIRE(error(gradient, expected.flattened().flat().to_vector()) <= tolerance);
    }
  }
}

TEST_CASE("Difficulty-Net: a step's passes are a kernel each where launches are dear",
          "[difficulty_net]") {
  constexpr ek::Device simt{ek::Device::Kind::simt, 0};
  if (!ek::is_available(simt)) return;
  const std::int64_t classes = 10;
  std::vector<double> accuracy, gradient_of_weights;
  for (int c = 0; c < classes; ++c) {
    accuracy.push_back(0.05 + 0.09 * c);
    gradient_of_weights.push_back(std::sin(3.0 * c));
  }
  for (const ek::DType dtype : {ek::DType::float32, ek::DType::float64}) {
    // float32: sums of some thirty products, in another order.
    const double bound = dtype == ek::DType::float32 ? 2e-6 : tolerance;
    for (const bool bias : {false, true}) {
      const ek::DifficultyNet net(classes, bias);
      const Params theta = net.init(3, dtype), there = theta.to(simt);
      const Tensor a = Tensor::from(accuracy, {classes}).to(dtype);
      const Tensor g = Tensor::from(gradient_of_weights, {classes}).to(dtype);
      const ek::DifficultyPass expected = net.pass(theta, a);
      REQUIRE(!expected.h1);
      const Tensor a_there = a.to(simt), g_there = g.to(simt);
      const ek::LaunchTrace trace;
      const ek::DifficultyPass ours = net.pass(there, a_there);
      REQUIRE(trace.count() == (dtype == ek::DType::float32 ? 1 : trace.count()));
      REQUIRE(error(ours.difficulty.to_vector(), expected.difficulty.to_vector()) <= bound);
      REQUIRE(error(ours.class_weights.to_vector(), expected.class_weights.to_vector()) <= bound);
      for (const auto target : {DriverTarget::one_minus_share, DriverTarget::one_minus_accuracy}) {
        const Params gradient = net.gradient(there, a_there, ours, g_there, target, 0.3);
        REQUIRE(error(gradient.flat().to_vector(),
                      net.gradient(theta, a, expected, g, target, 0.3).flat().to_vector()) <=
                bound);
      }
      // Under a tape it is the composition, which the tape records.
      const auto sum = [&](const Params& p) {
        return ek::ops::sum(net.pass(p, a_there).difficulty);
      };
      REQUIRE(ek::norm(ek::grad(sum, there)) > 0);
    }
  }
}
