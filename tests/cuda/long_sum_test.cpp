// float32 products where sums are long, against float64 on the CPU: what tensor cores cut from a
// sum must not add up. tests/simt/long_sums_test.cpp shows it under models of their arithmetic.
#include <algorithm>
#include <cmath>

#include "engine/ops.h"
#include "engine/tensor/random.h"
#include "kernels/base/versions.h"
#include "tests/cuda/devices.h"
#include "tests/long_sum.h"

using namespace ek;

namespace {

// Numbers in [0.5, 1.5): no signs cancel, so that a bias is seen.
Tensor positive(Shape shape, std::uint32_t number) {
  const RandomStream random(1, Purpose::test, number);
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 0.5 + random.uniform(i);
  return Tensor::from(values, shape).to(DType::float32);
}

// Every element of what `run` makes of two tensors is a sum of at most `terms` products.
template <class Run>
void check_sums(Device device, std::int64_t terms, const Tensor& a, const Tensor& b,
                const Run& run) {
  const std::vector<double> got = run(a.to(device), b.to(device)).to_vector();
  const std::vector<double> expected = run(a.to(DType::float64), b.to(DType::float64)).to_vector();
  std::size_t kept = 0;
  double largest = 0;  // of those that are numbers
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] / expected[i] - 1);
    largest = std::max(largest, error);
    kept += error <= kept_accuracy(terms);
  }
  CAPTURE(terms, largest, kept_accuracy(terms));
  CHECK(kept == expected.size());
}

// Products of inner size k, convolutions of so many channels, and their weight gradients over
// images of `size` x `size`.
void check_long_sums(Device device, std::int64_t k, std::int64_t channels, std::int64_t images,
                     std::int64_t size) {
  const kernels::ScopedVersion version("gemm", "mma");  // the rule prefers multiply-adds
  check_sums(device, k, positive({16, k}, 0), positive({k, 24}, 1),
             [](const Tensor& a, const Tensor& b) { return ops::matmul(a, b); });
  const ops::Conv2dOptions options{{1, 1}, {1, 1}, 1};
  check_sums(
      device, 9 * channels, positive({1, 4, 4, channels}, 2), positive({16, 3, 3, channels}, 3),
      [&](const Tensor& x, const Tensor& weight) { return ops::conv2d(x, weight, options); });
  check_sums(device, images * size * size, positive({images, size, size, 16}, 4),
             positive({images, size, size, 16}, 5), [&](const Tensor& x, const Tensor& dy) {
               return ops::conv2d_backward_weights(x, dy, {16, 3, 3, 16}, options);
             });
}

}  // namespace

TEST_CASE("simt: long sums keep float32's accuracy", "[simt]") {
  if (!has_simt()) return;
  check_long_sums(simt, 1024, 64, 4, 8);
}

TEST_CASE("gpu: long sums keep float32's accuracy", "[.gpu]") {
  require_gpu();
  check_long_sums(gpu, 4608, 512, 128, 32);
}
