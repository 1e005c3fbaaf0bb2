// Cases of the matrix products and the classification losses.
#include "apps/check/case.h"
#include "engine/ops.h"

namespace ek {
namespace {

using namespace check_numbers;

void add_products(std::vector<CheckCase>& cases, bool large) {
  struct Extents {
    std::int64_t m, n, k;
  };
  const std::vector<Extents> sizes =
      large ? std::vector<Extents>{{512, 512, 512}}
            : std::vector<Extents>{{1, 1, 1}, {1, 1, 2}, {5, 3, 7}, {4, 9, 17}};
  for (const auto& [m, n, k] : sizes) {
    for (const bool ta : {false, true}) {
      for (const bool tb : {false, true}) {
        if (large && (ta || tb)) continue;
        cases.push_back(
            {"matmul",
             fmt::format("{} x {} x {}{}{}", m, n, k, ta ? ", a transposed" : "",
                         tb ? ", b transposed" : ""),
             {normal(ta ? Shape{k, m} : Shape{m, k}, 30),
              normal(tb ? Shape{n, k} : Shape{k, n}, 31)},
             [ta, tb](const Tensors& in) { return Tensors{ops::matmul(in[0], in[1], ta, tb)}; }});
      }
    }
    const std::string name = fmt::format("{} rows, {} to {}", m, k, n);
    cases.push_back({"linear",
                     name,
                     {normal({m, k}, 32), normal({n, k}, 33), normal({n}, 34)},
                     [](const Tensors& in) { return Tensors{ops::linear(in[0], in[1], in[2])}; }});
    if (!large) {
      cases.push_back({"linear",
                       name + ", no bias",
                       {normal({m, k}, 35), normal({n, k}, 36)},
                       [](const Tensors& in) { return Tensors{ops::linear(in[0], in[1], {})}; }});
    }
    if (k < 2) continue;  // a cosine of single numbers is 1 or -1
    cases.push_back(
        {"cosine_linear",
         name,
         {away_from_zero({m, k}, 37), away_from_zero({n, k}, 38), positive({}, 39)},
         [](const Tensors& in) { return Tensors{ops::cosine_linear(in[0], in[1], in[2])}; }});
  }
}

// The options of softmax_cross_entropy, of which the tensors are constants.
enum class Option { none, smoothing, prior, mask, targets };

CheckCase loss_case(std::int64_t rows, std::int64_t classes, Option option) {
  constexpr const char* names[]{"", ", smoothing 0.1", ", scale, offset and margin", ", a mask",
                                ", soft targets"};
  CheckCase one{"softmax_cross_entropy",
                fmt::format("[{}, {}]{}", rows, classes, names[int(option)]),
                {normal({rows, classes}, 40, 2), indices(rows, classes, 41)},
                {}};
  one.differentiable = {true, false};
  one.fused = true;
  if (option == Option::prior) {
    one.inputs.push_back(normal({classes}, 42));
    one.inputs.push_back(positive({classes}, 43));
    one.differentiable.insert(one.differentiable.end(), {false, false});
  } else if (option == Option::mask) {
    std::vector<std::uint8_t> kept(std::size_t(rows * classes));
    const auto labels = one.inputs[1].span<std::int64_t>();
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const std::int64_t row = std::int64_t(i) / classes, k = std::int64_t(i) % classes;
      kept[i] = i % 3 != 0 || labels[std::size_t(row)] == k;
    }
    one.inputs.push_back(Tensor::from(kept, {rows, classes}));
    one.differentiable.push_back(false);
  } else if (option == Option::targets) {
    one.inputs.push_back(ops::softmax(normal({rows, classes}, 44)));
    one.differentiable.push_back(false);
  }
  one.run = [option](const Tensors& in) {
    ops::SoftmaxLossOptions options;
    if (option == Option::smoothing) options.label_smoothing = 0.1;
    if (option == Option::prior) {
      options.scale = 1.5;
      options.offset = in[2];
      options.margin = in[3];
    }
    if (option == Option::mask) options.mask = in[2];
    if (option == Option::targets) options.targets = in[2];
    const Tensor labels = option == Option::targets ? Tensor() : in[1];
    return Tensors{ops::softmax_cross_entropy(in[0], labels, options)};
  };
  return one;
}

}  // namespace

std::vector<CheckCase> dense_cases(bool large) {
  std::vector<CheckCase> cases;
  add_products(cases, large);
  const std::vector<Shape> shapes =
      large ? std::vector<Shape>{{4096, 100}} : std::vector<Shape>{{1, 1}, {1, 2}, {5, 3}, {3, 37}};
  for (const Shape& shape : shapes) {
    cases.push_back({"softmax", shape.str(), {normal(shape, 45)}, [](const Tensors& in) {
                       return Tensors{ops::softmax(in[0])};
                     }});
    cases.push_back({"logsumexp", shape.str(), {normal(shape, 46)}, [](const Tensors& in) {
                       return Tensors{ops::logsumexp(in[0])};
                     }});
  }
  for (const Shape& shape : shapes) {
    for (const Option option :
         {Option::none, Option::smoothing, Option::prior, Option::mask, Option::targets}) {
      // Among one class every loss is 0, but for the rounding of what it is made of.
      if (option == Option::none || (!large && shape[1] > 1)) {
        cases.push_back(loss_case(shape[0], shape[1], option));
      }
    }
  }
  return cases;
}

}  // namespace ek
