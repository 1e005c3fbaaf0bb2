// A step's passes through Difficulty-Net: whole kernels where launches are dear, the composition of
// ops elsewhere.
#include "engine/autodiff/functional.h"
#include "engine/autodiff/fused.h"
#include "engine/profile/profiler.h"
#include "engine/tensor/dispatch.h"
#include "engine/training/optim.h"
#include "kernels/difficulty.h"
#include "models/difficulty_net.h"

namespace ek {
namespace {

// The kernels take one row of accuracies and flat parameters, and record nothing.
bool by_kernels(const Params& params, const Tensor& class_accuracy) {
  return fuses_launches_on(class_accuracy.device()) && params.is_flat() && active_tapes().empty();
}

kernels::DifficultyShape shape_of(const DifficultyNet& net) {
  return {net.inputs(), net.hidden(), net.bias()};
}

template <class T>
kernels::DifficultyState<T> state_of(DifficultyPass& pass) {
  return {pass.h1.output<T>(), pass.h2.output<T>(), pass.difficulty.output<T>(),
          pass.class_weights.output<T>()};
}

void require_accuracy(const DifficultyNet& net, const Params& params, const Tensor& accuracy) {
  require_fits("difficulty_net", net.parameters(), params, accuracy.dtype());
  require(accuracy.shape() == Shape{net.inputs()},
          "difficulty_net: class accuracies must be [{}], got {}", net.inputs(),
          accuracy.shape().str());
}

}  // namespace

DifficultyPass DifficultyNet::pass(const Params& params, const Tensor& class_accuracy) const {
  require_accuracy(*this, params, class_accuracy);
  DifficultyPass pass;
  if (!by_kernels(params, class_accuracy)) {
    pass.difficulty = difficulty(params, class_accuracy);
    pass.class_weights = ek::class_weights(pass.difficulty);
    return pass;
  }
  const LayerScope layer("difficulty_net");
  const ProfileScope profile("difficulty_forward");
  auto like = [&](std::int64_t n) {
    return Tensor::empty({n}, class_accuracy.dtype(), class_accuracy.device());
  };
  pass = {like(inputs_), like(inputs_), like(hidden_), like(hidden_)};
  dispatch_floating("difficulty_forward", class_accuracy, [&]<class B, class T>() {
    kernels::difficulty_forward<B, T>(current_stream(), shape_of(*this), params.flat().data<T>(),
                                      class_accuracy.data<T>(), state_of<T>(pass));
  });
  return pass;
}

Params DifficultyNet::gradient(const Params& params, const Tensor& class_accuracy,
                               const DifficultyPass& pass, const Tensor& weight_gradient,
                               DriverTarget target, double lambda) const {
  require_accuracy(*this, params, class_accuracy);
  require(weight_gradient.shape() == class_accuracy.shape(),
          "difficulty_net: the derivative by the class weights must be {}, got {}",
          class_accuracy.shape().str(), weight_gradient.shape().str());
  if (!pass.h1 || !by_kernels(params, class_accuracy)) {
    auto objective = [&](const Params& p) {
      return difficulty_objective(difficulty(p, class_accuracy), class_accuracy, weight_gradient,
                                  target, lambda);
    };
    return flat_gradient(grad(objective, params));
  }
  const LayerScope layer("difficulty_net");
  const PhaseScope phase(Phase::backward);
  const ProfileScope profile("difficulty_backward");
  const MemoryScope memory(MemoryUse::gradients);
  const kernels::DifficultyShape shape = shape_of(*this);
  Tensor flat = Tensor::empty({params.numel()}, params.dtype(), class_accuracy.device());
  dispatch_floating("difficulty_backward", flat, [&]<class B, class T>() {
    const WorkspaceBuffer workspace(flat.device(),
                                    kernels::difficulty_workspace_bytes<B, T>(shape));
    const kernels::DifficultyObjective<T> objective{
        weight_gradient.data<T>(), lambda,
        target == DriverTarget::one_minus_share ? kernels::DifficultyTarget::one_minus_share
                                                : kernels::DifficultyTarget::one_minus_accuracy};
    DifficultyPass state = pass;
    kernels::difficulty_backward<B, T>(current_stream(), shape, objective, params.flat().data<T>(),
                                       class_accuracy.data<T>(), state_of<T>(state),
                                       flat.output<T>(), nullptr, workspace);
  });
  return params.over(flat);
}

}  // namespace ek
