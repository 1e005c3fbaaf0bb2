#include "kernels/conv.h"

#include <array>

#include "kernels/cpu/conv_plain.h"
#include "kernels/error.h"
#include "kernels/math/philox.h"
#include "tests/catch.h"
#include "tests/kernels/reference.h"

using namespace ek::kernels;
using namespace ek::reference;

namespace {

// batch, in_h, in_w, in_c, out_c, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, groups
const std::vector<Conv2dShape> shapes{
    {1, 1, 1, 1, 1, 1, 1},                    // the smallest
    {3, 7, 5, 3, 8, 3, 3, 1, 1, 1, 1},        // three input channels
    {34, 4, 4, 3, 16, 3, 3, 1, 1, 1, 1},      // batch not a multiple of the slices
    {2, 8, 8, 16, 32, 3, 3, 2, 2, 1, 1},      // stride 2, even size
    {5, 9, 6, 5, 7, 1, 1},                    // 1x1, odd channels
    {2, 7, 7, 4, 6, 1, 1, 2, 2},              // 1x1, stride 2: inputs that no window meets
    {11, 6, 5, 3, 17, 3, 5, 1, 2, 0, 2},      // kernel, stride and padding differ by axis
    {9, 5, 5, 6, 4, 3, 3, 1, 1, 1, 1, 2},     // two groups
    {19, 6, 6, 32, 64, 3, 3, 1, 1, 1, 1, 2},  // two groups, wide
    {2, 8, 7, 8, 8, 3, 3, 2, 2, 1, 1, 8},     // depthwise
    {3, 6, 6, 4, 12, 3, 3, 1, 1, 1, 1, 4},    // depthwise with three outputs each
    {1, 12, 11, 3, 10, 7, 7, 2, 2, 3, 3},     // a stem
    {17, 3, 3, 64, 64, 3, 3, 1, 1, 1, 1},     // image no larger than the kernel
    {2, 3, 3, 2, 3, 2, 2, 1, 1, 2, 2},        // windows wholly in the padding
    {3, 6, 7, 2, 2, 2, 2, 3, 3},              // stride beyond the kernel, a rest at the border
    {1, 9, 9, 33, 35, 3, 3, 1, 1, 0, 0},      // channels one beyond whole vectors
    {2, 5, 70, 5, 9, 1, 3, 1, 1, 0, 1},       // rows longer than a strip
    {1, 1, 13, 4, 20, 1, 4, 1, 3, 0, 2},      // one row, even kernel
};

// The layers of a CIFAR ResNet with a batch that the slices do not divide.
const std::vector<Conv2dShape> layers{
    {21, 32, 32, 3, 16, 3, 3, 1, 1, 1, 1},
    {21, 32, 32, 16, 16, 3, 3, 1, 1, 1, 1},
    {21, 32, 32, 16, 32, 3, 3, 2, 2, 1, 1},
    {21, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1},
    {21, 16, 16, 32, 64, 3, 3, 2, 2, 1, 1},
    {21, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1},
    {21, 8, 8, 64, 256, 1, 1},
    {21, 8, 8, 128, 128, 3, 3, 1, 1, 1, 1, 32},
};

std::string describe(const Conv2dShape& s) {
  return fmt::format("batch {}, {}x{}x{} to {}, kernel {}x{}, stride {}x{}, pad {}x{}, groups {}",
                     s.batch, s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w, s.stride_h,
                     s.stride_w, s.pad_h, s.pad_w, s.groups);
}

// visit(x index, weight index, y index) for every product of the convolution: summed into y it is
// the forward pass, into x and weight the two backward passes.
template <class Visit>
void for_products(const Conv2dShape& s, Visit visit) {
  const std::int64_t in_c = s.in_c / s.groups, out_c = s.out_c / s.groups;
  for (std::int64_t y = 0; y < s.output_size(); ++y) {
    const std::int64_t o = y % s.out_c, ow = y / s.out_c % s.out_w();
    const std::int64_t oh = y / s.out_c / s.out_w() % s.out_h();
    const std::int64_t n = y / s.out_c / s.out_w() / s.out_h();
    for (std::int64_t kh = 0; kh < s.kernel_h; ++kh) {
      for (std::int64_t kw = 0; kw < s.kernel_w; ++kw) {
        const std::int64_t ih = oh * s.stride_h + kh - s.pad_h;
        const std::int64_t iw = ow * s.stride_w + kw - s.pad_w;
        if (ih < 0 || ih >= s.in_h || iw < 0 || iw >= s.in_w) continue;
        for (std::int64_t i = 0; i < in_c; ++i) {
          visit(((n * s.in_h + ih) * s.in_w + iw) * s.in_c + o / out_c * in_c + i,
                ((o * s.kernel_h + kh) * s.kernel_w + kw) * in_c + i, y);
        }
      }
    }
  }
}

// The implementation under test: what the public functions choose, or the plain path by itself.
enum class Path { chosen, plain };

template <class T>
struct Case {
  Conv2dShape shape;
  Path path;
  Guarded<T> x, weight, x_tangent, weight_tangent, dy;

