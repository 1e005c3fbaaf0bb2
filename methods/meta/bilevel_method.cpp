#include "methods/meta/bilevel_method.h"

#include <cmath>
#include <utility>

#include "engine/ops.h"

namespace ek {
namespace {

double length(const Params& x) {
  double squares = 0;
  for (const Params::Entry& entry : x) squares += ops::sum(ops::square(entry.tensor)).item();
  return std::sqrt(squares);
}

}  // namespace

BilevelMethod::BilevelMethod(const MethodSetup& setup, Estimator estimator, std::string outer)
    : model_(setup.model), estimator_(estimator), outer_(std::move(outer)) {
  const bool coarse = setup.precision == Precision::bf16 || setup.precision == Precision::tf32;
  require(estimator != Estimator::finite_difference || !coarse,
          "method {}: estimator finite-difference cannot run in {}, whose rounding swallows its "
          "probes; forward, reverse and detached can",
          setup.recipe.text("method.name"), name_of(setup.precision));
}

std::string BilevelMethod::why_not_captured() const {
  if (estimator_ != Estimator::finite_difference) return "";
  return "estimator finite-difference reads the length of its direction on the host";
}

BilevelProblem BilevelMethod::problem(const State& state, const Step& step) const {
  const Part& part = state["model"];
  const auto train_losses = [this, &part, &step](const Params& phi) {
    Weights weights(phi, part.buffers, part.decl.statistics);
    Tensor l = losses(weights, step);
    return std::pair(std::move(l), weights.buffers_after());
  };
  const auto meta = [this, &part, &step](const Params& phi) {
    Weights weights(phi, part.buffers, part.decl.statistics);
    return meta_loss(weights, step);
  };
  return {
      train_losses, meta, inner(state, step), {.lr = step.learning_rate, .groups = part.segments}};
}

BilevelMethod::Seen BilevelMethod::see(const State& state) const {
  return {seen(state.params(outer_), state)};
}

Params BilevelMethod::theta_gradient(const Params& theta, const State& state,
                                     const Params& seen_gradient) const {
  const auto objective = [&](const Params& t) {
    Tensor total = regulariser(t, state);
    const Params values = seen(t, state);
    for (const auto& [name, tensor] : values) {
      const Tensor part = ops::sum(ops::mul(tensor, seen_gradient[name]));
      total = total ? ops::add(total, part) : part;
    }
    return total;
  };
  return grad(objective, theta);
}

Params BilevelMethod::pulled_back(const State& state, const Seen&,
                                  const Params& seen_gradient) const {
  return flat_gradient(theta_gradient(state.params(outer_), state, seen_gradient));
}

Report BilevelMethod::step(State& state, const Step& step) const {
  const BilevelProblem two_levels = problem(state, step);
  auto train = linearize(two_levels.train_losses, state.params("model"));

  Report report;
  const Seen now = see(state);
  MetaGradient meta;
  if (estimator_ == Estimator::detached) {
    meta.outer = now.values.zeros_like();  // both passes would change no parameter
  } else {
    const Tensor cotangent = two_levels.inner.cotangent(train.value(), now.values);
    meta =
        meta_gradient(estimator_, two_levels, train, state.params("model"), now.values, cotangent);
    report.add("meta_loss", meta.meta_loss);
  }
  state.update(outer_, pulled_back(state, now, meta.outer), step);

  const Params after = see(state).values;
  const Tensor cotangent = two_levels.inner.cotangent(train.value(), after);
  report.loss = ops::sum(ops::mul(train.value(), cotangent));
  const Params buffers = train.aux();
  state.update("model", std::move(train).vjp(cotangent), step);
  state.update_buffers("model", buffers);

  report.numbers.emplace_back("meta_gradient_norm", [g = meta.outer] { return length(g); });
  add_numbers(report, after);
  return report;
}

// Each path on its own, so that a cut one cannot hide behind the other.
Audit BilevelMethod::audit(const State& start, const Step& step) const {
  State state = start.to(DType::float64, start.params("model").device());
  prepare_audit(state);
  const BilevelProblem two_levels = problem(state, step);
  const Params& phi = state.params("model");
  const Params& theta = state.params(outer_);
  const auto train = linearize(two_levels.train_losses, phi);
  const Params values = see(state).values;
  const auto meta_of = [&](const Params& seen_values) {
    const Tensor c = two_levels.inner.cotangent(train.value(), seen_values);
    return two_levels.meta_loss(virtual_step(two_levels, train, phi, c)).item();
  };
  const MetaGradient meta = meta_gradient(estimator_, two_levels, train, phi, values,
                                          two_levels.inner.cotangent(train.value(), values));
  const auto through_seen = [&](const Params& t) {
    Tensor total;
    for (const auto& [name, tensor] : seen(t, state)) {
      const Tensor part = ops::sum(ops::mul(tensor, meta.outer[name]));
      total = total ? ops::add(total, part) : part;
    }
    return total;
  };
  const auto pulling = [&](const Params& t) { return regulariser(t, state); };
  const bool regularised = bool(pulling(theta));
  const bool detached = estimator_ == Estimator::detached;

  Audit audit;
  const auto add = [&](const std::string& from, const std::string& to, const auto& f,
                       const Params& x, const Params& gradient, bool zero) {
    audit.lines.push_back(audit_path(from + " -> " + to, f, x, gradient, zero));
  };
  if (seen_name() != BilevelMethod::seen_name()) {
    add("meta loss", seen_name(), meta_of, values, meta.outer, detached);
  }
  add(
      "meta loss", outer_, [&](const Params& t) { return meta_of(seen(t, state)); }, theta,
      grad(through_seen, theta), detached);
  if (!regularised) return audit;
  const Params pull = grad(pulling, theta);
  add(
      regulariser_name(), outer_, [&](const Params& t) { return pulling(t).item(); }, theta, pull,
      false);
  if (detached) return audit;
  add(
      "both", outer_, [&](const Params& t) { return meta_of(seen(t, state)) + pulling(t).item(); },
      theta, pulled_back(state, see(state), meta.outer), false);
  return audit;
}

// All of them at the present theta; the step's own gradient comes after theta's update.
std::vector<Derivative> BilevelMethod::derivatives(const State& state, const Step& step) const {
  const BilevelProblem two_levels = problem(state, step);
  const Params& phi = state.params("model");
  const auto train = linearize(two_levels.train_losses, phi);
  const Params values = see(state).values;
  const Tensor cotangent = two_levels.inner.cotangent(train.value(), values);
  std::vector<Derivative> out;
  out.push_back({"training gradient", train.vjp(cotangent)});
  if (estimator_ == Estimator::detached) return out;

  const MetaGradient meta = meta_gradient(estimator_, two_levels, train, phi, values, cotangent);
  if (!meta.at_virtual_step.empty()) {
    out.push_back({"v, meta loss at the virtual step", meta.at_virtual_step});
  }
  if (meta.slopes) {
    out.push_back({"slopes of the train losses along v", Params({{"per image", meta.slopes}})});
  }
  out.push_back({"meta-gradient", meta.outer, true});
  return out;
}

}  // namespace ek
