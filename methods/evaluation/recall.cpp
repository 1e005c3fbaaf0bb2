#include "methods/evaluation/recall.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/error.h"

namespace ek {
namespace {

// Unweighted mean over the defined recalls of the classes that `member` accepts.
template <class Member>
std::optional<double> mean_of(const Recalls& recalls, Member&& member) {
  double sum = 0;
  std::int64_t count = 0;
  for (std::size_t c = 0; c < recalls.size(); ++c) {
    if (!recalls[c] || !member(c)) continue;
    sum += *recalls[c];
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / double(count);
}

struct Means {
  double geometric, harmonic;
};

// Both means of the defined recalls, where `zero` stands for a recall of 0. With zero = 0 the logs
// are -infinity and the inverses infinite, and both means come out as the 0 that they are.
Means means_of(const Recalls& recalls, double zero) {
  double log_sum = 0, inverse_sum = 0, count = 0;
  for (const auto& recall : recalls) {
    if (!recall) continue;
    const double r = *recall == 0 ? zero : *recall;
    log_sum += std::log(r);
    inverse_sum += 1 / r;
    count += 1;
  }
  return {std::exp(log_sum / count), count / inverse_sum};
}

}  // namespace

void check_predictions(const Predictions& p) {
  require(p.num_classes >= 1, "metrics: expected at least 1 class, got {}", p.num_classes);
  require(p.rows() >= 1, "metrics: expected at least 1 row, got none");
  require(std::int64_t(p.logits.size()) == p.rows() * p.num_classes,
          "metrics: expected {} logits for {} rows of {} classes, got {}", p.rows() * p.num_classes,
          p.rows(), p.num_classes, p.logits.size());
  for (std::int64_t row = 0; row < p.rows(); ++row) {
    const std::int64_t label = p.labels[std::size_t(row)];
    require(label >= 0 && label < p.num_classes,
            "metrics: row {}: expected a label in [0, {}), got {}", row, p.num_classes, label);
    double highest = -std::numeric_limits<double>::infinity();
    for (std::int64_t c = 0; c < p.num_classes; ++c) {
      const double logit = p.logits[std::size_t(row * p.num_classes + c)];
      require(!std::isnan(logit), "metrics: row {}: the logit of class {} is NaN", row, c);
      highest = std::max(highest, logit);
    }
    require(std::isfinite(highest), "metrics: row {}: expected a finite largest logit, got {}", row,
            highest);
  }
}

std::vector<std::int64_t> predicted_classes(const Predictions& p) {
  std::vector<std::int64_t> predicted(p.labels.size());
  for (std::size_t row = 0; row < predicted.size(); ++row) {
    // max_element keeps the first of equal elements.
    const auto begin = p.logits.begin() + std::int64_t(row) * p.num_classes;
    predicted[row] = std::max_element(begin, begin + p.num_classes) - begin;
  }
  return predicted;
}

std::vector<std::int64_t> confusion_matrix(std::span<const std::int64_t> labels,
                                           std::span<const std::int64_t> predicted,
                                           std::int64_t num_classes) {
  require(labels.size() == predicted.size(),
          "confusion_matrix: expected as many predictions as labels ({}), got {}", labels.size(),
          predicted.size());
  std::vector<std::int64_t> matrix(std::size_t(num_classes * num_classes), 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::int64_t t = labels[i], p = predicted[i];
    require(t >= 0 && t < num_classes && p >= 0 && p < num_classes,
            "confusion_matrix: row {}: expected classes in [0, {}), got label {}, prediction {}", i,
            num_classes, t, p);
    ++matrix[std::size_t(t * num_classes + p)];
  }
  return matrix;
}

Recalls per_class_recall(std::span<const std::int64_t> confusion, std::int64_t num_classes) {
  Recalls recalls(static_cast<std::size_t>(num_classes));
  for (std::int64_t t = 0; t < num_classes; ++t) {
    const auto row = confusion.subspan(std::size_t(t * num_classes), std::size_t(num_classes));
    std::int64_t images = 0;
    for (std::int64_t count : row) images += count;
    if (images > 0) recalls[std::size_t(t)] = double(row[std::size_t(t)]) / double(images);
  }
  return recalls;
}

void summarize_recalls(const Recalls& recalls, std::span<const std::int64_t> class_counts,
                       const EvaluationOptions& options, Metrics& metrics) {
  metrics.per_class_recall = recalls;
  metrics.mean_recall = mean_of(recalls, [](std::size_t) { return true; }).value();
  if (!class_counts.empty()) {
    const auto many = [&](std::size_t c) { return class_counts[c] > options.many_above; };
    const auto few = [&](std::size_t c) { return class_counts[c] < options.few_below; };
    metrics.many = mean_of(recalls, many);
    metrics.few = mean_of(recalls, few);
    metrics.medium = mean_of(recalls, [&](std::size_t c) { return !many(c) && !few(c); });
  }

  const Means shown = means_of(recalls, options.zero_recall), exact = means_of(recalls, 0);
  metrics.geometric_mean = shown.geometric;
  metrics.harmonic_mean = shown.harmonic;
  metrics.geometric_mean_exact = exact.geometric;
  metrics.harmonic_mean_exact = exact.harmonic;
  metrics.lowest_recall = 1;
  metrics.zero_recall_classes = 0;
  for (const auto& recall : recalls) {
    if (!recall) continue;
    metrics.lowest_recall = std::min(metrics.lowest_recall, *recall);
    metrics.zero_recall_classes += *recall == 0;
  }
}

}  // namespace ek
