#include "kernels/softmax.h"

#include "kernels/base/error.h"
#include "tests/catch.h"
#include "tests/kernels/numbers.h"
#include "tests/kernels/softmax_run.h"

using namespace ek::kernels;
using namespace ek::test;

namespace {

// Every option at once, four classes.
Case rich_case() {
  return {
      {0.3, -1.2, 0.8, 2.0, 1.1, 0.4, -0.6, 0.2, -2.0, 0.5, 0.7, 0.1}, {10, 5, 3, 1}, {2, 0, 3}};
}
Instance rich_instance() {
  Instance all{1.7, {0.2, -0.3, 0.5, 0.1}, {0.1, 0.4, 0.2, 0.3}, {}, {1.5, 0.5, 2.0, 0.7}, {}};
  all.targets = {0.1, 0.2, 0.7, 0, 0.5, 0, 0.25, 0.25, 0, 0, 0, 1};
  all.mask = {1, 1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 1};
  return all;
}

}  // namespace

TEST_CASE("softmax_loss: the gradient is that of the loss") {
  const Instance instance = rich_instance();
  Case c = rich_case();
  const auto result = run<double>(c, instance, 1.0);
  const double step = 1e-6;
  for (std::size_t j = 0; j < c.logits.size(); ++j) {
    const double z = c.logits[j];
    const std::size_t row = j / 4;
    c.logits[j] = z + step;
    const double above = run<double>(c, instance, 1.0).losses[row];
    c.logits[j] = z - step;
    const double below = run<double>(c, instance, 1.0).losses[row];
    c.logits[j] = z;
    // Central difference: error about step^2 + 1e-16 / step.
    REQUIRE(std::abs((above - below) / (2 * step) - result.dlogits[j]) <= 1e-8);
  }
}

TEST_CASE("softmax_loss applies weights and divisor to dlogits_weighted alone") {
  const Case c = rich_case();
  const Instance instance = rich_instance();
  const Numbers samples{0.5, 0.0, 3.0};
  const auto result = run<double>(c, instance, 6.0, samples);
  Instance plain = instance;
  plain.class_weight.clear();
  const auto unweighted = run<double>(c, plain, 1.0);
  REQUIRE(same_bits(result.losses, unweighted.losses));
  REQUIRE(same_bits(result.dlogits, unweighted.dlogits));
  Numbers expected;
  for (std::size_t j = 0; j < c.logits.size(); ++j) {
    const std::size_t i = j / 4;
    expected.push_back(samples[i] * instance.class_weight[c.labels[i]] / 6.0 * result.dlogits[j]);
  }
  REQUIRE(max_error(result.weighted, expected, 1e-12) <= 1e-14);
  REQUIRE(result.correct == std::vector<std::uint8_t>{0, 1, 0});
}

TEST_CASE("label smoothing equals its soft targets; masked classes get -scale q") {
  const Case c = rich_case();
  SoftmaxLoss<double> loss{3, 4};
  loss.labels = c.labels.data();
  loss.label_smoothing = 0.2;
  Numbers losses(3), gradient(12);
  softmax_loss<Cpu, double>({}, loss, c.logits.data(), {losses.data(), gradient.data()});
  Instance soft;
  for (std::int64_t y : c.labels) {
    for (std::int64_t k = 0; k < 4; ++k) soft.targets.push_back(0.05 + (k == y ? 0.8 : 0));
  }
  const auto expected = run<double>(c, soft, 1.0);
  REQUIRE(max_error(losses, expected.losses, 1e-3) <= 1e-13);
  REQUIRE(max_error(gradient, expected.dlogits, 1e-3) <= 1e-13);

  const auto masked = run<double>(c, rich_instance(), 1.0);
  CHECK(masked.dlogits[3] == 0);
  CHECK(masked.dlogits[5] == 0);
  Instance soft_and_masked = soft;
  soft_and_masked.mask = rich_instance().mask;
  CHECK(std::abs(run<double>(c, soft_and_masked, 1.0).dlogits[3] + 0.05) <= 1e-15);
}

TEMPLATE_TEST_CASE("softmax_loss stays finite and precise at the extremes", "", float, double) {
  using T = TestType;
  const T big = std::numeric_limits<T>::max() / 4, lost = -std::numeric_limits<T>::infinity();
  const std::vector<T> z{big, -big, 0, T(20), 0, 0, lost, 1, 1};
  const std::vector<std::int64_t> labels{0, 0, 1};
  std::vector<T> losses(3), gradient(9);
  SoftmaxLoss<T> loss{3, 3};
  loss.labels = labels.data();
  softmax_loss<Cpu, T>({}, loss, z.data(), {losses.data(), gradient.data()});
  // A small loss keeps its relative precision: log(1 + 2 e^-20), not the log of a rounded 1.
  const Numbers expected{0, std::log1p(2 * std::exp(-20.0)), std::log(2.0)};
  REQUIRE(max_error(losses, expected, 1e-30) <= 8 * double(std::numeric_limits<T>::epsilon()));
  REQUIRE(max_error(gradient,
                    Numbers{0, 0, 0, -2 * std::exp(-20.0), std::exp(-20.0), std::exp(-20.0), 0,
                            -0.5, 0.5},
                    1) <= 8 * double(std::numeric_limits<T>::epsilon()));
}

