#include "methods/evaluation/prior_correction.h"

#include <cmath>
#include <limits>

#include "kernels/base/error.h"

namespace ek {
namespace {

double total_of(std::span<const std::int64_t> counts, const char* what) {
  double total = 0;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    require(counts[c] >= 0, "prior correction: expected {} counts >= 0, got {} for class {}", what,
            counts[c], c);
    total += double(counts[c]);
  }
  require(total > 0, "prior correction: all {} counts are 0", what);
  return total;
}

}  // namespace

Predictions correct_prior(const Predictions& predictions, double absorbed,
                          std::span<const std::int64_t> source_counts,
                          std::span<const std::int64_t> target_counts) {
  const auto classes = std::size_t(predictions.num_classes);
  require(source_counts.size() == classes && target_counts.size() == classes,
          "prior correction: expected {} training and {} target counts, got {} and {}", classes,
          classes, source_counts.size(), target_counts.size());
  const double sources = total_of(source_counts, "training");
  const double targets = total_of(target_counts, "target");

  std::vector<double> shift(classes, -std::numeric_limits<double>::infinity());
  for (std::size_t c = 0; c < classes; ++c) {
    if (target_counts[c] == 0) continue;
    // With equal priors the two logs cancel exactly, and the logits stay as they are bit for bit.
    shift[c] = std::log(double(target_counts[c]) / targets);
    if (absorbed == 0) continue;
    require(source_counts[c] > 0,
            "prior correction: class {} occurs in the evaluated set but has no training images", c);
    shift[c] -= absorbed * std::log(double(source_counts[c]) / sources);
  }

  Predictions out = predictions;
  for (std::size_t i = 0; i < out.logits.size(); ++i) out.logits[i] += shift[i % classes];
  return out;
}

}  // namespace ek
