#include "data/mt19937.h"

#include <bit>
#include <limits>
#include <utility>

#include "kernels/base/error.h"

namespace ek {

std::uint32_t LegacyNumpy::up_to(std::uint32_t last) {
  if (last == 0) return 0;
  const std::uint32_t mask = std::numeric_limits<std::uint32_t>::max() >> std::countl_zero(last);
  std::uint32_t value = next() & mask;
  while (value > last) value = next() & mask;
  return value;
}

void LegacyNumpy::shuffle(std::span<std::int64_t> values) {
  require(values.size() <= std::numeric_limits<std::uint32_t>::max(),
          "LegacyNumpy::shuffle: expected fewer than 2^32 values, got {}", values.size());
  for (std::size_t i = values.size(); i-- > 1;) {
    std::swap(values[i], values[up_to(std::uint32_t(i))]);
  }
}

}  // namespace ek
