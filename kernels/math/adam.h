#pragma once
#include <cmath>

#include "kernels/math/philox.h"  // EK_HOST_DEVICE
#include "kernels/optim.h"

namespace ek::math {

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

template <class T>
Adam<T> adam_of(const kernels::AdamSettings& settings) {
  // 1 / (1 - b^step) without cancellation for b near 1.
  const auto correction = [&](double b) {
    return b > 0 ? T(-1 / std::expm1(double(settings.step) * std::log(b))) : T(1);
  };
  return {T(settings.beta1),         T(1 - settings.beta1), T(settings.beta2),
          T(1 - settings.beta2),     T(settings.eps),       correction(settings.beta1),
          correction(settings.beta2)};
}

}  // namespace ek::math
