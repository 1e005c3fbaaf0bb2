// ResNet-8 against PyTorch 1.13 in float64: values, running statistics and derivatives of a network
// whose numbers follow a formula, in the layout of files. PyTorch's second order went through
// create_graph.
#include <cmath>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "models/layout.h"
#include "models/registry.h"
#include "tests/catch.h"

namespace {

using ek::Mode;
using ek::Params;
using ek::Shape;
using ek::Tensor;

// f(phase), phase = (a k^2 + b k) mod 6283 thousandths: the same doubles in every program.
template <class F>
Tensor pattern(const Shape& shape, std::int64_t a, std::int64_t b, F&& f) {
  std::vector<double> values;
  for (std::int64_t k = 0; k < shape.numel(); ++k) {
    values.push_back(f(double((a * k * k + b * k) % 6283) * 1e-3));
  }
  return Tensor::from(values, shape);
}

struct Golden {
  std::vector<double> logits;  // of the first two images
  double loss, gradient_along_v, gradient_norm, hessian_v_norm, v_hessian_v;
};

// Relative to values of the order of one, through 9 layers of float64, with the Hessian's norm of
// about 100 on the way. A missing shortcut or a biased variance is off by 1e-3 at least.
constexpr double tolerance = 1e-11;

void agree(double value, double golden) {
  REQUIRE(std::abs(value - golden) <= tolerance * std::max(1.0, std::abs(golden)));
}

}  // namespace

TEST_CASE("ResNet-8: agrees with PyTorch", "[resnet]") {
  const auto model = ek::make_model("resnet8", 5);
  const Params file = ek::to_file_layout(model->init(0, ek::DType::float64));
  const Shape flat{file.numel()};
  const Params params = ek::from_file_layout(
      file.over(pattern(flat, 1, 700, [](double p) { return 0.3 * std::sin(p); })));
  const Params v =
      ek::from_file_layout(file.over(pattern(flat, 1, 300, [](double p) { return std::cos(p); })));
  const Tensor x =
      ek::channels_last(pattern({4, 3, 8, 8}, 10, 900, [](double p) { return std::cos(p); }));
  const Tensor labels = Tensor::from(std::vector<std::int64_t>{0, 3, 4, 3}, {4});

  const Golden train{
      {-0.07031003599209784, -0.08335115892227427, 0.0550863753693277, -0.2749268642284025,
       -0.5247994243637436, -0.16974779915969113, -0.2558792863511189, -0.2605380481286834,
       -0.2635337249856122, -0.5171711658627839},
      1.634185390076714,
      -1.3309194021845376,
      2.25115001440469,
      35.32006210379457,
      -27.150991406013286};
  const Golden eval{
      {-0.4215609653595326, -0.11454377669411217, 0.019296172575345244, -0.11132315134110835,
       -0.37675789017610484, -0.4654907307864458, -0.16976106272769353, -0.029055723095940705,
       -0.09207490864952027, -0.3961480806537354},
      1.6536477397544211,
      0.597572842061158,
      1.5547578628327137,
      7.144812789261205,
      1.346410333360674};
  Params buffers = model->initial_buffers(ek::DType::float64);
  for (const Mode mode : {Mode::train, Mode::eval}) {  // eval with the statistics that train left
    INFO((mode == Mode::train ? "train" : "eval"));
    const Golden& golden = mode == Mode::train ? train : eval;
    auto loss = [&](const Params& p) {
      ek::ModelOutput out = model->forward(p, buffers, x, mode);
      const Tensor value = ek::ops::mean(ek::ops::softmax_cross_entropy(out.logits, labels));
      return std::pair(value, out);
    };
    const auto [value, gradient, out] = ek::value_and_grad(loss, params);
    const auto logits = out.logits.to_vector();
    for (std::size_t i = 0; i < golden.logits.size(); ++i) agree(logits[i], golden.logits[i]);
    agree(value.item(), golden.loss);
    agree(ek::dot(gradient, v), golden.gradient_along_v);
    agree(ek::norm(gradient), golden.gradient_norm);
    const Params hessian_v = ek::hvp([&](const Params& p) { return loss(p).first; }, params, v);
    agree(ek::norm(hessian_v), golden.hessian_v_norm);
    agree(ek::dot(hessian_v, v), golden.v_hessian_v);
    agree(ek::ops::sum(out.buffers.flat()).item(), 220.41847460406586);
    agree(ek::norm(out.buffers), 14.492350335766245);
    buffers = out.buffers;
  }
}
