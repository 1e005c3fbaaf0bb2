#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ek {

// Mean and sample standard deviation (divisor n - 1) over repeated runs; a single run has no
// deviation. Error without values. Source: spec evaluation.md 8.
struct MeanStd {
  double mean = 0;
  std::optional<double> std;
};
MeanStd mean_std(std::span<const double> values);

// What a comparison needs of a run folder: manifest.json and summary.json.
struct RunResult {
  std::string folder, name;  // name: the recipe's
  std::string split_hash;
  std::vector<std::int64_t> class_counts;
  std::vector<std::string> class_names;  // "0", "1", ... where the manifest has none
  std::vector<double> difficulty;        // of synthetic data; empty elsewhere
  // Entries of summary.json, null where there is none yet: last, best_by_validation, best_on_test.
  nlohmann::json last, best_by_validation, best_on_test;
  std::vector<double> class_weight;  // class_figures.class_weight; empty where none is learned
};

// Error naming the file and the key when something is missing or does not fit together.
RunResult read_run(const std::filesystem::path& folder);

// Error in one line unless all runs have the split hash and the class counts of the first.
void require_one_split(std::span<const RunResult> runs);

// {"split_hash", "class_counts", "runs": [{"name", "folder", "last", "best_by_validation",
// "best_on_test", "class_weight"}], "repeated": [{"name", "runs", "mean", "std"}]}: the entries as
// summary.json has them, and mean and sample deviation of "overall" of the last step for every
// recipe with several runs. Refuses runs of different splits.
nlohmann::json to_json(std::span<const RunResult> runs);

// Text tables for a terminal, in percent with two decimals, "–" for an empty group. Both refuse
// runs of different splits.
//
// One row per run: overall, many, medium and few of the last step, and overall of the checkpoint
// chosen by validation and of the one that was best on the test set (optimistic). Runs of the same
// recipe get a further row with their mean and sample standard deviation.
std::string comparison_table(std::span<const RunResult> runs);

// One row per class: training images, difficulty where known, recall of each run, learned class
// weight of each run that has one. Above 20 classes: the means of the many, medium and few groups,
// then the 10 classes of highest and the 10 of lowest weight (of the first run with weights).
std::string class_table(std::span<const RunResult> runs);

}  // namespace ek
