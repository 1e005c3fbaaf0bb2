#include "kernels/elementwise.h"

#include <cmath>
#include <limits>

#include "kernels/math/bf16.h"
#include "tests/catch.h"
#include "tests/kernels/numbers.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::bf16;
using ek::test::max_error;
using ek::test::random_numbers;

namespace {

// One thread's worth, a part of a block, several blocks with a rest of every kernel.
constexpr std::int64_t kCounts[] = {1, 7, 1003, 4099};

// Device and host compute in the same type with at most a few roundings each; exp and log of the
// two libraries differ by units in the last place.
template <class T>
constexpr double kTolerance = 4 * double(std::numeric_limits<T>::epsilon());

// Buffers begin `shift` elements past an aligned address: all versions serve 0, the plain one alone
// serves 1.
template <class T>
std::vector<T> simt_unary(Unary op, const std::vector<T>& x, int shift) {
  return in_all_versions<T>("unary", x.size(), shift, [&](T* y) {
    const Input<T> in(shifted(x, shift));
    unary<Simt, T>({}, op, std::int64_t(x.size()), in.data() + shift, y);
  });
}

template <class T>
void check_unary(Unary op, T low, T high) {
  for (const std::int64_t count : kCounts) {
    std::vector<T> x = random_numbers<T>(count, 1), expected(x.size());
    for (T& v : x) v = low + (high - low) * (v + 1) / 2;
    unary<Cpu, T>({}, op, count, x.data(), expected.data());
    for (const int shift : {0, 1}) {
      REQUIRE(max_error(simt_unary(op, x, shift), expected, 1e-2) <= kTolerance<T> * 100);
    }
  }
}

template <class T, class F, class G>
void check_two(std::string_view function, F on_simt, G on_cpu) {
  for (const std::int64_t count : kCounts) {
    const std::vector<T> a = random_numbers<T>(count, 2), b = random_numbers<T>(count, 3);
    std::vector<T> expected(a.size());
    on_cpu(count, a.data(), b.data(), expected.data());
    for (const int shift : {0, 1}) {
      const auto y = in_all_versions<T>(function, a.size(), shift, [&](T* to) {
        const Input<T> in_a(shifted(a, shift)), in_b(shifted(b, shift));
        on_simt(count, in_a.data() + shift, in_b.data() + shift, to);
      });
      REQUIRE(max_error(y, expected, 1.0) <= kTolerance<T>);
    }
  }
}

template <class From, class To>
void check_convert() {
  std::vector<From> x = {From{}};
  for (double v : random_numbers<double>(1003, 7)) {
    From value{};
    convert<Cpu, double, From>({}, 1, &v, &value);
    x.push_back(value);
  }
  std::vector<To> expected(x.size());
  convert<Cpu, From, To>({}, std::int64_t(x.size()), x.data(), expected.data());
  for (const int shift : {0, 1}) {
    const auto y = in_all_versions<To>("convert", x.size(), shift, [&](To* to) {
      const Input<From> in(shifted(x, shift));
      convert<Simt, From, To>({}, std::int64_t(x.size()), in.data() + shift, to);
    });
    REQUIRE(ek::test::same_bits(y, expected));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("simt unary functions", "", float, double) {
  using T = TestType;
  check_unary<T>(Unary::negate, -3, 3);
  check_unary<T>(Unary::exp, -10, 10);
  check_unary<T>(Unary::log, T(1e-3), 10);
  check_unary<T>(Unary::rsqrt, T(1e-3), 10);
  check_unary<T>(Unary::sigmoid, -20, 20);
  check_unary<T>(Unary::relu, -1, 1);
  check_unary<T>(Unary::square, -3, 3);
}

TEMPLATE_TEST_CASE("simt unary functions at the edges", "", float, double) {
  using T = TestType;
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const std::vector<T> x{-inf, T(-1000), T(0), T(1000), inf, nan};
  for (const Unary op : {Unary::sigmoid, Unary::relu}) {
    std::vector<T> expected(x.size());
    unary<Cpu, T>({}, op, 6, x.data(), expected.data());
    for (const int shift : {0, 1}) {
      const std::vector<T> y = simt_unary(op, x, shift);
      for (int i = 0; i < 5; ++i) CHECK(y[std::size_t(i)] == expected[std::size_t(i)]);
      CHECK(std::isnan(y[5]));
    }
  }
}

TEMPLATE_TEST_CASE("simt binary functions", "", float, double) {
  using T = TestType;
  for (const Binary op :
       {Binary::add, Binary::subtract, Binary::multiply, Binary::divide, Binary::gate}) {
    check_two<T>(
        "binary",
        [&](std::int64_t n, const T* a, const T* b, T* y) { binary<Simt, T>({}, op, n, a, b, y); },
        [&](std::int64_t n, const T* a, const T* b, T* y) { binary<Cpu, T>({}, op, n, a, b, y); });
  }
}

TEMPLATE_TEST_CASE("simt affine, add_scaled and fill", "", float, double) {
  using T = TestType;
  check_two<T>(
      "affine",
      [](std::int64_t n, const T* a, const T*, T* y) { affine<Simt, T>({}, n, -0.5, 3.0, a, y); },
      [](std::int64_t n, const T* a, const T*, T* y) { affine<Cpu, T>({}, n, -0.5, 3.0, a, y); });
  check_two<T>(
      "add_scaled",
      [](std::int64_t n, const T* a, const T* b, T* y) {
        add_scaled<Simt, T>({}, n, a, -0.3, b, y);
      },
      [](std::int64_t n, const T* a, const T* b, T* y) {
        add_scaled<Cpu, T>({}, n, a, -0.3, b, y);
      });
  check_two<T>(
      "fill", [](std::int64_t n, const T*, const T*, T* y) { fill<Simt, T>({}, n, 0.7, y); },
      [](std::int64_t n, const T*, const T*, T* y) { fill<Cpu, T>({}, n, 0.7, y); });
}

// In place, which the header allows.
TEST_CASE("simt elementwise functions work in place") {
  const std::vector<float> x = random_numbers<float>(1003, 4);
  std::vector<float> expected(x.size());
  affine<Cpu, float>({}, 1003, 2, 1, x.data(), expected.data());
  ek::simt::Guarded<float> y(x, "in place");
  affine<Simt, float>({}, 1003, 2, 1, y.data(), y.data());
  REQUIRE(max_error(y.values(), expected, 1.0) <= kTolerance<float>);
}

TEST_CASE("simt conversions are those of the CPU bit for bit") {
  check_convert<float, float>();
  check_convert<float, double>();
  check_convert<float, bf16>();
  check_convert<double, float>();
  check_convert<double, double>();
  check_convert<double, bf16>();
  check_convert<bf16, float>();
  check_convert<bf16, double>();
  check_convert<bf16, bf16>();
}

// bf16: computed in float, rounded once.
TEST_CASE("simt bf16 arithmetic") {
  constexpr std::int64_t count = 1003;
  const std::vector<float> a = random_numbers<float>(count, 5), b = random_numbers<float>(count, 6);
  std::vector<bf16> na(count), nb(count);
  convert<Cpu, float, bf16>({}, count, a.data(), na.data());
  convert<Cpu, float, bf16>({}, count, b.data(), nb.data());
  const Input<bf16> in_a(na), in_b(nb);
  const auto wide = [](bf16 v) { return ek::math::bf16_to_float(v); };
  for (const Binary op : {Binary::add, Binary::gate}) {
    const auto y = in_all_versions<bf16>("binary", count, 0, [&](bf16* to) {
      binary<Simt, bf16>({}, op, count, in_a.data(), in_b.data(), to);
    });
    std::vector<bf16> expected;
    for (std::size_t i = 0; i < na.size(); ++i) {
      const float u = wide(na[i]), v = wide(nb[i]);
      expected.push_back(ek::math::float_to_bf16(op == Binary::add ? u + v : v > 0 ? u : 0));
    }
    REQUIRE(ek::test::same_bits(y, expected));
  }
  const auto filled = in_all_versions<bf16>(
      "fill", count, 0, [&](bf16* to) { fill<Simt, bf16>({}, count, 0.7, to); });
  REQUIRE(ek::test::same_bits(filled, std::vector<bf16>(count, ek::math::float_to_bf16(0.7f))));
}
