// Difficulty-Net (kernels/difficulty.h). The plain version is a launch a layer, one thread an
// output. The fused one is one block for a whole pass: at 100 classes the net has 45 000 parameters
// and all its work is less than the cost of a launch; activations and their gradients stay in
// shared memory, and Adam updates a parameter in the moment that its gradient is known.
#include "kernels/difficulty.h"

#include "kernels/base/arguments.h"
#include "kernels/base/versions.h"
#include "kernels/cuda/difficulty_block.cuh"
#include "kernels/math/long_sum.h"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

enum class Activation { relu, sigmoid };

// y = activation(V x + c); c may be null.
template <Activation activation, class T>
__global__ void __launch_bounds__(kItemThreads)
    layer_plain(std::int64_t outputs, std::int64_t inputs, const T* weight, const T* bias,
                const T* x, T* y) {
  for (std::int64_t o = first_item(); o < outputs; o += all_items()) {
    math::LongSum<T> products;
    for (std::int64_t i = 0; i < inputs; ++i) products.add(weight[o * inputs + i] * x[i]);
    const T sum = bias ? products.value() + bias[o] : products.value();
    y[o] = activation == Activation::sigmoid ? math::difficulty_sigmoid(sum)
           : sum < 0                         ? T(0)  // a NaN passes
                                             : sum;
  }
}

template <class T>
__device__ math::DifficultySums<T> sums_over(std::int64_t classes, const T* difficulty,
                                             const T* weight_gradient, const T* accuracy) {
  math::LongSum<T> all, along, accuracies;
  for (std::int64_t c = 0; c < classes; ++c) {
    all.add(difficulty[c]);
    if (weight_gradient) along.add(weight_gradient[c] * difficulty[c]);
    if (accuracy) accuracies.add(accuracy[c]);
  }
  return {all.value(), along.value(), accuracies.value()};
}

template <class T>
__global__ void __launch_bounds__(kItemThreads)
    class_weight_plain(std::int64_t classes, const T* difficulty, T* class_weight) {
  for (std::int64_t c = first_item(); c < classes; c += all_items()) {
    const T sum = sums_over<T>(classes, difficulty, nullptr, nullptr).difficulty;
    class_weight[c] = T(classes) * (difficulty[c] / sum);
  }
}

// The objective's derivative by the arguments of the sigmoids; the first thread also adds up the
// driver loss.
template <class T>
__global__ void __launch_bounds__(kItemThreads)
    output_delta_plain(std::int64_t classes, DifficultyObjective<T> objective, const T* accuracy,
                       const T* difficulty, T* delta, T* driver_loss) {
  const T* g = objective.weight_gradient;
  const auto sums = sums_over(classes, difficulty, g, accuracy);
  const auto miss = [&](std::int64_t c) {
    return math::difficulty_miss(objective.target, sums, difficulty[c], accuracy[c]);
  };
  for (std::int64_t c = first_item(); c < classes; c += all_items()) {
    delta[c] = math::difficulty_delta(classes, T(objective.lambda), sums, g ? g[c] : T(0),
                                      difficulty[c], miss(c));
  }
  if (!driver_loss || first_item() > 0) return;
  math::LongSum<T> squares;
  for (std::int64_t c = 0; c < classes; ++c) squares.add(miss(c) * miss(c));
  *driver_loss = squares.value() / T(classes);
}

// dx = V^T dy where x > 0, else 0
template <class T>
__global__ void __launch_bounds__(kItemThreads)
    input_delta_plain(std::int64_t outputs, std::int64_t inputs, const T* weight, const T* dy,
                      const T* x, T* dx) {
  for (std::int64_t i = first_item(); i < inputs; i += all_items()) {
    math::LongSum<T> sum;
    for (std::int64_t o = 0; o < outputs; ++o) sum.add(dy[o] * weight[o * inputs + i]);
    dx[i] = x[i] > 0 ? sum.value() : T(0);
  }
}

