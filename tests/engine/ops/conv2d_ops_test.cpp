// conv2d and its two transposes as ops: values, derivatives of every order, what is computed and
// kept, errors. The kernels have tests of their own.
#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "engine/profile/profiler.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"

namespace {

using ek::Shape;
using ek::Tensor;
using ek::Tensors;
using ek::ops::Conv2dOptions;

struct Case {
  const char* name;
  Shape x, weight, y;
  Conv2dOptions options;
};

const std::vector<Case> cases{
    {"3x3", {2, 5, 4, 3}, {4, 3, 3, 3}, {2, 5, 4, 4}, {.padding = {1, 1}}},
    {"stride 2", {2, 6, 5, 2}, {3, 3, 3, 2}, {2, 3, 3, 3}, {.stride = {2, 2}, .padding = {1, 1}}},
    {"1x1, a row left over", {1, 4, 3, 3}, {2, 1, 1, 3}, {1, 2, 2, 2}, {.stride = {2, 2}}},
    {"groups", {2, 3, 3, 4}, {6, 3, 3, 2}, {2, 3, 3, 6}, {.padding = {1, 1}, .groups = 2}},
    {"unequal sides",
     {1, 5, 6, 2},
     {2, 3, 1, 2},
     {1, 3, 6, 2},
     {.stride = {2, 1}, .padding = {1, 0}}},
};

// Names of the ops that ran.
std::vector<std::string> ops_run(const std::function<void()>& body) {
  ek::profiler_start();
  body();
  std::vector<std::string> names;
  for (const ek::ProfileEvent& event : ek::profiler_stop()) names.push_back(event.name);
  return names;
}

// y[n, i, j, o] = sum of w[o, a, b, c] x[n, i stride + a - pad, j stride + b - pad, group + c]
Tensor convolved(const Case& c, const Tensor& x, const Tensor& w) {
  const std::vector<double> xs = x.to_vector(), ws = w.to_vector();
  const Shape &X = c.x, &W = c.weight, &Y = c.y;
  std::vector<double> ys(std::size_t(Y.numel()), 0.0);
  std::size_t at = 0;
  for (int n = 0; n < Y[0]; ++n)
    for (int i = 0; i < Y[1]; ++i)
      for (int j = 0; j < Y[2]; ++j)
        for (int o = 0; o < Y[3]; ++o, ++at)
          for (int a = 0; a < W[1]; ++a)
            for (int b = 0; b < W[2]; ++b)
              for (int k = 0; k < W[3]; ++k) {
                const auto row = i * c.options.stride[0] + a - c.options.padding[0];
                const auto column = j * c.options.stride[1] + b - c.options.padding[1];
                if (row < 0 || row >= X[1] || column < 0 || column >= X[2]) continue;
                const auto channel = o / (Y[3] / c.options.groups) * W[3] + k;
                ys[at] += xs[std::size_t(((n * X[1] + row) * X[2] + column) * X[3] + channel)] *
                          ws[std::size_t(((o * W[1] + a) * W[2] + b) * W[3] + k)];
              }
  return Tensor::from(ys, Y);
}

double inner(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector(), y = b.to_vector();
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

std::size_t count(const std::vector<std::string>& names, std::string_view name) {
  return std::size_t(std::count(names.begin(), names.end(), name));
}

}  // namespace

TEST_CASE("conv2d: values", "[conv2d]") {
  for (const Case& c : cases) {
    INFO(c.name);
    const Tensor x = random_tensor(c.x, 1), w = random_tensor(c.weight, 2);
    // Two orders of summing at most 36 products.
    REQUIRE(relative_error(ek::ops::conv2d(x, w, c.options), convolved(c, x, w)) <= 1e-14);
  }
}

TEST_CASE("conv2d and its transposes: derivatives", "[conv2d]") {
  for (const Case& c : cases) {
    INFO(c.name);
    const Tensor x = random_tensor(c.x, 1), w = random_tensor(c.weight, 2);
    const Tensor y = random_tensor(c.y, 3);
    check_gradients(
        "conv2d",
        [&](const Tensors& in) { return Tensors{ek::ops::conv2d(in[0], in[1], c.options)}; },
        {x, w});
    check_gradients("conv2d_backward_data",
                    [&](const Tensors& in) {
                      return Tensors{ek::ops::conv2d_backward_data(in[0], in[1], c.x, c.options)};
                    },
                    {y, w});
    check_gradients(
        "conv2d_backward_weights",
        [&](const Tensors& in) {
          return Tensors{ek::ops::conv2d_backward_weights(in[0], in[1], c.weight, c.options)};
        },
        {x, y});
  }
}

TEST_CASE("conv2d: float32 tangent and cotangent are adjoint", "[conv2d]") {
  for (const Case& c : cases) {
    INFO(c.name);
    auto random = [&](const Shape& shape, std::uint64_t seed) {
      return random_tensor(shape, seed, 1, 0, ek::DType::float32);
    };
    const Tensor dx = random(c.x, 3), dw = random(c.weight, 4), ct = random(c.y, 5);
    const ek::LinearMap map = ek::linearize_tensors(
        [&](const Tensors& in) { return Tensors{ek::ops::conv2d(in[0], in[1], c.options)}; },
        {random(c.x, 1), random(c.weight, 2)});
    const Tensors cotangents = map.vjp({ct});
    const Tensor tangent = map.jvp({dx, dw})[0];
    const double forward = inner(ct, tangent);
    const double reverse = inner(cotangents[0], dx) + inner(cotangents[1], dw);
    // Rounding of float32 sums, relative to the size that the terms can add up to.
    const double size = std::sqrt(inner(ct, ct) * inner(tangent, tangent));
    REQUIRE(std::abs(forward - reverse) <= 1e-6 * size);
  }
}

TEST_CASE("conv2d: computes and keeps what is needed and no more", "[conv2d]") {
  const Case& c = cases[0];
  const Tensor x = random_tensor(c.x, 1), w = random_tensor(c.weight, 2);
  const Tensor dx = random_tensor(c.x, 3), dw = random_tensor(c.weight, 4);
  const Tensor ct = random_tensor(c.y, 5);
  auto of_w = [&](const Tensors& in) { return Tensors{ek::ops::conv2d(x, in[0], c.options)}; };
  auto of_x = [&](const Tensors& in) { return Tensors{ek::ops::conv2d(in[0], w, c.options)}; };

  SECTION("no cotangent of a constant input") {
    const ek::LinearMap map = ek::linearize_tensors(of_w, {w});
    const std::vector<std::string> names = ops_run([&] { map.vjp({ct}); });
    REQUIRE(count(names, "conv2d_backward_weights") == 1);
    REQUIRE(count(names, "conv2d_backward_data") == 0);
    REQUIRE(x.storage()->holds.load() == 1);
    REQUIRE(w.storage()->holds.load() == 0);
  }
  SECTION("a constant weight does not keep the input") {
    const ek::LinearMap map = ek::linearize_tensors(of_x, {x});
    const std::vector<std::string> names = ops_run([&] { map.vjp({ct}); });
    REQUIRE(count(names, "conv2d_backward_weights") == 0);
    REQUIRE(count(names, "conv2d_backward_data") == 1);
    REQUIRE(x.storage()->holds.load() == 0);
    REQUIRE(w.storage()->holds.load() == 1);
  }
  SECTION("both tangents in one kernel") {
    const ek::LinearMap map = ek::linearize_tensors(
        [&](const Tensors& in) { return Tensors{ek::ops::conv2d(in[0], in[1], c.options)}; },
        {x, w});
    Tensor tangent;
    const std::vector<std::string> names = ops_run([&] { tangent = map.jvp({dx, dw})[0]; });
    REQUIRE(count(names, "conv2d_tangent") == 1);
    REQUIRE(count(names, "conv2d") == 0);
    const Tensor sum =
        ek::ops::add(ek::ops::conv2d(dx, w, c.options), ek::ops::conv2d(x, dw, c.options));
    // The same products, summed in another order.
    REQUIRE(relative_error(tangent, sum) <= 1e-14);
    REQUIRE(count(ops_run([&] { map.jvp({dx, {}}); }), "conv2d") == 1);
  }
}

TEST_CASE("conv2d: errors", "[conv2d]") {
  auto zeros = [](const Shape& shape, ek::DType dtype = ek::DType::float32) {
    return Tensor::zeros(shape, dtype);
  };
  const Tensor x = zeros({2, 8, 8, 3}), w = zeros({4, 3, 3, 3});
  using namespace ek::ops;
  REQUIRE_THROWS_WITH(conv2d(x, zeros({4, 3, 3, 2})),
                      "conv2d: weight [4, 3, 3, 2] takes 2 channels, x [2, 8, 8, 3] has 3 "
                      "(groups 1)");
  REQUIRE_THROWS_WITH(conv2d(zeros({8, 8, 3}), w),
                      "conv2d: x must be [batch, height, width, channels], got [8, 8, 3]");
  REQUIRE_THROWS_WITH(conv2d(x, zeros({4, 27})),
                      "conv2d: weight must be [out, height, width, in / groups], got [4, 27]");
  REQUIRE_THROWS_WITH(conv2d(zeros({2, 2, 8, 3}), w),
                      "conv2d: x [2, 2, 8, 3] is smaller than the window of weight [4, 3, 3, 3] "
                      "(stride 1x1, padding 0x0, groups 1), the output would be empty");
  REQUIRE_THROWS_WITH(conv2d(x, w, {.stride = {0, 1}}),
                      "conv2d: stride must be at least 1 and padding at least 0, got stride 0x1, "
                      "padding 0x0, groups 1");
  REQUIRE_THROWS_WITH(conv2d(x, w, {.groups = 2}),
                      "conv2d: groups 2 must divide the channels of x [2, 8, 8, 3] and of weight "
                      "[4, 3, 3, 3]");
  REQUIRE_THROWS_WITH(conv2d(x, zeros({4, 3, 3, 3}, ek::DType::float64)),
                      "conv2d: x is float32 [2, 8, 8, 3] on cpu, weight is float64 [4, 3, 3, 3] "
                      "on cpu, expected float32 there");
  REQUIRE_THROWS_WITH(conv2d(x, {}), "conv2d: weight is undefined");
  REQUIRE_THROWS_WITH(conv2d(zeros({0, 8, 8, 3}), w),
                      "conv2d: empty operand, x [0, 8, 8, 3], weight [4, 3, 3, 3]");
  REQUIRE_THROWS_WITH(
      conv2d(zeros({2, 8, 8, 3}, ek::DType::bfloat16), zeros({4, 3, 3, 3}, ek::DType::bfloat16)),
      "conv2d: x is bfloat16 [2, 8, 8, 3] on cpu, weight is bfloat16 [4, 3, 3, 3] on cpu, expected "
      "float32 there");
  REQUIRE_THROWS_WITH(
      conv2d_backward_weights(x, zeros({2, 6, 6, 4}, ek::DType::bfloat16), {4, 3, 3, 3}, {}),
      "conv2d_backward_weights: x is float32 [2, 8, 8, 3] on cpu, dy is bfloat16 [2, 6, 6, 4] on "
      "cpu");
  REQUIRE_THROWS_WITH(conv2d_backward_data(zeros({2, 8, 8, 4}), w, {2, 8, 8, 3}, {}),
                      "conv2d_backward_data: dy must be [2, 6, 6, 4] for x [2, 8, 8, 3] and "
                      "weight [4, 3, 3, 3], got [2, 8, 8, 4]");
  REQUIRE_THROWS_WITH(conv2d_backward_weights(x, zeros({2, 8, 8, 4}), {4, 3, 3, 3}, {}),
                      "conv2d_backward_weights: dy must be [2, 6, 6, 4] for x [2, 8, 8, 3] and "
                      "weight [4, 3, 3, 3], got [2, 8, 8, 4]");
}
