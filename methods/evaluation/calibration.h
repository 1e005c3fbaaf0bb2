#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace ek {

// Bin b covers confidences in (b/bins, (b+1)/bins]; of an empty bin all is 0.
struct CalibrationBin {
  std::int64_t count = 0;
  double accuracy = 0, confidence = 0;  // means over the bin
};

struct Calibration {
  std::vector<CalibrationBin> bins;
  double ece = 0;  // sum of count/N |accuracy - confidence|
  double mce = 0;  // largest |accuracy - confidence| of a bin that is not empty
  double average_accuracy = 0, average_confidence = 0;
};

// Index of the bin that holds `confidence` in (0, 1]. With e = (b+1)/bins as the double nearest to
// the edge, b is the smallest index with confidence <= e: ceil(confidence * bins) - 1, corrected
// where the product rounds across an edge. Error outside (0, 1].
std::int64_t calibration_bin(double confidence, int bins);

// Expected and maximum calibration error of N >= 1 predictions; `correct` holds 0 or 1 for each.
// Source: docs/evaluation.md. The order of the predictions changes no bit of the result.
Calibration calibrate(std::span<const double> confidence, std::span<const std::uint8_t> correct,
                      int bins);

// Sum in ascending order of the values, so that it depends on what the values are and not on the
// order in which they came.
double ordered_sum(std::vector<double> values);

}  // namespace ek
