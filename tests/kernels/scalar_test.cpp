// Numbers that lie in memory give the bits of plain ones; Adam's powers.
#include "kernels/base/scalar.h"

#include <cmath>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/math/adam.h"
#include "kernels/optim.h"
#include "tests/catch.h"
#include "tests/kernels/numbers.h"

using namespace ek::kernels;
using ek::test::random_numbers;
using ek::test::same_bits;

TEST_CASE("one_minus_power keeps its digits") {
  for (const double b : {0.0, 0.3, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1 - 1e-9}) {
    for (const std::int64_t n : {0, 1, 2, 3, 7, 100, 1023, 1024, 65537, 1000000}) {
      const long double exact = n == 0 ? 0.0L
                                : b == 0
                                    ? 1.0L
                                    : -std::expm1((long double)n * std::log1p((long double)b - 1));
      const double got = ek::math::one_minus_power(b, n);
      // Two roundings for each of at most 20 bits, of errors that never grow.
      CAPTURE(b, n);
      REQUIRE(std::abs(got - double(exact)) <= 40 * 0x1p-53 * double(exact));
    }
  }
  CHECK(ek::math::one_minus_power(1, 5) == 0);
}

TEMPLATE_TEST_CASE("numbers in memory give the bits of plain ones", "", float, double) {
  using T = TestType;
  const std::int64_t count = 1000;
  const double rate = 0.0371, scale = -rate;
  const std::int64_t done = 6;
  const auto x = random_numbers<T>(count, 1), d = random_numbers<T>(count, 2);
  const std::vector<OptimSegment> segments{{0, 300, 0.3, 1e-3}, {300, count, 1, 0}};

  std::vector<T> a(x.size()), b = a;
  affine<Cpu, T>({}, count, scale, 0.5, x.data(), a.data());
  affine<Cpu, T>({}, count, Scalar(-1, &rate), 0.5, x.data(), b.data());
  CHECK(same_bits(a, b));
  add_scaled<Cpu, T>({}, count, x.data(), scale, d.data(), a.data());
  add_scaled<Cpu, T>({}, count, x.data(), Scalar(-1, &rate), d.data(), b.data());
  CHECK(same_bits(a, b));

  const auto sgd = [&](Scalar lr) {
    std::vector<T> p = x, m = d;
    sgd_step<Cpu, T>({}, {lr, 0.9, true}, segments, d.data(), p.data(), m.data());
    return p;
  };
  CHECK(same_bits(sgd(rate), sgd({1, &rate})));
  const auto adam = [&](Scalar lr, Count step) {
    std::vector<T> p = x, m = d, v(std::size_t(count), T(1));
    adam_step<Cpu, T>({}, {lr, 0.9, 0.999, 1e-8, step}, segments, d.data(), p.data(), m.data(),
                      v.data());
    return p;
  };
  CHECK(same_bits(adam(rate, done + 1), adam({1, &rate}, {1, &done})));
  CHECK(!same_bits(adam(rate, done + 1), adam(rate, done)));
}
