#include <cmath>
#include <limits>

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

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double value_tolerance = 1e-14;

Tensor matrix(const std::vector<double>& values, const Shape& shape) {
  return Tensor::from(values, shape);
}

ek::TensorFunction loss_of(const Tensor& labels, const ops::SoftmaxLossOptions& options) {
  return [=](const Tensors& in) {
    return Tensors{ops::softmax_cross_entropy(in[0], labels, options)};
  };
}

void check_loss(const char* name, const Tensor& logits, const Tensor& labels,
                const ops::SoftmaxLossOptions& options) {
  INFO(name);
  check_gradients(name, loss_of(labels, options), {logits});
  check_fused_composition(name, loss_of(labels, options), {logits});
}

}  // namespace

TEST_CASE("softmax and logsumexp: values") {
  Tensor x = matrix({0, std::log(3.0), 1000, 1000, -1000, 0}, {3, 2});
  CHECK(relative_error(ops::softmax(x), matrix({0.25, 0.75, 0.5, 0.5, 0, 1}, {3, 2})) <=
        value_tolerance);
  CHECK(relative_error(ops::logsumexp(x), matrix({std::log(4.0), 1000 + std::log(2.0), 0}, {3})) <=
        value_tolerance);
  CHECK(ops::logsumexp(matrix({-infinity, 2}, {1, 2})).item() == 2);
  CHECK(std::isnan(ops::logsumexp(matrix({-infinity, -infinity}, {1, 2})).item()));
  CHECK(std::isnan(ops::softmax(matrix({NAN, 0}, {1, 2})).to_vector()[1]));
}

TEST_CASE("softmax and logsumexp: derivatives") {
  auto softmax = [](const Tensors& in) { return Tensors{ops::softmax(in[0])}; };
  auto logsumexp = [](const Tensors& in) { return Tensors{ops::logsumexp(in[0])}; };
  Tensor x = random_tensor({4, 5}, 1, 2);
  check_gradients("softmax", softmax, {x});
  check_gradients("logsumexp", logsumexp, {x});
  Tensor masked = matrix({1, -infinity, 0.5, -infinity, -infinity, 2}, {2, 3});
  check_gradients("softmax of -inf", softmax, {masked});
  check_gradients("logsumexp of -inf", logsumexp, {masked});
}

TEST_CASE("softmax_cross_entropy: any order with every option") {
  const std::int64_t rows = 4, classes = 5;
  Tensor logits = random_tensor({rows, classes}, 1, 1.5);
  Tensor labels = index_tensor({0, 3, 4, 3});
  check_loss("plain", logits, labels, {});
  check_loss("one class", random_tensor({3, 1}, 1), index_tensor({0, 0, 0}), {});

  ops::SoftmaxLossOptions options;
  options.scale = 3;
  check_loss("scale", logits, labels, options);
  options.margin = random_tensor({classes}, 2, 0.1, 0.4);
  check_loss("scale, margin", logits, labels, options);
  options.offset = random_tensor({classes}, 3);
  check_loss("scale, margin, offset", logits, labels, options);
  options.label_smoothing = 0.2;
  check_loss("scale, margin, offset, smoothing", logits, labels, options);
  std::vector<std::uint8_t> mask(std::size_t(rows * classes), 1);
  for (std::size_t hidden : {1, 2, 5, 10, 16}) mask[hidden] = 0;
  options.mask = Tensor::from(mask, {rows, classes});
  check_loss("scale, margin, offset, smoothing, mask", logits, labels, options);
  ops::SoftmaxLossOptions only_mask;
  only_mask.mask = options.mask;
  check_loss("mask", logits, labels, only_mask);

  ops::SoftmaxLossOptions soft;
  soft.targets = ops::softmax(random_tensor({rows, classes}, 4));
  check_loss("targets", logits, {}, soft);
  soft.offset = options.offset;
  soft.mask = options.mask;
  soft.scale = 0.5;
  check_loss("targets, offset, mask, scale", logits, {}, soft);
  soft.margin = options.margin;
  check_loss("targets, and labels for the margin", logits, labels, soft);
}

TEST_CASE("softmax_cross_entropy: a class with q = 0 may have an infinite logit or offset") {
  Tensor logits = matrix({1, -infinity, 0.5, -infinity, 0.3, 2}, {2, 3});
  Tensor labels = index_tensor({2, 1});
  check_loss("logits of -inf", logits, labels, {});
  ops::SoftmaxLossOptions options;
  options.targets = matrix({0.25, 0, 0.75, 0, 1, 0}, {2, 3});
  check_loss("logits of -inf, targets", logits, {}, options);
  ops::SoftmaxLossOptions empty_class;
  empty_class.offset = matrix({std::log(5.0), -infinity, std::log(2.0)}, {3});
  check_loss("offset of -inf", random_tensor({2, 3}, 1), index_tensor({2, 0}), empty_class);
}

