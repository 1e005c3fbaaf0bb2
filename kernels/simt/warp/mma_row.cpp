// Never compiled with sanitizers: this is where a tensor-core kernel spends its time.
#include "kernels/simt/warp/mma.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace ek::simt {

namespace {

constexpr int kColumns = 8;

// 2^e, for exponents of normal doubles.
double power_of_two(int e) {
  return std::bit_cast<double>(std::uint64_t(1023 + e) << 52);
}

// The exponent e of x = f * 2^e, 1 <= |f| < 2; far below everything else for zero. Inputs are
// exact in double, where even the subnormal floats are normal.
int exponent(double x) {
  const int field = int(std::bit_cast<std::uint64_t>(x) >> 52 & 0x7FF);
  return field == 0 ? -900 : field - 1023;
}

// To float32, toward zero. What is too large becomes infinite.
float cut_to_float(double x) {
  float nearest = float(x);
  if (std::isinf(nearest) || std::abs(double(nearest)) <= std::abs(x)) return nearest;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(nearest) - 1);
}

// All terms aligned to the largest exponent, cut there to `bits` bits of fraction, added exactly,
// and the sum cut to float32. A product's exponent is the sum of its factors' exponents (its
// significand may reach 4). Source: MMA-Sim (arXiv 2511.10909).
void add_aligned(int bits, int k_count, const double* a, const double (*b)[kColumns], float* c) {
  int top[kColumns];
  for (int j = 0; j < kColumns; ++j) top[j] = exponent(double(c[j]));
  for (int k = 0; k < k_count; ++k) {
    const int of_a = exponent(a[k]);
    for (int j = 0; j < kColumns; ++j) top[j] = std::max(top[j], of_a + exponent(b[k][j]));
  }
  double scale[kColumns], sum[kColumns];
  for (int j = 0; j < kColumns; ++j) {
    top[j] = std::max(top[j], -300);  // all terms zero
    scale[j] = power_of_two(bits - top[j]);
    sum[j] = std::trunc(double(c[j]) * scale[j]);
  }
  for (int k = 0; k < k_count; ++k) {
    for (int j = 0; j < kColumns; ++j) sum[j] += std::trunc(a[k] * b[k][j] * scale[j]);
  }
  for (int j = 0; j < kColumns; ++j) c[j] = cut_to_float(sum[j] * power_of_two(top[j] - bits));
}

bool all_finite(int k_count, const double* a, const double (*b)[kColumns], const float* c) {
  double sum = 0;
  for (int k = 0; k < k_count; ++k) {
    sum += a[k] * 0;
    for (int j = 0; j < kColumns; ++j) sum += b[k][j] * 0;
  }
  for (int j = 0; j < kColumns; ++j) sum += double(c[j]) * 0;
  return sum == 0;
}

void add_chain(int k_count, const double* a, const double (*b)[kColumns], float* c) {
  for (int k = 0; k < k_count; ++k) {
    for (int j = 0; j < kColumns; ++j) c[j] = std::fma(float(a[k]), float(b[k][j]), c[j]);
  }
}

void add_exact(int k_count, const double* a, const double (*b)[kColumns], float* c) {
  double sum[kColumns];
  for (int j = 0; j < kColumns; ++j) sum[j] = double(c[j]);
  for (int k = 0; k < k_count; ++k) {
    for (int j = 0; j < kColumns; ++j) sum[j] += a[k] * b[k][j];
  }
  for (int j = 0; j < kColumns; ++j) c[j] = float(sum[j]);
}

}  // namespace

void mma_row(MmaRounding rounding, int k_count, const double* a, const double (*b)[8], float* c) {
  // Infinities and NaN come out of a chain of fma as they do of any order of addition.
  if (rounding == MmaRounding::chain || !all_finite(k_count, a, b, c)) {
    return add_chain(k_count, a, b, c);
  }
  if (rounding == MmaRounding::exact) return add_exact(k_count, a, b, c);
  if (rounding == MmaRounding::hopper) return add_aligned(25, k_count, a, b, c);
  add_aligned(24, k_count / 2, a, b, c);
  add_aligned(24, k_count / 2, a + k_count / 2, b + k_count / 2, c);
}

}  // namespace ek::simt
