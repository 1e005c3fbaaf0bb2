#include <cmath>
#include <functional>

#include "engine/ops.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"
#include "tests/error_of.h"

using ek::DType;
using ek::Shape;
using ek::Tensor;
using ek::Tensors;
namespace ops = ek::ops;

namespace {

// Kernels of float64 call the library's functions; a few units in the last place.
constexpr double value_tolerance = 1e-14;

struct UnaryCase {
  const char* name;
  Tensor (*op)(const Tensor&);
  double (*reference)(double);
  double scale, shift;  // of the normal inputs
};

const UnaryCase unary_cases[] = {
    {"neg", ops::neg, [](double x) { return -x; }, 1, 0},
    {"exp", ops::exp, [](double x) { return std::exp(x); }, 1, 0},
    {"log", ops::log, [](double x) { return std::log(x); }, 0.2, 2},
    {"rsqrt", ops::rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.2, 2},
    {"sigmoid", ops::sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 1, 0},
    {"square", ops::square, [](double x) { return x * x; }, 1, 0},
    {"relu", ops::relu, [](double x) { return x > 0 ? x : 0; }, 1, 0},
    {"alias", ops::alias, [](double x) { return x; }, 1, 0},
};

struct BinaryCase {
  const char* name;
  Tensor (*op)(const Tensor&, const Tensor&);
  double (*reference)(double, double);
};

const BinaryCase binary_cases[] = {
    {"add", ops::add, [](double a, double b) { return a + b; }},
    {"sub", ops::sub, [](double a, double b) { return a - b; }},
    {"mul", ops::mul, [](double a, double b) { return a * b; }},
    {"div", ops::div, [](double a, double b) { return a / b; }},
    {"gate", ops::gate, [](double a, double b) { return b > 0 ? a : 0; }},
};

// Entries of magnitude 0.5 to 2.5 of both signs: free of kinks and poles.
Tensor away_from_zero(const Shape& shape, std::uint64_t seed) {
  std::vector<double> values = random_tensor(shape, seed).to_vector();
  for (double& x : values) x = std::copysign(0.5 + 2 * std::abs(std::sin(x)), x);
  return Tensor::from(values, shape);
}

}  // namespace

TEST_CASE("unary ops: values and derivatives") {
  for (const UnaryCase& c : unary_cases) {
    INFO(c.name);
    Tensor x =
        c.shift == 0 ? away_from_zero({3, 7}, 5) : random_tensor({3, 7}, 5, c.scale, c.shift);
    std::vector<double> expected = x.to_vector();
    for (double& value : expected) value = c.reference(value);
    CHECK(relative_error(c.op(x), Tensor::from(expected, x.shape())) <= value_tolerance);
    // float32 kernels may approximate exp, log and the like to a few units of 6e-8
    CHECK(relative_error(c.op(x.to(DType::float32)).to(DType::float64),
                         Tensor::from(expected, x.shape())) <= 1e-6);
    check_gradients(c.name, [&](const Tensors& in) { return Tensors{c.op(in[0])}; }, {x});
  }
}

TEST_CASE("binary ops: values and derivatives") {
  Tensor a = away_from_zero({4, 5}, 1), b = away_from_zero({4, 5}, 2);
  for (const BinaryCase& c : binary_cases) {
    INFO(c.name);
    std::vector<double> x = a.to_vector(), y = b.to_vector();
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = c.reference(x[i], y[i]);
    CHECK(relative_error(c.op(a, b), Tensor::from(x, a.shape())) <= value_tolerance);
    check_gradients(c.name, [&](const Tensors& in) { return Tensors{c.op(in[0], in[1])}; }, {a, b});
    for (bool first : {true, false}) {
      GradcheckOptions options;
      options.differentiable = {first, !first};
      check_gradients(
          c.name, [&](const Tensors& in) { return Tensors{c.op(in[0], in[1])}; }, {a, b}, options);
    }
    // both operands the same tensor
    check_gradients(c.name, [&](const Tensors& in) { return Tensors{c.op(in[0], in[0])}; }, {a});
  }
}

TEST_CASE("affine: value and derivatives") {
  Tensor x = random_tensor({6}, 3);
  auto f = [](const Tensors& in) { return Tensors{ops::affine(in[0], -2.5, 0.75)}; };
  std::vector<double> expected = x.to_vector();
  for (double& value : expected) value = -2.5 * value + 0.75;
  CHECK(relative_error(f({x})[0], Tensor::from(expected, x.shape())) <= value_tolerance);
  check_gradients("affine", f, {x});
}

TEST_CASE("elementwise ops accept scalars and empty tensors") {
  Tensor two = Tensor::full({}, 2, DType::float64);
  CHECK(ops::mul(two, two).item() == 4);
  CHECK(ops::mul(two, two).shape() == Shape{});
  Tensor none = Tensor::empty({0, 3}, DType::float32);
  CHECK(ops::exp(none).shape() == Shape{0, 3});
  CHECK(ops::add(none, none).numel() == 0);
}

