#pragma once
#include <span>
#include <string>
#include <vector>

#include "methods/comparison/mean_std.h"
#include "methods/comparison/runs.h"

namespace ek {

// Runs on one data set side by side. Indices are those of `runs`.
struct Comparison {
  using Indices = std::vector<std::size_t>;

  std::vector<RunResult> runs;     // in the order given
  std::vector<std::string> names;  // of their folders, below the folder that all have in common
  std::vector<std::vector<std::string>> differs;  // from the first run (differences())
  // Why a run counts for no mean, e.g. "unfinished, at step 5 of 600" or "the run of [1]"; else "".
  std::vector<std::string> notes;
  std::vector<Indices> splits;    // runs of one training set, in order of appearance
  std::vector<Indices> repeated;  // two or more runs that are equal but for the seed
};

// Means are over runs of one split that are finished, equal but for the seed and distinct. A run is
// identified by its split, its settings and its seed, on which alone the result depends: of several
// that agree in these (one folder given twice, a copy of a folder, a run done again) the first that
// is finished counts. Runs of one data set that were cut to different training sets are grouped by
// split. Error naming the first difference where the data sets differ: other classes or another
// number of test images.
Comparison compare(std::vector<RunResult> runs);

// Largest over smallest class of the training set: as the profile was asked for, else as counted.
double imbalance_of(const RunResult& run);

// "exponential, imbalance 100", "all images, imbalance 12.3", with what else the split was cut by.
std::string describe_split(const RunResult& run);

// The columns of a comparison: overall, many, medium and few of the last step, overall of the
// checkpoint chosen by validation, and of the one that was best on the test set. Fractions, nullopt
// for an empty group and for what is not there yet.
std::vector<std::optional<double>> figures_of(const RunResult& run);

// {"runs": [{"name", "folder", "recipe", "differs", "seed", "split_hash", "step", "steps",
// "finished", "note", "last", "best_by_validation", "best_on_test", "class_weight"}],
// "splits": [{"split_hash", "split", "class_counts", "runs"}],
// "repeated": [{"runs", "seeds", "mean", "std"}]}: entries as summary.json has them; "runs" in the
// latter two are places in the first list, from 0; mean and sample deviation are of "overall" of
// the last step.
nlohmann::json to_json(const Comparison& comparison);

}  // namespace ek
