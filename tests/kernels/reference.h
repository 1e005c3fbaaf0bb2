#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "kernels/base/backend.h"
#include "kernels/math/bf16.h"
#include "tests/threads.h"

// Helpers of the kernel tests: guarded buffers, inputs, and naive sums in double with an error
// bound.
namespace ek::reference {

template <class T>
T rounded(double value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return math::double_to_bf16(value);
  } else {
    return T(value);
  }
}
template <class T>
double number(T value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return math::bf16_to_float(value);
  } else {
    return double(value);
  }
}

// `count` elements between two runs of sentinels. Starts as NaN, so an output that is not written
// and an input that is read by mistake both show.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::int64_t count)
      : count_(count), values_(std::size_t(count + 2 * guard), rounded<T>(std::nan(""))) {
    for (std::int64_t i = 0; i < guard; ++i) values_[i] = values_[guard + count + i] = sentinel();
  }

  T* data() { return values_.data() + guard; }
  const T* data() const { return values_.data() + guard; }
  std::int64_t size() const { return count_; }
  T& operator[](std::int64_t i) { return data()[i]; }
  const T& operator[](std::int64_t i) const { return data()[i]; }

  bool intact() const {
    for (std::int64_t i = 0; i < guard; ++i) {
      for (std::int64_t at : {i, guard + count_ + i}) {
        if (number(values_[at]) != number(sentinel())) return false;
      }
    }
    return true;
  }
  bool same_bits(const Guarded& other) const {
    return values_.size() == other.values_.size() &&
           std::memcmp(values_.data(), other.values_.data(), values_.size() * sizeof(T)) == 0;
  }

 private:
  static constexpr std::int64_t guard = 64;
  static T sentinel() { return rounded<T>(-12345.5); }
  std::int64_t count_;
  std::vector<T> values_;
};

// Numbers in [-1, 1), the same for the same seed.
template <class T>
Guarded<T> random_values(std::int64_t count, std::uint64_t seed) {
  Guarded<T> values(count);
  std::uint64_t state = seed * 2654435761u + 1;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    values[i] = rounded<T>(double(state >> 40) * 0x1p-23 - 1);
  }
  return values;
}

// A workspace of exactly `bytes`, aligned to 64, filled with NaN patterns, with sentinels behind
// it.
class GuardedWorkspace {
 public:
  explicit GuardedWorkspace(std::size_t bytes) : bytes_(bytes), storage_(bytes + 64 + guard, 0xff) {
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
    begin_ = storage_.data() + (64 - address % 64) % 64;
  }
  GuardedWorkspace(const GuardedWorkspace&) = delete;
  GuardedWorkspace& operator=(const GuardedWorkspace&) = delete;

  kernels::Workspace get() { return {begin_, bytes_}; }
  bool intact() const {
    for (std::size_t i = 0; i < guard; ++i) {
      if (begin_[bytes_ + i] != 0xff) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t guard = 64;
  std::size_t bytes_;
  std::vector<unsigned char> storage_;
  unsigned char* begin_;
};

// Sums of products in double, with the sum of magnitudes and the number of terms of each.
struct Sums {
  std::vector<double> value, magnitude, terms;

  explicit Sums(std::int64_t count)
      : value(std::size_t(count)), magnitude(std::size_t(count)), terms(std::size_t(count)) {}

  void add(std::int64_t i, double a, double b) {
    value[std::size_t(i)] += a * b;
    magnitude[std::size_t(i)] += std::abs(a * b);
    terms[std::size_t(i)] += 1;
  }
};

// Any order of summing n products rounds by at most n u sum|ab| to first order (Higham, "Accuracy
// and Stability of Numerical Algorithms", section 3.1), u half of epsilon. A whole epsilon in place
// of u covers the second order, and in double the rounding of the reference itself. A missing term
// is about sum|ab| / n: three orders above this for the sizes of the tests. bf16 is summed in float
// and rounded once, by half a unit of its last place. Returns the first element that is further off
// (or NaN), -1 if there is none.
template <class T>
std::int64_t first_wrong(const Guarded<T>& got, const Sums& expected) {
  const double epsilon = std::numeric_limits<kernels::Acc<T>>::epsilon();
  const double rounding = std::is_same_v<T, bf16> ? 0x1p-8 : 0;
  for (std::int64_t i = 0; i < got.size(); ++i) {
    const auto at = std::size_t(i);
    const double sum = (expected.terms[at] + 1) * epsilon * expected.magnitude[at];
    const double bound = sum + rounding * (std::abs(expected.value[at]) + sum);
    if (!(std::abs(number(got[i]) - expected.value[at]) <= bound)) return i;
  }
  return -1;
}

}  // namespace ek::reference
