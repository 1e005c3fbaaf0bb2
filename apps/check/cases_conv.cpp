// Cases of the convolutions, their transposes and what is fused with them.
#include "apps/check/case.h"
#include "engine/ops.h"

namespace ek {
namespace {

using namespace check_numbers;
using Pair = std::array<std::int64_t, 2>;

struct Geometry {
  std::string name;
  Shape x, weight;  // NHWC, OHWI
  ops::Conv2dOptions options;

  Shape y() const {
    const auto extent = [&](int axis) {
      const std::size_t i = std::size_t(axis - 1);
      return (x[axis] + 2 * options.padding[i] - weight[axis]) / options.stride[i] + 1;
    };
    return {x[0], extent(1), extent(2), weight[0]};
  }
};

std::vector<Geometry> geometries(bool large) {
  if (large) {
    return {{"32x32, 16 to 16, 3x3", {64, 32, 32, 16}, {16, 3, 3, 16}, {{1, 1}, {1, 1}, 1}}};
  }
  return {
      {"one pixel, 1x1", {1, 1, 1, 1}, {1, 1, 1, 1}, {}},
      {"5x7, 3 to 5, 3x3", {2, 5, 7, 3}, {5, 3, 3, 3}, {{1, 1}, {1, 1}, 1}},
      {"batch 1, 6x5, 4 to 6, stride 2x1, 2 groups",
       {1, 6, 5, 4},
       {6, 3, 3, 2},
       {{2, 1}, {1, 1}, 2}},
      {"7x5, 3 to 2, 2x3, stride 3x2, no padding", {2, 7, 5, 3}, {2, 2, 3, 3}, {{3, 2}, {0, 0}, 1}},
      {"5x5, depthwise", {2, 5, 5, 3}, {3, 3, 3, 1}, {{1, 1}, {1, 1}, 3}},
      {"3x4, 17 to 9, 1x1", {2, 3, 4, 17}, {9, 1, 1, 17}, {}},
      {"6x6, 16 to 16, 5x5", {2, 6, 6, 16}, {16, 5, 5, 16}, {{1, 1}, {2, 2}, 1}},
      {"9x9, 3 to 8, 7x7, stride 2", {2, 9, 9, 3}, {8, 7, 7, 3}, {{2, 2}, {3, 3}, 1}},
  };
}

// The case of what `of` makes of the options, exact and with tf32 products, of which every input is
// a factor.
template <class Of>
CheckCase conv_case(const char* op, const Geometry& g, Tensors inputs, std::vector<bool> activation,
                    const Of& of) {
  CheckCase one{op, g.name, std::move(inputs), of(g.options), std::move(activation)};
  ops::Conv2dOptions rounded = g.options;
  rounded.products = kernels::FloatProducts::tf32;
  one.run_tf32 = of(rounded);
  one.factors.assign(one.inputs.size(), true);
  return one;
}

void add_convolutions(std::vector<CheckCase>& cases, const Geometry& g) {
  cases.push_back(conv_case("conv2d", g, {normal(g.x, 50), normal(g.weight, 51, 0.5)},
                            {true, false}, [](const ops::Conv2dOptions& o) {
                              return [o](const Tensors& in) {
                                return Tensors{ops::conv2d(in[0], in[1], o)};
                              };
                            }));
  cases.push_back(conv_case("conv2d_backward_data", g,
                            {normal(g.y(), 52), normal(g.weight, 53, 0.5)}, {true, false},
                            [&](const ops::Conv2dOptions& o) {
                              return [o, shape = g.x](const Tensors& in) {
                                return Tensors{ops::conv2d_backward_data(in[0], in[1], shape, o)};
                              };
                            }));
  cases.push_back(conv_case("conv2d_backward_weights", g, {normal(g.x, 54), normal(g.y(), 55)},
                            {true, true}, [&](const ops::Conv2dOptions& o) {
                              return [o, shape = g.weight](const Tensors& in) {
                                return Tensors{
                                    ops::conv2d_backward_weights(in[0], in[1], shape, o)};
                              };
                            }));
  cases.push_back(conv_case("conv_stats", g, {normal(g.x, 56), normal(g.weight, 57, 0.5)},
                            {true, false}, [](const ops::Conv2dOptions& o) {
                              return [o](const Tensors& in) {
                                const ops::PreNorm out = ops::conv_stats(in[0], in[1], o, {});
                                return Tensors{out.y, out.stats.mean, out.stats.var};
                              };
                            }));
  cases.back().fused = true;
}

CheckCase running_statistics_case(const Geometry& g) {
  CheckCase one = conv_case("conv_stats", g, {normal(g.x, 58), normal(g.weight, 59, 0.5)},
                            {true, false}, [](const ops::Conv2dOptions& o) {
                              return [o](const Tensors& in) {
                                const ops::ChannelStats given{in[1], in[1]};  // handed on, not used
                                return Tensors{ops::conv_stats(in[0], in[1], o, given).y};
                              };
                            });
  one.name += ", running statistics";
  one.fused = true;
  return one;
}

// norm_conv of y, weight, mean, var, gamma, beta and, if asked for, a shortcut.
CheckCase norm_conv_case(const Geometry& g, bool shortcut, bool relu, bool training) {
  const Shape channels{g.x[3]};
  Tensors inputs{two_sided(g.x, 60),
                 normal(g.weight, 61, 0.5),
                 normal(channels, 62, 0.05),
                 normal(channels, 63, 0.02, 1),
                 normal(channels, 64, 0.05, 1),
                 normal(channels, 65, 0.05)};
  std::vector<bool> activation{true, false, false, false, false, false};
  if (shortcut) {
    inputs.push_back(normal(g.x, 66, 0.05));
    activation.push_back(true);
  }
  CheckCase one = conv_case(
      "norm_conv", g, std::move(inputs), std::move(activation), [=](const ops::Conv2dOptions& o) {
        return [=](const Tensors& in) {
          std::optional<ops::ChannelStats> running;
          if (!training) running = ops::ChannelStats{in[2], in[3]};  // handed on, not used
          const ops::NormConv out =
              ops::norm_conv({in[0], {in[2], in[3]}}, in[4], in[5], shortcut ? in[6] : Tensor(),
                             {1e-5, relu}, in[1], o, running, true);
          if (!training) return Tensors{out.activation, out.out.y};
          return Tensors{out.activation, out.out.y, out.out.stats.mean, out.out.stats.var};
        };
      });
  one.name += fmt::format("{}{}{}", shortcut ? ", shortcut" : "", relu ? ", ReLU" : "",
                          training ? "" : ", running statistics");
  one.fused = true;
  one.factors.assign(one.inputs.size(), false);
  one.factors[1] = true;  // the other one is the activation
  return one;
}

}  // namespace

std::vector<CheckCase> conv_cases(bool large) {
  std::vector<CheckCase> cases;
  for (const Geometry& g : geometries(large)) {
    add_convolutions(cases, g);
    cases.push_back(norm_conv_case(g, true, true, true));
    if (large) continue;
    cases.push_back(norm_conv_case(g, false, true, true));
    cases.push_back(norm_conv_case(g, false, false, false));
  }
  if (!large) cases.push_back(running_statistics_case(geometries(false)[1]));
  return cases;
}

}  // namespace ek
