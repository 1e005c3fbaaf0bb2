#pragma once
#include <optional>
#include <span>

namespace ek {

// Mean and sample standard deviation (divisor n - 1) over repeated runs; a single run has no
// deviation. Error without values.
struct MeanStd {
  double mean = 0;
  std::optional<double> std;
};
MeanStd mean_std(std::span<const double> values);

}  // namespace ek
