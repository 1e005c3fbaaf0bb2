#include "kernels/elementwise.h"

#include <bit>
#include <functional>

#include "tests/catch.h"
#include "tests/kernels/numbers.h"

using namespace ek::kernels;
using namespace ek::test;

namespace {

// Longer than one block of work, and no multiple of it.
constexpr std::int64_t kCount = 40001;

template <class T>
void check_unary(Unary op, const std::function<double(double)>& expected, double low, double high) {
  std::vector<T> x = random_numbers<T>(kCount, 1), y(x.size());
  for (T& v : x) v = T(low + (high - low) * (double(v) + 1) / 2);
  unary<Cpu, T>({}, op, kCount, x.data(), y.data());
  std::vector<double> reference;
  for (T v : x) reference.push_back(expected(double(v)));
  // A few units in the last place of T, relative; near zero (log at 1) absolute.
  REQUIRE(max_error(y, reference, 1e-2) <= 8 * double(std::numeric_limits<T>::epsilon()) * 2);
  unary<Cpu, T>({}, op, kCount, x.data(), x.data());
  REQUIRE(same_bits(x, y));
}

template <class T>
void check_binary(Binary op, const std::function<double(double, double)>& expected) {
  const std::vector<T> a = random_numbers<T>(kCount, 2), b = random_numbers<T>(kCount, 3);
  std::vector<T> y(a.size()), in_place = a;
  binary<Cpu, T>({}, op, kCount, a.data(), b.data(), y.data());
  std::vector<double> reference;
  for (std::size_t i = 0; i < a.size(); ++i) {
    reference.push_back(expected(number(a[i]), number(b[i])));
  }
  // Half a step of T, and half a step of what it is computed in.
  const double tolerance = (epsilon_of<T>() + epsilon_of<Acc<T>>()) / 2;
  REQUIRE(max_error(y, reference, 1e-12) <= tolerance);
  binary<Cpu, T>({}, op, kCount, in_place.data(), b.data(), in_place.data());
  REQUIRE(same_bits(numbers(in_place), numbers(y)));
}

template <class From, class To>
std::vector<To> converted(const std::vector<From>& x) {
  std::vector<To> y(x.size());
  convert<Cpu, From, To>({}, std::int64_t(x.size()), x.data(), y.data());
  return y;
}

float widened(ek::bf16 x) {
  return std::bit_cast<float>(std::uint32_t(x.bits) << 16);
}

}  // namespace

TEMPLATE_TEST_CASE("unary functions", "", float, double) {
  using T = TestType;
  check_unary<T>(
      Unary::negate, [](double x) { return -x; }, -3, 3);
  check_unary<T>(
      Unary::exp, [](double x) { return std::exp(x); }, -10, 10);
  check_unary<T>(
      Unary::log, [](double x) { return std::log(x); }, 1e-3, 10);
  check_unary<T>(
      Unary::rsqrt, [](double x) { return 1 / std::sqrt(x); }, 1e-3, 10);
  check_unary<T>(
      Unary::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -20, 20);
  check_unary<T>(
      Unary::relu, [](double x) { return std::max(x, 0.0); }, -1, 1);
  check_unary<T>(
      Unary::square, [](double x) { return x * x; }, -3, 3);
}

TEMPLATE_TEST_CASE("unary functions at the edges", "", float, double) {
  using T = TestType;
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const std::vector<T> x{-inf, T(-1000), T(0), T(1000), inf, nan};
  std::vector<T> y(x.size());
  unary<Cpu, T>({}, Unary::sigmoid, 6, x.data(), y.data());
  CHECK((y[0] == 0 && y[1] == 0 && y[2] == T(0.5) && y[3] == 1 && y[4] == 1));
  CHECK(std::isnan(y[5]));
  unary<Cpu, T>({}, Unary::relu, 6, x.data(), y.data());
  CHECK((y[0] == 0 && y[1] == 0 && y[2] == 0 && y[3] == 1000 && y[4] == inf));
  CHECK(std::isnan(y[5]));
}

TEMPLATE_TEST_CASE("binary functions", "", float, double, ek::bf16) {
  using T = TestType;
  check_binary<T>(Binary::add, [](double a, double b) { return a + b; });
  check_binary<T>(Binary::subtract, [](double a, double b) { return a - b; });
  check_binary<T>(Binary::multiply, [](double a, double b) { return a * b; });
  check_binary<T>(Binary::divide, [](double a, double b) { return a / b; });
  check_binary<T>(Binary::gate, [](double a, double b) { return b > 0 ? a : 0; });
}

TEMPLATE_TEST_CASE("affine, add_scaled and fill", "", float, double) {
  using T = TestType;
  const std::vector<T> x = random_numbers<T>(kCount, 4), d = random_numbers<T>(kCount, 5);
  std::vector<T> y(x.size());
  std::vector<double> reference;
  affine<Cpu, T>({}, kCount, -0.5, 3.0, x.data(), y.data());
  for (T v : x) reference.push_back(-0.5 * double(v) + 3);
  REQUIRE(max_error(y, reference, 1) <= double(std::numeric_limits<T>::epsilon()));

  add_scaled<Cpu, T>({}, kCount, x.data(), 0.25, d.data(), y.data());
  for (std::size_t i = 0; i < x.size(); ++i) reference[i] = double(x[i]) + 0.25 * double(d[i]);
  REQUIRE(max_error(y, reference, 1) <= double(std::numeric_limits<T>::epsilon()));

  fill<Cpu, T>({}, kCount, 2.5, y.data());
  REQUIRE(std::all_of(y.begin(), y.end(), [](T v) { return v == T(2.5); }));
  fill<Cpu, T>({}, 0, 1.0, nullptr);  // nothing to do
}