TEST_CASE("relu and gate: derivative 0 at 0, and NaN where the input is NaN") {
  Tensor x = Tensor::from(std::vector<double>{-1, 0, 2}, {3});
  auto f = [](const Tensors& in) { return Tensors{ops::relu(in[0])}; };
  Tensor ones = Tensor::full({3}, 1, DType::float64);
  CHECK(ek::linearize_tensors(f, {x}).vjp({ones})[0].to_vector() == std::vector<double>{0, 0, 1});
  CHECK(ek::linearize_tensors(f, {x}).jvp({ones})[0].to_vector() == std::vector<double>{0, 0, 1});

  auto g = [&](const Tensors& in) { return Tensors{ops::gate(in[0], in[1])}; };
  Tensors gradient = ek::linearize_tensors(g, {ones, x}).vjp({ones});
  CHECK(gradient[0].to_vector() == std::vector<double>{0, 0, 1});
  CHECK(gradient[1].to_vector() == std::vector<double>{0, 0, 0});
  Tensor nan = Tensor::full({1}, NAN, DType::float64);
  CHECK(std::isnan(ops::exp(nan).item()));
  CHECK(std::isnan(ops::relu(nan).item()));
}

TEST_CASE("views: reshape, alias and stop_gradient share memory") {
  Tensor x = random_tensor({2, 6}, 4);
  Tensor y = ops::reshape(x, {3, 4});
  CHECK(y.raw() == x.raw());
  CHECK(y.id() != x.id());
  CHECK(ops::alias(x).raw() == x.raw());
  CHECK(ops::alias(x).id() != x.id());
  CHECK(ops::stop_gradient(x).raw() == x.raw());
  check_gradients("reshape",
                  [](const Tensors& in) {
                    return Tensors{ops::square(ops::reshape(in[0], {3, 4}))};
                  },
                  {x});

  // d/dx x * stop(x) = stop(x)
  auto f = [](const Tensors& in) { return Tensors{ops::mul(in[0], ops::stop_gradient(in[0]))}; };
  Tensor ones = Tensor::full(x.shape(), 1, DType::float64);
  CHECK(ek::linearize_tensors(f, {x}).vjp({ones})[0].to_vector() == x.to_vector());
  auto constant = [](const Tensors& in) { return Tensors{ops::stop_gradient(in[0])}; };
  Tensor zeros = Tensor::zeros(x.shape(), DType::float64);
  CHECK(ek::linearize_tensors(constant, {x}).vjp({ones})[0].to_vector() == zeros.to_vector());
}

TEST_CASE("cast converts the value, and cotangents and tangents back and forth") {
  Tensor x = Tensor::from(std::vector<double>{0.1, -3, 1e300}, {3});
  CHECK(ops::cast(x, DType::float64).id() == x.id());
  Tensor y = ops::cast(x, DType::float32);
  CHECK(y.dtype() == DType::float32);
  CHECK(y.to_vector()[0] == double(0.1f));
  CHECK(std::isinf(y.to_vector()[2]));

  auto f = [](const Tensors& in) { return Tensors{ops::square(ops::cast(in[0], DType::float64))}; };
  Tensor narrow = Tensor::from(std::vector<float>{1.5f, -2}, {2});
  ek::LinearMap map = ek::linearize_tensors(f, {narrow});
  Tensor gradient = map.vjp({Tensor::full({2}, 1, DType::float64)})[0];
  CHECK(gradient.dtype() == DType::float32);
  CHECK(gradient.to_vector() == std::vector<double>{3, -4});
  Tensor tangent = map.jvp({Tensor::full({2}, 1, DType::float32)})[0];
  CHECK(tangent.dtype() == DType::float64);
  CHECK(tangent.to_vector() == std::vector<double>{3, -4});
}

TEST_CASE("elementwise and identity errors name the op and what came") {
  Tensor a = random_tensor({2, 3}, 1), b = random_tensor({3, 2}, 1);
  Tensor narrow = a.to(DType::float32), index = index_tensor({1, 2});
  CHECK(error_of([&] { ops::add(a, b); }) ==
        "add: float64 [3, 2] on cpu does not match float64 [2, 3] on cpu");
  CHECK(error_of([&] { ops::mul(a, narrow); }) ==
        "mul: float32 [2, 3] on cpu does not match float64 [2, 3] on cpu");
  CHECK(error_of([&] { ops::sub(a, Tensor()); }) == "sub: the second argument is undefined");
  CHECK(error_of([&] { ops::add(index, index); }) ==
        "add: dtype int64 is not supported (float32 and float64 are), shape [2]");
  CHECK(error_of([&] { ops::exp(index); }) ==
        "exp: x is int64 [2], a floating-point dtype is wanted");
  CHECK(error_of([&] { ops::exp(Tensor()); }) == "exp: x is undefined");
  CHECK(error_of([&] { ops::relu(Tensor::empty({2}, DType::bfloat16)); }) ==
        "relu: dtype bfloat16 is not supported (float32 and float64 are), shape [2]");
  CHECK(error_of([&] { ops::affine(index, 2); }) ==
        "affine: x is int64 [2], a floating-point dtype is wanted");
  CHECK(error_of([&] {
          ops::reshape(a, {4, 2});
        }) == "reshape: [2, 3] holds 6 elements, [4, 2] wants 8");
  CHECK(error_of([&] { ops::cast(a, DType::int64); }) ==
        "cast: float64 [2, 3] cannot become int64, a floating-point dtype is wanted");
  CHECK(error_of([&] { ops::cast(index, DType::float32); }) ==
        "cast: x is int64 [2], a floating-point dtype is wanted");
  CHECK(error_of([&] { ops::alias(Tensor()); }) == "alias: x is undefined");
}
