#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/training/optim.h"
#include "models/model.h"

namespace ek {

// What a run knows beside its recipe is made of named parts: the network under training, a momentum
// copy of it, a teacher, a weighting network, centroids, a queue. A method declares them; State
// (methods/state.h) makes, moves, saves and restores them.

// How the numbers of a part come to be.
struct FromSeed {
  std::uint32_t view = 0;  // of the stream of starting values: parts side by side use distinct ones
};
struct FromInput {
  std::string run;             // name of an input run (methods/inputs.h)
  std::string part = "model";  // of that run
  // Names (patterns as in optim.groups) that start afresh from the seed: a new classifier.
  std::vector<std::string> fresh = {};
};
struct CopyOf {
  std::string part;  // declared before, with the same tensors
};
using Start = std::variant<FromSeed, FromInput, CopyOf>;

struct OptimizerSpec {
  std::variant<Sgd::Settings, Adam::Settings> settings = Sgd::Settings{};
  double weight_decay = 0;
  std::optional<double> lr = {};  // constant; the schedule's where not given
};
std::unique_ptr<Optimizer> make_optimizer(const OptimizerSpec& spec);

// How they move.
struct Fixed {};
struct Learns {
  OptimizerSpec optimizer;
  std::vector<GroupSpec> groups = {};
  // Patterns of the parameters that are trained; the rest stays, without a derivative, and has
  // neither momentum nor decay. Empty: all.
  std::vector<std::string> only = {};
};
struct Follows {
  std::string part;  // of the same tensors
  double momentum;   // value = momentum * value + (1 - momentum) * part's, before every step
};
using Motion = std::variant<Fixed, Learns, Follows>;

struct PartDecl {
  std::string name;
  std::vector<ParameterSpec> params, buffers = {};
  Start start = FromSeed{};
  Motion motion = Fixed{};
  Statistics statistics = {};  // of batch norms in training passes (models/weights.h)
  bool at_inference = true;    // best.safetensors has it
};

// The network under training, part "model".
PartDecl trained(const Model& model, OptimizerSpec optimizer, std::vector<GroupSpec> groups = {});
// A momentum copy of `of`, for training alone.
PartDecl follower(std::string name, const Model& model, std::string of, double momentum);
// One tensor under the name "value" that starts at zero.
PartDecl table(std::string name, Shape shape, bool at_inference = false);

}  // namespace ek
