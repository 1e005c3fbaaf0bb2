#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/longtail.h"
#include "data/manifest.h"
#include "methods/comparison/settings.h"

namespace ek {

// What a comparison needs of a run folder: config.json, manifest.json and summary.json, which is
// not there before the first checkpoint.
struct RunResult {
  std::string folder;      // as it was named
  std::string recipe;      // the recipe's name; "" before the first checkpoint
  RunSettings settings;    // of config.json
  std::int64_t step = 0;   // steps done
  std::int64_t steps = 0;  // of the whole schedule
  bool finished = false;

  std::string format, split_hash;
  SplitSpec split;
  std::int64_t test_images = 0;
  DataIdentity data;  // of the manifest
  std::vector<std::int64_t> class_counts;
  std::vector<std::string> class_names;  // "0", "1", ... where the manifest has none
  std::int64_t many_above = ek::many_above, few_below = ek::few_below;  // the recipe's eval.groups
  std::vector<double> difficulty;  // of synthetic data; empty elsewhere
  // Entries of summary.json, null where there is none yet: last, best_by_validation, best_on_test.
  nlohmann::json last, best_by_validation, best_on_test;
  std::vector<double> class_weight;  // class_figures.class_weight; empty where none is learned
};

// Error naming the file and the key when something is missing or does not fit together.
RunResult read_run(const std::filesystem::path& folder);

}  // namespace ek
