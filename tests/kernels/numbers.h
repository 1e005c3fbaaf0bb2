#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/math/philox.h"
#include "tests/threads.h"

// What the kernel tests share: reproducible numbers, comparisons in which a NaN fails, threads.
namespace ek::test {

// Uniform in [-1, 1), the same on every machine.
template <class T>
std::vector<T> random_numbers(std::int64_t count, std::uint32_t seed) {
  std::vector<T> values(std::size_t(count), T(0));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto bits = math::philox({std::uint32_t(i), 0, 0, 0}, {seed, 77});
    values[std::size_t(i)] = T((double(bits[0]) + double(bits[1]) * 0x1p-32) * 0x1p-31 - 1);
  }
  return values;
}

// max |a - b| over max(|b|, floor), element by element; infinite when a size differs, NaN when a
// number is one (so that `REQUIRE(x <= tol)` fails).
template <class A, class B>
double max_error(const std::vector<A>& a, const std::vector<B>& b, double floor) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error =
        std::abs(double(a[i]) - double(b[i])) / std::max(std::abs(double(b[i])), floor);
    if (!(error <= worst)) worst = error;
    if (std::isnan(worst)) break;
  }
  return worst;
}

template <class A, class B>
double dot(const std::vector<A>& a, const std::vector<B>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    sum += double(a.at(i)) * double(b.at(i));
  }
  return sum;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace ek::test
