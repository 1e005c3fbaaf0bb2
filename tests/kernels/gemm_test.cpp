#include "kernels/gemm.h"

#include "kernels/base/error.h"
#include "tests/catch.h"
#include "tests/kernels/reference.h"

using namespace ek::kernels;
using namespace ek::reference;

namespace {

struct Sizes {
  std::int64_t m, n, k;
};

// Around the edges of tiles (6 or 8 rows, whole vectors), row blocks (64) and chunks of k (128).
const std::vector<Sizes> sizes{
    {1, 1, 1},      {1, 7, 3},     {5, 1, 9},      {2, 3, 1},     {7, 8, 9},     {8, 16, 16},
    {9, 17, 31},    {16, 33, 5},   {63, 15, 64},   {65, 31, 129}, {64, 32, 128}, {130, 10, 64},
    {128, 100, 64}, {3, 200, 260}, {100, 64, 257}, {1, 100, 64},  {300, 2, 2}};

template <class T>
Guarded<T> run(const GemmShape& s) {
  const auto a = random_values<T>(s.m * s.k, 1), b = random_values<T>(s.k * s.n, 2);
  Guarded<T> c(s.m * s.n);
  gemm<Cpu, T>({}, s, a.data(), b.data(), c.data());
  REQUIRE(c.intact());
  return c;
}

template <class T>
Sums expected(const GemmShape& s) {
  const auto a = random_values<T>(s.m * s.k, 1), b = random_values<T>(s.k * s.n, 2);
  Sums sums(s.m * s.n);
  for (std::int64_t i = 0; i < s.m; ++i) {
    for (std::int64_t j = 0; j < s.n; ++j) {
      for (std::int64_t l = 0; l < s.k; ++l) {
        sums.add(i * s.n + j, a[s.transpose_a ? l * s.m + i : i * s.k + l],
                 b[s.transpose_b ? j * s.k + l : l * s.n + j]);
      }
    }
  }
  return sums;
}

template <class Body>
void for_shapes(Body body) {
  for (const Sizes& size : sizes) {
    for (bool ta : {false, true}) {
      for (bool tb : {false, true}) {
        INFO("m " << size.m << ", n " << size.n << ", k " << size.k << ", transpose_a " << ta
                  << ", transpose_b " << tb);
        body(GemmShape{size.m, size.n, size.k, ta, tb});
      }
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("gemm agrees with naive sums in double", "", float, double) {
  for_shapes([](const GemmShape& s) {
    REQUIRE(first_wrong(run<TestType>(s), expected<TestType>(s)) == -1);
  });
}

TEMPLATE_TEST_CASE("gemm has the same bits for 1, 2 and 4 threads", "", float, double) {
  for_shapes([](const GemmShape& s) {
    const Guarded<TestType> one = [&] {
      const Threads threads(1);
      return run<TestType>(s);
    }();
    for (int count : {2, 4}) {
      const Threads threads(count);
      REQUIRE(run<TestType>(s).same_bits(one));
    }
  });
}

TEMPLATE_TEST_CASE("gemm with k = 0 is zero", "", float, double) {
  const Guarded<TestType> c = run<TestType>({5, 9, 0, false, true});
  for (std::int64_t i = 0; i < c.size(); ++i) REQUIRE(c[i] == 0);
}

TEMPLATE_TEST_CASE("gemm takes empty results and refuses negative sizes", "", float, double) {
  REQUIRE(run<TestType>({0, 3, 4}).size() == 0);
  REQUIRE(run<TestType>({3, 0, 4, true}).size() == 0);
  TestType value = 0;
  const auto negative = [&] { gemm<Cpu, TestType>({}, {-1, 1, 1}, &value, &value, &value); };
  REQUIRE_THROWS_AS(negative(), ek::Error);
}

TEMPLATE_TEST_CASE("gemm passes a NaN on", "", float, double) {
  auto a = random_values<TestType>(12, 1), b = random_values<TestType>(12, 2);
  a[5] = std::numeric_limits<TestType>::quiet_NaN();  // row 1 of [3, 4]
  Guarded<TestType> c(9);
  gemm<Cpu, TestType>({}, {3, 3, 4}, a.data(), b.data(), c.data());
  for (std::int64_t i = 0; i < 9; ++i) REQUIRE(std::isnan(c[i]) == (i / 3 == 1));
}