// The gradient of V, and of c in the threads behind.
template <class T>
__global__ void __launch_bounds__(kItemThreads)
    layer_gradient_plain(std::int64_t outputs, std::int64_t inputs, bool bias, const T* dy,
                         const T* x, T* gradient) {
  const std::int64_t weights = outputs * inputs, count = weights + (bias ? outputs : 0);
  for (std::int64_t e = first_item(); e < count; e += all_items()) {
    gradient[e] = e < weights ? dy[e / inputs] * x[e % inputs] : dy[e - weights];
  }
}

template <class T>
void forward_plain(Stream stream, const DifficultyShape& s, const T* parameters, const T* accuracy,
                   const DifficultyState<T>& state) {
  const auto bias = [&](int layer) { return s.bias ? parameters + s.biases(layer) : nullptr; };
  launch<&layer_plain<Activation::relu, T>>(for_items(s.hidden, stream), s.hidden, s.classes,
                                            parameters, bias(1), accuracy, state.h1);
  launch<&layer_plain<Activation::relu, T>>(for_items(s.hidden, stream), s.hidden, s.hidden,
                                            parameters + s.weight(2), bias(2), state.h1, state.h2);
  launch<&layer_plain<Activation::sigmoid, T>>(for_items(s.classes, stream), s.classes, s.hidden,
                                               parameters + s.weight(3), bias(3), state.h2,
                                               state.difficulty);
  launch<&class_weight_plain<T>>(for_items(s.classes, stream), s.classes, state.difficulty,
                                 state.class_weight);
}

// The workspace holds dy of the three layers, and for difficulty_step the gradient.
template <class T>
void backward_plain(Stream stream, const DifficultyShape& s,
                    const DifficultyObjective<T>& objective, const T* parameters, const T* accuracy,
                    const DifficultyState<T>& state, T* gradient, T* driver_loss, T* workspace) {
  T *const d3 = workspace, *const d2 = d3 + s.classes, *const d1 = d2 + s.hidden;
  launch<&output_delta_plain<T>>(for_items(s.classes, stream), s.classes, objective, accuracy,
                                 state.difficulty, d3, driver_loss);
  launch<&input_delta_plain<T>>(for_items(s.hidden, stream), s.classes, s.hidden,
                                parameters + s.weight(3), d3, state.h2, d2);
  launch<&input_delta_plain<T>>(for_items(s.hidden, stream), s.hidden, s.hidden,
                                parameters + s.weight(2), d2, state.h1, d1);
  const auto layer = [&](int number, const T* dy, const T* x) {
    const std::int64_t inputs = s.inputs(number), outputs = s.outputs(number);
    launch<&layer_gradient_plain<T>>(for_items(outputs * inputs, stream), outputs, inputs, s.bias,
                                     dy, x, gradient + s.weight(number));
  };
  layer(3, d3, state.h2);
  layer(2, d2, state.h1);
  layer(1, d1, accuracy);
}

// One block reads a net of this size faster than launches follow each other; larger ones want all
// of the device. `refusal` is what a call gets that names the fused version for another net.
constexpr std::int64_t kMostParameters = 1 << 18;

template <class T>
bool fused(const char* function, const char* refusal, const DifficultyShape& s) {
  require_argument(s.classes >= 1, "difficulty_net: expected classes >= 1", s.classes);
  require_argument(s.hidden >= 1, "difficulty_net: expected hidden >= 1", s.hidden);
  const bool serves = std::is_same_v<T, float> && s.classes <= kMostWidth && s.hidden <= kMostWidth;
  const int named = named_version(function);
  if (named < 0) return serves && s.parameters() <= kMostParameters;
  require_argument(named == 0 || serves, refusal, s.hidden);
  return named > 0;
}

template <class T>
T* workspace_of(const DifficultyShape& s, std::size_t bytes, Workspace workspace) {
  require_argument(workspace.bytes >= bytes,
                   "difficulty_net: expected a workspace of difficulty_workspace_bytes",
                   std::int64_t(workspace.bytes));
  return static_cast<T*>(workspace.data) + s.parameters();
}

constexpr Launch one_block(std::size_t shared, Stream stream) {
  return {dim3(1), dim3(unsigned(NetTeam::block_threads)), shared, stream};
}

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
std::size_t difficulty_workspace_bytes(const DifficultyShape& s) {
  return std::size_t(s.parameters() + s.classes + 2 * s.hidden) * sizeof(T);
}

