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

Tensor reference(const Tensor& a, const Tensor& b, bool ta, bool tb) {
  const std::int64_t m = a.size(ta ? 1 : 0), k = a.size(ta ? 0 : 1), n = b.size(tb ? 0 : 1);
  std::vector<double> x = a.to_vector(), y = b.to_vector(), c(std::size_t(m * n), 0.0);
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      for (std::int64_t l = 0; l < k; ++l) {
        c[std::size_t(i * n + j)] +=
            x[std::size_t(ta ? l * m + i : i * k + l)] * y[std::size_t(tb ? j * k + l : l * n + j)];
      }
    }
  }
  return Tensor::from(c, {m, n});
}

}  // namespace

TEST_CASE("matmul: values and derivatives for every transposition") {
  for (bool ta : {false, true}) {
    for (bool tb : {false, true}) {
      INFO("transpose_a " << ta << ", transpose_b " << tb);
      Tensor a = random_tensor(ta ? Shape{5, 3} : Shape{3, 5}, 1);
      Tensor b = random_tensor(tb ? Shape{4, 5} : Shape{5, 4}, 2);
      Tensor c = ops::matmul(a, b, ta, tb);
      CHECK(c.shape() == Shape{3, 4});
      CHECK(relative_error(c, reference(a, b, ta, tb)) <= 1e-14);  // sums of five terms
      auto f = [&](const Tensors& in) { return Tensors{ops::matmul(in[0], in[1], ta, tb)}; };
      check_gradients("matmul", f, {a, b});
      for (bool first : {true, false}) {
        GradcheckOptions options;
        options.differentiable = {first, !first};
        check_gradients("matmul", f, {a, b}, options);
      }
    }
  }
}

TEST_CASE("matmul of a matrix with itself: derivatives of both places add up") {
  check_gradients("matmul",
                  [](const Tensors& in) { return Tensors{ops::matmul(in[0], in[0], true, false)}; },
                  {random_tensor({4, 3}, 3)});
}

TEST_CASE("matmul with no inner extent is zero") {
  Tensor c =
      ops::matmul(Tensor::empty({2, 0}, DType::float64), Tensor::empty({0, 3}, DType::float64));
  CHECK(c.to_vector() == std::vector<double>(6, 0.0));
}

TEST_CASE("matmul errors name the shapes") {
  Tensor a = random_tensor({2, 3}, 1), b = random_tensor({2, 4}, 1);
  CHECK(error_of([&] { ops::matmul(a, b); }) ==
        "matmul: inner extents differ, a [2, 3] times b [2, 4]");
  CHECK(error_of([&] { ops::matmul(a, b, true, true); }) ==
        "matmul: inner extents differ, a [2, 3] transposed times b [2, 4] transposed");
  CHECK(error_of([&] { ops::matmul(a, random_tensor({3}, 1)); }) ==
        "matmul: b has shape [3], rank 2 is wanted");
  CHECK(error_of([&] { ops::matmul(Tensor(), b); }) == "matmul: a is undefined");
  CHECK(error_of([&] { ops::matmul(a, b.to(DType::float32), true); }) ==
        "matmul: a is float64 on cpu, b is float32 on cpu");
}
