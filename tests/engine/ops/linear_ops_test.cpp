#include <cmath>

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

constexpr double value_tolerance = 1e-14;  // sums of a few terms in another order

// value(i, k) for every row of x and of weight.
template <class F>
Tensor pairwise(const Tensor& x, const Tensor& weight, F&& value) {
  const std::int64_t width = x.size(1);
  std::vector<double> a = x.to_vector(), b = weight.to_vector(), out;
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    for (std::int64_t k = 0; k < weight.size(0); ++k) {
      double dot = 0, aa = 0, bb = 0;
      for (std::int64_t j = 0; j < width; ++j) {
        const double u = a[std::size_t(i * width + j)], v = b[std::size_t(k * width + j)];
        dot += u * v;
        aa += u * u;
        bb += v * v;
      }
      out.push_back(value(k, dot, std::sqrt(aa), std::sqrt(bb)));
    }
  }
  return Tensor::from(out, {x.size(0), weight.size(0)});
}

}  // namespace

TEST_CASE("linear: values and derivatives, with and without bias") {
  Tensor x = random_tensor({4, 3}, 1), weight = random_tensor({5, 3}, 2),
         bias = random_tensor({5}, 3);
  std::vector<double> b = bias.to_vector();
  Tensor expected = pairwise(x, weight, [&](std::int64_t k, double dot, double, double) {
    return dot + b[std::size_t(k)];
  });
  CHECK(relative_error(ops::linear(x, weight, bias), expected) <= value_tolerance);
  expected = pairwise(x, weight, [](std::int64_t, double dot, double, double) { return dot; });
  CHECK(relative_error(ops::linear(x, weight, {}), expected) <= value_tolerance);

  auto f = [](const Tensors& in) { return Tensors{ops::linear(in[0], in[1], in[2])}; };
  check_gradients("linear", f, {x, weight, bias});
  check_gradients("linear", f, {x, weight, Tensor()});
  for (int which = 1; which < 7; ++which) {  // every subset of differentiated arguments
    GradcheckOptions options;
    options.differentiable = {bool(which & 1), bool(which & 2), bool(which & 4)};
    check_gradients("linear", f, {x, weight, bias}, options);
  }
}

TEST_CASE("cosine_linear: values and derivatives, with and without scale") {
  Tensor x = random_tensor({4, 3}, 1), weight = random_tensor({5, 3}, 2);
  Tensor scale = Tensor::full({1}, 16, DType::float64);
  auto cosine = [](std::int64_t, double dot, double a, double b) { return dot / (a * b); };
  Tensor expected = pairwise(x, weight, cosine);
  CHECK(relative_error(ops::cosine_linear(x, weight), expected) <= value_tolerance);
  CHECK(relative_error(ops::cosine_linear(x, weight, scale), ops::affine(expected, 16)) <=
        value_tolerance);
  CHECK(relative_error(ops::cosine_linear(x, weight, ops::reshape(scale, {})),
                       ops::affine(expected, 16)) <= value_tolerance);

  auto f = [](const Tensors& in) { return Tensors{ops::cosine_linear(in[0], in[1], in[2])}; };
  check_gradients("cosine_linear", f, {x, weight, scale});
  check_gradients("cosine_linear", f, {x, weight, Tensor()});
}

TEST_CASE("cosine_linear of a zero row is zero, with finite derivatives") {
  for (DType dtype : {DType::float32, DType::float64}) {
    Tensor x = Tensor::zeros({1, 3}, dtype), weight = random_tensor({2, 3}, 2).to(dtype);
    auto f = [&](const Tensors& in) { return Tensors{ops::cosine_linear(in[0], weight)}; };
    ek::LinearMap map = ek::linearize_tensors(f, {x});
    CHECK(map.outputs()[0].to_vector() == std::vector<double>{0, 0});
    for (double g : map.vjp({Tensor::full({1, 2}, 1, dtype)})[0].to_vector()) {
      CHECK(std::isfinite(g));
    }
  }
}

TEST_CASE("linear errors name the op and the shapes") {
  Tensor x = random_tensor({4, 3}, 1), weight = random_tensor({5, 2}, 2);
  CHECK(error_of([&] { ops::linear(x, weight, {}); }) ==
        "linear: x [4, 3] has 3 features, weight [5, 2] wants 2");
  CHECK(error_of([&] {
          ops::linear(x, random_tensor({5, 3}, 1), random_tensor({4}, 1));
        }) == "linear: bias is float64 [4] on cpu, float64 [5] on cpu is wanted");
  CHECK(error_of([&] { ops::linear(x, weight.to(DType::float32), {}); }) ==
        "linear: x is float64 on cpu, weight is float32 on cpu");
  CHECK(error_of([&] { ops::linear(random_tensor({3}, 1), weight, {}); }) ==
        "linear: x has shape [3], rank 2 is wanted");
  CHECK(error_of([&] { ops::cosine_linear(x, weight); }) ==
        "cosine_linear: x [4, 3] has 3 features, weight [5, 2] wants 2");
  CHECK(error_of([&] {
          ops::cosine_linear(x, random_tensor({5, 3}, 1), random_tensor({2}, 1));
        }) == "cosine_linear: scale is float64 [2], one element of float64 is wanted");
}
