#include "methods/meta/bilevel.h"

#include "engine/ops.h"
#include "engine/profile/profiler.h"

namespace ek {
namespace {

// d meta / d w from the directional derivatives s_i = dl_i/dphi . v:  -lr/B sum of s_i over a class
Tensor aggregate(const Tensor& slopes, const BilevelProblem& problem, std::int64_t classes) {
  const Number factor = -problem.inner_lr / double(slopes.numel());
  return ops::segment_sum(ops::affine(slopes, factor), problem.labels, classes);
}

// Spec 5.2 (c): the step is relative to |v|; larger ones cross ReLU kinks.
Tensor probe_slopes(const BilevelProblem& problem, const Params& params, const Params& v) {
  NoRecording off;
  const PhaseScope phase(Phase::forward);
  const double length = norm(v);
  if (length == 0) return ops::affine(problem.train_losses(params).first, 0);
  const double relative = params.dtype() == DType::float64 ? 1e-7 : 1e-3;
  const double eps = relative / length;
  const Tensor up = problem.train_losses(add_scaled(params, eps, v)).first;
  const Tensor down = problem.train_losses(add_scaled(params, -eps, v)).first;
  return ops::affine(ops::sub(up, down), 0.5 / eps);
}

MetaGradient reverse_over_reverse(const BilevelProblem& problem, const Params& params,
                                  const Tensor& class_weights) {
  auto outer = [&](const Tensors& in) {
    const Tensor cotangent = loss_cotangent(in[0], problem.labels);
    auto weighted = [&](const Params& p) {
      return ops::sum(ops::mul(problem.train_losses(p).first, cotangent));
    };
    const Params gradient = grad(weighted, params);
    return Tensors{problem.meta_loss(add_scaled(params, -problem.inner_lr, gradient))};
  };
  LinearMap map = linearize_tensors(outer, {class_weights});
  const Tensor meta = map.outputs()[0];
  const Tensor one = Tensor::full(meta.shape(), 1, meta.dtype(), meta.device());
  return {meta, std::move(map).vjp({one})[0]};
}

}  // namespace

Estimator parse_estimator(std::string_view text) {
  for (Estimator e : {Estimator::forward, Estimator::reverse, Estimator::finite_difference,
                      Estimator::detached}) {
    if (text == name_of(e)) return e;
  }
  fail("estimator '{}': expected forward, reverse, finite-difference or detached", text);
}

std::string_view name_of(Estimator estimator) {
  switch (estimator) {
    case Estimator::forward:
      return "forward";
    case Estimator::reverse:
      return "reverse";
    case Estimator::finite_difference:
      return "finite-difference";
    case Estimator::detached:
      return "detached";
  }
  return "?";
}

Tensor loss_cotangent(const Tensor& class_weights, const Tensor& labels) {
  return ops::affine(ops::take(class_weights, labels), 1.0 / double(labels.numel()));
}

Params virtual_step(const BilevelProblem& problem, const Linearization<TrainOutputs>& train,
                    const Params& params, const Tensor& class_weights) {
  const Params gradient = train.vjp(loss_cotangent(class_weights, problem.labels));
  return add_scaled(params, -problem.inner_lr, gradient);
}

MetaGradient meta_gradient(Estimator estimator, const BilevelProblem& problem,
                           const Linearization<TrainOutputs>& train, const Params& params,
                           const Tensor& class_weights) {
  require(class_weights.rank() == 1, "meta_gradient: class weights of shape {}, [C] expected",
          class_weights.shape().str());
  if (estimator == Estimator::reverse) {
    return reverse_over_reverse(problem, params, class_weights);
  }
  const Params phi_hat = virtual_step(problem, train, params, class_weights);
  const std::int64_t classes = class_weights.numel();
  if (estimator == Estimator::detached) {
    NoRecording off;
    const Tensor zero = Tensor::zeros({classes}, class_weights.dtype(), class_weights.device());
    return {problem.meta_loss(phi_hat), zero};
  }
  const auto [meta, v] = value_and_grad(problem.meta_loss, phi_hat);
  const Tensor slopes =
      estimator == Estimator::forward ? train.jvp(v) : probe_slopes(problem, params, v);
  return {meta, aggregate(slopes, problem, classes), v, slopes};
}

}  // namespace ek
