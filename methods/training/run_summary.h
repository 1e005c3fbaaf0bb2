#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/batch_plan.h"
#include "data/longtail.h"
#include "methods/recipes/recipe.h"
#include "models/model.h"

namespace ek {

// What a run is about to do.
struct RunPlan {
  const Recipe& recipe;
  const DataSource& source;
  const Split& split;
  const Model& model;
  const BatchPlan& batches;
  std::int64_t steps = 0;
};

// Numbers in all parameters.
std::int64_t parameter_count(const Model& model);

// Lines for whoever starts the run: training images used of those there, held out, tested on,
// classes and their groups (by eval.groups); the model, its parameters, steps and epochs; the notes
// of the data (DataSource::notes); a warning
// where the profile throws away a long-tailed set (profile_warning in data/longtail.h).
std::vector<std::string> run_summary(const RunPlan& plan);

}  // namespace ek