TEST_CASE("softmax_cross_entropy: the derivative of a weighted sum is w (p - q)") {
  Tensor logits = random_tensor({3, 4}, 6);
  Tensor labels = index_tensor({1, 1, 2});
  ek::LinearMap map = ek::linearize_tensors(loss_of(labels, {}), {logits});
  Tensor weights = matrix({0.5, -2, 3}, {3});
  Tensor expected = ops::mul(
      ops::sub(ops::softmax(logits), ops::place(Tensor::full({3}, 1, DType::float64), labels, 4)),
      ops::broadcast_to(ops::reshape(weights, {3, 1}), {3, 4}));
  CHECK(relative_error(map.vjp({weights})[0], expected) <= value_tolerance);
}

TEST_CASE("softmax_cross_entropy in float32 follows float64") {
  Tensor logits = random_tensor({16, 10}, 7, 4);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < 16; ++i) labels.push_back(i * 7 % 10);
  auto f = loss_of(index_tensor(labels), {});
  ek::LinearMap wide = ek::linearize_tensors(f, {logits});
  ek::LinearMap narrow = ek::linearize_tensors(f, {logits.to(DType::float32)});
  // inputs rounded to 6e-8 of magnitude up to about 16
  CHECK(relative_error(narrow.outputs()[0].to(DType::float64), wide.outputs()[0]) <= 1e-6);
  Tensor ct = Tensor::full({16}, 1, DType::float64);
  CHECK(relative_error(narrow.vjp({ct.to(DType::float32)})[0].to(DType::float64),
                       wide.vjp({ct})[0]) <= 1e-5);
}

TEST_CASE("softmax errors name the op, the argument and what came") {
  Tensor logits = random_tensor({2, 3}, 1), labels = index_tensor({0, 2});
  CHECK(error_of([&] { ops::softmax(random_tensor({3}, 1)); }) ==
        "softmax: x has shape [3], rank 2 is wanted");
  CHECK(error_of([&] { ops::logsumexp(labels); }) ==
        "logsumexp: x is int64 [2], a floating-point dtype is wanted");
  auto loss_error = [&](const Tensor& y, const ops::SoftmaxLossOptions& options) {
    return error_of([&] { ops::softmax_cross_entropy(logits, y, options); });
  };
  const std::string name = "softmax_cross_entropy: ";
  CHECK(loss_error(index_tensor({0, 3}), {}) == name + "labels[1] = 3 is not in [0, 3)");
  CHECK(loss_error(index_tensor({0}), {}) == name + "labels are int64 [1], int64 [2] is wanted");
  CHECK(loss_error({}, {}) == name + "neither labels nor targets came");
  ops::SoftmaxLossOptions options;
  options.offset = random_tensor({4}, 1);
  CHECK(loss_error(labels, options) == name + "offset is float64 [4], float64 [3] is wanted");
  options = {};
  options.mask = logits;
  CHECK(loss_error(labels, options) == name + "mask is float64 [2, 3], uint8 [2, 3] is wanted");
  options = {};
  options.label_smoothing = 1.5;
  CHECK(loss_error(labels, options) == name + "label_smoothing is 1.5, expected 0 to 1");
  options = {};
  options.targets = matrix({0.5, 0.5, 0, 0.5, 0.25, 0}, {2, 3});
  CHECK(loss_error({}, options) == name + "targets of row 1 sum to 0.75, not 1");
  options.label_smoothing = 0.1;
  CHECK(loss_error({}, options) ==
        name + "label_smoothing 0.1 came with targets, which already are the whole target");
  options = {};
  options.targets = matrix({0.5, 0.5, 0, 0.5, 0.5, 0}, {2, 3});
  options.margin = random_tensor({3}, 1);
  CHECK(loss_error({}, options) == name + "margin needs labels");
}

TEST_CASE("softmax_cross_entropy refuses a tracked option") {
  Tensor logits = random_tensor({2, 3}, 1), labels = index_tensor({0, 2});
  auto f = [&](const Tensors& in) {
    ops::SoftmaxLossOptions options;
    options.offset = in[0];
    return Tensors{ops::softmax_cross_entropy(logits, labels, options)};
  };
  CHECK(error_of([&] { ek::linearize_tensors(f, {random_tensor({3}, 1)}); }) ==
        "softmax_cross_entropy: offset is tracked by a tape, but it is a constant of this op; stop "
        "its gradient, or compose the loss of plain ops");
}
