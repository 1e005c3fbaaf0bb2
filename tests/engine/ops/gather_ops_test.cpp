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

Tensor counting(const Shape& shape) {
  std::vector<double> values(std::size_t(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = double(i + 1);
  return Tensor::from(values, shape);
}

}  // namespace

TEST_CASE("take and segment_sum: values") {
  Tensor index = index_tensor({2, 0, 2});
  CHECK(ops::take(counting({3, 2}), index).to_vector() == std::vector<double>{5, 6, 1, 2, 5, 6});
  CHECK(ops::take(counting({3}), index).to_vector() == std::vector<double>{3, 1, 3});
  CHECK(ops::take(counting({3, 2, 2}), index).shape() == Shape{3, 2, 2});

  Tensor sums = ops::segment_sum(counting({3, 2}), index, 4);
  CHECK(sums.shape() == Shape{4, 2});
  CHECK(sums.to_vector() == std::vector<double>{3, 4, 0, 0, 6, 8, 0, 0});
  CHECK(ops::segment_sum(counting({3}), index, 3).to_vector() == std::vector<double>{2, 0, 4});
}

TEST_CASE("pick and place: values") {
  Tensor index = index_tensor({1, 0});
  CHECK(ops::pick(counting({2, 3}), index).to_vector() == std::vector<double>{2, 4});
  Tensor placed = ops::place(counting({2}), index, 3);
  CHECK(placed.shape() == Shape{2, 3});
  CHECK(placed.to_vector() == std::vector<double>{0, 1, 0, 2, 0, 0});
}

TEST_CASE("gathers: derivatives, with repeated and missing indices") {
  Tensor rows = index_tensor({2, 0, 2, 2}), columns = index_tensor({1, 0, 4, 4});
  check_gradients("take",
                  [&](const Tensors& in) { return Tensors{ops::square(ops::take(in[0], rows))}; },
                  {random_tensor({3, 2, 2}, 1)});
  check_gradients(
      "segment_sum",
      [&](const Tensors& in) { return Tensors{ops::square(ops::segment_sum(in[0], rows, 3))}; },
      {random_tensor({4, 3}, 2)});
  check_gradients(
      "pick", [&](const Tensors& in) { return Tensors{ops::square(ops::pick(in[0], columns))}; },
      {random_tensor({4, 5}, 3)});
  check_gradients(
      "place",
      [&](const Tensors& in) { return Tensors{ops::square(ops::place(in[0], columns, 5))}; },
      {random_tensor({4}, 4)});
}

TEST_CASE("gathers accept empty indices") {
  Tensor none = index_tensor({});
  CHECK(ops::take(counting({3, 2}), none).shape() == Shape{0, 2});
  Tensor zero = ops::segment_sum(Tensor::empty({0, 2}, DType::float64), none, 2);
  CHECK(zero.to_vector() == std::vector<double>{0, 0, 0, 0});
}

TEST_CASE("gather errors name the position, the value and the bound") {
  Tensor x = counting({3, 2});
  CHECK(error_of([&] {
          ops::take(x, index_tensor({0, 3}));
        }) == "take: index[1] = 3 is not in [0, 3)");
  CHECK(error_of([&] {
          ops::segment_sum(x, index_tensor({0, -1, 1}), 2);
        }) == "segment_sum: index[1] = -1 is not in [0, 2)");
  CHECK(error_of([&] {
          ops::segment_sum(x, index_tensor({0, 1}), 2);
        }) == "segment_sum: index is int64 [2], int64 [3] is wanted");
  CHECK(error_of([&] {
          ops::pick(x, index_tensor({0, 1, 2}));
        }) == "pick: index[2] = 2 is not in [0, 2)");
  CHECK(error_of([&] {
          ops::place(counting({2}), index_tensor({5, 0}), 5);
        }) == "place: index[0] = 5 is not in [0, 5)");
  CHECK(error_of([&] { ops::take(x, counting({2})); }) ==
        "take: index is float64 [2], int64 [2] is wanted");
  CHECK(error_of([&] { ops::take(x, Tensor()); }) == "take: index is undefined");
  CHECK(error_of([&] { ops::take(Tensor::full({}, 1, DType::float32), index_tensor({0})); }) ==
        "take: x is a scalar, rank 1 or more is wanted");
  CHECK(error_of([&] {
          ops::pick(counting({3}), index_tensor({0, 1, 2}));
        }) == "pick: x has shape [3], rank 2 is wanted");
  CHECK(error_of([&] {
          ops::take(index_tensor({1, 2}), index_tensor({0}));
        }) == "take: x is int64 [2], a floating-point dtype is wanted");
}
