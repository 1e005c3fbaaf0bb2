#pragma once
#include <cmath>
#include <cstdint>

// How far a sum of k positive products may be off, of itself, where float32 products run through
// tensor cores (kernels/cuda/base/split_products.cuh). Each step of eight products is rounded to
// nearest when it is added to the sum, by up to 2^-24 of a sum that grows evenly: like a random
// walk of k / 8 paces with a variance below 2^-48 / 9 each, of which 2 sqrt(k / 8) 2^-24 are six
// standard deviations. What the instructions of a step cut, and what splitting the factors leaves
// out, is below 8 * 2^-24 of the step.
inline double kept_accuracy(std::int64_t k) {
  return (2 * std::sqrt(double(k) / 8) + 8) * 0x1p-24;
}
