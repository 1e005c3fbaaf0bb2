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

// Index in `small` of element `i` of `large`.
std::int64_t small_index(std::int64_t i, const Shape& small, const Shape& large) {
  std::int64_t index = 0, stride = 1;
  for (int d = large.rank() - 1; d >= 0; --d) {
    if (small[d] != 1) index += i % large[d] * stride;
    stride *= small[d];
    i /= large[d];
  }
  return index;
}

struct Case {
  Shape small, large;
};

const Case cases[] = {
    {{1, 4}, {3, 4}},
    {{3, 1}, {3, 4}},
    {{1, 1}, {3, 4}},
    {{2, 1, 4}, {2, 3, 4}},
    {{1, 2, 1, 3}, {4, 2, 5, 3}},
    {{1}, {7}},
    {{1, 2, 1, 2, 1, 2}, {2, 2, 3, 2, 2, 2}},
};

}  // namespace

TEST_CASE("broadcast_to and sum_to: values against index arithmetic") {
  for (const auto& [small, large] : cases) {
    INFO(small.str() << " and " << large.str());
    Tensor x = random_tensor(small, 1), y = random_tensor(large, 2);
    std::vector<double> xs = x.to_vector(), ys = y.to_vector();
    std::vector<double> repeated(std::size_t(large.numel())), sums(std::size_t(small.numel()), 0.0);
    for (std::int64_t i = 0; i < large.numel(); ++i) {
      const std::size_t from = std::size_t(small_index(i, small, large));
      repeated[std::size_t(i)] = xs[from];
      sums[from] += ys[std::size_t(i)];
    }
    CHECK(ops::broadcast_to(x, large).to_vector() == repeated);
    // sums of at most 60 terms in another order
    CHECK(relative_error(ops::sum_to(y, small), Tensor::from(sums, small)) <= 1e-14);
    for (double& value : sums) value *= -1.5;
    CHECK(relative_error(ops::sum_to(y, small, -1.5), Tensor::from(sums, small)) <= 1e-14);
  }
}

TEST_CASE("broadcast_to and sum_to: derivatives") {
  for (const auto& [small, large] : cases) {
    INFO(small.str() << " and " << large.str());
    check_gradients("broadcast_to",
                    [&](const Tensors& in) {
                      return Tensors{ops::square(ops::broadcast_to(in[0], large, -1.5))};
                    },
                    {random_tensor(small, 1)});
    check_gradients(
        "sum_to",
        [&](const Tensors& in) { return Tensors{ops::square(ops::sum_to(in[0], small, -1.5))}; },
        {random_tensor(large, 2)});
  }
}

TEST_CASE("equal shapes pass through broadcast_to and sum_to") {
  Tensor x = random_tensor({2, 3}, 1);
  CHECK(ops::broadcast_to(x, {2, 3}).id() == x.id());
  CHECK(ops::sum_to(x, {2, 3}).id() == x.id());
  const std::vector<double> twice = ops::affine(x, 2).to_vector();
  CHECK(ops::broadcast_to(x, {2, 3}, 2).to_vector() == twice);
  CHECK(ops::sum_to(x, {2, 3}, 2).to_vector() == twice);
}

TEST_CASE("sum and mean are scalars of rank 0") {
  Tensor x = Tensor::from(std::vector<double>{1, 2, 3, 4.5, -1, 0.5}, {1, 2, 3});
  CHECK(ops::sum(x).shape() == Shape{});
  CHECK(ops::sum(x).item() == 10);
  CHECK(ops::mean(x).shape() == Shape{});
  CHECK(std::abs(ops::mean(x).item() - 10.0 / 6) <= 1e-15);
  Tensor scalar = Tensor::full({}, 3, DType::float64);
  CHECK(ops::sum(scalar).item() == 3);
  CHECK(ops::sum(scalar).shape() == Shape{});
  CHECK(ops::sum(Tensor::empty({0, 4}, DType::float64)).item() == 0);
  check_gradients("sum", [](const Tensors& in) { return Tensors{ops::square(ops::sum(in[0]))}; },
                  {x});
  check_gradients("mean", [](const Tensors& in) { return Tensors{ops::exp(ops::mean(in[0]))}; },
                  {x});
}

TEST_CASE("float32 sums of many terms stay close") {
  // Blocked summation: far below 2^20 * 6e-8, what one running sum could lose.
  Tensor x = Tensor::full({1 << 20}, 0.1, DType::float32);
  CHECK(std::abs(ops::mean(x).item() - double(0.1f)) <= 1e-6);
}

TEST_CASE("broadcast errors name the op and the shapes") {
  Tensor x = random_tensor({2, 3}, 1);
  CHECK(error_of([&] {
          ops::broadcast_to(x, {2, 4});
        }) ==
        "broadcast_to: [2, 3] cannot become [2, 4] (equal ranks, each extent equal or 1 on the "
        "small side)");
  CHECK(error_of([&] {
          ops::broadcast_to(x, {1, 2, 3});
        }) ==
        "broadcast_to: [2, 3] cannot become [1, 2, 3] (equal ranks, each extent equal or 1 on the "
        "small side)");
  CHECK(error_of([&] { ops::sum_to(x, {2}); }) ==
        "sum_to: [2, 3] cannot become [2] (equal ranks, each extent equal or 1 on the small side)");
  CHECK(error_of([&] { ops::mean(Tensor::empty({0}, DType::float32)); }) ==
        "mean: shape [0] holds no element");
  CHECK(error_of([&] { ops::sum(index_tensor({1})); }) ==
        "sum: x is int64 [1], a floating-point dtype is wanted");
  CHECK(error_of([&] { ops::sum_to(Tensor(), {1}); }) == "sum_to: x is undefined");
}
