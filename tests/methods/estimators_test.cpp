// The estimators against each other on a real network, and the audit against planted faults.
#include <cmath>

#include "engine/ops.h"
#include "engine/tensor/random.h"
#include "methods/audit.h"
#include "methods/meta/bilevel.h"
#include "models/registry.h"
#include "tests/catch.h"

using namespace ek;

namespace {

// Both routes evaluate the same expression in float64 with different associations.
constexpr double exact_tolerance = 1e-9;
// Probes of 1e-7 / |v| cross a few ReLU kinks of a ResNet (docs/meta-gradient.md).
constexpr double probe_tolerance = 1e-4;
// float32 rounding through some twenty layers and a difference-like quantity (the same section).
constexpr double float32_tolerance = 1e-2;

Tensor random_images(std::int64_t count, std::int64_t side, std::uint32_t number, DType dtype) {
  Tensor images = Tensor::empty({count, side, side, 3}, DType::float64);
  const RandomStream random(7, Purpose::test, number);
  double* pixels = images.output<double>();
  for (std::int64_t i = 0; i < images.numel(); ++i) pixels[i] = random.normal(std::uint64_t(i));
  return images.to(dtype);
}

Tensor labels_below(std::int64_t count, std::int64_t classes) {
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < count; ++i) labels.push_back((i * i + i / 2) % classes);
  return Tensor::from(labels, {count});
}

struct Problem {
  std::unique_ptr<const Model> model;
  Params params, buffers;
  BilevelProblem bilevel;
  Tensor weights;

  explicit Problem(DType dtype, const char* name = "resnet8") : model(make_model(name, 5)) {
    params = model->init(3, DType::float64).to(dtype);
    buffers = model->initial_buffers(dtype);
    const Tensor x = random_images(12, 16, 1, dtype), meta_x = random_images(10, 16, 2, dtype);
    const Tensor y = labels_below(12, 4), meta_y = labels_below(10, 5);  // class 4: meta alone
    bilevel.train_losses = [this, x, y](const Params& p) {
      const ModelOutput out = model->forward(p, buffers, x, Mode::train);
      return std::pair(ops::softmax_cross_entropy(out.logits, y), out.buffers);
    };
    bilevel.meta_loss = [this, meta_x, meta_y](const Params& p) {
      const Tensor logits = model->forward(p, buffers, meta_x, Mode::train).logits;
      return ops::mean(ops::softmax_cross_entropy(logits, meta_y));
    };
    bilevel.inner = class_weighted_mean(y);
    bilevel.step.lr = 0.1;
    weights = Tensor::from(std::vector<double>{0.5, 1.5, 1.2, 0.8, 1.0}, {5}).to(dtype);
  }

  Tensor cotangent(const Tensor& class_weights) const {
    return bilevel.inner.cotangent({}, as_class_weights(class_weights));
  }
  MetaGradient meta(Estimator estimator, const Linearization<Params>& train) const {
    return meta_gradient(estimator, bilevel, train, params, as_class_weights(weights),
                         cotangent(weights));
  }

  std::vector<double> gradient(Estimator estimator) const {
    const auto train = linearize(bilevel.train_losses, params);
    return meta(estimator, train).outer["class_weights"].to_vector();
  }
};

double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

}  // namespace

TEST_CASE("forward, reverse and finite differences agree on a ResNet-8", "[estimators]") {
  const Problem problem(DType::float64);
  const std::vector<double> forward = problem.gradient(Estimator::forward);
  const std::vector<double> reverse = problem.gradient(Estimator::reverse);
  const std::vector<double> probes = problem.gradient(Estimator::finite_difference);
  CHECK(relative_error(forward, reverse) <= exact_tolerance);
  CHECK(relative_error(probes, reverse) <= probe_tolerance);
  CHECK(std::abs(reverse[0]) > 1e-6);  // there is something to agree on
  CHECK(forward[4] == 0.0);
  CHECK(reverse[4] == 0.0);

  const Problem single(DType::float32);
  CHECK(relative_error(single.gradient(Estimator::forward), reverse) <= float32_tolerance);
  CHECK(relative_error(single.gradient(Estimator::reverse), reverse) <= float32_tolerance);
}

TEST_CASE("forward, reverse and finite differences agree on a ResNet-32", "[estimators][slow]") {
  const Problem problem(DType::float64, "resnet32");
  const std::vector<double> reverse = problem.gradient(Estimator::reverse);
  CHECK(relative_error(problem.gradient(Estimator::forward), reverse) <= exact_tolerance);
  CHECK(relative_error(problem.gradient(Estimator::finite_difference), reverse) <= probe_tolerance);
  const Problem single(DType::float32, "resnet32");
  CHECK(relative_error(single.gradient(Estimator::forward), reverse) <= float32_tolerance);
}

TEST_CASE("the meta-gradient is the finite difference of the whole step", "[estimators]") {
  const Problem problem(DType::float64);
  const auto train = linearize(problem.bilevel.train_losses, problem.params);
  const Tensor by_weights = problem.meta(Estimator::forward, train).outer["class_weights"];
  auto outer = [&](const Params& p) {
    return problem.bilevel
        .meta_loss(virtual_step(problem.bilevel, train, problem.params, problem.cotangent(p["w"])))
        .item();
  };
  const Params weights({{"w", problem.weights}});

  SECTION("as it is") {
    const AuditLine line = audit_path("path", outer, weights, Params({{"w", by_weights}}));
    INFO(line.verdict << " " << line.error);
    CHECK(line.passed);
  }
  SECTION("a cut path is an unexpected zero") {
    const AuditLine line =
        audit_path("path", outer, weights, Params({{"w", ops::affine(by_weights, 0)}}));
    CHECK_FALSE(line.passed);
    CHECK(line.verdict == "UNEXPECTED ZERO: this path is cut");
  }
  SECTION("a wrong factor is seen") {
    const AuditLine line =
        audit_path("path", outer, weights, Params({{"w", ops::affine(by_weights, 1.001)}}));
    CHECK_FALSE(line.passed);
    CHECK(line.verdict == "differs from the finite difference");
  }
  SECTION("one wrong component is seen, also orthogonal to the rest") {
    std::vector<double> values = by_weights.to_vector();
    values[4] += 0.3 * std::abs(values[0]);
    const AuditLine line =
        audit_path("path", outer, weights, Params({{"w", Tensor::from(values, {5})}}));
    CHECK_FALSE(line.passed);
  }
  SECTION("NaN is seen") {
    const Tensor nan = Tensor::full({5}, std::nan(""), DType::float64);
    CHECK_FALSE(audit_path("path", outer, weights, Params({{"w", nan}})).passed);
  }
  SECTION("a zero by definition must be zero") {
    CHECK_FALSE(audit_path("path", outer, weights, Params({{"w", by_weights}}), true).passed);
  }
}
