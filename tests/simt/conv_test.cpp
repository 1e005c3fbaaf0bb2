#include "kernels/conv.h"

#include <optional>

#include "kernels/base/versions.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/simt/conv_run.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::bf16;
using ek::reference::Case;
using ek::test::same_bits;

namespace {

// What the CPU backend gives for the same inputs, as sums without an error of their own but for the
// rounding that `conv_error` allows twice then.
template <class T>
double error_against_cpu(const std::vector<T>& got, const Case<T>& c, Conv2dPass pass,
                         FloatProducts products, bool tensor_cores) {
  auto sums = c.expected(pass, std::int64_t(got.size()));
  const auto cpu = c.images(pass);
  for (std::size_t i = 0; i < got.size(); ++i) {
    sums.value[i] = ek::reference::number(cpu[std::int64_t(i)]);
  }
  return conv_error(got, sums, products, tensor_cores) / 2;
}

struct Way {
  std::string_view version;  // empty: the rule picks
  FloatProducts products = FloatProducts::exact;
  int shift = 0;  // 1: pointers that are aligned to an element alone
  bool all_orders = true;
};

template <class T>
void check(const Conv2dShape& shape, const Way& way) {
  const Case<T> c(shape, ek::reference::ConvPath::best);
  Case<T> on_gpu = c;
  on_gpu.shape.products = way.products;
  const SimtConv<T> conv(on_gpu, way.shift);
  const bool tensor_cores = way.version != "plain";
  for (const Conv2dPass pass : kConvPasses) {
    INFO(describe(shape) << ", " << function_of(pass) << " by " << way.version << ", shift "
                         << way.shift << ", products " << int(way.products));
    std::optional<ScopedVersion> scope;
    if (!way.version.empty()) scope.emplace(function_of(pass), way.version);
    const std::vector<T> got = conv.run(pass, way.all_orders);
    const auto sums = c.expected(pass, std::int64_t(got.size()));
    REQUIRE(conv_error(got, sums, way.products, tensor_cores) <= 1);
    REQUIRE(error_against_cpu(got, c, pass, way.products, tensor_cores) <= 1);
  }
}

// The kernels of a version differ between tf32 and exact products in arithmetic alone, so one of
// the two is enough in all orders: not the one whose arithmetic takes longer.
template <class T>
void check_all(std::string_view version) {
  const bool plain = version == "plain", both = std::is_same_v<T, float>;
  for (const Conv2dShape& shape : kConvShapes) {
    check<T>(shape, {version, FloatProducts::exact, 0, plain || !both});
    if (both) check<T>(shape, {version, FloatProducts::tf32, 0, !plain});
  }
}

constexpr Conv2dShape kVectors{1, 5, 6, 8, 24, 3, 3, 1, 1, 1, 1};

void run_forward(const Conv2dShape& s) {
  conv2d_forward<Simt, float>({}, s, nullptr, {}, nullptr, {});
}
void pack(const Conv2dShape& s, Conv2dPass pass) {
  conv2d_pack<Simt, float>({}, s, pass, nullptr, nullptr);
}

}  // namespace

TEMPLATE_TEST_CASE("simt conv2d, plain", "", float, double, bf16) {
  check_all<TestType>("plain");
}

TEMPLATE_TEST_CASE("simt conv2d, mma", "", float, bf16) {
  check_all<TestType>("mma");
}

TEMPLATE_TEST_CASE("simt conv2d, halo", "", float, bf16) {
  check_all<TestType>("halo");
}

TEMPLATE_TEST_CASE("simt conv2d takes tensors that are aligned to an element", "", float, bf16) {
  for (const auto version : versions_of("conv2d_forward")) {
    check<TestType>(kVectors, {version, FloatProducts::exact, 1});
    check<TestType>(kVectors, {version, FloatProducts::tf32, 1});
  }
}

TEST_CASE("simt conv2d picks a version by shape, and refuses one that does not serve") {
  const Case<float> layer(kVectors, ek::reference::ConvPath::best);
  const SimtConv<float> conv(layer);
  for (const Conv2dPass pass : kConvPasses) {
    const auto picked = conv.run(pass, false);
    const ScopedVersion halo(function_of(pass), "halo");
    REQUIRE(same_bits(conv.run(pass, false), picked));
  }
  const Case<float> large({1, 24, 24, 3, 2, 24, 24}, ek::reference::ConvPath::best);
  const SimtConv<float> no_tile(large);
  const auto picked = no_tile.run(Conv2dPass::forward, false);
  const ScopedVersion mma("conv2d_forward", "mma");
  REQUIRE(same_bits(no_tile.run(Conv2dPass::forward, false), picked));
  const ScopedVersion halo("conv2d_forward", "halo");
  REQUIRE(contains(error_of([&] { no_tile.run(Conv2dPass::forward, false); }),
                   "version halo: a tile with its halo in 162 KiB"));
  const Case<double> wide(kVectors, ek::reference::ConvPath::best);
  REQUIRE(contains(error_of([&] { SimtConv<double>(wide).run(Conv2dPass::forward, false); }),
                   "conv2d: of float64 the version plain"));
}

