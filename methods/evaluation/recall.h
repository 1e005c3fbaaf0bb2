#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "methods/evaluation/metrics.h"

namespace ek {

// Error unless labels and logits have the same number of rows (at least one), every label is a
// class, and every row of logits is usable: no NaN, no +infinity, not all of it -infinity. Names
// the row at fault.
void check_predictions(const Predictions& predictions);

// Index of the largest logit of each row; ties go to the smaller class. [rows]
std::vector<std::int64_t> predicted_classes(const Predictions& predictions);

// Number of test images of class t that were predicted as class p, at [t * num_classes + p].
std::vector<std::int64_t> confusion_matrix(std::span<const std::int64_t> labels,
                                           std::span<const std::int64_t> predicted,
                                           std::int64_t num_classes);

// Diagonal over row sums of a confusion matrix; nullopt for a class without test images.
using Recalls = std::vector<std::optional<double>>;
Recalls per_class_recall(std::span<const std::int64_t> confusion, std::int64_t num_classes);

// Fills recalls, group means, geometric and harmonic mean, lowest recall. Groups are by training
// count (many > many_above, few < few_below, medium the rest) and unweighted means over classes;
// they stay empty where the counts are not known (class_counts empty).
// Source: docs/evaluation.md.
void summarize_recalls(const Recalls& recalls, std::span<const std::int64_t> class_counts,
                       const EvaluationOptions& options, Metrics& metrics);

}  // namespace ek
