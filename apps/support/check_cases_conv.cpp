// Cases of the convolutions, their transposes and what is fused with them.
#include "apps/support/check_case.h"
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
  };
}

void add_convolutions(std::vector<CheckCase>& cases, bool large) {
  for (const Geometry& g : geometries(large)) {
    cases.push_back(
        {"conv2d",
         g.name,
         {normal(g.x, 50), normal(g.weight, 51, 0.5)},
         [o = g.options](const Tensors& in) { return Tensors{ops::conv2d(in[0], in[1], o)}; },
         {true, false}});
    cases.push_back({"conv2d_backward_data",
                     g.name,
                     {normal(g.y(), 52), normal(g.weight, 53, 0.5)},
                     [o = g.options, shape = g.x](const Tensors& in) {
                       return Tensors{ops::conv2d_backward_data(in[0], in[1], shape, o)};
                     },
                     {true, false}});
    cases.push_back({"conv2d_backward_weights",
                     g.name,
                     {normal(g.x, 54), normal(g.y(), 55)},
                     [o = g.options, shape = g.weight](const Tensors& in) {
                       return Tensors{ops::conv2d_backward_weights(in[0], in[1], shape, o)};
                     },
                     {true, true}});
    CheckCase stats{"conv_stats",
                    g.name,
                    {normal(g.x, 56), normal(g.weight, 57, 0.5)},
                    [o = g.options](const Tensors& in) {
                      const ops::PreNorm out = ops::conv_stats(in[0], in[1], o, {});
                      return Tensors{out.y, out.stats.mean, out.stats.var};
                    },
                    {true, false}};
    stats.fused = true;
    cases.push_back(stats);
  }
  if (large) return;
  const Geometry g = geometries(false)[1];
  CheckCase running{"conv_stats",
                    g.name + ", running statistics",
                    {normal(g.x, 58), normal(g.weight, 59, 0.5)},
                    [o = g.options](const Tensors& in) {
                      const ops::ChannelStats given{in[1], in[1]};  // handed on, not used
                      return Tensors{ops::conv_stats(in[0], in[1], o, given).y};
                    },
                    {true, false}};
  running.fused = true;
  cases.push_back(running);
}

// norm_conv of y, weight, mean, var, gamma, beta and, if asked for, a shortcut.
CheckCase norm_conv_case(const Geometry& g, bool shortcut, bool relu, bool training) {
  const Shape channels{g.x[3]}, out_channels{g.weight[0]};
  CheckCase one{
      "norm_conv",
      fmt::format("{}{}{}{}", g.name, shortcut ? ", shortcut" : "", relu ? ", ReLU" : "",
                  training ? "" : ", running statistics"),
      {two_sided(g.x, 60), normal(g.weight, 61, 0.5), normal(channels, 62, 0.05),
       normal(channels, 63, 0.02, 1), normal(channels, 64, 0.05, 1), normal(channels, 65, 0.05)},
      {}};
  one.activation = {true, false, false, false, false, false};
  if (shortcut) {
    one.inputs.push_back(normal(g.x, 66, 0.05));
    one.activation.push_back(true);
  }
  one.fused = true;
  one.run = [o = g.options, shortcut, relu, training](const Tensors& in) {
    std::optional<ops::ChannelStats> running;
    if (!training) running = ops::ChannelStats{in[2], in[3]};  // handed on, not used
    const ops::NormConv out =
        ops::norm_conv({in[0], {in[2], in[3]}}, in[4], in[5], shortcut ? in[6] : Tensor(),
                       {1e-5, relu}, in[1], o, running, true);
    if (!training) return Tensors{out.activation, out.out.y};
    return Tensors{out.activation, out.out.y, out.out.stats.mean, out.out.stats.var};
  };
  return one;
}

}  // namespace

std::vector<CheckCase> conv_cases(bool large) {
  std::vector<CheckCase> cases;
  add_convolutions(cases, large);
  for (const Geometry& g : geometries(large)) {
    cases.push_back(norm_conv_case(g, true, true, true));
    if (large) continue;
    cases.push_back(norm_conv_case(g, false, true, true));
    cases.push_back(norm_conv_case(g, false, false, false));
  }
  return cases;
}

}  // namespace ek