  Case(const Conv2dShape& s, Path p)
      : shape(s),
        path(p),
        x(random_values<T>(s.input_size(), 1)),
        weight(random_values<T>(s.weight_size(), 2)),
        x_tangent(random_values<T>(s.input_size(), 3)),
        weight_tangent(random_values<T>(s.weight_size(), 4)),
        dy(random_values<T>(s.output_size(), 5)) {}

  Guarded<T> run(Conv2dPass pass) const {
    const std::size_t bytes = path == Path::chosen ? conv2d_workspace_bytes<Cpu, T>(shape, pass)
                                                   : cpu::plain_workspace_bytes<T>(shape, pass);
    GuardedWorkspace workspace(bytes);
    Guarded<T> out(pass == Conv2dPass::backward_data      ? shape.input_size()
                   : pass == Conv2dPass::backward_weights ? shape.weight_size()
                                                          : shape.output_size());
    path == Path::chosen ? chosen(pass, out.data(), workspace.get())
                         : plain(pass, out.data(), workspace.get());
    REQUIRE(out.intact());
    REQUIRE(workspace.intact());
    return out;
  }

  void chosen(Conv2dPass pass, T* out, Workspace workspace) const {
    switch (pass) {
      case Conv2dPass::forward:
        return conv2d_forward<Cpu, T>({}, shape, x.data(), weight.data(), out, workspace);
      case Conv2dPass::backward_data:
        return conv2d_backward_data<Cpu, T>({}, shape, dy.data(), weight.data(), out, workspace);
      case Conv2dPass::backward_weights:
        return conv2d_backward_weights<Cpu, T>({}, shape, x.data(), dy.data(), out, workspace);
      case Conv2dPass::tangent:
        return conv2d_tangent<Cpu, T>({}, shape, x.data(), weight.data(), x_tangent.data(),
                                      weight_tangent.data(), out, workspace);
    }
  }

  void plain(Conv2dPass pass, T* out, Workspace workspace) const {
    switch (pass) {
      case Conv2dPass::forward:
        return cpu::plain_forward(shape, x.data(), weight.data(), out, false, workspace);
      case Conv2dPass::backward_data:
        return cpu::plain_backward_data(shape, dy.data(), weight.data(), out, workspace);
      case Conv2dPass::backward_weights:
        return cpu::plain_backward_weights(shape, x.data(), dy.data(), out, workspace);
      case Conv2dPass::tangent:
        cpu::plain_forward(shape, x_tangent.data(), weight.data(), out, false, workspace);
        return cpu::plain_forward(shape, x.data(), weight_tangent.data(), out, true, workspace);
    }
  }

  Sums expected(Conv2dPass pass, std::int64_t size) const {
    Sums sums(size);
    for_products(shape, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
      switch (pass) {
        case Conv2dPass::forward:
          return sums.add(yi, x[xi], weight[wi]);
        case Conv2dPass::backward_data:
          return sums.add(xi, dy[yi], weight[wi]);
        case Conv2dPass::backward_weights:
          return sums.add(wi, dy[yi], x[xi]);
        case Conv2dPass::tangent:
          sums.add(yi, x_tangent[xi], weight[wi]);
          return sums.add(yi, x[xi], weight_tangent[wi]);
      }
    });
    return sums;
  }
};

constexpr Conv2dPass passes[] = {Conv2dPass::forward, Conv2dPass::backward_data,
                                 Conv2dPass::backward_weights, Conv2dPass::tangent};

template <class T>
void check_values(Path path, const std::vector<Conv2dShape>& list = shapes) {
  for (const Conv2dShape& shape : list) {
    const Case<T> c(shape, path);
    for (Conv2dPass pass : passes) {
      INFO(describe(shape) << ", pass " << int(pass));
      const Guarded<T> got = c.run(pass);
      REQUIRE(first_wrong(got, c.expected(pass, got.size())) == -1);
    }
  }
}

