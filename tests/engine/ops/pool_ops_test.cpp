// Pooling and the subsampling shortcut as ops: values, derivatives of every order, errors.
#include <limits>

#include "engine/ops.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"

namespace {

using ek::Shape;
using ek::Tensor;
using ek::Tensors;
using ek::ops::Pool2dOptions;

struct Case {
  const char* name;
  Shape x, y;
  Pool2dOptions options;
};

const std::vector<Case> cases{
    {"2x2", {2, 4, 6, 3}, {2, 2, 3, 3}, {}},
    {"overlapping, padded", {2, 5, 4, 2}, {2, 3, 2, 2}, {{3, 3}, {2, 2}, {1, 1}}},
    {"unequal sides, a row left over", {1, 6, 5, 2}, {1, 2, 3, 2}, {{2, 3}, {3, 2}, {0, 1}}},
};

// Distinct negative values, well apart, in a scattered order: no step of a finite difference
// changes which one is largest, and zero padding would win if it took part.
Tensor scattered(const Shape& shape) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    values.push_back(-0.3 - 0.02 * double(i * 37 % shape.numel()));
  }
  return Tensor::from(values, shape);
}

// Plain pooling: maximum over the window, or sum divided by its whole size.
Tensor pooled(const Case& c, const Tensor& x, bool maximum) {
  const std::vector<double> xs = x.to_vector();
  const auto& o = c.options;
  std::vector<double> ys;
  for (int n = 0; n < c.y[0]; ++n)
    for (int i = 0; i < c.y[1]; ++i)
      for (int j = 0; j < c.y[2]; ++j)
        for (int k = 0; k < c.y[3]; ++k) {
          double largest = -std::numeric_limits<double>::infinity(), sum = 0;
          for (int a = 0; a < o.kernel_size[0]; ++a)
            for (int b = 0; b < o.kernel_size[1]; ++b) {
              const auto row = i * o.stride[0] + a - o.padding[0];
              const auto column = j * o.stride[1] + b - o.padding[1];
              if (row < 0 || row >= c.x[1] || column < 0 || column >= c.x[2]) continue;
              const double v = xs[std::size_t(((n * c.x[1] + row) * c.x[2] + column) * c.x[3] + k)];
              largest = std::max(largest, v);
              sum += v;
            }
          ys.push_back(maximum ? largest : sum / double(o.kernel_size[0] * o.kernel_size[1]));
        }
  return Tensor::from(ys, c.y);
}

}  // namespace

TEST_CASE("max_pool2d and avg_pool2d: values and derivatives", "[pool]") {
  for (const Case& c : cases) {
    INFO(c.name);
    const Tensor x = scattered(c.x);
    REQUIRE(relative_error(ek::ops::max_pool2d(x, c.options), pooled(c, x, true)) == 0);
    // At most nine terms in two orders.
    REQUIRE(relative_error(ek::ops::avg_pool2d(x, c.options), pooled(c, x, false)) <= 1e-15);
    check_gradients(
        "max_pool2d",
        [&](const Tensors& in) { return Tensors{ek::ops::max_pool2d(in[0], c.options)}; }, {x});
    check_gradients(
        "avg_pool2d",
        [&](const Tensors& in) { return Tensors{ek::ops::avg_pool2d(in[0], c.options)}; }, {x});
    // Nonlinear around the linear maps, so that the second order is not zero.
    check_gradients("square of pools",
                    [&](const Tensors& in) {
                      using namespace ek::ops;
                      return Tensors{mul(max_pool2d(square(in[0]), c.options),
                                         square(avg_pool2d(square(in[0]), c.options)))};
                    },
                    {x});
  }
}

TEST_CASE("global_avg_pool: values and derivatives", "[pool]") {
  const Tensor x = random_tensor({2, 3, 2, 4}, 1);
  const std::vector<double> xs = x.to_vector();
  std::vector<double> expected(8, 0.0);
  for (std::size_t i = 0; i < xs.size(); ++i) expected[i / 24 * 4 + i % 4] += xs[i] / 6;
  const Tensor y = ek::ops::global_avg_pool(x);
  REQUIRE(relative_error(y, Tensor::from(expected, {2, 4})) <= 1e-15);
  check_gradients(
      "global_avg_pool",
      [](const Tensors& in) {
        return Tensors{ek::ops::square(ek::ops::global_avg_pool(ek::ops::square(in[0])))};
      },
      {x});
}

TEST_CASE("subsample_pad: values and derivatives", "[pool]") {
  // Odd extents: rows and columns 0, 2, 4; two zero channels on both sides.
  const Tensor x = random_tensor({2, 5, 5, 4}, 1);
  const std::vector<double> xs = x.to_vector();
  std::vector<double> expected;
  for (std::size_t n = 0; n < 2; ++n)
    for (std::size_t i = 0; i < 5; i += 2)
      for (std::size_t j = 0; j < 5; j += 2)
        for (std::size_t c = 0; c < 8; ++c)
          expected.push_back(c < 2 || c >= 6 ? 0.0 : xs[((n * 5 + i) * 5 + j) * 4 + c - 2]);
  REQUIRE(relative_error(ek::ops::subsample_pad(x, 8, 2), Tensor::from(expected, {2, 3, 3, 8})) ==
          0);
  for (const std::int64_t stride : {1, 2, 3}) {
    check_gradients("subsample_pad",
                    [&](const Tensors& in) {
                      return Tensors{ek::ops::square(
                          ek::ops::subsample_pad(ek::ops::square(in[0]), 8, stride))};
                    },
                    {x});
  }
}

TEST_CASE("pools: errors", "[pool]") {
  const Tensor x = Tensor::zeros({2, 4, 4, 3}, ek::DType::float32);
  using namespace ek::ops;
  REQUIRE_THROWS_WITH(max_pool2d(Tensor::zeros({4, 4, 3}, ek::DType::float32), {}),
                      "max_pool2d: x must be [batch, height, width, channels] and not empty, got "
                      "[4, 4, 3]");
  REQUIRE_THROWS_WITH(avg_pool2d(x, {{5, 2}, {1, 1}, {0, 0}}),
                      "avg_pool2d: x [2, 4, 4, 3] is smaller than the window 5x2 (padding 0x0), "
                      "the output would be empty");
  REQUIRE_THROWS_WITH(max_pool2d(x, {{2, 2}, {1, 1}, {2, 0}}),
                      "max_pool2d: kernel_size and stride must be at least 1 and padding in [0, "
                      "kernel_size), got kernel_size 2x2, stride 1x1, padding 2x0 for x "
                      "[2, 4, 4, 3]");
  REQUIRE_THROWS_WITH(global_avg_pool({}), "global_avg_pool: x is undefined");
  REQUIRE_THROWS_WITH(subsample_pad(x, 2, 2),
                      "subsample_pad: x [2, 4, 4, 3] has 3 channels, more than the 2 asked for");
  REQUIRE_THROWS_WITH(subsample_pad(x, 4, 0), "subsample_pad: stride must be at least 1, got 0");
}
