#include "methods/evaluation/calibration.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"

namespace ek {

double ordered_sum(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  double sum = 0;
  for (double value : values) sum += value;
  return sum;
}

std::int64_t calibration_bin(double confidence, int bins) {
  require(bins >= 1, "calibration: expected at least 1 bin, got {}", bins);
  require(confidence > 0 && confidence <= 1, "calibration: expected a confidence in (0, 1], got {}",
          confidence);
  const auto upper_edge = [bins](std::int64_t b) { return double(b + 1) / bins; };
  auto b = std::clamp<std::int64_t>(std::int64_t(std::ceil(confidence * bins)) - 1, 0, bins - 1);
  while (b > 0 && confidence <= upper_edge(b - 1)) --b;
  while (b + 1 < bins && confidence > upper_edge(b)) ++b;
  return b;
}

Calibration calibrate(std::span<const double> confidence, std::span<const std::uint8_t> correct,
                      int bins) {
  require(!confidence.empty() && confidence.size() == correct.size(),
          "calibration: expected as many results as confidences ({}, at least 1), got {}",
          confidence.size(), correct.size());
  require(bins >= 1, "calibration: expected at least 1 bin, got {}", bins);
  std::vector<std::vector<double>> members{std::size_t(bins)};
  std::vector<std::int64_t> hits(std::size_t(bins), 0);
  for (std::size_t i = 0; i < confidence.size(); ++i) {
    const auto b = std::size_t(calibration_bin(confidence[i], bins));
    members[b].push_back(confidence[i]);
    hits[b] += correct[i] != 0;
  }

  const double total = double(confidence.size());
  Calibration out;
  std::int64_t all_hits = 0;
  double confidence_sum = 0;
  for (std::size_t b = 0; b < members.size(); ++b) {
    CalibrationBin bin;
    bin.count = std::int64_t(members[b].size());
    if (bin.count > 0) {
      const double sum = ordered_sum(std::move(members[b]));
      bin.accuracy = double(hits[b]) / double(bin.count);
      bin.confidence = sum / double(bin.count);
      const double gap = std::abs(bin.accuracy - bin.confidence);
      out.ece += double(bin.count) / total * gap;
      out.mce = std::max(out.mce, gap);
      all_hits += hits[b];
      confidence_sum += sum;
    }
    out.bins.push_back(bin);
  }
  out.average_accuracy = double(all_hits) / total;
  out.average_confidence = confidence_sum / total;
  return out;
}

}  // namespace ek
