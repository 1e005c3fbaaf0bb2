#include "tests/simt/executor/tensor.h"

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/math/bf16.h"
#include "kernels/simt/warp/target.h"
#include "tests/catch.h"
#include "tests/kernels/numbers.h"
#include "tests/simt/device.h"

using namespace ek::simt;
using namespace ek::simt::test;
using ek::test::random_numbers;
using ek::test::same_bits;

namespace {

constexpr int kRows = 16, kColumns = 8;

// Small integers: every product and sum is exact in any rounding and format.
Matrix integers(int count, std::uint32_t seed) {
  Matrix values = random_numbers<float>(count, seed);
  for (float& v : values) v = std::round(8 * v);
  return values;
}

Matrix naive(const Matrix& a, const Matrix& b, const Matrix& c) {
  const std::size_t depth = a.size() / kRows;
  Matrix d = c;
  for (std::size_t i = 0; i < kRows; ++i) {
    for (std::size_t j = 0; j < kColumns; ++j) {
      for (std::size_t k = 0; k < depth; ++k) {
        d[i * kColumns + j] += a[i * depth + k] * b[k * kColumns + j];
      }
    }
  }
  return d;
}

float tf32(float x) {
  return std::bit_cast<float>(ek::kernels::simt_target::to_tf32(x));
}

Matrix to_tf32(Matrix m) {
  for (float& v : m) v = tf32(v);
  return m;
}

Matrix to_bf16(Matrix m) {
  for (float& v : m) v = ek::math::bf16_to_float(ek::math::float_to_bf16(v));
  return m;
}

// The model of a device's addition once more, in integers: terms as significand and exponent,
// shifted right to the largest exponent, and the sum cut to 24 bits. Finite inputs.
struct Term {
  __int128 significand;  // times 2^(exponent - 46)
  int exponent;
};

Term product(float a, float b) {
  int ea, eb;
  const double fa = std::frexp(double(a), &ea), fb = std::frexp(double(b), &eb);
  // Significands in [1, 2) times 2^23 each.
  return {__int128(std::int64_t(fa * 0x1p24)) * std::int64_t(fb * 0x1p24), ea - 1 + eb - 1};
}

float integer_model(int bits, std::vector<Term> terms) {
  int top = -1000;
  for (const Term& t : terms) {
    if (t.significand != 0) top = std::max(top, t.exponent);
  }
  if (top == -1000) return 0;
  __int128 sum = 0;
  for (const Term& t : terms) {
    const __int128 magnitude = t.significand < 0 ? -t.significand : t.significand;
    const int shift = 46 - bits + top - t.exponent;
    const __int128 cut = shift > 100 ? 0 : magnitude >> shift;
    sum += t.significand < 0 ? -cut : cut;
  }
  // Cut to 24 significant bits, toward zero.
  __int128 magnitude = sum < 0 ? -sum : sum;
  int scale = top - bits;
  while (magnitude >= (1 << 24)) {
    magnitude >>= 1;
    ++scale;
  }
  const float value = std::ldexp(float(std::int64_t(magnitude)), scale);
  return sum < 0 ? -value : value;
}

Matrix modelled(const Matrix& a, const Matrix& b, Matrix c, int bits, int halves) {
  const std::size_t depth = a.size() / kRows, step = depth / std::size_t(halves);
  for (std::size_t i = 0; i < kRows; ++i) {
    for (std::size_t j = 0; j < kColumns; ++j) {
      float& sum = c[i * kColumns + j];
      for (std::size_t first = 0; first < depth; first += step) {
        std::vector<Term> terms{product(sum, 1)};
        for (std::size_t k = first; k < first + step; ++k) {
          terms.push_back(product(a[i * depth + k], b[k * kColumns + j]));
        }
        sum = integer_model(bits, terms);
      }
    }
  }
  return c;
}

// Numbers of many magnitudes, so that alignment cuts.
Matrix spread(int count, std::uint32_t seed) {
  Matrix values = random_numbers<float>(count, seed);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::ldexp(values[i], int(i * 7 % 13) - 6);
  }
  return values;
}

}  // namespace

TEST_CASE("mma fragments lie where the PTX ISA says") {
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    const Matrix a8 = integers(16 * 8, seed), b8 = integers(8 * 8, seed + 10);
    const Matrix a16 = integers(16 * 16, seed), b16 = integers(16 * 8, seed + 10);
    const Matrix c = integers(16 * 8, seed + 20);
    for (const MmaRounding rounding :
         {MmaRounding::hopper, MmaRounding::ampere, MmaRounding::exact, MmaRounding::chain}) {
      const ScopedOptions scope({.mma = rounding});
      CHECK(mma_tf32_once(a8, b8, c) == naive(a8, b8, c));
      CHECK(mma_bf16_gathered(a16, b16, c) == naive(a16, b16, c));
      CHECK(mma_bf16_ldmatrix(a16, b16, c) == naive(a16, b16, c));
    }
  }
}

