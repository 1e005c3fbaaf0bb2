// Difficulty-Net by plain loops: some ten thousand multiplications, not worth waking threads for.
#include "kernels/difficulty.h"

#include <algorithm>

#include "kernels/cpu/scratch.h"
#include "kernels/math/difficulty.h"
#include "kernels/math/long_sum.h"

namespace ek::kernels {
namespace {

void check(const char* op, const DifficultyShape& s) {
  require(s.classes >= 1 && s.hidden >= 1, "{}: classes and hidden must be >= 1, got {} and {}", op,
          s.classes, s.hidden);
}

// The sum of term(0) to term(count - 1).
template <class T, class Term>
T sum_of(std::int64_t count, const Term& term) {
  math::TermSum<T> sum(T(0), count);
  for (std::int64_t i = 0; i < count; ++i) sum.add(term(i));
  return sum.value();
}

// y = V x + c
template <class T>
void layer(const DifficultyShape& s, int number, const T* parameters, const T* x, T* y) {
  const T *weight = parameters + s.weight(number), *bias = parameters + s.biases(number);
  const std::int64_t inputs = s.inputs(number);
  for (std::int64_t o = 0; o < s.outputs(number); ++o) {
    const T* row = weight + o * inputs;
    const T sum = sum_of<T>(inputs, [=](std::int64_t i) { return row[i] * x[i]; });
    y[o] = s.bias ? sum + bias[o] : sum;
  }
}

// V and c of the gradient, and, unless `dx` is null, the derivative by the layer's input x, which
// comes from a ReLU.
template <class T>
void layer_backward(const DifficultyShape& s, int number, const T* parameters, const T* x,
                    const T* dy, T* gradient, T* dx) {
  const T* weight = parameters + s.weight(number);
  const std::int64_t inputs = s.inputs(number);
  for (std::int64_t o = 0; o < s.outputs(number); ++o) {
    T* of_weight = gradient + s.weight(number) + o * inputs;
    for (std::int64_t i = 0; i < inputs; ++i) of_weight[i] = dy[o] * x[i];
    if (s.bias) gradient[s.biases(number) + o] = dy[o];
  }
  for (std::int64_t i = 0; dx && i < inputs; ++i) {
    const auto term = [=](std::int64_t o) { return dy[o] * weight[o * inputs + i]; };
    dx[i] = x[i] > 0 ? sum_of<T>(s.outputs(number), term) : T(0);
  }
}

template <class T>
void relu(std::int64_t count, T* x) {
  for (std::int64_t i = 0; i < count; ++i) x[i] = x[i] < 0 ? T(0) : x[i];  // a NaN passes
}

}  // namespace

template <class B, class T>
void difficulty_forward(Stream, const DifficultyShape& s, const T* parameters, const T* accuracy,
                        const DifficultyState<T>& state) {
  check("difficulty_forward", s);
  layer(s, 1, parameters, accuracy, state.h1);
  relu(s.hidden, state.h1);
  layer(s, 2, parameters, state.h1, state.h2);
  relu(s.hidden, state.h2);
  layer(s, 3, parameters, state.h2, state.difficulty);
  for (std::int64_t c = 0; c < s.classes; ++c) {
    state.difficulty[c] = math::difficulty_sigmoid(state.difficulty[c]);
  }
  const T sum = sum_of<T>(s.classes, [&](std::int64_t c) { return state.difficulty[c]; });
  for (std::int64_t c = 0; c < s.classes; ++c) {
    state.class_weight[c] = T(s.classes) * (state.difficulty[c] / sum);
  }
}

template <class B, class T>
std::size_t difficulty_workspace_bytes(const DifficultyShape& s) {
  return cpu::padded_bytes<T>(s.classes) + 2 * cpu::padded_bytes<T>(s.hidden) +
         cpu::padded_bytes<T>(s.parameters());  // difficulty_step's gradient
}

template <class B, class T>
void difficulty_backward(Stream, const DifficultyShape& s, const DifficultyObjective<T>& objective,
                         const T* parameters, const T* accuracy, const DifficultyState<T>& state,
                         T* gradient, T* driver_loss, Workspace workspace) {
  check("difficulty_backward", s);
  cpu::Scratch scratch(workspace, "difficulty_backward");
  T* d3 = scratch.take<T>(s.classes);
  T* d2 = scratch.take<T>(s.hidden);
  T* d1 = scratch.take<T>(s.hidden);
  const T *d = state.difficulty, *g = objective.weight_gradient;
  const math::DifficultySums<T> sums{
      sum_of<T>(s.classes, [=](std::int64_t c) { return d[c]; }),
      sum_of<T>(s.classes, [=](std::int64_t c) { return g ? g[c] * d[c] : T(0); }),
      sum_of<T>(s.classes, [=](std::int64_t c) { return accuracy[c]; })};
  const auto miss = [&](std::int64_t c) {
    return math::difficulty_miss(objective.target, sums, d[c], accuracy[c]);
  };
  for (std::int64_t c = 0; c < s.classes; ++c) {
    d3[c] = math::difficulty_delta(s.classes, T(objective.lambda), sums, g ? g[c] : T(0), d[c],
                                   miss(c));
  }
  if (driver_loss) {
    *driver_loss =
        sum_of<T>(s.classes, [&](std::int64_t c) { return miss(c) * miss(c); }) / T(s.classes);
  }
  layer_backward<T>(s, 3, parameters, state.h2, d3, gradient, d2);
  layer_backward<T>(s, 2, parameters, state.h1, d2, gradient, d1);
  layer_backward<T>(s, 1, parameters, accuracy, d1, gradient, nullptr);
}

template <class B, class T>
void difficulty_step(Stream stream, const DifficultyShape& s,
                     const DifficultyObjective<T>& objective, const AdamSettings& adam,
                     double weight_decay, const T* accuracy, const DifficultyState<T>& state,
                     T* parameters, T* first_moment, T* second_moment, T* driver_loss,
                     Workspace workspace) {
  cpu::Scratch scratch(workspace, "difficulty_step");
  T* gradient = scratch.take<T>(s.parameters());
  const std::size_t used = cpu::padded_bytes<T>(s.parameters());
  difficulty_backward<B, T>(
      stream, s, objective, parameters, accuracy, state, gradient, driver_loss,
      {static_cast<std::byte*>(workspace.data) + used, workspace.bytes - used});
  const OptimSegment all[] = {{0, s.parameters(), 1, weight_decay}};
  adam_step<B, T>(stream, adam, all, gradient, parameters, first_moment, second_moment);
}

template decltype(difficulty_forward<Cpu, float>) difficulty_forward<Cpu, float>;
template decltype(difficulty_forward<Cpu, double>) difficulty_forward<Cpu, double>;
template decltype(difficulty_workspace_bytes<Cpu, float>) difficulty_workspace_bytes<Cpu, float>;
template decltype(difficulty_workspace_bytes<Cpu, double>) difficulty_workspace_bytes<Cpu, double>;
template decltype(difficulty_backward<Cpu, float>) difficulty_backward<Cpu, float>;
template decltype(difficulty_backward<Cpu, double>) difficulty_backward<Cpu, double>;
template decltype(difficulty_step<Cpu, float>) difficulty_step<Cpu, float>;
template decltype(difficulty_step<Cpu, double>) difficulty_step<Cpu, double>;

}  // namespace ek::kernels
