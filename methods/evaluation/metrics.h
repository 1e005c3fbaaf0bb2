#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ek {

// Test logits with their labels, row by row; double, so that every metric is exact for its input.
struct Predictions {
  std::int64_t num_classes = 0;
  std::vector<double> logits;        // [rows, num_classes]
  std::vector<std::int64_t> labels;  // [rows]
  std::int64_t rows() const { return std::int64_t(labels.size()); }
};

struct EvaluationOptions {
  int bins = 15;                                  // of the calibration error
  double zero_recall = 1e-3;                      // stands for a recall of 0 in the two means
  std::int64_t many_above = 100, few_below = 20;  // group thresholds on training counts
};

// All as fractions. Undefined values (a class without test images, an empty group) are nullopt.
// Source: docs/evaluation.md.
struct Metrics {
  double overall = 0, mean_recall = 0;
  std::vector<std::optional<double>> per_class_recall;
  std::optional<double> many, medium, few;
  double geometric_mean = 0, harmonic_mean = 0, lowest_recall = 0;
  double geometric_mean_exact = 0, harmonic_mean_exact = 0;
  std::int64_t zero_recall_classes = 0;
  double ece = 0, mce = 0, average_confidence = 0, nll = 0, brier = 0;
  std::int64_t rows = 0;
};

// Error if a logit is NaN (naming the row), a label is out of range, or sizes disagree. Without
// `class_counts` (empty: a checkpoint whose training set is not known) the groups are undefined.
// The order of the rows changes no bit of the result.
Metrics compute_metrics(const Predictions& predictions,
                        const std::vector<std::int64_t>& class_counts,
                        const EvaluationOptions& options = {});

nlohmann::json to_json(const Metrics& metrics);

}  // namespace ek