template <class T>
void check_threads(const std::vector<Conv2dShape>& list, Path path) {
  for (const Conv2dShape& shape : list) {
    const Case<T> c(shape, path);
    for (Conv2dPass pass : passes) {
      const Guarded<T> one = [&] {
        const Threads threads(1);
        return c.run(pass);
      }();
      for (int count : {2, 4}) {
        INFO(describe(shape) << ", pass " << int(pass) << ", threads " << count);
        const Threads threads(count);
        REQUIRE(c.run(pass).same_bits(one));
      }
    }
  }
}

// Shapes drawn at random, each valid: up to 20 images, 13 pixels a side, 40 channels.
std::vector<Conv2dShape> random_shapes(int count) {
  std::vector<Conv2dShape> list;
  for (std::uint32_t n = 0; std::int64_t(list.size()) < count; ++n) {
    const auto bits = ek::math::philox({n, 0, 0, 0}, {4, 2});
    const auto more = ek::math::philox({n, 1, 0, 0}, {4, 2});
    const auto draw = [](std::uint32_t word, int shift, std::int64_t low, std::int64_t high) {
      return low + std::int64_t((word >> shift) & 0xff) % (high - low + 1);
    };
    Conv2dShape s{draw(bits[0], 0, 1, 20), draw(bits[0], 8, 1, 13), draw(bits[0], 16, 1, 13),
                  draw(bits[1], 0, 1, 10), draw(bits[1], 8, 1, 10), draw(bits[2], 0, 1, 5),
                  draw(bits[2], 8, 1, 5),  draw(more[0], 0, 1, 3),  draw(more[0], 8, 1, 3),
                  draw(more[1], 0, 0, 3),  draw(more[1], 8, 0, 3)};
    s.groups = std::array<std::int64_t, 3>{1, 2, 4}[std::size_t(draw(more[2], 0, 0, 2))];
    s.in_c *= s.groups;
    s.out_c *= s.groups;
    const bool fits = s.kernel_h <= s.in_h + 2 * s.pad_h && s.kernel_w <= s.in_w + 2 * s.pad_w;
    if (fits) list.push_back(s);
  }
  return list;
}

