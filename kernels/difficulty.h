#pragma once
#include "kernels/base/backend.h"
#include "kernels/optim.h"

namespace ek::kernels {

// Difficulty-Net (docs/meta-gradient.md), whole passes at a time: it is so small that on a GPU
// each op would cost a launch and no work. With a [C] the class accuracies,
//
//   h1 = relu(V1 a + c1)   h2 = relu(V2 h1 + c2)   d = sigmoid(V3 h2 + c3)   w = C d / sum d
//   driver loss = mean_c (d_c - t_c)^2
//
// V1 [H, C], V2 [H, H], V3 [C, H]. The parameters lie in one flat buffer, in the order V1, c1, V2,
// c2, V3, c3; without biases there are no c. T is float or double.
struct DifficultyShape {
  std::int64_t classes, hidden;
  bool bias = true;

  // Layers are numbered 1 to 3; outputs x inputs is the shape of V.
  constexpr std::int64_t inputs(int layer) const { return layer == 1 ? classes : hidden; }
  constexpr std::int64_t outputs(int layer) const { return layer == 3 ? classes : hidden; }
  constexpr std::int64_t weight(int layer) const {  // where V starts in the flat buffer
    return layer == 1 ? 0 : biases(layer - 1) + (bias ? outputs(layer - 1) : 0);
  }
  constexpr std::int64_t biases(int layer) const {  // where c starts, or would
    return weight(layer) + outputs(layer) * inputs(layer);
  }
  constexpr std::int64_t parameters() const { return weight(4); }
};

// What a forward pass writes and a backward pass reads.
template <class T>
struct DifficultyState {
  T *h1, *h2;       // [H]
  T* difficulty;    // [C], d
  T* class_weight;  // [C], w
};

template <class B, class T>
void difficulty_forward(Stream stream, const DifficultyShape& shape, const T* parameters,
                        const T* accuracy, const DifficultyState<T>& state);

// t_c = 1 - a_c / (sum a + 1e-12), or 1 - a_c.
enum class DifficultyTarget { one_minus_share, one_minus_accuracy };

// The objective sum_c g_c w_c + lambda * driver loss. g = weight_gradient [C] is the derivative of
// the meta loss by the class weights, held constant; null is zero.
template <class T>
struct DifficultyObjective {
  const T* weight_gradient = nullptr;
  double lambda = 0;
  DifficultyTarget target = DifficultyTarget::one_minus_share;
};

// Workspace of difficulty_backward and difficulty_step.
template <class B, class T>
std::size_t difficulty_workspace_bytes(const DifficultyShape& shape);

// gradient [parameters()] = the objective's gradient at what difficulty_forward left in `state`.
// driver_loss [1], unless it is null, is the driver loss without lambda.
template <class B, class T>
void difficulty_backward(Stream stream, const DifficultyShape& shape,
                         const DifficultyObjective<T>& objective, const T* parameters,
                         const T* accuracy, const DifficultyState<T>& state, T* gradient,
                         T* driver_loss, Workspace workspace);

// The same gradient, and with it a step of Adam (kernels/optim.h) on all parameters with one weight
// decay. `state` keeps the pass before the step.
template <class B, class T>
void difficulty_step(Stream stream, const DifficultyShape& shape,
                     const DifficultyObjective<T>& objective, const AdamSettings& adam,
                     double weight_decay, const T* accuracy, const DifficultyState<T>& state,
                     T* parameters, T* first_moment, T* second_moment, T* driver_loss,
                     Workspace workspace);

}  // namespace ek::kernels
