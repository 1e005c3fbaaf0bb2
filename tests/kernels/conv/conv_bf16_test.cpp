// What is particular to bf16: where it rounds, that it rounds once, and that its passes are still
// transposes of each other.
#include "tests/kernels/conv/conv_run.h"

using namespace ek::kernels;
using namespace ek::reference;

namespace {

// A layer of each kind: the stem, 3x3, stride 2, 1x1, groups; batches of 1 and of odd sizes.
const std::vector<Conv2dShape> kinds{
    {1, 32, 32, 3, 16, 3, 3, 1, 1, 1, 1},  {3, 32, 32, 16, 16, 3, 3, 1, 1, 1, 1},
    {5, 16, 16, 16, 32, 3, 3, 2, 2, 1, 1}, {17, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1},
    {2, 7, 7, 32, 48, 1, 1, 2, 2},         {2, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1, 4},
};

template <class A, class B>
double dot(const Guarded<A>& a, const Guarded<B>& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) sum += number(a[i]) * number(b[i]);
  return sum;
}

template <class A>
double norm(const Guarded<A>& a) {
  return std::sqrt(dot(a, a));
}

}  // namespace

TEST_CASE("conv2d in bf16 rounds the weights to the nearest") {
  for (ConvPath path : {ConvPath::best, ConvPath::plain}) {
    for (const Conv2dShape& shape : kinds) {
      INFO(describe(shape) << ", path " << int(path));
      const Case<ek::bf16> exact(shape, path);
      Case<ek::bf16> between(shape, path);
      for (std::int64_t i = 0; i < shape.weight_size(); ++i) {
        // A quarter of a unit in the last place, away from zero.
        between.weight[i] += exact.weight[i] * 0x1p-10f;
        between.weight_tangent[i] += exact.weight_tangent[i] * 0x1p-10f;
      }
      for (Conv2dPass pass :
           {Conv2dPass::forward, Conv2dPass::backward_data, Conv2dPass::tangent}) {
        REQUIRE(exact.images(pass).same_bits(between.images(pass)));
      }
    }
  }
}

// With u = 2^-7, one unit in the last place of 1: conv(x', w) = 1 + 3/8 u, conv(x, w') = -1 - 1/4
// u, and their sum u / 8. If one of the two is rounded to bf16 before, it becomes 1 or -1, and the
// sum 3/8 u or -1/4 u.
TEST_CASE("conv2d_tangent in bf16 rounds the sum of both products once") {
  for (ConvPath path : {ConvPath::best, ConvPath::plain}) {
    for (const Conv2dShape& shape : kinds) {
      INFO(describe(shape) << ", path " << int(path));
      Case<ek::bf16> c(shape, path);
      const std::int64_t taps = shape.kernel_h * shape.kernel_w, in_c = shape.in_c / shape.groups;
      for (std::int64_t i = 0; i < shape.weight_size(); ++i) {
        const bool centre = i / in_c % taps == taps / 2;  // the tap that is never in the padding
        const std::int64_t channel = centre ? i % in_c : in_c;
        c.weight[i] = channel == 0 ? 1.0f : channel == 1 ? 0x1.8p-9f : 0.0f;
        c.weight_tangent[i] = channel == 0 ? -1.0f : channel == 1 ? -0x1p-9f : 0.0f;
      }
      for (std::int64_t i = 0; i < shape.input_size(); ++i) {
        c.x[i] = c.x_tangent[i] = rounded<ek::bf16>(1.0);
      }
      const Guarded<ek::bf16> y = c.images(Conv2dPass::tangent);
      std::int64_t wrong = 0;
      for (std::int64_t i = 0; i < y.size(); ++i) wrong += !(number(y[i]) == 0x1p-10);
      REQUIRE(wrong == 0);
    }
  }
}

// <ct, J (x', w')> = <J^T ct, (x', w')>. Each element of the three images is rounded by at most
// 2^-8 of its size (the weight gradient is not), which by Cauchy-Schwarz moves a dot product by at
// most that share of the product of norms; errors of random sign leave far less.
TEST_CASE("conv2d in bf16 has adjoint passes") {
  for (const Conv2dShape& shape : kinds) {
    INFO(describe(shape));
    const Case<ek::bf16> c(shape, ConvPath::best);
    const Guarded<ek::bf16> y = c.images(Conv2dPass::tangent);
    const Guarded<ek::bf16> dx = c.images(Conv2dPass::backward_data);
    const Guarded<float> dweight = c.gradient();
    const double forward = dot(c.dy, y);
    const double reverse = dot(dx, c.x_tangent) + dot(dweight, c.weight_tangent);
    const double bound = 0x1p-8 * (norm(c.dy) * norm(y) + norm(dx) * norm(c.x_tangent));
    REQUIRE(std::abs(forward - reverse) <= bound);
    // The bound can tell: a transpose of something else is off by the size of the terms.
    REQUIRE(bound <= 0.1 * norm(dweight) * norm(c.weight_tangent));
  }
}
