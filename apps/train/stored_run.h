#pragma once
#include <string>
#include <vector>

#include "engine/tensor/device.h"
#include "methods/recipes/recipe.h"
#include "methods/session/trained_run.h"

namespace ek {

// How the run in a folder was begun, by its config.json.
struct StoredRun {
  std::string recipe;  // JSON
  std::string source;  // names the file in messages
  std::string data, precision, device;
  InputPaths inputs;

  // Its recipe, with overrides as --set has them.
  Recipe recipe_with(const std::vector<std::string>& sets) const;
};

// Error where the folder is not one of a run.
StoredRun stored_run(const std::string& folder);

// The device that the run was begun on, made ready as --device does it. Error that names --device
// where this build or machine lacks it.
Device device_of(const StoredRun& run, const std::string& folder);

}  // namespace ek
