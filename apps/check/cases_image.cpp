// Cases of normalisation and pooling.
#include "apps/check/case.h"
#include "engine/ops.h"

namespace ek {
namespace {

using namespace check_numbers;

CheckCase norm_case(const Shape& shape, bool shortcut, bool relu, bool batch) {
  const Shape channels{shape.back()};
  CheckCase one{
      batch ? "batch_norm" : "norm_act",
      fmt::format("{}{}{}", shape.str(), shortcut ? ", shortcut" : "", relu ? ", ReLU" : ""),
      {two_sided(shape, 70)},
      {}};
  if (!batch) {
    one.inputs.push_back(normal(channels, 71, 0.05));
    one.inputs.push_back(normal(channels, 72, 0.02, 1));
  }
  one.inputs.push_back(normal(channels, 73, 0.05, 1));
  one.inputs.push_back(normal(channels, 74, 0.05));
  one.activation.assign(one.inputs.size(), false);
  one.activation[0] = true;
  if (shortcut) {
    one.inputs.push_back(normal(shape, 75, 0.05));
    one.activation.push_back(true);
  }
  one.fused = true;
  one.run = [shortcut, relu, batch](const Tensors& in) {
    const ops::NormActOptions options{1e-5, relu};
    const Tensor added = shortcut ? in.back() : Tensor();
    if (batch) return Tensors{ops::batch_norm(in[0], in[1], in[2], added, options)};
    return Tensors{ops::norm_act(in[0], {in[1], in[2]}, in[3], in[4], added, options)};
  };
  return one;
}

CheckCase head_case(const Shape& shape, bool bias) {
  const std::int64_t classes = 5;
  CheckCase one{"pooled_linear",
                fmt::format("{}, {} classes{}", shape.str(), classes, bias ? "" : ", no bias"),
                {normal(shape, 84), normal({classes, shape[3]}, 85)},
                [](const Tensors& in) {
                  const auto out =
                      ops::pooled_linear(in[0], in[1], in.size() > 2 ? in[2] : Tensor());
                  return Tensors{out.features, out.logits};
                },
                {true, false}};
  if (bias) {
    one.inputs.push_back(normal({classes}, 86));
    one.activation.push_back(false);
  }
  return one;
}

struct Window {
  std::string name;
  Shape x;
  ops::Pool2dOptions options;
};

std::vector<Window> windows(bool large) {
  if (large) return {{"32x32, 64 channels, 3x3 / 2", {64, 32, 32, 64}, {{3, 3}, {2, 2}, {1, 1}}}};
  return {{"one pixel", {1, 1, 1, 1}, {{1, 1}, {1, 1}, {0, 0}}},
          {"5x7, 3x3 / 2, padding 1", {2, 5, 7, 3}, {{3, 3}, {2, 2}, {1, 1}}},
          {"batch 1, 7x4, 2x3 / 3x1", {1, 7, 4, 5}, {{2, 3}, {3, 1}, {0, 1}}},
          {"5x4, 8 channels, 3x3 / 2", {2, 5, 4, 8}, {{3, 3}, {2, 2}, {1, 1}}}};
}

}  // namespace

std::vector<CheckCase> norm_cases(bool large) {
  std::vector<CheckCase> cases;
  // The last one: more than 32 rows, and channels in whole packs of 16 bytes.
  const std::vector<Shape> shapes =
      large ? std::vector<Shape>{{64, 32, 32, 64}}
            : std::vector<Shape>{{5, 1}, {7, 3}, {2, 3, 5, 17}, {2, 5, 4, 8}};
  for (const Shape& shape : shapes) {
    cases.push_back({"channel_stats",
                     shape.str(),
                     {two_sided(shape, 76)},
                     [](const Tensors& in) {
                       const ops::ChannelStats stats = ops::channel_stats(in[0]);
                       return Tensors{stats.mean, stats.var};
                     },
                     {true}});
  }
  for (const bool batch : {false, true}) {
    for (const Shape& shape : shapes) {
      cases.push_back(norm_case(shape, true, true, batch));
      if (large) continue;
      cases.push_back(norm_case(shape, false, true, batch));
      cases.push_back(norm_case(shape, false, false, batch));
    }
  }
  return cases;
}

std::vector<CheckCase> pool_cases(bool large) {
  std::vector<CheckCase> cases;
  for (const Window& w : windows(large)) {
    cases.push_back({"max_pool2d", w.name, {distinct(w.x, 80)}, [o = w.options](const Tensors& in) {
                       return Tensors{ops::max_pool2d(in[0], o)};
                     }});
    cases.push_back({"avg_pool2d", w.name, {normal(w.x, 81)}, [o = w.options](const Tensors& in) {
                       return Tensors{ops::avg_pool2d(in[0], o)};
                     }});
  }
  const std::vector<Shape> shapes =
      large ? std::vector<Shape>{{64, 32, 32, 64}}
            : std::vector<Shape>{{1, 1, 1, 1}, {2, 5, 3, 7}, {3, 4, 4, 16}};
  for (const Shape& shape : shapes) {
    cases.push_back({"global_avg_pool",
                     shape.str(),
                     {normal(shape, 82)},
                     [](const Tensors& in) { return Tensors{ops::global_avg_pool(in[0])}; },
                     {true}});
    for (const bool bias : {true, false}) {
      if (!large || bias) cases.push_back(head_case(shape, bias));
    }
    const std::int64_t channels = 2 * shape[3] + 1;
    cases.push_back(
        {"subsample_pad",
         fmt::format("{} to {} channels, stride 2", shape.str(), channels),
         {normal(shape, 83)},
         [channels](const Tensors& in) { return Tensors{ops::subsample_pad(in[0], channels, 2)}; },
         {true}});
  }
  if (!large) {  // whole packs of channels before, between and after
    cases.push_back({"subsample_pad",
                     "2x5x4x16 to 32 channels, stride 2",
                     {normal({2, 5, 4, 16}, 87)},
                     [](const Tensors& in) { return Tensors{ops::subsample_pad(in[0], 32, 2)}; },
                     {true}});
  }
  return cases;
}

}  // namespace ek
