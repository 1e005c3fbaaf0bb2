#include "kernels/conv.h"

#include <optional>

#include "kernels/base/versions.h"
#include "tests/catch.h"
#include "tests/kernels/conv/conv_run.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using ek::bf16;
using ek::reference::Case;
using ek::reference::Sums;

namespace {

constexpr std::string_view kFunction = "conv2d_backward_weights";

// batch, in_h, in_w, in_c, out_c, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, groups
const std::vector<Conv2dShape> kShapes{
    {1, 1, 1, 1, 1, 1, 1},                    // the smallest
    {3, 7, 5, 3, 8, 3, 3, 1, 1, 1, 1},        // three input channels
    {2, 7, 7, 4, 6, 1, 1, 2, 2},              // 1x1, stride 2: inputs that no window meets
    {1, 6, 5, 3, 17, 3, 5, 1, 2, 0, 2},       // kernel, stride and padding differ by axis
    {3, 5, 5, 6, 4, 3, 3, 1, 1, 1, 1, 2},     // two groups
    {2, 8, 7, 8, 8, 3, 3, 2, 2, 1, 1, 8},     // depthwise
    {1, 12, 11, 3, 10, 7, 7, 2, 2, 3, 3},     // a stem
    {2, 3, 3, 2, 3, 2, 2, 1, 1, 2, 2},        // windows wholly in the padding
    {3, 6, 7, 2, 2, 2, 2, 3, 3},              // stride beyond the kernel, a rest at the border
    {2, 5, 2, 10, 6, 5, 3, 2, 3, 2, 1, 2},    // a tap that meets nothing but padding
    {2, 9, 18, 16, 16, 3, 3, 1, 1, 1, 1},     // stage 1: 16 channels, tiles at the border
    {5, 12, 18, 3, 8, 3, 3, 1, 1, 1, 1},      // twenty splits, which are added up in two steps
    {1, 9, 8, 16, 32, 3, 3, 2, 2, 1, 1},      // stride 2, 32 channels
    {2, 4, 4, 64, 64, 3, 3, 1, 1, 1, 1},      // stage 3: 64 channels in eight blocks
    {1, 5, 6, 33, 70, 3, 3, 1, 1, 0, 0},      // channels beyond a block, and no whole packs
    {1, 5, 5, 12, 20, 5, 5, 1, 1, 2, 2},      // 25 taps in three blocks
    {1, 4, 5, 32, 64, 3, 3, 1, 1, 1, 1, 2},   // two groups, wide
    {1, 3, 4, 40, 40, 3, 3, 1, 1, 1, 1, 10},  // ten groups of four channels, four or more together
    {2, 9, 11, 20, 70, 1, 1},                 // 1x1: the batch as one row of pixels
    {2, 9, 5, 72, 8, 1, 1, 2, 2},             // 1x1 with stride 2, two blocks of channels
};

template <class T>
std::vector<T> vector_of(const ek::reference::Guarded<T>& values) {
  return {values.data(), values.data() + values.size()};
}

template <class T>
std::vector<Acc<T>> on_simt(const Case<T>& c) {
  const ek::simt::test::Input<T> x(vector_of(c.x), "x"), dy(vector_of(c.dy), "dy");
  return ek::simt::test::in_all_orders<Acc<T>>(
      std::size_t(c.shape.weight_size()), 0, [&](Acc<T>* dweight) {
        const std::size_t bytes =
            conv2d_workspace_bytes<Simt, T>(c.shape, Conv2dPass::backward_weights);
        ek::simt::Guarded<double> scratch((bytes + 7) / 8, "workspace");
        conv2d_backward_weights<Simt, T>({}, c.shape, x.data(), dy.data(), dweight,
                                         {scratch.data(), bytes});
        scratch.values();
      });
}

// Tensor cores leave out some 3 * 2^-22 of a product of float32, tf32 rounds both factors by 2^-11.
double product_rounding(std::string_view version, FloatProducts products) {
  return products == FloatProducts::tf32 ? 0x1.01p-10 : version == "mma" ? 3 * 0x1p-22 : 0;
}

// The largest distance of two results in units of what two sums of the same products may differ by:
// each errs by less than terms epsilon times the sum of magnitudes, whatever its order (see
// reference::first_wrong); `product` is what rounding the factors adds to that, relative.
template <class T>
double error(const std::vector<Acc<T>>& got, const std::vector<Acc<T>>& cpu, const Sums& sums,
             double product) {
  REQUIRE(got.size() == cpu.size());
  double worst = 0;
  for (std::size_t w = 0; w < got.size(); ++w) {
    const double relative = 2 * (sums.terms[w] + 1) * ek::test::epsilon_of<Acc<T>>() + product;
    const double off = std::abs(double(got[w]) - double(cpu[w]));
    const double units = off == 0 ? 0 : off / (relative * sums.magnitude[w]);
    if (!(units <= worst)) worst = units;
    if (std::isnan(worst)) break;
  }
  return worst;
}

template <class T>
void check(const Conv2dShape& shape, std::string_view version, FloatProducts products) {
  INFO(ek::reference::describe(shape) << ", " << version);
  Case<T> c(shape, ek::reference::ConvPath::best);
  const Sums sums = c.expected(Conv2dPass::backward_weights, shape.weight_size());
  const std::vector<Acc<T>> cpu = vector_of(c.gradient());
  c.shape.products = products;
  const ScopedVersion scope(kFunction, version);
  REQUIRE(error<T>(on_simt(c), cpu, sums, product_rounding(version, products)) <= 1);
}

}  // namespace

