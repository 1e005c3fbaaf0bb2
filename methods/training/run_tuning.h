#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "engine/tuning/tuning.h"
#include "methods/session/experiment.h"
#include "methods/training/options.h"

namespace ek {

// The table of kernel versions that a run trains with.
struct RunTuning {
  // What the run folder keeps: of a resumed run what it began with.
  std::optional<Tuning> tuning;
  std::string from;  // "autotune", "file", "committed", "run"
  // Whether it is for this run's device; else kernels choose by rule.
  bool in_force = false;

  // For config.json: null, or {"from", "architecture", "hash", "entries"}.
  nlohmann::json json() const;
};

using News = std::function<void(const std::string&)>;

// Error naming the option for what cannot go together: --autotune with --tuning; either on the cpu.
void require_tunable(bool autotune, const std::string& file, Device device);

// With `autotune` the table that the calls of step() give (engine/tuning/autotune.h), which keeps
// what `known` decides; else that of `file`; where that is "" the committed one of the device if it
// has entries. `news` gets a line on each but the last. What cannot go together is refused as
// above.
RunTuning choose_tuning(Device device, bool autotune, const std::string& file,
                        const std::function<void()>& step, const News& news,
                        const Tuning& known = {});

// The same for training, where the step is one of the task on a first state that is thrown away.
// A resumed run has its own table: options.tuning may name the same one, and --autotune is refused.
RunTuning tuning_of_run(const Experiment& experiment, const TrainOptions& options,
                        const News& news);

}  // namespace ek
