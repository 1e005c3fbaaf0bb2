#include "tests/kernels/conv/conv_run.h"

using namespace ek::kernels;
using namespace ek::reference;

namespace {

double dot(const Guarded<double>& a, const Guarded<double>& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

TEST_CASE("conv2d agrees with naive sums in double") {
  SECTION("float, chosen path") {
    check_values<float>(ConvPath::best);
  }
  SECTION("float, oneDNN") {
    check_values<float>(ConvPath::onednn);
    check_values<float>(ConvPath::onednn, layers);
  }
  SECTION("float, plain path") {
    check_values<float>(ConvPath::plain);
  }
  SECTION("double") {
    check_values<double>(ConvPath::best);
  }
  SECTION("bf16, chosen path") {
    check_values<ek::bf16>(ConvPath::best);
  }
  SECTION("bf16, oneDNN") {
    check_values<ek::bf16>(ConvPath::onednn);
  }
  SECTION("bf16, plain path") {
    check_values<ek::bf16>(ConvPath::plain);
  }
}

TEST_CASE("conv2d agrees with naive sums on random shapes", "[slow]") {
  const std::vector<Conv2dShape> sweep = random_shapes(300);
  check_values<float>(ConvPath::best, sweep);
  check_values<float>(ConvPath::onednn, sweep);
  check_values<float>(ConvPath::plain, sweep);
  check_values<double>(ConvPath::best, sweep);
  check_values<ek::bf16>(ConvPath::best, sweep);
  check_values<ek::bf16>(ConvPath::onednn, sweep);
  check_values<ek::bf16>(ConvPath::plain, sweep);
  check_threads<float>(sweep, ConvPath::best);
  check_threads<ek::bf16>(sweep, ConvPath::best);
}

TEST_CASE("conv2d has the same bits for 1, 2 and 4 threads") {
  SECTION("float") {
    check_threads<float>(shapes, ConvPath::best);
    check_threads<float>(layers, ConvPath::best);
  }
  SECTION("float, oneDNN") {
    check_threads<float>(shapes, ConvPath::onednn);
    check_threads<float>(layers, ConvPath::onednn);
  }
  SECTION("float, plain path") {
    check_threads<float>(shapes, ConvPath::plain);
    check_threads<float>(layers, ConvPath::plain);
  }
  SECTION("double") {
    check_threads<double>(shapes, ConvPath::best);
    check_threads<double>(layers, ConvPath::best);
  }
  SECTION("bf16") {
    check_threads<ek::bf16>(shapes, ConvPath::best);
    check_threads<ek::bf16>(layers, ConvPath::best);
  }
  SECTION("bf16, plain path") {
    check_threads<ek::bf16>(shapes, ConvPath::plain);
  }
}

TEST_CASE("conv2d's float32 paths agree on the layers of a ResNet") {
  // Both round sums of up to 21 * 32 * 32 terms of size 1/4 in some order; errors of random sign
  // grow with the square root of their number, and 64 times that is far below one missing term.
  for (const Conv2dShape& shape : layers) {
    const Case<float> a(shape, ConvPath::best), b(shape, ConvPath::plain);
    for (Conv2dPass pass : passes) {
      INFO(describe(shape) << ", pass " << int(pass));
      a.run(pass, [&](const Guarded<float>& got) {
        b.run(pass, [&](const Guarded<float>& expected) {
          const double terms =
              shape.flops() / 2 / double(got.size()) * (pass == Conv2dPass::tangent ? 2 : 1);
          const double bound = 64 * std::numeric_limits<float>::epsilon() * std::sqrt(terms);
          std::int64_t wrong = 0;
          for (std::int64_t i = 0; i < got.size(); ++i) {
            wrong += !(std::abs(double(got[i]) - expected[i]) <= bound);
          }
          REQUIRE(wrong == 0);
        });
      });
    }
  }
}

TEST_CASE("conv2d's backward passes are the transposes of its forward pass") {
  for (const Conv2dShape& shape : shapes) {
    INFO(describe(shape));
    const Case<double> c(shape, ConvPath::best);
    const double forward = dot(c.dy, c.images(Conv2dPass::forward));
    const Guarded<double> dx = c.images(Conv2dPass::backward_data);
    const Guarded<double> dweight = c.gradient();
    // Each side is a sum of the same flops / 2 products, none above 1.
    const double terms = shape.flops() / 2;
    const double bound = std::numeric_limits<double>::epsilon() * terms;
    REQUIRE(std::abs(forward - dot(dx, c.x)) <= bound);
    REQUIRE(std::abs(forward - dot(dweight, c.weight)) <= bound);
    // <dy, J (x', w')> = <J^T dy, (x', w')>
    const double tangent = dot(c.dy, c.images(Conv2dPass::tangent));
    REQUIRE(std::abs(tangent - dot(dx, c.x_tangent) - dot(dweight, c.weight_tangent)) <= 2 * bound);
  }
}

TEMPLATE_TEST_CASE("conv2d_tangent takes a null tangent for zero", "", float, double, ek::bf16) {
  using T = TestType;
  for (const Conv2dShape& shape : {shapes[1], shapes[7], shapes[13]}) {
    INFO(describe(shape));
    const Case<T> c(shape, ConvPath::best);
    GuardedWorkspace workspace(conv2d_workspace_bytes<Cpu, T>(shape, Conv2dPass::tangent));
    Guarded<T> by_x(shape.output_size()), by_weight(shape.output_size());
    const Packed<T> w(shape, Conv2dPass::tangent, c.path, c.weight);
    const Packed<T> dw(shape, Conv2dPass::tangent, c.path, c.weight_tangent);
    conv2d_tangent<Cpu, T>({}, shape, c.x.data(), w, c.x_tangent.data(), {}, by_x.data(),
                           workspace.get());
    conv2d_tangent<Cpu, T>({}, shape, c.x.data(), w, nullptr, dw, by_weight.data(),
                           workspace.get());
    Sums x_sums(shape.output_size()), weight_sums(shape.output_size());
    for_products(shape, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
      x_sums.add(yi, number(c.x_tangent[xi]), c.weight[wi]);
      weight_sums.add(yi, number(c.x[xi]), c.weight_tangent[wi]);
    });
    REQUIRE(first_wrong(by_x, x_sums) == -1);
    REQUIRE(first_wrong(by_weight, weight_sums) == -1);
    REQUIRE(by_x.intact());
    REQUIRE(by_weight.intact());
    REQUIRE(workspace.intact());
  }
}

TEMPLATE_TEST_CASE("conv2d passes a NaN on", "", float, double, ek::bf16) {
  using T = TestType;
  Case<T> c(layers[1], ConvPath::best);
  c.x[5] = c.dy[5] = rounded<T>(std::nan(""));
  for (Conv2dPass pass : passes) {
    INFO("pass " << int(pass));
    c.run(pass, [](const auto& got) {
      std::int64_t nans = 0;
      for (std::int64_t i = 0; i < got.size(); ++i) nans += std::isnan(number(got[i]));
      REQUIRE(nans > 0);
    });
  }
}

TEMPLATE_TEST_CASE("conv2d of an empty batch has a zero weight gradient", "", float, double,
                   ek::bf16) {
  using T = TestType;
  Conv2dShape shape = shapes[1];
  shape.batch = 0;
  const Guarded<Acc<T>> dweight = Case<T>(shape, ConvPath::best).gradient();
  for (std::int64_t i = 0; i < dweight.size(); ++i) REQUIRE(dweight[i] == 0);
  REQUIRE(Case<T>(shape, ConvPath::best).images(Conv2dPass::forward).size() == 0);
}

TEMPLATE_TEST_CASE("conv2d refuses what does not fit", "", float, double, ek::bf16) {
  using T = TestType;
  const auto bytes = [](auto change) {
    Conv2dShape shape{2, 5, 5, 4, 6, 3, 3};
    change(shape);
    return conv2d_workspace_bytes<Cpu, T>(shape, Conv2dPass::forward);
  };
  REQUIRE_NOTHROW(bytes([](Conv2dShape&) {}));
  REQUIRE_THROWS_AS(bytes([](Conv2dShape& s) { s.groups = 4; }), ek::Error);
  REQUIRE_THROWS_AS(bytes([](Conv2dShape& s) { s.kernel_h = 6; }), ek::Error);
  REQUIRE_THROWS_AS(bytes([](Conv2dShape& s) { s.stride_w = 0; }), ek::Error);
  REQUIRE_THROWS_AS(bytes([](Conv2dShape& s) { s.pad_h = -1; }), ek::Error);
  REQUIRE_THROWS_AS(bytes([](Conv2dShape& s) { s.in_c = 0; }), ek::Error);

  const Case<T> c(layers[1], ConvPath::best);
  const auto with_half_the_workspace = [&] {
    GuardedWorkspace half(conv2d_workspace_bytes<Cpu, T>(c.shape, Conv2dPass::backward_weights) /
                          2);
    Guarded<Acc<T>> out(c.shape.weight_size());
    conv2d_backward_weights<Cpu, T>({}, c.shape, c.x.data(), c.dy.data(), out.data(), half.get());
  };
  REQUIRE_THROWS_AS(with_half_the_workspace(), ek::Error);
  const auto no_tangent = [&] {
    Guarded<T> out(c.shape.output_size());
    conv2d_tangent<Cpu, T>({}, c.shape, c.x.data(), {c.weight.data()}, nullptr, {}, out.data(), {});
  };
  REQUIRE_THROWS_AS(no_tangent(), ek::Error);
  const auto pack_for_no_pass = [&] {
    conv2d_pack<Cpu, T>({}, c.shape, Conv2dPass::backward_weights, c.weight.data(), nullptr);
  };
  REQUIRE_THROWS_AS(pack_for_no_pass(), ek::Error);
}
