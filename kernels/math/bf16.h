#pragma once
#include <bit>
#include <cstdint>

#include "kernels/base/backend.h"
#include "kernels/math/philox.h"  // EK_HOST_DEVICE

namespace ek::math {

EK_HOST_DEVICE inline float bf16_to_float(bf16 x) {
  return std::bit_cast<float>(std::uint32_t(x.bits) << 16);
}

// Rounds to nearest, ties to even. A NaN stays a NaN: its payload loses the lower half, and the
// quiet bit is set so that the rest cannot read as infinity.
EK_HOST_DEVICE inline bf16 float_to_bf16(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  if (x != x) return {std::uint16_t((bits >> 16) | 0x40)};
  return {std::uint16_t((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)};
}

// double -> float rounded to odd (truncated, lowest bit set when inexact). Rounding that to bf16
// equals rounding the double directly; going through the nearest float would round twice.
EK_HOST_DEVICE inline bf16 double_to_bf16(double x) {
  const float nearest = float(x);
  if (x != x || double(nearest) == x) return float_to_bf16(nearest);
  std::uint32_t bits = std::bit_cast<std::uint32_t>(nearest);
  const bool away_from_zero = x < 0 ? double(nearest) < x : double(nearest) > x;
  if (away_from_zero) --bits;
  return float_to_bf16(std::bit_cast<float>(bits | 1));
}

}  // namespace ek::math
