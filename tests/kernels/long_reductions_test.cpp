// Long sums of float32 against float64: means over images, windows and rows of classes.
#include <cmath>
#include <vector>

#include "kernels/pool.h"
#include "kernels/softmax.h"
#include "tests/catch.h"

using namespace ek;
using namespace ek::kernels;

namespace {

// The bound of docs/precision.md: so many roundings, relative to the sum of |x|.
double bound(std::int64_t terms) {
  return (8 + std::log2(double(terms))) * 0x1p-24;
}

// Constant, which lets errors of one sign add up, and anything between 0 and 1.
double value(int kind, std::int64_t i) {
  return kind == 0 ? 1.1f : float((i * 7919 + 13) % 10007) / 10007.0f;
}

void check_mean(double got, double sum, std::int64_t terms) {
  const double error = std::abs(got - sum / double(terms)) / (sum / double(terms));
  CAPTURE(terms, got);
  CHECK(error <= bound(terms));
}

}  // namespace

TEST_CASE("means over pixels keep their digits", "[long-reductions]") {
  for (const std::int64_t pixels : {50, 64, 65, 1000, 56 * 56, 100000}) {
    for (const int kind : {0, 1}) {
      constexpr std::int64_t channels = 3;
      std::vector<float> x(std::size_t(pixels * channels)), y(channels);
      std::vector<double> sums(channels);
      for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = float(value(kind, std::int64_t(i)));
        sums[i % channels] += double(x[i]);
      }
      global_avg_pool_forward<Cpu, float>({}, 1, pixels, channels, x.data(), y.data());
      for (std::size_t c = 0; c < channels; ++c) check_mean(y[c], sums[c], pixels);
    }
  }
}

TEST_CASE("means over more numbers than float32 counts", "[long-reductions][slow]") {
  const std::int64_t pixels = 5000 * 5000;
  const std::vector<float> x(std::size_t(pixels), 1.0f);
  float y = 0;
  global_avg_pool_forward<Cpu, float>({}, 1, pixels, 1, x.data(), &y);
  check_mean(y, double(pixels), pixels);
}

TEST_CASE("means over large windows keep their digits", "[long-reductions]") {
  for (const int kind : {0, 1}) {
    constexpr std::int64_t side = 120;
    const Pool2dShape shape{.batch = 1,
                            .in_h = side,
                            .in_w = side,
                            .channels = 1,
                            .kernel_h = side,
                            .kernel_w = side,
                            .stride_h = 1,
                            .stride_w = 1};
    std::vector<float> x(side * side);
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = float(value(kind, std::int64_t(i)));
      sum += double(x[i]);
    }
    float y = 0;
    avg_pool2d_forward<Cpu, float>({}, shape, x.data(), &y);
    check_mean(y, sum, side * side);
  }
}

TEST_CASE("a softmax over thousands of classes keeps its digits", "[long-reductions]") {
  constexpr std::int64_t classes = 8142;
  std::vector<float> logits(classes, -0.3f), gradient(classes);
  logits[0] = 0;
  const std::int64_t label = 5;
  float loss = 0;
  SoftmaxLoss<float> problem{.rows = 1, .classes = classes};
  problem.labels = &label;
  SoftmaxLossOutputs<float> out;
  out.losses = &loss;
  out.dlogits = gradient.data();
  softmax_loss<Cpu, float>({}, problem, logits.data(), out);
  double sum = 0;
  for (const float z : logits) sum += std::exp(double(z));
  CHECK(std::abs(loss - (std::log(sum) + double(0.3f))) <= bound(classes) * loss);
  for (const std::size_t k : {std::size_t(0), std::size_t(7)}) {
    const double expected = std::exp(double(logits[k])) / sum;
    CHECK(std::abs(gradient[k] - expected) <= 4 * bound(classes) * expected);
  }
}
