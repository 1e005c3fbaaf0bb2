#include "methods/losses/class_weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/base/error.h"

namespace ek {
namespace {

void check_counts(const std::vector<std::int64_t>& counts, std::string_view who) {
  for (std::size_t c = 0; c < counts.size(); ++c) {
    require(counts[c] >= 0, "{}: the count of class {} expected >= 0, came {}", who, c, counts[c]);
  }
  require(std::ranges::any_of(counts, [](std::int64_t n) { return n > 0; }),
          "{}: expected at least one class with training images, came {} classes without", who,
          counts.size());
}

// Raw weights of the classes that have images, `raw(n)`, scaled to mean 1 over them.
template <class Raw>
std::vector<double> scaled(const std::vector<std::int64_t>& counts, Raw raw) {
  std::vector<double> weights(counts.size(), 0.0);
  double sum = 0, present = 0;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] == 0) continue;
    weights[c] = raw(double(counts[c]));
    sum += weights[c];
    present += 1;
  }
  for (double& w : weights) w *= present / sum;
  return weights;
}

}  // namespace

std::vector<double> effective_number_weights(const std::vector<std::int64_t>& counts, double beta) {
  require(beta >= 0 && beta < 1, "effective_number_weights: beta expected in [0, 1), came {}",
          beta);
  check_counts(counts, "effective_number_weights");
  // 1 - beta^n without the cancellation of beta close to 1; the factor 1 - beta scales out.
  // beta = 0: log beta = -inf, expm1 of it -1.
  return scaled(counts, [&](double n) { return -1.0 / std::expm1(n * std::log(beta)); });
}

std::vector<double> power_weights(const std::vector<std::int64_t>& counts, double power) {
  require(std::isfinite(power), "power_weights: power expected a finite number, came {}", power);
  check_counts(counts, "power_weights");
  // Relative to the smallest class, so that no power of a count leaves the range of a double.
  double smallest = HUGE_VAL;
  for (std::int64_t n : counts) {
    if (n > 0) smallest = std::min(smallest, double(n));
  }
  return scaled(counts, [&](double n) { return std::pow(n / smallest, -power); });
}

std::vector<double> log_counts(const std::vector<std::int64_t>& counts, bool share) {
  check_counts(counts, "log_counts");
  const double total = double(std::accumulate(counts.begin(), counts.end(), std::int64_t(0)));
  std::vector<double> logs(counts.size(), log_of_absent);
  for (std::size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] > 0) logs[c] = std::log(share ? double(counts[c]) / total : double(counts[c]));
  }
  return logs;
}

}  // namespace ek
