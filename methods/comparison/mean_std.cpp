#include "methods/comparison/mean_std.h"

#include <cmath>

#include "kernels/base/error.h"

namespace ek {

MeanStd mean_std(std::span<const double> values) {
  require(!values.empty(), "mean_std: expected at least 1 value, got none");
  const double n = double(values.size());
  double sum = 0;
  for (double value : values) sum += value;
  MeanStd out{sum / n, std::nullopt};
  if (values.size() == 1) return out;
  double squares = 0;
  for (double value : values) squares += (value - out.mean) * (value - out.mean);
  out.std = std::sqrt(squares / (n - 1));
  return out;
}

}  // namespace ek
