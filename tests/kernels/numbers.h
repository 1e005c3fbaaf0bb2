#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "kernels/math/bf16.h"
#include "kernels/math/philox.h"
#include "tests/threads.h"

// What the kernel tests share: reproducible numbers, comparisons in which a NaN fails, threads.
namespace ek::test {

// A number of any element type as a double, which holds it exactly, and a double rounded to T.
template <class T>
double number(T value) {
  return double(value);
}
inline double number(bf16 value) {
  return double(math::bf16_to_float(value));
}
template <class T>
T nearest(double value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return math::double_to_bf16(value);
  } else {
    return T(value);
  }
}
template <class T>
std::vector<double> numbers(const std::vector<T>& values) {
  std::vector<double> wide;
  for (T v : values) wide.push_back(number(v));
  return wide;
}

// The gap between 1 and the next number of T; rounding to T errs by at most half of it, relative.
template <class T>
double epsilon_of() {
  if constexpr (std::is_same_v<T, bf16>) {
    return 0x1p-7;
  } else {
    return double(std::numeric_limits<T>::epsilon());
  }
}

// Uniform in [-1, 1), the same on every machine.
template <class T>
std::vector<T> random_numbers(std::int64_t count, std::uint32_t seed) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const auto bits = math::philox({std::uint32_t(i), 0, 0, 0}, {seed, 77});
    values[std::size_t(i)] =
        nearest<T>((double(bits[0]) + double(bits[1]) * 0x1p-32) * 0x1p-31 - 1);
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
        std::abs(number(a[i]) - number(b[i])) / std::max(std::abs(number(b[i])), floor);
    if (!(error <= worst)) worst = error;
    if (std::isnan(worst)) break;
  }
  return worst;
}

// By how much a number of `a` is further from that of `b` than rounding b to T once explains, at
// worst: max |a - b| - epsilon / 2 |b|. Infinite and NaN as above.
template <class T, class B>
double error_beyond_rounding(const std::vector<T>& a, const std::vector<B>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error =
        std::abs(number(a[i]) - number(b[i])) - epsilon_of<T>() / 2 * std::abs(number(b[i]));
    if (!(error <= worst)) worst = error;
    if (std::isnan(worst)) break;
  }
  return worst;
}

template <class A, class B>
double dot(const std::vector<A>& a, const std::vector<B>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    sum += number(a.at(i)) * number(b.at(i));
  }
  return sum;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace ek::test