// An engine packs once for all batches, and by pointers of any alignment.
TEMPLATE_TEST_CASE("simt conv2d packs do not depend on the batch", "", float, bf16) {
  Conv2dShape one = kVectors, many = kVectors;
  many.batch = 7;
  const auto weights = ek::test::random_numbers<float>(one.weight_size(), 3);
  for (const Conv2dPass pass : kConvPasses) {
    const SimtPack<TestType> a(one, pass, weights), b(many, pass, weights);
    REQUIRE(a.words() == b.words());
    REQUIRE(a.words().size() * 4 == conv2d_pack_bytes<Simt, TestType>(one, pass));
  }
}

TEMPLATE_TEST_CASE("simt conv2d takes shapes drawn at random", "[slow]", float, bf16) {
  for (Conv2dShape shape : ek::reference::random_shapes(60)) {
    shape.batch = (shape.batch + 4) / 5;
    for (const std::string_view version : {"", "mma"}) {
      check<TestType>(shape, {version, FloatProducts::exact, 0, false});
      check<TestType>(shape, {version, FloatProducts::tf32, 0, false});
    }
  }
}

TEMPLATE_TEST_CASE("simt conv2d takes an empty batch", "", float, double, bf16) {
  const Case<TestType> c({0, 5, 4, 3, 2, 3, 3, 1, 1, 1, 1}, ek::reference::ConvPath::best);
  const SimtConv<TestType> conv(c);
  for (const Conv2dPass pass : kConvPasses) REQUIRE(conv.run(pass).empty());
}

TEMPLATE_TEST_CASE("simt conv2d_tangent takes one tangent", "", float, double, bf16) {
  using T = TestType;
  const Case<T> c({2, 5, 6, 3, 5, 3, 3, 2, 1, 1, 1}, ek::reference::ConvPath::best);
  const Conv2dShape& s = c.shape;
  const SimtPack<T> w(s, Conv2dPass::forward, values_of(c.weight));
  const Input<T> x(values_of(c.x), "x");
  const auto size = std::size_t(s.output_size());
  const auto forward =
      in_all_orders<T>(size, 0, [&](T* y) { conv2d_forward<Simt, T>({}, s, x.data(), w, y, {}); });
  const auto of_image = in_all_orders<T>(
      size, 0, [&](T* y) { conv2d_tangent<Simt, T>({}, s, nullptr, w, x.data(), {}, y, {}); });
  const auto of_weight = in_all_orders<T>(
      size, 0, [&](T* y) { conv2d_tangent<Simt, T>({}, s, x.data(), {}, nullptr, w, y, {}); });
  REQUIRE(same_bits(of_image, forward));
  REQUIRE(same_bits(of_weight, forward));
  ek::simt::Guarded<T> y(size, "y");
  const auto none =
      error_of([&] { conv2d_tangent<Simt, T>({}, s, x.data(), w, nullptr, {}, y.data(), {}); });
  REQUIRE(contains(none, "conv2d_tangent: one or two tangents"));
}

// Weights are rounded to bf16 on their way, whoever packs them.
TEST_CASE("simt conv2d in bf16 rounds its weights once") {
  Case<bf16> c({1, 5, 6, 3, 5, 3, 3, 1, 1, 1, 1}, ek::reference::ConvPath::best);
  const auto raw = ek::test::random_numbers<float>(c.shape.weight_size(), 9);
  for (std::int64_t i = 0; i < c.weight.size(); ++i) {
    c.weight[i] = float(ek::test::number(ek::test::nearest<bf16>(raw[std::size_t(i)])));
  }
  for (const Conv2dPass pass : kConvPasses) {
    const auto rounded = SimtConv<bf16>(c).run(pass);
    Case<bf16> other = c;
    for (std::int64_t i = 0; i < c.weight.size(); ++i) other.weight[i] = raw[std::size_t(i)];
    REQUIRE(same_bits(SimtConv<bf16>(other).run(pass), rounded));
  }
}

TEST_CASE("simt conv2d refuses shapes and passes by name") {
  const Conv2dShape bad{1, 2, 2, 3, 4, 5, 5}, good{1, 2, 2, 3, 4, 1, 1};
  const auto no_fit = error_of([&] { run_forward(bad); });
  REQUIRE(contains(no_fit, "conv2d_forward: kernel within the padded image"));
  REQUIRE(conv2d_pack_bytes<Simt, float>(good, Conv2dPass::backward_weights) == 0);
  REQUIRE(contains(error_of([&] { pack(good, Conv2dPass::backward_weights); }), "conv2d_pack: "));
}
