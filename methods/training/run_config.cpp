#include "methods/training/run_config.h"

#include "engine/io/text.h"
#include "methods/session/build_info.h"
#include "methods/session/trained_run.h"
#include "methods/training/run_summary.h"

namespace ek {

nlohmann::json run_config(const Experiment& experiment, const TrainOptions& options,
                          std::int64_t steps_per_graph, const nlohmann::json& tuning) {
  return {{"recipe", experiment.recipe.json()},
          {"seed", experiment.recipe.seed()},
          {"data", escaped_bytes(options.data)},
          {"init", escaped_bytes(options.init)},
          {"new_head", options.new_head},
          {"precision", name_of(options.precision)},
          {"device", experiment.device.str()},
          {"steps_per_graph", steps_per_graph},
          {"threads", thread_count()},
          {"steps", experiment.total_steps()},
          {"parameters", parameter_count(*experiment.model)},
          {"versions", build_versions()},
          {"tuning", tuning},
          {"inputs", inputs_json(experiment.inputs)}};
}

}  // namespace ek
