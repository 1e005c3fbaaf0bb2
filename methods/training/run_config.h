#pragma once
#include <nlohmann/json.hpp>

#include "methods/session/experiment.h"
#include "methods/training/options.h"

namespace ek {

// What config.json says of a run: its resolved recipe, its data and input runs, and how it is
// computed. `tuning` is {"hash", ...} or null; paths are escaped_bytes of engine/io/text.h.
nlohmann::json run_config(const Experiment& experiment, const TrainOptions& options,
                          std::int64_t steps_per_graph, const nlohmann::json& tuning);

}  // namespace ek
