#pragma once
#include <cmath>

#include "kernels/math/philox.h"  // EK_HOST_DEVICE
#include "kernels/optim.h"

namespace ek::math {

// 1 - b^n for b in [0, 1] and n >= 0, without cancellation for b near 1. With q = 1 - b^n, doubling
// the power makes q (2 - q), and one more factor 1 - p makes q + p (1 - q): sums of what is never
// negative. Every rounding is spelled out, so that all backends give the same bits.
EK_HOST_DEVICE inline double one_minus_power(double b, std::int64_t n) {
  double result = 0, square = 1 - b;  // 1 - b^k for the bits of n so far; 1 - b^(2^bit)
  for (; n > 0; n >>= 1) {
    if (n & 1) result = std::fma(square, 1 - result, result);
    square = std::fma(-square, square, 2 * square);
  }
  return result;
}

// Adam's update of one element (kernels/optim.h).
template <class T>
struct Adam {
  T beta1, rest1, beta2, rest2, eps, unbias1, unbias2;

  EK_HOST_DEVICE void operator()(T rate, T decay, T g, T& p, T& m, T& v) const {
    g += decay * p;
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    p -= rate * (m * unbias1) / (std::sqrt(v * unbias2) + eps);
  }
};

// For step `settings.step`, whose number may lie in the memory of the device that asks.
template <class T>
EK_HOST_DEVICE Adam<T> adam_of(const kernels::AdamSettings& settings) {
  const std::int64_t step = settings.step.value();
  return {T(settings.beta1),
          T(1 - settings.beta1),
          T(settings.beta2),
          T(1 - settings.beta2),
          T(settings.eps),
          T(1 / one_minus_power(settings.beta1, step)),
          T(1 / one_minus_power(settings.beta2, step))};
}

}  // namespace ek::math
