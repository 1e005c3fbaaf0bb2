#include "kernels/gemm.h"

#include <cmath>

#include "kernels/base/versions.h"
#include "tests/catch.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::test::random_numbers;
using ek::test::same_bits;

namespace {

struct Sizes {
  std::int64_t m, n, k;
};

// Below 1024 elements or below k = 8 the plain kernel, then tiles of 32 x 32, with panels of 16.
constexpr Sizes kSmall[] = {{1, 1, 1},     {1, 7, 3},    {5, 1, 9},    {31, 33, 40},
                            {64, 48, 7},   {32, 32, 8},  {33, 32, 16}, {65, 33, 17},
                            {40, 100, 49}, {2, 515, 33}, {1030, 1, 20}};

template <class T>
struct Problem {
  explicit Problem(const GemmShape& shape)
      : s(shape), a(random_numbers<T>(s.m * s.k, 1)), b(random_numbers<T>(s.k * s.n, 2)) {}

  T a_at(std::int64_t i, std::int64_t k) const {
    return a[std::size_t(s.transpose_a ? k * s.m + i : i * s.k + k)];
  }
  T b_at(std::int64_t k, std::int64_t j) const {
    return b[std::size_t(s.transpose_b ? j * s.k + k : k * s.n + j)];
  }

  // What every kernel must give, bit by bit: fused multiply-adds in the order of k.
  std::vector<T> chain() const {
    std::vector<T> c;
    for (std::int64_t i = 0; i < s.m; ++i) {
      for (std::int64_t j = 0; j < s.n; ++j) {
        T sum = 0;
        for (std::int64_t k = 0; k < s.k; ++k) sum = std::fma(a_at(i, k), b_at(k, j), sum);
        c.push_back(sum);
      }
    }
    return c;
  }

  // Two sums of k products in any order, with at most two roundings a product, differ by less than
  // 2 k epsilon times the sum of magnitudes, and by `product` times it when factors are rounded.
  // The largest difference in that unit.
  double error(const std::vector<T>& c, const std::vector<T>& expected, double product = 0) const {
    double worst = 0;
    for (std::size_t e = 0; e < c.size(); ++e) {
      double magnitude = 0;
      for (std::int64_t k = 0; k < s.k; ++k) {
        magnitude += std::abs(double(a_at(std::int64_t(e) / s.n, k)) *
                              double(b_at(k, std::int64_t(e) % s.n)));
      }
      const double unit = (2 * double(s.k) * ek::test::epsilon_of<T>() + product) * magnitude;
      const double off = std::abs(double(c[e]) - double(expected[e])) / unit;
      if (!(off <= worst)) worst = off;
      if (std::isnan(worst)) break;
    }
    return worst;
  }

  GemmShape s;
  std::vector<T> a, b;
};

template <class T>
void check(const GemmShape& s) {
  INFO("m " << s.m << ", n " << s.n << ", k " << s.k << ", transpose_a " << s.transpose_a
            << ", transpose_b " << s.transpose_b);
  const Problem<T> problem(s);
  const Input<T> a(problem.a, "a"), b(problem.b, "b");
  const std::vector<T> c = in_all_orders<T>(
      std::size_t(s.m * s.n), 0, [&](T* to) { gemm<Simt, T>({}, s, a.data(), b.data(), to); });
  REQUIRE(same_bits(c, problem.chain()));
  std::vector<T> expected(c.size());
  gemm<Cpu, T>({}, s, problem.a.data(), problem.b.data(), expected.data());
  REQUIRE(problem.error(c, expected) <= 1);
}

}  // namespace

TEMPLATE_TEST_CASE("simt gemm", "", float, double) {
  for (const Sizes& of : kSmall) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) check<TestType>({of.m, of.n, of.k, ta, tb});
    }
  }
}

TEST_CASE("simt gemm gives the same bits by each of its versions of multiply-adds") {
  for (const auto version : {"plain", "tiled"}) {
    const ScopedVersion scope("gemm", version);
    check<float>({5, 7, 3, false, true});
    check<float>({70, 65, 20, false, false});
  }
}

namespace {

// Tensor cores leave out some 3 * 2^-22 of a product of float32, tf32 rounds both factors by 2^-11.
void check_mma(GemmShape s, bool all_orders = true) {
  INFO("m " << s.m << ", n " << s.n << ", k " << s.k << ", transpose_a " << s.transpose_a
            << ", transpose_b " << s.transpose_b);
  const ScopedVersion scope("gemm", "mma");
  const Problem<float> problem(s);
  std::vector<float> cpu(std::size_t(s.m * s.n));
  gemm<Cpu, float>({}, s, problem.a.data(), problem.b.data(), cpu.data());
  const Input<float> a(problem.a, "a"), b(problem.b, "b");
  for (const bool exact : {true, false}) {
    s.products = exact ? FloatProducts::exact : FloatProducts::tf32;
    const auto run = [&](float* to) { gemm<Simt, float>({}, s, a.data(), b.data(), to); };
    std::vector<float> c;
    if (all_orders) {
      c = in_all_orders<float>(cpu.size(), 0, run);
    } else {
      ek::simt::Guarded<float> out(cpu.size(), "c");
      run(out.data());
      c = out.values();
    }
    REQUIRE(problem.error(c, cpu, exact ? 3 * 0x1p-22 : 0x1.01p-10) <= 1);
  }
}

constexpr GemmShape kLargeMma{127 * 128 + 1, 1, 9, true, false};  // 128 tiles of 128 x 128

}  // namespace

