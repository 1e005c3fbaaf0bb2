#pragma once
#include "kernels/math/philox.h"  // EK_HOST_DEVICE

namespace ek::math {

// A sum that carries along what each addition rounds away (Neumaier), so that its error does not
// grow with the number of terms.
template <class T>
struct CompensatedSum {
  T sum = 0, lost = 0;

  EK_HOST_DEVICE void add(T term) {
    const T next = sum + term;
    const T size = sum < 0 ? -sum : sum, added = term < 0 ? -term : term;
    lost += added > size ? (term - next) + sum : (sum - next) + term;
    sum = next;
  }
  // Behind an infinity what was lost is no number, and does not count.
  EK_HOST_DEVICE T value() const { return lost == lost ? sum + lost : sum; }
};

}  // namespace ek::math
