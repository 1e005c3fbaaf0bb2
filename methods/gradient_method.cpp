#include "methods/gradient_method.h"

#include <utility>

#include "engine/autodiff/functional.h"

namespace ek {
namespace {

// What is left of a pass when its scalar has been differentiated.
struct Rest {
  std::vector<std::pair<std::string, Params>> buffers;
  std::vector<std::pair<std::string, Tensor>> numbers;
};

std::vector<const Part*> learning_parts(const State& state) {
  std::vector<const Part*> parts;
  for (const Part& part : state.parts()) {
    if (part.learns()) parts.push_back(&part);
  }
  require(!parts.empty(), "this method has no part that learns");
  return parts;
}

// All that is learned as one set of parameters: those of a single part as they are, else with
// "PART/" before their names.
Params all_learned(const std::vector<const Part*>& parts) {
  if (parts.size() == 1) return parts[0]->learned;
  std::vector<Params::Entry> entries;
  for (const Part* part : parts) {
    for (const auto& [name, tensor] : part->learned) {
      entries.push_back({part->decl.name + "/" + name, tensor});
    }
  }
  return Params(std::move(entries));
}

// The inverse, by parts.
std::map<std::string, Params, std::less<>> by_part(const std::vector<const Part*>& parts,
                                                   const Params& all) {
  if (parts.size() == 1) return {{parts[0]->decl.name, all}};
  std::map<std::string, Params, std::less<>> split;
  std::size_t at = 0;
  for (const Part* part : parts) {
    Tensors tensors;
    for (std::size_t i = 0; i < part->learned.size(); ++i) {
      tensors.push_back(all.entries()[at++].tensor);
    }
    split.emplace(part->decl.name, part->learned.with(tensors));
  }
  return split;
}

}  // namespace

GradientMethod::GradientMethod(const MethodSetup& setup)
    : inputs_(setup.inputs),
      one_(Tensor::full({}, 1, master_dtype(setup.precision), setup.device)) {}

Report GradientMethod::step(State& state, const Step& step) const {
  const std::vector<const Part*> parts = learning_parts(state);
  auto lin = linearize(
      [&](const Params& p) {
        Pass pass(state, inputs_, by_part(parts, p));
        Objective made = objective(pass, step);
        return std::pair(made.loss, Rest{pass.new_buffers(), made.numbers});
      },
      all_learned(parts));
  Report report{.loss = lin.value()};
  const Rest rest = lin.aux();
  for (const auto& [part, gradient] : by_part(parts, std::move(lin).vjp(one_))) {
    state.update(part, gradient, step);
  }
  for (const auto& [part, buffers] : rest.buffers) state.update_buffers(part, buffers);
  for (const auto& [name, value] : rest.numbers) report.add(name, value);
  return report;
}

Audit GradientMethod::audit(const State& state, const Step& step) const {
  Audit audit;
  const std::vector<const Part*> parts = learning_parts(state);
  for (const Part* part : parts) {
    const std::string& name = part->decl.name;
    const auto loss = [&](const Params& p) {
      Pass pass(state, inputs_, {{name, p}});
      return objective(pass, step).loss;
    };
    audit.lines.push_back(audit_path(
        "training loss -> " + (name == "model" ? "parameters" : name),
        [&](const Params& p) { return loss(p).item(); }, part->learned, grad(loss, part->learned)));
  }
  return audit;
}

std::vector<Derivative> GradientMethod::derivatives(const State& state, const Step& step) const {
  std::vector<Derivative> all;
  const std::vector<const Part*> parts = learning_parts(state);
  const auto loss = [&](const Params& p) {
    Pass pass(state, inputs_, by_part(parts, p));
    return objective(pass, step).loss;
  };
  for (auto& [part, gradient] : by_part(parts, grad(loss, all_learned(parts)))) {
    all.push_back({part == "model" ? "training gradient" : "training gradient, " + part, gradient});
  }
  return all;
}

}  // namespace ek