// One 1 in A against distinct numbers in B, and the other way round: no permutation of rows,
// columns or k that the products above might forgive passes here.
TEST_CASE("every element of a fragment on its own") {
  Matrix numbers(16 * 8);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = float(i + 1);
  const Matrix zero(16 * 8);
  bool all = true;
  for (std::size_t at = 0; at < 16 * 16; ++at) {
    Matrix one(16 * 16);
    one[at] = 1;
    all = all && mma_bf16_ldmatrix(one, numbers, zero) == naive(one, numbers, zero);
    all = all && mma_bf16_gathered(one, numbers, zero) == naive(one, numbers, zero);
  }
  for (std::size_t at = 0; at < 8 * 8; ++at) {
    Matrix one(8 * 8);
    one[at] = 1;
    all = all && mma_tf32_once(numbers, one, zero) == naive(numbers, one, zero);
  }
  REQUIRE(all);
}

TEST_CASE("mma rounding agrees with an integer model") {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    const Matrix a8 = to_tf32(spread(16 * 8, seed)), b8 = to_tf32(spread(8 * 8, seed + 30));
    const Matrix a16 = to_bf16(spread(16 * 16, seed)), b16 = to_bf16(spread(16 * 8, seed + 30));
    const Matrix c = spread(16 * 8, seed + 60);
    {
      const ScopedOptions scope({.mma = MmaRounding::hopper});
      REQUIRE(same_bits(mma_tf32_once(a8, b8, c), modelled(a8, b8, c, 25, 1)));
      REQUIRE(same_bits(mma_bf16_ldmatrix(a16, b16, c), modelled(a16, b16, c, 25, 1)));
    }
    const ScopedOptions scope({.mma = MmaRounding::ampere});
    REQUIRE(same_bits(mma_tf32_once(a8, b8, c), modelled(a8, b8, c, 24, 2)));
    REQUIRE(same_bits(mma_bf16_ldmatrix(a16, b16, c), modelled(a16, b16, c, 24, 2)));
  }
}

TEST_CASE("an mma reads the upper 19 bits of a tf32 register and lets infinities pass") {
  const Matrix a = spread(16 * 8, 1), b = spread(8 * 8, 2), zero(16 * 8);
  Matrix cut_a = a, cut_b = b;
  for (Matrix* m : {&cut_a, &cut_b}) {
    for (float& v : *m) v = std::bit_cast<float>(std::bit_cast<std::uint32_t>(v) & ~0x1FFFu);
  }
  CHECK(same_bits(mma_tf32_once(a, b, zero, false), mma_tf32_once(cut_a, cut_b, zero)));
  Matrix infinite(16 * 8);
  infinite[0] = std::numeric_limits<float>::infinity();
  CHECK(mma_tf32_once(infinite, Matrix(8 * 8, 1.0f), zero)[0] == infinite[0]);
  CHECK(std::isnan(mma_tf32_once(infinite, Matrix(8 * 8, 0.0f), zero)[0]));
}

TEST_CASE("rounding to tf32") {
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(tf32(1.0f) == 1.0f);
  CHECK(tf32(1 + 0x1p-11f) == 1 + 0x1p-10f);  // halves go away from zero
  CHECK(tf32(-1 - 0x1p-11f) == -1 - 0x1p-10f);
  CHECK(tf32(1 + 0x1p-12f) == 1.0f);
  CHECK(tf32(std::numeric_limits<float>::max()) == inf);
  CHECK(tf32(-inf) == -inf);
  CHECK(std::bit_cast<std::uint32_t>(tf32(std::nanf(""))) == 0x7FFFFFFF);
  CHECK(ek::kernels::simt_target::to_bf16(std::nanf("")).bits == 0x7FFF);
}

// Also in the order of threads and copies. The error is relative to the sum of magnitudes: four
// mma, each cut below 2^-23 of it.
TEST_CASE("a tf32 product with tiles in shared memory") {
  const Matrix a = to_tf32(random_numbers<float>(64 * 32, 1));
  const Matrix b = to_tf32(random_numbers<float>(32 * 48, 2));
  const Matrix c = in_all_orders<float>(64 * 48, 0, [&](float* to) {
    const Matrix result = gemm_tf32(a, b);
    std::copy(result.begin(), result.end(), to);
  });
  double worst = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    for (std::size_t j = 0; j < 48; ++j) {
      double sum = 0, magnitude = 0;
      for (std::size_t k = 0; k < 32; ++k) {
        const double product = double(a[i * 32 + k]) * double(b[k * 48 + j]);
        sum += product;
        magnitude += std::abs(product);
      }
      const double error = std::abs(double(c[i * 48 + j]) - sum) / magnitude;
      if (!(error <= worst)) worst = error;
    }
  }
  REQUIRE(worst <= 4 * 0x1p-23);
}