TEMPLATE_TEST_CASE("simt conv weight gradients: plain", "", float, double, bf16) {
  for (const Conv2dShape& shape : kShapes) check<TestType>(shape, "plain", FloatProducts::exact);
}

TEMPLATE_TEST_CASE("simt conv weight gradients: tensor cores", "", float, bf16) {
  for (const Conv2dShape& shape : kShapes) check<TestType>(shape, "mma", FloatProducts::exact);
}

TEST_CASE("simt conv weight gradients: tf32") {
  for (const Conv2dShape& shape : kShapes) {
    for (const auto version : versions_of(kFunction)) {
      check<float>(shape, version, FloatProducts::tf32);
    }
  }
}

// Four sets of sixteen groups leave 32 splits for 70 tiles: two or three tiles for each.
TEST_CASE("simt conv weight gradients: several tiles a block") {
  const Conv2dShape shape{70, 2, 2, 64, 64, 3, 3, 1, 1, 1, 1, 64};
  check<float>(shape, "mma", FloatProducts::exact);
  check<float>(shape, "mma", FloatProducts::tf32);
  check<bf16>(shape, "mma", FloatProducts::exact);
}

TEMPLATE_TEST_CASE("simt conv weight gradients: the rule, and tensors that are not aligned", "",
                   float, bf16) {
  using T = TestType;
  const auto bits = [](const Conv2dShape& shape, std::string_view version, int shift) {
    const Case<T> c(shape, ek::reference::ConvPath::best);
    using ek::simt::test::shifted;
    const ek::simt::test::Input<T> x(shifted(vector_of(c.x), shift), "x"),
        dy(shifted(vector_of(c.dy), shift), "dy");
    ek::simt::Guarded<Acc<T>> dweight(std::size_t(shape.weight_size()), "dweight");
    const std::size_t bytes = conv2d_workspace_bytes<Simt, T>(shape, Conv2dPass::backward_weights);
    ek::simt::Guarded<double> scratch((bytes + 7) / 8, "workspace");
    std::optional<ScopedVersion> scope;
    if (!version.empty()) scope.emplace(kFunction, version);
    conv2d_backward_weights<Simt, T>({}, shape, x.data() + shift, dy.data() + shift, dweight.data(),
                                     {scratch.data(), bytes});
    return dweight.values();
  };
  const Conv2dShape sixteen{1, 4, 4, 16, 8, 3, 3, 1, 1, 1, 1},
      fifteen{1, 3, 5, 16, 8, 3, 3, 1, 1, 1, 1};
  REQUIRE(ek::test::same_bits(bits(sixteen, "", 0), bits(sixteen, "mma", 0)));
  REQUIRE(ek::test::same_bits(bits(sixteen, "mma", 1), bits(sixteen, "mma", 0)));
  REQUIRE(ek::test::same_bits(bits(fifteen, "", 0), bits(fifteen, "plain", 0)));
  REQUIRE(!ek::test::same_bits(bits(fifteen, "mma", 0), bits(fifteen, "plain", 0)));
}

TEMPLATE_TEST_CASE("simt conv weight gradients of random shapes", "[slow]", float, bf16) {
  for (const Conv2dShape& shape : ek::reference::random_shapes(60)) {
    check<TestType>(shape, "mma", FloatProducts::exact);
    if (std::is_same_v<TestType, float>) check<TestType>(shape, "mma", FloatProducts::tf32);
  }
}

TEMPLATE_TEST_CASE("simt conv weight gradients of no image are zero", "", float, double, bf16) {
  using A = Acc<TestType>;
  const Conv2dShape s{0, 4, 5, 2, 6, 3, 3, 1, 1, 1, 1};
  const auto dweight = ek::simt::test::in_all_orders<A>(
      std::size_t(s.weight_size()), 0,
      [&](A* to) { conv2d_backward_weights<Simt, TestType>({}, s, nullptr, nullptr, to, {}); });
  REQUIRE(dweight == std::vector<A>(std::size_t(s.weight_size()), A(0)));
}

TEST_CASE("simt conv weight gradients refuse wrong shapes by name") {
  const Conv2dShape s{1, 4, 4, 3, 4, 3, 3, 1, 1, 1, 1, 2};
  REQUIRE_THROWS_WITH((conv2d_backward_weights<Simt, float>({}, s, nullptr, nullptr, nullptr, {})),
                      Catch::Matchers::StartsWith("conv2d_backward_weights: groups"));
  const ScopedVersion scope(kFunction, "mma");
  const Conv2dShape plain{1, 1, 1, 1, 1, 1, 1};
  REQUIRE_THROWS_WITH(
      (conv2d_backward_weights<Simt, double>({}, plain, nullptr, nullptr, nullptr, {})),
      Catch::Matchers::StartsWith("conv2d_backward_weights: version mma expected"));
  for (const std::int64_t size : {80, 20000}) {  // more taps than fit shared memory, or any
    const Conv2dShape vast{1, size, size, 1, 1, size, size};
    REQUIRE_THROWS_WITH(
        (conv2d_backward_weights<Simt, float>({}, vast, nullptr, nullptr, nullptr, {})),
        Catch::Matchers::StartsWith("conv2d_backward_weights: version mma expected"));
  }
}
