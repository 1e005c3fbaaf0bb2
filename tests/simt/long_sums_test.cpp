#include <algorithm>
#include <cmath>

#include "kernels/base/versions.h"
#include "kernels/gemm.h"
#include "tests/catch.h"
#include "tests/long_sum.h"
#include "tests/simt/conv_run.h"

// float32 on tensor cores where sums are long. A tensor core cuts what it adds toward zero: a sum
// that passed through each of its instructions would lose a little in every one, in one direction,
// and be off by 2e-5 of itself after 2304 positive terms.
using namespace ek::kernels;
using namespace ek::simt::test;
using ek::reference::Case;
using ek::simt::MmaRounding;

namespace {

constexpr std::int64_t kChannels = 256, kTerms = 9 * kChannels;

// Numbers around 1, so that no signs cancel: a random walk would hide what cutting loses.
void make_positive(float& x) {
  x = 1 + x / 2;
}

}  // namespace

TEST_CASE("simt gemm on tensor cores keeps float32's accuracy in long sums") {
  const GemmShape s{16, 8, 2 * kTerms};
  std::vector<float> a = ek::test::random_numbers<float>(s.m * s.k, 1);
  std::vector<float> b = ek::test::random_numbers<float>(s.k * s.n, 2);
  for (std::vector<float>* values : {&a, &b})
    std::for_each(values->begin(), values->end(), make_positive);
  const Input<float> on_a(a, "a"), on_b(b, "b");
  const ScopedVersion version("gemm", "mma");
  for (const MmaRounding rounding : {MmaRounding::hopper, MmaRounding::ampere}) {
    const ek::simt::ScopedOptions scope({.mma = rounding});
    ek::simt::Guarded<float> c(std::size_t(s.m * s.n), "c");
    gemm<Simt, float>({}, s, on_a.data(), on_b.data(), c.data());
    const std::vector<float> got = c.values();
    for (std::int64_t i = 0; i < s.m; ++i) {
      for (std::int64_t j = 0; j < s.n; ++j) {
        double sum = 0;
        for (std::int64_t k = 0; k < s.k; ++k) {
          sum += double(a[std::size_t(i * s.k + k)]) * double(b[std::size_t(k * s.n + j)]);
        }
        REQUIRE(std::abs(got[std::size_t(i * s.n + j)] - sum) <= kept_accuracy(s.k) * sum);
      }
    }
  }
}

TEST_CASE("simt conv2d on tensor cores keeps float32's accuracy in long sums") {
  Case<float> c({1, 3, 3, kChannels, 16, 3, 3, 1, 1, 1, 1}, ek::reference::ConvPath::best);
  for (auto* values : {&c.x, &c.dy, &c.weight}) {
    for (std::int64_t i = 0; i < values->size(); ++i) make_positive((*values)[i]);
  }
  const auto sums = c.expected(Conv2dPass::forward, c.shape.output_size());
  const SimtConv<float> conv(c);
  for (const auto version : {"mma", "halo"}) {
    for (const MmaRounding rounding : {MmaRounding::hopper, MmaRounding::ampere}) {
      const ScopedVersion scoped_version("conv2d_forward", version);
      const ek::simt::ScopedOptions scope({.mma = rounding});
      const std::vector<float> got = conv.run(Conv2dPass::forward, false);
      for (std::size_t i = 0; i < got.size(); ++i) {
        const double tolerance = kept_accuracy(std::int64_t(sums.terms[i]));
        REQUIRE(std::abs(got[i] - sums.value[i]) <= tolerance * sums.value[i]);
      }
    }
  }
}