template <class B, class T>
void difficulty_forward(Stream stream, const DifficultyShape& s, const T* parameters,
                        const T* accuracy, const DifficultyState<T>& state) {
  using namespace EK_TARGET;
  const bool in_one =
      fused<T>("difficulty_forward",
               "difficulty_forward: expected float32 and at most 1024 classes and hidden units", s);
  if constexpr (std::is_same_v<T, float>) {
    if (in_one) {
      launch<&forward_block>(one_block(sizeof(ForwardBlock), stream), NetOffsets(s), parameters,
                             accuracy, state);
      return;
    }
  }
  forward_plain(stream, s, parameters, accuracy, state);
}

template <class B, class T>
void difficulty_backward(Stream stream, const DifficultyShape& s,
                         const DifficultyObjective<T>& objective, const T* parameters,
                         const T* accuracy, const DifficultyState<T>& state, T* gradient,
                         T* driver_loss, Workspace workspace) {
  using namespace EK_TARGET;
  T* scratch = workspace_of<T>(s, difficulty_workspace_bytes<B, T>(s), workspace);
  const bool in_one = fused<T>(
      "difficulty_backward",
      "difficulty_backward: expected float32 and at most 1024 classes and hidden units", s);
  if constexpr (std::is_same_v<T, float>) {
    if (in_one) {
      launch<&backward_block<Gradient>>(one_block(sizeof(BackwardBlock), stream), NetOffsets(s),
                                        objective, parameters, accuracy, state, driver_loss,
                                        Gradient{gradient});
      return;
    }
  }
  backward_plain(stream, s, objective, parameters, accuracy, state, gradient, driver_loss, scratch);
}

template <class B, class T>
void difficulty_step(Stream stream, const DifficultyShape& s,
                     const DifficultyObjective<T>& objective, const AdamSettings& adam,
                     double weight_decay, const T* accuracy, const DifficultyState<T>& state,
                     T* parameters, T* first_moment, T* second_moment, T* driver_loss,
                     Workspace workspace) {
  using namespace EK_TARGET;
  T* scratch = workspace_of<T>(s, difficulty_workspace_bytes<B, T>(s), workspace);
  require_argument(adam.step.memory || adam.step.offset >= 1,
                   "difficulty_step: expected a step that counts from 1", adam.step.offset);
  const bool in_one =
      fused<T>("difficulty_step",
               "difficulty_step: expected float32 and at most 1024 classes and hidden units", s);
  if constexpr (std::is_same_v<T, float>) {
    if (in_one) {
      const AdamUpdate update{adam, float(weight_decay), parameters, first_moment, second_moment};
      launch<&backward_block<AdamUpdate>>(one_block(sizeof(BackwardBlock), stream), NetOffsets(s),
                                          objective, parameters, accuracy, state, driver_loss,
                                          update);
      return;
    }
  }
  T* gradient = static_cast<T*>(workspace.data);
  backward_plain<T>(stream, s, objective, parameters, accuracy, state, gradient, driver_loss,
                    scratch);
  const OptimSegment all[] = {{0, s.parameters(), 1, weight_decay}};
  adam_step<Backend, T>(stream, adam, all, gradient, parameters, first_moment, second_moment);
}

using EK_TARGET::Backend;
template decltype(difficulty_forward<Backend, float>) difficulty_forward<Backend, float>;
template decltype(difficulty_forward<Backend, double>) difficulty_forward<Backend, double>;
template decltype(difficulty_workspace_bytes<Backend, float>)
    difficulty_workspace_bytes<Backend, float>;
template decltype(difficulty_workspace_bytes<Backend, double>)
    difficulty_workspace_bytes<Backend, double>;
template decltype(difficulty_backward<Backend, float>) difficulty_backward<Backend, float>;
template decltype(difficulty_backward<Backend, double>) difficulty_backward<Backend, double>;
template decltype(difficulty_step<Backend, float>) difficulty_step<Backend, float>;
template decltype(difficulty_step<Backend, double>) difficulty_step<Backend, double>;

}  // namespace ek::kernels
