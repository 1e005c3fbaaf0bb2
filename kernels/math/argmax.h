#pragma once
#include <cstdint>

#include "kernels/math/philox.h"  // EK_HOST_DEVICE

namespace ek::math {

// Index of the first maximum of values[0..count); -1 when any of them is NaN or count is 0, so that
// a diverged network never scores.
template <class T>
EK_HOST_DEVICE inline std::int64_t first_maximum(const T* values, std::int64_t count) {
  std::int64_t best = count > 0 ? 0 : -1;
  for (std::int64_t k = 0; k < count; ++k) {
    if (values[k] != values[k]) return -1;
    if (values[k] > values[best]) best = k;
  }
  return best;
}

}  // namespace ek::math
