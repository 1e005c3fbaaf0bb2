#pragma once
// Training steps as the methods make them, on any device, and how near those of two devices are.
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "methods/session/checkpoint.h"
#include "methods/session/step_runner.h"
#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/methods/tiny_data.h"

namespace ek {

// What a step left behind.
struct Moment {
  std::vector<double> params, buffers;
  std::vector<std::pair<std::string, double>> report;
};
struct Steps {
  std::vector<Moment> moments;
  std::vector<std::pair<std::string, std::vector<double>>> method;
};

// `count` steps of a recipe (a text) on a device.
inline Steps run_steps(const std::string& recipe_text, const std::string& data, Precision precision,
                       Device device, std::int64_t count) {
  const Recipe recipe = Recipe::resolve(recipe_text, "test");
  const Experiment experiment(recipe, data, precision, device);
  State state = experiment.initial_state();
  Steps steps;
  StepRunner runner(experiment, state, 0, {.prefetch = 0});
  for (std::int64_t step = 0; step < count; ++step) {
    const Report report = runner.advance(1).front().report;
    const Part& model = state["model"];
    CHECK(model.params.flat().device() == device);
    CHECK(model.buffers.flat().device() == device);
    Moment& moment = steps.moments.emplace_back();
    moment.params = model.params.flat().to_vector();
    moment.buffers = model.buffers.flat().to_vector();
    moment.report.emplace_back("loss", report.loss.item());
    for (const auto& [name, value] : report.numbers) moment.report.emplace_back(name, value());
  }
  for (const NamedTensor& entry : checkpoint_tensors(state, Scope::everything)) {
    if (entry.first.starts_with("train.") && !entry.first.starts_with("train.optim.model/")) {
      steps.method.emplace_back(entry.first, entry.second.to_vector());
    }
  }
  return steps;
}

// 2-norm of the difference over that of what is expected; NaN where a value is.
inline double distance(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - expected[i]) * (got[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

inline void require_near(const Steps& got, const Steps& expected,
                         const std::vector<double>& tolerances) {
  REQUIRE(got.moments.size() == expected.moments.size());
  for (std::size_t i = 0; i < got.moments.size(); ++i) {
    const Moment &a = got.moments[i], &b = expected.moments[i];
    const double tolerance = tolerances.at(std::min(i, tolerances.size() - 1));
    CAPTURE(i, tolerance);
    CAPTURE(distance(a.params, b.params), distance(a.buffers, b.buffers));
    CHECK(distance(a.params, b.params) <= tolerance);
    CHECK(distance(a.buffers, b.buffers) <= tolerance);
    REQUIRE(a.report.size() == b.report.size());
    for (std::size_t k = 0; k < a.report.size(); ++k) {
      CAPTURE(a.report[k].first, a.report[k].second, b.report[k].second);
      CHECK(a.report[k].first == b.report[k].first);
      CHECK(std::abs(a.report[k].second - b.report[k].second) <=
            4 * tolerance * std::abs(b.report[k].second));
    }
  }
}

// The first step differs by rounding alone: sums in another order, some ulps of float32; a few
// steps on, a rounding next to zero may have switched a ReLU of the four images.
inline const std::vector<double> float32_tolerances{1e-5, 1e-3};
// Factors rounded to 10 bits (2^-11 of a value each) against exact ones.
inline const std::vector<double> tf32_tolerances{1e-3, 1e-3, 2e-2};
// The same roundings to bfloat16 on both sides, but for sums that differ by an ulp of float32 where
// two bfloat16 numbers are equally near: then the stored value differs by 2^-8.
inline const std::vector<double> bf16_tolerances{1e-3, 1e-3, 2e-2};

inline const std::vector<double>& tolerances_of(Precision precision) {
  static const std::vector<double> float64_tolerances{1e-11, 1e-9};  // the same in float64
  switch (precision) {
    case Precision::float64:
      return float64_tolerances;
    case Precision::tf32:
      return tf32_tolerances;
    case Precision::bf16:
      return bf16_tolerances;
    default:
      return float32_tolerances;
  }
}

// Steps of a ResNet-8 on tiny data against those of the CPU.
inline void compare_with_cpu(Device device, const std::string& method, Precision precision,
                             std::int64_t count) {
  CAPTURE(method, name_of(precision));
  const TempDir dir;
  const std::string data = tiny_data(dir);
  const bool tf32 = precision == Precision::tf32;
  const Steps cpu =
      run_steps(tiny_recipe(method), data, tf32 ? Precision::float32 : precision, {}, count);
  const Steps there = run_steps(tiny_recipe(method), data, precision, device, count);
  require_near(there, cpu, tolerances_of(precision));
  REQUIRE(there.method.size() == cpu.method.size());
  for (std::size_t i = 0; i < cpu.method.size(); ++i) {
    CAPTURE(cpu.method[i].first);
    CHECK(there.method[i].first == cpu.method[i].first);
    // Adam's moments are of meta-gradients, whose tolerance is that of their norm in reports.
    CHECK(distance(there.method[i].second, cpu.method[i].second) <=
          (precision == Precision::float32 || precision == Precision::float64 ? 4e-3 : 0.1));
  }
  // tf32 is another arithmetic than float32, by more than another order of sums.
  if (tf32) CHECK(distance(there.moments[0].params, cpu.moments[0].params) >= 1e-6);
}

// Every number of every step is the same.
inline bool same_bits(const Steps& a, const Steps& b) {
  if (a.moments.size() != b.moments.size()) return false;
  for (std::size_t i = 0; i < a.moments.size(); ++i) {
    const Moment &x = a.moments[i], &y = b.moments.at(i);
    if (x.params != y.params || x.buffers != y.buffers || x.report != y.report) return false;
  }
  return a.method == b.method;
}

}  // namespace ek
