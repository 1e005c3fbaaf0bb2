#include "methods/evaluation/metrics.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "methods/evaluation/calibration.h"
#include "methods/evaluation/probabilities.h"
#include "methods/evaluation/recall.h"

namespace ek {
namespace {

// Probabilities below this count as this in -log p (docs/evaluation.md).
constexpr double smallest_probability = 1e-15;

void check_options(const EvaluationOptions& options) {
  require(options.bins >= 1, "metrics: expected at least 1 bin, got {}", options.bins);
  require(options.zero_recall >= 0 && options.zero_recall <= 1,
          "metrics: expected zero_recall in [0, 1], got {}", options.zero_recall);
  require(options.few_below <= options.many_above + 1,
          "metrics: groups overlap: expected few_below <= many_above + 1, got {} and {}",
          options.few_below, options.many_above);
}

// Everything that is made of probabilities: calibration, NLL, Brier score.
void score_probabilities(const Predictions& predictions, const std::vector<std::int64_t>& predicted,
                         int bins, Metrics& metrics) {
  const std::vector<double> all = probabilities(predictions);
  const auto classes = std::size_t(predictions.num_classes), rows = predictions.labels.size();
  std::vector<double> confidence(rows), nll(rows), brier(rows);
  std::vector<std::uint8_t> correct(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    const double* p = all.data() + row * classes;
    const auto label = std::size_t(predictions.labels[row]);
    confidence[row] = p[predicted[row]];
    correct[row] = std::size_t(predicted[row]) == label;
    nll[row] = -std::log(std::max(p[label], smallest_probability));
    double squares = 0;
    for (std::size_t c = 0; c < classes; ++c) {
      const double gap = p[c] - (c == label ? 1 : 0);
      squares += gap * gap;
    }
    brier[row] = squares;
  }

  const Calibration calibration = calibrate(confidence, correct, bins);
  metrics.ece = calibration.ece;
  metrics.mce = calibration.mce;
  metrics.average_confidence = calibration.average_confidence;
  metrics.nll = ordered_sum(std::move(nll)) / double(rows);
  metrics.brier = ordered_sum(std::move(brier)) / double(rows);
}

nlohmann::json or_null(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

}  // namespace

Metrics compute_metrics(const Predictions& predictions,
                        const std::vector<std::int64_t>& class_counts,
                        const EvaluationOptions& options) {
  check_options(options);
  check_predictions(predictions);
  require(class_counts.empty() || std::int64_t(class_counts.size()) == predictions.num_classes,
          "metrics: expected {} training counts, one per class, got {}", predictions.num_classes,
          class_counts.size());

  Metrics metrics;
  metrics.rows = predictions.rows();
  const auto predicted = predicted_classes(predictions);
  const auto confusion = confusion_matrix(predictions.labels, predicted, predictions.num_classes);
  std::int64_t hits = 0;
  for (std::int64_t c = 0; c < predictions.num_classes; ++c) {
    hits += confusion[std::size_t(c * predictions.num_classes + c)];
  }
  metrics.overall = double(hits) / double(metrics.rows);
  summarize_recalls(per_class_recall(confusion, predictions.num_classes), class_counts, options,
                    metrics);
  score_probabilities(predictions, predicted, options.bins, metrics);
  return metrics;
}

nlohmann::json to_json(const Metrics& m) {
  nlohmann::json recalls = nlohmann::json::array();
  for (const auto& recall : m.per_class_recall) recalls.push_back(or_null(recall));
  return {{"overall", m.overall},
          {"mean_recall", m.mean_recall},
          {"many", or_null(m.many)},
          {"medium", or_null(m.medium)},
          {"few", or_null(m.few)},
          {"per_class_recall", std::move(recalls)},
          {"geometric_mean", m.geometric_mean},
          {"harmonic_mean", m.harmonic_mean},
          {"lowest_recall", m.lowest_recall},
          {"geometric_mean_exact", m.geometric_mean_exact},
          {"harmonic_mean_exact", m.harmonic_mean_exact},
          {"zero_recall_classes", m.zero_recall_classes},
          {"ece", m.ece},
          {"mce", m.mce},
          {"average_confidence", m.average_confidence},
          {"nll", m.nll},
          {"brier", m.brier},
          {"images", m.rows}};
}

}  // namespace ek
