#pragma once
#include <cmath>

#include "kernels/difficulty.h"
#include "kernels/math/philox.h"  // EK_HOST_DEVICE

namespace ek::math {

// One class of Difficulty-Net (kernels/difficulty.h). Sums over the classes are a backend's own.
template <class T>
EK_HOST_DEVICE T difficulty_sigmoid(T x) {
  const T e = std::exp(-std::abs(x));  // never overflows
  return (x >= 0 ? T(1) : e) / (T(1) + e);
}

template <class T>
struct DifficultySums {
  T difficulty;  // sum d
  T along;       // sum g d
  T accuracy;    // sum a
};

// d_c - t_c
template <class T>
EK_HOST_DEVICE T difficulty_miss(kernels::DifficultyTarget target, const DifficultySums<T>& sums,
                                 T difficulty, T accuracy) {
  const bool share = target == kernels::DifficultyTarget::one_minus_share;
  const T easy = share ? accuracy / (sums.accuracy + T(1e-12)) : accuracy;
  return difficulty - (T(1) - easy);
}

// The objective's derivative by the argument of class c's sigmoid: with S = sum d and g the
// gradient by w, that by d is  C / S (g_c - sum_k g_k d_k / S) + lambda 2 (d_c - t_c) / C.
template <class T>
EK_HOST_DEVICE T difficulty_delta(std::int64_t classes, T lambda, const DifficultySums<T>& sums,
                                  T weight_gradient, T difficulty, T miss) {
  const T through_weights =
      T(classes) / sums.difficulty * (weight_gradient - sums.along / sums.difficulty);
  const T by_difficulty = through_weights + lambda * T(2) * miss / T(classes);
  return by_difficulty * difficulty * (T(1) - difficulty);
}

}  // namespace ek::math
