#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/longtail.h"
#include "engine/tensor/precision.h"
#include "methods/audit.h"
#include "methods/host.h"
#include "methods/inputs.h"
#include "methods/losses/loss.h"
#include "methods/recipes/recipe.h"
#include "methods/state.h"
#include "methods/step.h"
#include "models/model.h"

namespace ek {

// Which training records a stream draws from.
enum class Records : std::uint8_t { train, held_out };

// A stream of batches, one batch a step.
struct StreamDecl {
  std::string name = "train";
  Records from = Records::train;
  std::string sampler = "";               // data/sampler.h; "": the recipe's data.sampler
  std::int64_t batch_size = 0;            // 0: the recipe's
  std::vector<std::string> views = {""};  // a pipeline each; "": the recipe's, "eval": evaluation's
  // Starts a fresh pass with every epoch of the first stream; its batches are always full.
  bool restarts_with_epoch = false;
};

// What changes from step to step beside the learning rate, as pure functions of the step, so that
// a resumed run has it again. Captured steps read it where they read the learning rate.
struct StepNumber {
  std::string name;
  std::function<double(const StepStart&)> at;
};
struct StepIndices {
  std::string name;
  std::int64_t size;
  std::function<void(const StepStart&, std::span<std::int64_t>)> at;
};

// Another run that a method starts from, and what must agree with it.
struct InputDecl {
  std::string name;         // "stage1": --input stage1=RUN
  bool same_split = true;   // trained on the same records
  bool same_model = false;  // model.name and classifier
};

// Everything that a method needs, said once, before the first step.
struct MethodNeeds {
  std::vector<InputDecl> inputs = {};
  std::vector<StreamDecl> streams = {};  // the first one decides how long an epoch is
  std::vector<PartDecl> parts = {};      // "model" is what predictions are made of
  std::vector<StepNumber> numbers = {};
  std::vector<StepIndices> indices = {};
};

// A derivative that a step is made of, to be compared between precisions: over the parameters of
// a part, or one tensor under a name of its own.
struct Derivative {
  std::string name;  // "training gradient"
  Params value;
  // What the method exists for: its error has a bound (methods/training/precision_report.h).
  bool bounded = false;
};

// Numbers per class worth a row in tables and summary.json, e.g. "class_weight". [C]
struct Figure {
  std::string name;
  std::vector<double> values;
};

// How a run learns. A value without memory: all that changes lies in the State. The trainer owns
// schedules, loading, evaluation, checkpoints, resume and progress.
class Method {
 public:
  virtual ~Method() = default;
  virtual MethodNeeds needs() const = 0;

  // Steps of one phase are the same function of state and batches, so that one graph serves them.
  virtual int phase(const StepStart&) const { return 0; }
  // Whether the host has something to do before this step, which between() does then: what cannot
  // be part of a captured step. It writes in place (State::write) what steps read.
  virtual bool pauses_before(const StepStart&) const { return false; }
  virtual void between(State&, const StepStart&, Host&) const {}

  // One step. It keeps no number of the host that changes from step to step and reads none from the
  // device; where it cannot do without, why_not_captured says so in a clause.
  virtual Report step(State& state, const Step& step) const = 0;
  virtual std::string why_not_captured() const { return ""; }
  // What predictions are made of: at least "logits"; what else there is ("features") by name.
  virtual Outputs infer(const State& state, const Tensor& images) const = 0;

  // Compares the derivatives that a step uses with finite differences of what it claims to
  // minimise. State and batches are float64.
  virtual Audit audit(const State& state, const Step& step) const = 0;
  // The derivatives that a step from `state` would use, in the precision of the state.
  virtual std::vector<Derivative> derivatives(const State& state, const Step& step) const = 0;

  virtual std::vector<Figure> figures(const State&) const { return {}; }
};

// What a method is built from. The references outlive it.
struct MethodSetup {
  const Recipe& recipe;
  const Model& model;
  const Split& split;
  Precision precision;
  std::uint64_t seed;
  Device device = {};  // of the state, the batches and whatever the method keeps
  const Inputs& inputs;
};

// A method file ends with one of these; methods/registry.cpp lists them.
struct MethodEntry {
  std::string name, doc;
  std::vector<KeySpec> keys = {};      // "method.*"
  nlohmann::json published = nullptr;  // preset "published", merged in
  bool needs_meta = false;
  std::unique_ptr<const Method> (*make)(const MethodSetup&) = nullptr;
};

const std::vector<MethodEntry>& method_registry();
// Error with the nearest known name.
const MethodEntry& find_method(const std::string& name);

// The meta set of bilevel methods: held-out images under the evaluation transform, reshuffled when
// exhausted, a fresh pass with every epoch.
StreamDecl meta_stream(std::int64_t batch_size);

// What a model alone predicts with the part "model": running statistics, all of its outputs.
Outputs predict_model(const Model& model, const State& state, const Tensor& images);

// The loss that a recipe asks for (loss.*), on the device.
Loss training_loss(const MethodSetup& setup);

// The optimiser that a recipe asks for: optim.*, meta_optim.*.
OptimizerSpec optimizer_of(const Recipe& recipe);
OptimizerSpec meta_optimizer_of(const Recipe& recipe);

}  // namespace ek
