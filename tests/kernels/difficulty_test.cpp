// Difficulty-Net on the CPU: its gradient by differences, its step by Adam's own kernel.
// tests/models/difficulty_kernels_test.cpp compares it with the model,
// tests/simt/difficulty_test.cpp the GPU's versions with it.
#include "kernels/difficulty.h"

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/kernels/difficulty_run.h"

using namespace ek::kernels;
using namespace ek::test;

namespace {

constexpr DifficultyTarget kTargets[] = {DifficultyTarget::one_minus_share,
                                         DifficultyTarget::one_minus_accuracy};

double objective_at(const NetInputs<double>& in, const std::vector<double>& parameters, bool meta,
                    double lambda, DifficultyTarget target) {
  NetInputs<double> moved = in;
  moved.parameters = parameters;
  NetRun<Cpu, double, Vector> run(moved);
  const double driver = run.backward(run.objective(meta, lambda, target)).driver_loss[0];
  return (meta ? dot(in.weight_gradient, run.class_weight) : 0) + lambda * driver;
}

}  // namespace

TEST_CASE("difficulty_forward: weights of mean 1, and halves where nothing is known") {
  for (const bool bias : {false, true}) {
    auto in = net_inputs<double>({7, 9, bias});
    REQUIRE(in.s.parameters() == std::int64_t(in.parameters.size()));
    NetRun<Cpu, double, Vector> run(in);
    double sum = 0;
    for (const double w : run.class_weight) sum += w;
    REQUIRE(std::abs(sum - 7) <= 1e-14 * 7);
    for (const double d : run.difficulty) REQUIRE((d > 0 && d < 1));
    in.accuracy.assign(7, 0.0);
    NetRun<Cpu, double, Vector> blind(in);
    if (bias) continue;
    REQUIRE(blind.difficulty == std::vector<double>(7, 0.5));
    REQUIRE(blind.class_weight == std::vector<double>(7, 1.0));
  }
}

TEST_CASE("difficulty_backward is the difference quotient of its objective") {
  for (const bool bias : {false, true}) {
    const auto in = net_inputs<double>({7, 9, bias});
    const auto along = random_numbers<double>(in.s.parameters(), 11);
    for (const DifficultyTarget target : kTargets) {
      for (const auto& [meta, lambda] : {std::pair(true, 0.3), {false, 0.3}, {true, 0.0}}) {
        NetRun<Cpu, double, Vector> run(in);
        const auto gradient = run.backward(run.objective(meta, lambda, target)).gradient;
        // Four points: an error of step^4, and of rounding over step.
        const double step = 1e-3;
        const auto at = [&](double by) {
          auto parameters = in.parameters;
          for (std::size_t i = 0; i < along.size(); ++i) parameters[i] += by * along[i];
          return objective_at(in, parameters, meta, lambda, target);
        };
        const double difference =
            (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step);
        REQUIRE(std::abs(dot(gradient, along) - difference) <= 1e-8 * std::abs(difference));
      }
      // Both terms add up.
      NetRun<Cpu, double, Vector> run(in);
      const auto both = run.backward(run.objective(true, 0.3, target)).gradient;
      const auto meta = run.backward(run.objective(true, 0, target)).gradient;
      const auto driver = run.backward(run.objective(false, 0.3, target)).gradient;
      for (std::size_t i = 0; i < both.size(); ++i) {
        REQUIRE(std::abs(both[i] - meta[i] - driver[i]) <= 1e-13);
      }
    }
  }
}

TEST_CASE("difficulty_step is difficulty_backward and adam_step") {
  const auto in = net_inputs<double>({7, 9, true});
  NetRun<Cpu, double, Vector> run(in);
  const auto objective = run.objective(true, 0.3, kTargets[0]);
  const AdamSettings adam{.lr = 0.01, .step = 3};
  const auto step = run.step(objective, adam, 1e-2);
  auto parameters = in.parameters, m = in.first_moment, v = in.second_moment;
  const auto gradient = run.backward(objective);
  const OptimSegment all[] = {{0, in.s.parameters(), 1, 1e-2}};
  adam_step<Cpu, double>({}, adam, all, gradient.gradient.data(), parameters.data(), m.data(),
                         v.data());
  REQUIRE(same_bits(step.parameters, parameters));
  REQUIRE(same_bits(step.first_moment, m));
  REQUIRE(same_bits(step.second_moment, v));
  REQUIRE(same_bits(step.driver_loss, gradient.driver_loss));
}

TEST_CASE("Difficulty-Net's kernels refuse empty nets and small workspaces") {
  const double x = 0;
  double y = 0;
  const std::string empty = error_of([&] {
    difficulty_forward<Cpu, double>({}, {0, 4}, &x, &x, {&y, &y, &y, &y});
  });
  REQUIRE(empty == "difficulty_forward: classes and hidden must be >= 1, got 0 and 4");
  const std::string small = error_of([&] {
    difficulty_backward<Cpu, double>({}, {3, 4}, {}, &x, &x, {&y, &y, &y, &y}, &y, &y, {&y, 8});
  });
  REQUIRE(contains(small, "difficulty_backward: workspace of"));
}