double dot(const Guarded<double>& a, const Guarded<double>& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

TEST_CASE("conv2d agrees with naive sums in double") {
  SECTION("float, chosen path") {
    check_values<float>(Path::chosen);
  }
  SECTION("float, plain path") {
    check_values<float>(Path::plain);
  }
  SECTION("double") {
    check_values<double>(Path::chosen);
  }
}

TEST_CASE("conv2d agrees with naive sums on random shapes", "[slow]") {
  const std::vector<Conv2dShape> sweep = random_shapes(300);
  check_values<float>(Path::chosen, sweep);
  check_values<float>(Path::plain, sweep);
  check_values<double>(Path::chosen, sweep);
  check_threads<float>(sweep, Path::chosen);
}

TEST_CASE("conv2d has the same bits for 1, 2 and 4 threads") {
  SECTION("float") {
    check_threads<float>(shapes, Path::chosen);
    check_threads<float>(layers, Path::chosen);
  }
  SECTION("float, plain path") {
    check_threads<float>(shapes, Path::plain);
    check_threads<float>(layers, Path::plain);
  }
  SECTION("double") {
    check_threads<double>(shapes, Path::chosen);
    check_threads<double>(layers, Path::chosen);
  }
}

TEST_CASE("conv2d's float32 paths agree on the layers of a ResNet") {
  // Both round sums of up to 21 * 32 * 32 terms of size 1/4 in some order; errors of random sign
  // grow with the square root of their number, and 64 times that is far below one missing term.
  for (const Conv2dShape& shape : layers) {
    const Case<float> a(shape, Path::chosen), b(shape, Path::plain);
    for (Conv2dPass pass : passes) {
      INFO(describe(shape) << ", pass " << int(pass));
      const Guarded<float> got = a.run(pass), expected = b.run(pass);
      const double terms =
          shape.flops() / 2 / double(got.size()) * (pass == Conv2dPass::tangent ? 2 : 1);
      const double bound = 64 * std::numeric_limits<float>::epsilon() * std::sqrt(terms);
      std::int64_t wrong = 0;
      for (std::int64_t i = 0; i < got.size(); ++i) {
        wrong += !(std::abs(double(got[i]) - expected[i]) <= bound);
      }
      REQUIRE(wrong == 0);
    }
  }
}

TEST_CASE("conv2d's backward passes are the transposes of its forward pass") {
  for (const Conv2dShape& shape : shapes) {
    INFO(describe(shape));
    const Case<double> c(shape, Path::chosen);
    const double forward = dot(c.dy, c.run(Conv2dPass::forward));
    const Guarded<double> dx = c.run(Conv2dPass::backward_data);
    const Guarded<double> dweight = c.run(Conv2dPass::backward_weights);
    // Each side is a sum of the same flops / 2 products, none above 1.
    const double terms = shape.flops() / 2;
    const double bound = std::numeric_limits<double>::epsilon() * terms;
    REQUIRE(std::abs(forward - dot(dx, c.x)) <= bound);
    REQUIRE(std::abs(forward - dot(dweight, c.weight)) <= bound);
    // <dy, J (x', w')> = <J^T dy, (x', w')>
    const double tangent = dot(c.dy, c.run(Conv2dPass::tangent));
    REQUIRE(std::abs(tangent - dot(dx, c.x_tangent) - dot(dweight, c.weight_tangent)) <= 2 * bound);
  }
}

TEMPLATE_TEST_CASE("conv2d_tangent takes a null tangent for zero", "", float, double) {
  using T = TestType;
  for (const Conv2dShape& shape : {shapes[1], shapes[7], shapes[13]}) {
    INFO(describe(shape));
    const Case<T> c(shape, Path::chosen);
    GuardedWorkspace workspace(conv2d_workspace_bytes<Cpu, T>(shape, Conv2dPass::tangent));
    Guarded<T> by_x(shape.output_size()), by_weight(shape.output_size());
    conv2d_tangent<Cpu, T>({}, shape, c.x.data(), c.weight.data(), c.x_tangent.data(), nullptr,
                           by_x.data(), workspace.get());
    conv2d_tangent<Cpu, T>({}, shape, c.x.data(), c.weight.data(), nullptr, c.weight_tangent.data(),
                           by_weight.data(), workspace.get());
    Sums x_sums(shape.output_size()), weight_sums(shape.output_size());
    for_products(shape, [&](std::int64_t xi, std::int64_t wi, std::int64_t yi) {
      x_sums.add(yi, c.x_tangent[xi], c.weight[wi]);
      weight_sums.add(yi, c.x[xi], c.weight_tangent[wi]);
    });
    REQUIRE(first_wrong(by_x, x_sums) == -1);
    REQUIRE(first_wrong(by_weight, weight_sums) == -1);
    REQUIRE(by_x.intact());
    REQUIRE(by_weight.intact());
    REQUIRE(workspace.intact());
  }
}

TEMPLATE_TEST_CASE("conv2d passes a NaN on", "", float, double) {
  using T = TestType;
  Case<T> c(layers[1], Path::chosen);
  c.x[5] = c.dy[5] = std::numeric_limits<T>::quiet_NaN();
  for (Conv2dPass pass : passes) {
    const Guarded<T> got = c.run(pass);
    std::int64_t nans = 0;
    for (std::int64_t i = 0; i < got.size(); ++i) nans += std::isnan(got[i]);
    INFO("pass " << int(pass));
    REQUIRE(nans > 0);
  }
}

TEMPLATE_TEST_CASE("conv2d of an empty batch has a zero weight gradient", "", float, double) {
  using T = TestType;
  Conv2dShape shape = shapes[1];
  shape.batch = 0;
  const Guarded<T> dweight = Case<T>(shape, Path::chosen).run(Conv2dPass::backward_weights);
  for (std::int64_t i = 0; i < dweight.size(); ++i) REQUIRE(dweight[i] == 0);
  REQUIRE(Case<T>(shape, Path::chosen).run(Conv2dPass::forward).size() == 0);
}

TEMPLATE_TEST_CASE("conv2d refuses what does not fit", "", float, double) {
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

  const Case<T> c(layers[1], Path::chosen);
  Guarded<T> out(c.shape.output_size());
  for (Conv2dPass pass : {Conv2dPass::forward, Conv2dPass::tangent}) {
    GuardedWorkspace workspace(conv2d_workspace_bytes<Cpu, T>(c.shape, pass) / 2);
    REQUIRE_THROWS_AS(c.chosen(pass, out.data(), workspace.get()), ek::Error);
  }
  const auto no_tangent = [&] {
    conv2d_tangent<Cpu, T>({}, c.shape, c.x.data(), c.weight.data(), nullptr, nullptr, out.data(),
                           {});
  };
  REQUIRE_THROWS_AS(no_tangent(), ek::Error);
}