TEST_CASE("gate and fill on bf16") {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<ek::bf16> a(20), b(20), y(20);  // one vector and a rest
  const double gates[] = {-inf, -1, -0.0, 0, 0x1p-126, 1, inf, nan};
  for (std::size_t i = 0; i < 20; ++i) {
    a[i] = nearest<ek::bf16>(i == 13 ? nan : double(i) - 7);
    b[i] = nearest<ek::bf16>(gates[i % 8]);
  }
  binary<Cpu, ek::bf16>({}, Binary::gate, 20, a.data(), b.data(), y.data());
  for (std::size_t i = 0; i < 20; ++i) {
    CAPTURE(i);
    const bool open = i % 8 >= 4 && i % 8 <= 6;
    if (i == 13) {
      REQUIRE(std::isnan(number(y[i])));  // 13 % 8 is open
    } else {
      REQUIRE(number(y[i]) == (open ? double(i) - 7 : 0));
    }
  }
  fill<Cpu, ek::bf16>({}, 20, 1 + 3 * 0x1p-8, y.data());  // half way: to the even neighbour
  REQUIRE(numbers(y) == std::vector<double>(20, 1 + 0x1p-6));
}

TEST_CASE("conversion to bf16 rounds to nearest even, once") {
  // 1 + 2^-8 lies half way between the bf16 numbers 1 and 1 + 2^-7.
  const std::vector<float> x{1.0f,
                             1 + 0x1p-8f,
                             1 + 0x1p-8f + 0x1p-20f,
                             1 + 3 * 0x1p-8f,
                             -1 - 0x1p-8f,
                             3.4e38f,
                             std::numeric_limits<float>::infinity(),
                             std::bit_cast<float>(0x7f800001u)};
  const auto y = converted<float, ek::bf16>(x);
  CHECK(widened(y[0]) == 1.0f);
  CHECK(widened(y[1]) == 1.0f);
  CHECK(widened(y[2]) == 1 + 0x1p-7f);
  CHECK(widened(y[3]) == 1 + 0x1p-6f);
  CHECK(widened(y[4]) == -1.0f);
  CHECK(std::isinf(widened(y[5])));  // above the largest bf16 by more than half a step
  CHECK(std::isinf(widened(y[6])));
  CHECK(std::isnan(widened(y[7])));

  // Through the nearest float, the first would land on the tie and come down to 1.
  const std::vector<double> d{1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-8 - 0x1p-40, 1 + 0x1p-8,
                              -1 - 3 * 0x1p-8 + 0x1p-40, 1e300};
  const auto z = converted<double, ek::bf16>(d);
  CHECK(widened(z[0]) == 1 + 0x1p-7f);
  CHECK(widened(z[1]) == 1.0f);
  CHECK(widened(z[2]) == 1.0f);
  CHECK(widened(z[3]) == -1 - 0x1p-7f);
  CHECK(std::isinf(widened(z[4])));
}

TEST_CASE("every bf16 survives the way to float and double and back") {
  std::vector<ek::bf16> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i].bits = std::uint16_t(i);
  const auto floats = converted<ek::bf16, float>(all);
  const auto doubles = converted<ek::bf16, double>(all);
  const auto from_floats = converted<float, ek::bf16>(floats);
  const auto from_doubles = converted<double, ek::bf16>(doubles);
  const auto copied = converted<ek::bf16, ek::bf16>(all);
  int wrong = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (std::isnan(floats[i])) {
      wrong += !std::isnan(widened(from_floats[i])) || !std::isnan(doubles[i]) ||
               !std::isnan(widened(from_doubles[i]));
    } else {
      wrong += from_floats[i].bits != all[i].bits || from_doubles[i].bits != all[i].bits ||
               doubles[i] != double(floats[i]);
    }
    wrong += copied[i].bits != all[i].bits;
  }
  REQUIRE(wrong == 0);
}

TEST_CASE("conversion between float and double") {
  const auto x = random_numbers<double>(kCount, 6);
  const auto narrow = converted<double, float>(x);
  REQUIRE(max_error(narrow, x, 1e-30) <= 0x1p-24);
  REQUIRE(same_bits(converted<double, float>(converted<float, double>(narrow)), narrow));
  REQUIRE(same_bits(converted<double, double>(x), x));
  REQUIRE(same_bits(converted<float, float>(narrow), narrow));
}

TEST_CASE("elementwise bits do not depend on threads") {
  const auto x = random_numbers<float>(kCount, 7);
  std::vector<float> first;
  for (int threads : {1, 2, 4}) {
    const Threads scope(threads);
    std::vector<float> y(x.size());
    unary<Cpu, float>({}, Unary::sigmoid, kCount, x.data(), y.data());
    binary<Cpu, float>({}, Binary::multiply, kCount, y.data(), x.data(), y.data());
    if (first.empty()) first = y;
    REQUIRE(same_bits(y, first));
  }
}