TEST_CASE("simt gemm on tensor cores") {
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      check_mma({1, 1, 1, ta, tb});
      check_mma({5, 9, 33, ta, tb});
      check_mma({70, 65, 20, ta, tb});
      check_mma({2, 131, 17, ta, tb});
    }
  }
}
TEST_CASE("simt gemm on tensor cores with large tiles") {
  check_mma(kLargeMma, false);
}
TEST_CASE("simt gemm on tensor cores with large tiles in all orders", "[slow]") {
  check_mma(kLargeMma);
  check_mma({4 * 128 + 3, 32 * 128 - 5, 40, false, true});
}

TEST_CASE("simt gemm: the rule takes tensor cores for tf32 alone") {
  GemmShape s{40, 30, 21};
  const Problem<float> problem(s);
  const Input<float> a(problem.a, "a"), b(problem.b, "b");
  const auto run = [&](FloatProducts products) {
    s.products = products;
    ek::simt::Guarded<float> c(std::size_t(s.m * s.n), "c");
    gemm<Simt, float>({}, s, a.data(), b.data(), c.data());
    return c.values();
  };
  REQUIRE(same_bits(run(FloatProducts::exact), problem.chain()));
  const auto by_rule = run(FloatProducts::tf32);
  REQUIRE(!same_bits(by_rule, problem.chain()));
  const ScopedVersion scope("gemm", "mma");
  REQUIRE(same_bits(by_rule, run(FloatProducts::tf32)));
  const double one = 1;
  double c = 0;
  REQUIRE_THROWS_WITH((gemm<Simt, double>({}, {1, 1, 1}, &one, &one, &c)),
                      Catch::Matchers::StartsWith("gemm: version mma expected"));
}

// 128 tiles of 64 x 64 and more take these.
TEST_CASE("simt gemm with large tiles") {
  check<float>({8 * 64 - 3, 15 * 64 + 1, 17, false, false});
  check<float>({127 * 64 + 1, 1, 35, true, false});
  check<double>({2, 127 * 64 + 5, 18, false, true});
}

TEMPLATE_TEST_CASE("simt gemm with k = 0 is zero, and with m or n = 0 nothing", "", float, double) {
  using T = TestType;
  const auto c = in_all_orders<T>(40 * 30, 0, [](T* to) {
    gemm<Simt, T>({}, {40, 30, 0}, nullptr, nullptr, to);
  });
  REQUIRE(same_bits(c, std::vector<T>(40 * 30, T(0))));
  const std::vector<T> values = random_numbers<T>(12, 1);
  const Input<T> in(values);
  ek::simt::Guarded<T> out(1, "out");
  const auto before = out.values();
  gemm<Simt, T>({}, {0, 3, 4}, nullptr, in.data(), out.data());
  gemm<Simt, T>({}, {3, 0, 4}, in.data(), nullptr, out.data());
  REQUIRE(same_bits(out.values(), before));
}

// An infinity or a NaN reaches its own row or column and no other element: what fills a tile up is
// zero on both sides.
TEMPLATE_TEST_CASE("simt gemm keeps infinities where they belong", "", float, double) {
  using T = TestType;
  const GemmShape s{33, 35, 19};
  Problem<T> problem(s);
  problem.a[std::size_t(32 * s.k + 18)] = std::numeric_limits<T>::infinity();
  problem.b[std::size_t(18 * s.n + 34)] = std::numeric_limits<T>::quiet_NaN();
  const Input<T> a(problem.a, "a"), b(problem.b, "b");
  ek::simt::Guarded<T> c(std::size_t(s.m * s.n), "c");
  gemm<Simt, T>({}, s, a.data(), b.data(), c.data());
  const std::vector<T> values = c.values();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool last_row = i / 35 == 32, last_column = i % 35 == 34;
    REQUIRE(std::isnan(values[i]) == last_column);
    REQUIRE(std::isinf(values[i]) == (last_row && !last_column));
  }
  if constexpr (std::is_same_v<T, float>) {  // split in two, an infinity leaves a NaN
    const ScopedVersion scope("gemm", "mma");
    gemm<Simt, T>({}, s, a.data(), b.data(), c.data());
    const std::vector<T> by_mma = c.values();
    for (std::size_t i = 0; i < by_mma.size(); ++i) {
      REQUIRE(std::isfinite(by_mma[i]) == std::isfinite(values[i]));
    }
  }
}
