#pragma once
#include <cstdint>
#include <vector>

#include "models/parameters.h"

namespace ek {

// What the driver loss pulls the difficulties towards (docs/meta-gradient.md):
// one_minus_share: t_c = 1 - A_c / (sum_k A_k + 1e-12), the published code's; one_minus_accuracy:
// t_c = 1 - A_c.
enum class DriverTarget : std::uint8_t { one_minus_share, one_minus_accuracy };

// "one_minus_share" or "one_minus_accuracy"; Error that names both for anything else.
DriverTarget parse_driver_target(std::string_view text);

// What a pass through the net at the classes' accuracies gives.
struct DifficultyPass {
  Tensor difficulty, class_weights;  // [inputs]: d, and C d / sum d
  Tensor h1, h2;                     // [hidden], where kernels made the pass
};

// Difficulty-Net: the MLP inputs -> H -> H -> inputs with ReLU, ReLU, sigmoid. Layers
// fc1, fc2, fc3; weights [out, in], with biases unless told otherwise. Structure only.
class DifficultyNet {
 public:
  // Which stream the starting values come from, beside the model's own view 0.
  static constexpr std::uint32_t init_view = 1;

  // H = 2^n with 2^(n-1) <= inputs < 2^n, unless `hidden` says otherwise.
  explicit DifficultyNet(std::int64_t inputs, bool bias = true, std::int64_t hidden = 0);

  std::int64_t inputs() const { return inputs_; }
  std::int64_t hidden() const { return hidden_; }
  bool bias() const { return bias_; }
  const std::vector<ParameterSpec>& parameters() const { return parameters_; }

  // Every weight and bias uniform in +-1 / sqrt(fan_in).
  Params init(std::uint64_t seed, DType dtype = DType::float32) const {
    return init_params(parameters_, seed, dtype, init_view);
  }

  // Difficulties in (0, 1) for the class accuracies in [0, 1]: [inputs] -> [inputs], or row by row
  // [n, inputs] -> [n, inputs].
  Tensor difficulty(const Params& params, const Tensor& class_accuracy) const;

  // The same for class_accuracy [inputs] with the class weights, and the gradient of
  // difficulty_objective (below) by the parameters, flat, at what pass() returned for these very
  // arguments. Under a tape they are compositions, so that no path is cut.
  DifficultyPass pass(const Params& params, const Tensor& class_accuracy) const;
  Params gradient(const Params& params, const Tensor& class_accuracy, const DifficultyPass& pass,
                  const Tensor& weight_gradient, DriverTarget target, double lambda) const;

 private:
  std::int64_t inputs_, hidden_;
  bool bias_;
  std::vector<ParameterSpec> parameters_;
};

// w = C d / sum d, for d [C]: mean 1 (Eq. 4 of the paper).
Tensor class_weights(const Tensor& difficulty);

// t [C] for class_accuracy [C].
Tensor driver_target(const Tensor& class_accuracy, DriverTarget target);

// mean_c (d_c - t_c)^2, a scalar, on the difficulties themselves, before Eq. 4.
Tensor driver_loss(const Tensor& difficulty, const Tensor& class_accuracy, DriverTarget target);

// A scalar whose gradient by the net's parameters is that of meta loss + lambda * driver loss. The
// meta loss enters linearly, through its derivative `weight_gradient` [C] at the present class
// weights: the chain rule of docs/meta-gradient.md.
Tensor difficulty_objective(const Tensor& difficulty, const Tensor& class_accuracy,
                            const Tensor& weight_gradient, DriverTarget target, double lambda);

}  // namespace ek
