#include "methods/meta/bilevel.h"

#include "engine/ops.h"
#include "engine/profile/profiler.h"

namespace ek {
namespace {

// D times a gradient-like direction. Segments end where parameters do (optimizer_segments).
Params by_groups(const Params& direction, const std::vector<kernels::OptimSegment>& groups) {
  Tensors scaled;
  std::int64_t begin = 0;
  auto group = groups.begin();
  for (const Params::Entry& entry : direction) {
    while (group != groups.end() && group->end <= begin) ++group;
    require(group != groups.end(), "virtual step: no group covers parameter {}", entry.name);
    const double factor = group->frozen ? 0 : group->lr_factor;
    scaled.push_back(factor == 1 ? entry.tensor : ops::affine(entry.tensor, factor));
    begin += entry.tensor.numel();
  }
  return direction.with(scaled);
}

bool is_uniform(const std::vector<kernels::OptimSegment>& groups) {
  for (const kernels::OptimSegment& group : groups) {
    if (group.frozen || group.lr_factor != 1) return false;
  }
  return true;
}

Params scaled_direction(const BilevelProblem& problem, const Params& direction) {
  return is_uniform(problem.step.groups) ? direction : by_groups(direction, problem.step.groups);
}

Number rate(const BilevelProblem& problem) {
  return problem.step.factor == 1 ? problem.step.lr : problem.step.lr * problem.step.factor;
}

// The probe's length is relative to |v|: larger ones cross ReLU kinks.
Tensor probe_slopes(const BilevelProblem& problem, const Params& phi, const Params& v) {
  NoRecording off;
  const PhaseScope phase(Phase::forward);
  const double length = norm(v);
  if (length == 0) return ops::affine(problem.train_losses(phi).first, 0);
  const double relative = phi.dtype() == DType::float64 ? 1e-7 : 1e-3;
  const double eps = relative / length;
  const Tensor up = problem.train_losses(add_scaled(phi, eps, v)).first;
  const Tensor down = problem.train_losses(add_scaled(phi, -eps, v)).first;
  return ops::affine(ops::sub(up, down), 0.5 / eps);
}

MetaGradient reverse_over_reverse(const BilevelProblem& problem, const Params& phi,
                                  const Params& theta) {
  const auto outer = [&](const Params& t) {
    const auto inner = [&](const Params& p) {
      return problem.inner.value(problem.train_losses(p).first, t);
    };
    const Params gradient = grad(inner, phi);
    return problem.meta_loss(add_scaled(phi, -rate(problem), scaled_direction(problem, gradient)));
  };
  auto [meta, gradient] = value_and_grad(outer, theta);
  return {meta, gradient};
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

Params virtual_step(const BilevelProblem& problem, const Linearization<Params>& train,
                    const Params& phi, const Tensor& cotangent) {
  return add_scaled(phi, -rate(problem), scaled_direction(problem, train.vjp(cotangent)));
}

MetaGradient meta_gradient(Estimator estimator, const BilevelProblem& problem,
                           const Linearization<Params>& train, const Params& phi,
                           const Params& theta, const Tensor& cotangent) {
  if (estimator == Estimator::reverse) return reverse_over_reverse(problem, phi, theta);
  const Params phi_hat = virtual_step(problem, train, phi, cotangent);
  if (estimator == Estimator::detached) {
    NoRecording off;
    return {problem.meta_loss(phi_hat), theta.zeros_like()};
  }
  const auto [meta, gradient] = value_and_grad(problem.meta_loss, phi_hat);
  const Params v = scaled_direction(problem, gradient);
  const Tensor slopes =
      estimator == Estimator::forward ? train.jvp(v) : probe_slopes(problem, phi, v);
  return {meta, problem.inner.gradient(train.value(), theta, slopes, -rate(problem)), v, slopes};
}

}  // namespace ek
