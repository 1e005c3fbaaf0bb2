#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/loader.h"
#include "engine/tensor/precision.h"
#include "engine/training/optim.h"
#include "engine/training/params.h"
#include "methods/audit.h"
#include "methods/recipes/recipe.h"
#include "models/model.h"

namespace ek {

// What a method is built from. The references outlive it.
struct MethodSetup {
  const Recipe& recipe;
  const Model& model;
  const Split& split;
  Precision precision;
  std::uint64_t seed;
  Device device = {};  // of the state, the batches and whatever the method keeps
};

// The data streams that a method draws.
struct Streams {
  std::string train_sampler = "shuffled";  // data/sampler.h
  int train_views = 1;
  std::int64_t meta_batch = 0;  // images per step from the held-out meta set; 0: no meta stream
};

// The classifier under training: parameters in one flat buffer, batch-norm buffers beside them.
struct TrainState {
  Params params, buffers;

  TrainState to(Device device) const { return {params.to(device), buffers.to(device)}; }
};

// Makes `updated` the state's buffers: on a device in place, where captured steps read them.
inline void update_buffers(TrainState& state, const Params& updated) {
  if (updated.device() == Device{}) {
    state.buffers = updated;
  } else {
    assign(state.buffers, updated);
  }
}

// What a step is made of, beside the state. On a device the step may be captured in a graph and run
// again as a later one (docs/graphs.md): what differs from step to step is read from the device's
// memory then, and the host knows none of it.
struct StepContext {
  Number learning_rate;
  // int64 [], the number of steps of the run before this one; undefined on the cpu, and where steps
  // are tried rather than run: optimisers count for themselves then.
  Tensor steps_before = {};
  const Batch& train;
  const Batch* meta;  // null without a meta stream
  // One optimiser update of state.params, in place; no tape may hold them any more.
  std::function<void(const Params& gradient)> apply;
};

// Where a run stands before a step.
struct StepStart {
  std::int64_t step, epoch;
  bool first_of_epoch;
};

// Fraction of right predictions per class over the validation (= meta) set, evaluation mode, no
// augmentation.
using ClassAccuracy = std::function<std::vector<double>()>;

// Named numbers of a step for metrics.jsonl; the first is "loss", the training loss. They are read
// when asked for, so that a step that nobody asks about does not wait for its device.
using StepReport = std::vector<std::pair<std::string, std::function<double()>>>;

// Reads a one-element tensor when asked.
inline std::function<double()> number(Tensor scalar) {
  return [scalar = std::move(scalar)] { return scalar.item(); };
}

// A derivative that a step is made of, to be compared between precisions: over the model's
// parameters, or one tensor under a name of its own.
struct Derivative {
  std::string name;  // "training gradient"
  Params value;
  // What the method exists for: its error has a bound (methods/training/precision_report.h).
  bool bounded = false;
};

// Named tensors that a checkpoint stores and restores beside the model.
using NamedState = NamedTensors;

// The tensors whose name starts with `prefix`, without it.
inline NamedState with_prefix(const NamedState& state, std::string_view prefix) {
  NamedState chosen;
  for (const auto& [name, tensor] : state) {
    if (name.starts_with(prefix)) chosen.emplace_back(name.substr(prefix.size()), tensor);
  }
  return chosen;
}

// The contract (DESIGN 2.8). The trainer owns schedules, loading, evaluation, checkpoints, resume
// and progress; a method owns its update.
class Method {
 public:
  virtual ~Method() = default;
  virtual Streams streams() const { return {}; }
  // Whether the host has something to do before this step, which is then done by work_before: what
  // cannot be part of a captured step. It writes in place what steps read. Called in order, once
  // for each step with work; the state is that before the step.
  virtual bool has_work_before(const StepStart&) const { return false; }
  virtual void work_before(const StepStart&, const ClassAccuracy&) {}
  // One step. It keeps no number of the host that changes from step to step, replaces no tensor
  // that later steps read (update_buffers, assign), and reads none on the host; where it cannot do
  // without, why_not_captured says so in a clause.
  virtual StepReport step(TrainState& state, const StepContext& context) = 0;
  virtual std::string why_not_captured() const { return ""; }
  // Logits that predictions and metrics are made of; the model's own unless a method says
  // otherwise.
  virtual Tensor inference_logits(const TrainState& state, const Tensor& images) const = 0;

  virtual NamedState state() const { return {}; }
  // Error, and no change, unless `state` is what state() of such a method returned.
  virtual void load_state(const NamedState&) {}
  // Compares the derivatives that this method uses with finite differences of what it claims to
  // minimise (DESIGN 2.3). Everything is float64 here: state, batches and this object's own setup.
  virtual Audit audit(const TrainState& state, const StepContext& context) const = 0;
  // The derivatives that a step from `state` would use, in the precision of this object's setup.
  virtual std::vector<Derivative> derivatives(const TrainState& state,
                                              const StepContext& context) const = 0;

  // Numbers per class worth a row in tables and summary.json, e.g. "class_weight". Each [C].
  virtual std::vector<std::pair<std::string, std::vector<double>>> class_figures() const {
    return {};
  }
};

// A method file ends with one of these; methods/registry.cpp lists them.
struct MethodEntry {
  std::string name, doc;
  std::vector<KeySpec> keys = {};      // "method.*"
  nlohmann::json published = nullptr;  // preset "published", merged in
  bool needs_meta = false;
  std::unique_ptr<Method> (*make)(const MethodSetup&) = nullptr;
};

const std::vector<MethodEntry>& method_registry();
// Error with the nearest known name.
const MethodEntry& find_method(const std::string& name);

}  // namespace ek
