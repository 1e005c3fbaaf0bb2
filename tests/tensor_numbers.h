#pragma once
#include <cmath>
#include <utility>
#include <vector>

#include "engine/tensor/tensor.h"

// Numbers about tensors of any dtype, in float64.

// {sum a_i b_i, sum |a_i b_i|} over all tensors.
inline std::pair<double, double> inner(const ek::Tensors& a, const ek::Tensors& b) {
  double sum = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::vector<double> x = a[i].to_vector(), y = b[i].to_vector();
    for (std::size_t j = 0; j < x.size(); ++j) {
      sum += x[j] * y[j];
      size += std::abs(x[j] * y[j]);
    }
  }
  return {sum, size};
}

// 2-norm of the difference relative to that of `reference`; 0 for equal tensors, NaN for NaN.
inline double norm_error(const ek::Tensors& measured, const ek::Tensors& reference) {
  double difference = 0, size = 0;
  for (std::size_t k = 0; k < reference.size(); ++k) {
    const std::vector<double> a = measured[k].to_vector(), b = reference[k].to_vector();
    for (std::size_t i = 0; i < b.size(); ++i) {
      difference += (a[i] - b[i]) * (a[i] - b[i]);
      size += b[i] * b[i];
    }
  }
  return difference == 0 ? 0 : std::sqrt(difference / size);
}
inline double norm_error(const ek::Tensor& measured, const ek::Tensor& reference) {
  return norm_error(ek::Tensors{measured}, ek::Tensors{reference});
}
