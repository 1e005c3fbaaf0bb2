#pragma once
#include <cstdint>

#include "kernels/math/philox.h"  // EK_HOST_DEVICE

namespace ek::math {

// A sum whose error does not grow with the number of terms, as far as memory holds them: float is
// added up in double and rounded once, double carries along what each addition rounds away
// (Neumaier).
template <class T>
struct LongSum {
  double sum = 0;

  EK_HOST_DEVICE void add(T term) { sum += double(term); }
  EK_HOST_DEVICE T value() const { return T(sum); }
};

template <>
struct LongSum<double> {
  double sum = 0, lost = 0;

  EK_HOST_DEVICE void add(double term) {
    const double next = sum + term;
    const double size = sum < 0 ? -sum : sum, added = term < 0 ? -term : term;
    lost += added > size ? (term - next) + sum : (sum - next) + term;
    sum = next;
  }
  // Behind an infinity what was lost is no number, and does not count.
  EK_HOST_DEVICE double value() const { return lost == lost ? sum + lost : sum; }
};

// So many terms are added up one after the other in their own type; more are a LongSum.
inline constexpr std::int64_t plain_terms = 128;

// A sum of `terms` terms: plain where they are few, long where they are many.
template <class T>
class TermSum {
 public:
  EK_HOST_DEVICE TermSum(T start, std::int64_t terms)
      : plain_(start), long_{double(start)}, many_(terms > plain_terms) {}
  EK_HOST_DEVICE void add(T term) {
    if (many_) {
      long_.add(term);
    } else {
      plain_ += term;
    }
  }
  EK_HOST_DEVICE T value() const { return many_ ? long_.value() : plain_; }

 private:
  T plain_;
  LongSum<T> long_;
  bool many_;
};

}  // namespace ek::math
