#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/images/dataset.h"
#include "methods/evaluation/metrics.h"
#include "methods/evaluation/shift.h"

namespace ek {

struct ShiftResult {
  ShiftSpec spec;
  std::int64_t images = 0;
  double plain = 0;                 // top-1, fraction
  std::optional<double> corrected;  // the same after the prior correction
};

// Figures of one checkpoint or of the ensemble.
struct EvalFigures {
  std::string title;     // of the legend
  nlohmann::json about;  // "file", "model", "method", ... for the JSON form
  Metrics metrics;
  std::optional<Metrics> corrected;  // after the prior correction
  std::vector<ShiftResult> shifts;
};

struct EvalReport {
  std::string data, split, split_hash;  // hash "" where it is not known
  int bins = 15;
  std::vector<std::string> class_names;
  std::vector<EvalFigures> checkpoints;
  std::optional<EvalFigures> ensemble;
};

// {"data", "split", "split_hash", "images", "bins", "checkpoints": [{"file", "model", "method",
// "loss", "step", "metrics", "prior_corrected", "shifts"}], "ensemble": {...}}; fractions, null
// where undefined.
nlohmann::json to_json(const EvalReport& report);

// Tables for a terminal: one column per checkpoint (and its corrected form), percent.
std::string to_text(const EvalReport& report);

}  // namespace ek