TEMPLATE_TEST_CASE("softmax and its log-sum-exp", "", float, double) {
  using T = TestType;
  const std::int64_t rows = 37, classes = 11;
  auto z = random_numbers<T>(rows * classes, 3);
  for (T& v : z) v *= 30;
  std::vector<T> p(z.size()), lse(rows);
  softmax<Cpu, T>({}, rows, classes, z.data(), p.data(), lse.data());
  Numbers expected_p, expected_lse;
  for (std::int64_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (std::int64_t k = 0; k < classes; ++k) sum += std::exp(double(z[i * classes + k]));
    for (std::int64_t k = 0; k < classes; ++k) {
      expected_p.push_back(std::exp(double(z[i * classes + k])) / sum);
    }
    expected_lse.push_back(std::log(sum));
  }
  // exp of numbers up to 60 loses 60 units in the last place.
  const double tolerance = 100 * double(std::numeric_limits<T>::epsilon());
  REQUIRE(max_error(p, expected_p, 1e-3) <= tolerance);
  REQUIRE(max_error(lse, expected_lse, 1) <= tolerance);
  std::vector<T> empty(3, -std::numeric_limits<T>::infinity()), nothing(1);
  softmax<Cpu, T>({}, 1, 3, empty.data(), nullptr, nothing.data());
  REQUIRE(std::isnan(nothing[0]));
}

TEMPLATE_TEST_CASE("softmax_loss_vjp and softmax_loss_jvp: rows scaled, and their products", "",
                   float, double) {
  using T = TestType;
  for (const auto& [rows, classes] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 3}, {1, 1}, {37, 11}, {3, 1003}}) {
    const auto d = random_numbers<T>(rows * classes, 3), t = random_numbers<T>(rows * classes, 4);
    const auto cotangent = random_numbers<T>(rows, 5);
    std::vector<T> scaled(d.size(), T(9)), slopes(rows, T(9)), expected_scaled(d.size());
    Numbers expected(rows, 0.0);
    for (std::int64_t j = 0; j < rows * classes; ++j) {
      expected_scaled[j] = cotangent[j / classes] * d[j];
      expected[j / classes] += double(d[j]) * double(t[j]);
    }
    softmax_loss_vjp<Cpu, T>({}, rows, classes, d.data(), cotangent.data(), scaled.data());
    softmax_loss_jvp<Cpu, T>({}, rows, classes, d.data(), t.data(), slopes.data());
    REQUIRE(same_bits(scaled, expected_scaled));
    // Each product of size 1 errs by half a unit of T, and so does the result.
    REQUIRE(max_error(slopes, expected, 1) <=
            double(classes) * double(std::numeric_limits<T>::epsilon()));
  }
}

TEST_CASE("softmax_loss bits do not depend on threads") {
  const std::int64_t rows = 300, classes = 100;
  const auto z = random_numbers<float>(rows * classes, 8);
  std::vector<std::int64_t> labels(rows);
  for (std::int64_t i = 0; i < rows; ++i) labels[i] = i % classes;
  SoftmaxLoss<float> loss{rows, classes};
  loss.labels = labels.data();
  std::vector<float> first;
  for (int threads : {1, 2, 4}) {
    const Threads scope(threads);
    std::vector<float> gradient(z.size());
    softmax_loss<Cpu, float>({}, loss, z.data(), {nullptr, gradient.data()});
    if (first.empty()) first = gradient;
    REQUIRE(same_bits(gradient, first));
  }
}

TEST_CASE("softmax_loss refuses what it cannot compute") {
  const Numbers z(6), q(6, 1.0 / 3);
  const std::vector<std::int64_t> bad{0, 3};
  SoftmaxLoss<double> loss{2, 3};
  CHECK_THROWS_AS((softmax_loss<Cpu, double>({}, loss, z.data(), {})), ek::Error);
  loss.labels = bad.data();
  CHECK_THROWS_AS((softmax_loss<Cpu, double>({}, loss, z.data(), {})), ek::Error);
  loss.labels = nullptr;
  loss.targets = q.data();
  CHECK_NOTHROW(softmax_loss<Cpu, double>({}, loss, z.data(), {}));
  loss.label_smoothing = 0.1;
  CHECK_THROWS_AS((softmax_loss<Cpu, double>({}, loss, z.data(), {})), ek::Error);
  loss.label_smoothing = 0;
  loss.margin = q.data();
  CHECK_THROWS_AS((softmax_loss<Cpu, double>({}, loss, z.data(), {})), ek::Error);
}
