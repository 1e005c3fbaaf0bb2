#pragma once
#include <vector>

#include "kernels/difficulty.h"
#include "tests/kernels/head_run.h"  // Vector, values_of

// Difficulty-Net on vectors, or on other buffers of numbers, for the tests.
namespace ek::test {

template <class T, template <class> class V = Vector>
struct NetInputs {
  kernels::DifficultyShape s;
  V<T> parameters, accuracy, weight_gradient, first_moment, second_moment;

  template <class U, template <class> class W>
  NetInputs<U, W> in() const {
    const auto to = [](const V<T>& v) {
      const std::vector<T> from = values_of(v);
      return W<U>(std::vector<U>(from.begin(), from.end()));
    };
    return {
        s, to(parameters), to(accuracy), to(weight_gradient), to(first_moment), to(second_moment)};
  }
};

// Parameters as the model draws them: uniform in +-1 / sqrt(inputs). Moments as after some steps.
template <class T>
NetInputs<T> net_inputs(const kernels::DifficultyShape& s) {
  NetInputs<T> in;
  in.s = s;
  for (int layer = 1; layer <= 3; ++layer) {
    const std::int64_t count = s.outputs(layer) * (s.inputs(layer) + (s.bias ? 1 : 0));
    for (const T v : random_numbers<T>(count, std::uint32_t(layer))) {
      in.parameters.push_back(v / std::sqrt(T(s.inputs(layer))));
    }
  }
  in.accuracy = random_numbers<T>(s.classes, 4);
  for (T& a : in.accuracy) a = (a + 1) / 2;
  in.weight_gradient = random_numbers<T>(s.classes, 5);
  in.first_moment = random_numbers<T>(s.parameters(), 6);
  in.second_moment = random_numbers<T>(s.parameters(), 7);
  for (T& v : in.second_moment) v = T(1.25) + v;
  return in;
}

template <class T>
struct NetPass {
  std::vector<T> h1, h2, difficulty, class_weight;
};
template <class T>
struct NetGradient {
  std::vector<T> gradient, driver_loss;
};
template <class T>
struct NetStep {
  std::vector<T> parameters, first_moment, second_moment, driver_loss;
};

// Buffers of a pass, filled by a forward pass of B.
template <class B, class T, template <class> class V>
struct NetRun {
  const NetInputs<T, V>& in;
  V<T> h1, h2, difficulty, class_weight;

  explicit NetRun(const NetInputs<T, V>& inputs)
      : in(inputs),
        h1(std::size_t(in.s.hidden)),
        h2(std::size_t(in.s.hidden)),
        difficulty(std::size_t(in.s.classes)),
        class_weight(std::size_t(in.s.classes)) {
    kernels::difficulty_forward<B, T>({}, in.s, in.parameters.data(), in.accuracy.data(), state());
  }
  kernels::DifficultyState<T> state() {
    return {h1.data(), h2.data(), difficulty.data(), class_weight.data()};
  }
  NetPass<T> pass() const {
    return {values_of(h1), values_of(h2), values_of(difficulty), values_of(class_weight)};
  }
  // Without `meta` the weights' gradient is null.
  kernels::DifficultyObjective<T> objective(bool meta, double lambda,
                                            kernels::DifficultyTarget target) const {
    return {meta ? in.weight_gradient.data() : nullptr, lambda, target};
  }
  NetGradient<T> backward(const kernels::DifficultyObjective<T>& objective) {
    V<T> gradient(std::size_t(in.s.parameters())), driver(std::size_t(1));
    V<double> scratch((kernels::difficulty_workspace_bytes<B, T>(in.s) + 7) / 8);
    kernels::difficulty_backward<B, T>({}, in.s, objective, in.parameters.data(),
                                       in.accuracy.data(), state(), gradient.data(), driver.data(),
                                       {scratch.data(), scratch.size() * 8});
    return {values_of(gradient), values_of(driver)};
  }
  NetStep<T> step(const kernels::DifficultyObjective<T>& objective,
                  const kernels::AdamSettings& adam, double decay) {
    V<T> parameters(values_of(in.parameters)), m(values_of(in.first_moment)),
        v(values_of(in.second_moment)), driver(std::size_t(1));
    V<double> scratch((kernels::difficulty_workspace_bytes<B, T>(in.s) + 7) / 8);
    kernels::difficulty_step<B, T>({}, in.s, objective, adam, decay, in.accuracy.data(), state(),
                                   parameters.data(), m.data(), v.data(), driver.data(),
                                   {scratch.data(), scratch.size() * 8});
    return {values_of(parameters), values_of(m), values_of(v), values_of(driver)};
  }
};

}  // namespace ek::test
