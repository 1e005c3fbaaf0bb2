// Batch normalisation in its halves and units: values, derivatives of every order, compositions.
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "engine/profile/profiler.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"
#include "tests/paths.h"

namespace {

using ek::Shape;
using ek::Tensor;
using ek::Tensors;
using ek::ops::ChannelStats;
using ek::ops::NormActOptions;

const Shape images{3, 2, 4, 5};
const Shape channels{5};

struct Variant {
  bool relu, shortcut;
};
const std::vector<Variant> variants{{false, false}, {true, false}, {false, true}, {true, true}};

// y, mean, var, gamma, beta[, shortcut]; statistics that are not those of y.
Tensors norm_inputs(bool shortcut) {
  Tensors in{random_tensor(images, 1), random_tensor(channels, 2, 0.3),
             ek::ops::affine(ek::ops::square(random_tensor(channels, 3)), 1, 0.5),
             random_tensor(channels, 4, 0.3, 1), random_tensor(channels, 5, 0.3)};
  if (shortcut) in.push_back(random_tensor(images, 6));
  return in;
}

ek::TensorFunction norm_act_of(bool relu) {
  return [relu](const Tensors& in) {
    return Tensors{ek::ops::norm_act(in[0], {in[1], in[2]}, in[3], in[4],
                                     in.size() > 5 ? in[5] : Tensor{}, {1e-5, relu})};
  };
}

ek::TensorFunction batch_norm_of(bool relu) {
  return [relu](const Tensors& in) {
    return Tensors{
        ek::ops::batch_norm(in[0], in[1], in[2], in.size() > 3 ? in[3] : Tensor{}, {1e-5, relu})};
  };
}

Tensors batch_norm_inputs(bool shortcut) {
  Tensors in = norm_inputs(shortcut);
  in.erase(in.begin() + 1, in.begin() + 3);
  return in;
}

// Nested arrays [batch][channel][height][width] as NHWC.
Tensor nhwc(const nlohmann::json& j) {
  const Shape shape{std::int64_t(j.size()), std::int64_t(j[0][0].size()),
                    std::int64_t(j[0][0][0].size()), std::int64_t(j[0].size())};
  std::vector<double> values;
  for (int n = 0; n < shape[0]; ++n)
    for (int h = 0; h < shape[1]; ++h)
      for (int w = 0; w < shape[2]; ++w)
        for (int c = 0; c < shape[3]; ++c) values.push_back(j[n][c][h][w].get<double>());
  return Tensor::from(values, shape);
}

Tensor vector_of(const nlohmann::json& j) {
  return Tensor::from(j.get<std::vector<double>>(), Shape{std::int64_t(j.size())});
}

}  // namespace

TEST_CASE("channel_stats: values and derivatives", "[norm]") {
  const Tensor y = random_tensor(images, 1, 2, 1e4);
  const std::vector<double> values = y.to_vector();
  const ChannelStats stats = ek::ops::channel_stats(y);
  for (std::size_t c = 0; c < 5; ++c) {
    double mean = 0, var = 0;
    for (std::size_t i = c; i < values.size(); i += 5) mean += values[i] / 24;
    for (std::size_t i = c; i < values.size(); i += 5) {
      var += (values[i] - mean) * (values[i] - mean) / 24;
    }
    // A mean of 1e4 is known to 1e-12, and a deviation from it as well.
    REQUIRE(std::abs(stats.mean.to_vector()[c] - mean) <= 1e-11);
    REQUIRE(std::abs(stats.var.to_vector()[c] - var) <= 1e-11);
  }
  auto f = [](const Tensors& in) {
    const ChannelStats s = ek::ops::channel_stats(in[0]);
    return Tensors{s.mean, s.var};
  };
  check_gradients("channel_stats", f, {random_tensor(images, 1)});
  check_fused_composition("channel_stats", f, {random_tensor(images, 1)});
  // Either output alone, whose other cotangent is undefined.
  check_gradients("mean",
                  [](const Tensors& in) { return Tensors{ek::ops::channel_stats(in[0]).mean}; },
                  {random_tensor(images, 1)});
  check_gradients("var",
                  [](const Tensors& in) { return Tensors{ek::ops::channel_stats(in[0]).var}; },
                  {random_tensor(images, 1)});
}

TEST_CASE("norm_act: values", "[norm]") {
  const Tensors in = norm_inputs(true);
  std::vector<std::vector<double>> v;
  for (const Tensor& t : in) v.push_back(t.to_vector());
  for (const Variant& variant : variants) {
    std::vector<double> expected;
    for (std::size_t i = 0; i < v[0].size(); ++i) {
      const std::size_t c = i % 5;
      double act = v[3][c] * (v[0][i] - v[1][c]) / std::sqrt(v[2][c] + 1e-5) + v[4][c];
      if (variant.shortcut) act += v[5][i];
      expected.push_back(variant.relu ? std::max(act, 0.0) : act);
    }
    const Tensor act = ek::ops::norm_act(in[0], {in[1], in[2]}, in[3], in[4],
                                         variant.shortcut ? in[5] : Tensor{}, {1e-5, variant.relu});
    INFO("relu " << variant.relu << ", shortcut " << variant.shortcut);
    // Some roundings per element.
    REQUIRE(relative_error(act, Tensor::from(expected, images)) <= 1e-14);
  }
}

TEST_CASE("norm_act: derivatives in all inputs, and with constant statistics", "[norm]") {
  for (const Variant& variant : variants) {
    INFO("relu " << variant.relu << ", shortcut " << variant.shortcut);
    const Tensors in = norm_inputs(variant.shortcut);
    check_gradients("norm_act", norm_act_of(variant.relu), in);
    check_fused_composition("norm_act", norm_act_of(variant.relu), in);
    GradcheckOptions evaluation;
    evaluation.differentiable = {true, false, false, true, true};
    if (variant.shortcut) evaluation.differentiable.push_back(true);
    check_gradients("norm_act, evaluation mode", norm_act_of(variant.relu), in, evaluation);
  }
}

TEST_CASE("batch_norm: derivatives", "[norm]") {
  for (const Variant& variant : variants) {
    INFO("relu " << variant.relu << ", shortcut " << variant.shortcut);
    check_gradients("batch_norm", batch_norm_of(variant.relu), batch_norm_inputs(variant.shortcut));
  }
}

TEST_CASE("norm_act: fast rules equal the composition of plain ops", "[norm]") {
  for (const Variant& variant : variants) {
    INFO("relu " << variant.relu << ", shortcut " << variant.shortcut);
    const Tensors in = norm_inputs(variant.shortcut);
    auto plain = [&](const Tensors& t) {
      using namespace ek::ops;
      auto spread = [](const Tensor& c) { return broadcast_to(reshape(c, {1, 1, 1, 5}), images); };
      const Tensor xhat = mul(sub(t[0], spread(t[1])), spread(rsqrt(affine(t[2], 1, 1e-5))));
      Tensor act = add(mul(spread(t[3]), xhat), spread(t[4]));
      if (variant.shortcut) act = add(act, t[5]);
      return Tensors{variant.relu ? relu(act) : act};
    };
    const ek::LinearMap fast = ek::linearize_tensors(norm_act_of(variant.relu), in);
    const ek::LinearMap slow = ek::linearize_tensors(plain, in);
    REQUIRE(fast.node_count() == 1);
    Tensors tangents;
    for (std::size_t i = 0; i < in.size(); ++i) {
      tangents.push_back(random_tensor(in[i].shape(), 20 + i));
    }
    const Tensor ct = random_tensor(images, 30);
    const Tensors a = fast.vjp({ct}), b = slow.vjp({ct});
    // Sums of 24 terms in two orders.
    for (std::size_t i = 0; i < in.size(); ++i) REQUIRE(relative_error(a[i], b[i]) <= 1e-13);
    REQUIRE(relative_error(fast.jvp(tangents)[0], slow.jvp(tangents)[0]) <= 1e-13);
  }
}

TEST_CASE("batch_norm: golden value and tangent", "[norm]") {
  std::ifstream file(source_dir() + "/tests/golden/meta_gradients.json");
  const nlohmann::json golden = nlohmann::json::parse(file).at("batchnorm_jvp");
  const nlohmann::json &in = golden.at("inputs"), &expected = golden.at("expected");
  const NormActOptions options{in.at("eps").get<double>(), false};
  const ek::LinearMap map = ek::linearize_tensors(
      [&](const Tensors& t) { return Tensors{ek::ops::batch_norm(t[0], t[1], t[2], {}, options)}; },
      {nhwc(in.at("x")), vector_of(in.at("gamma")), vector_of(in.at("beta"))});
  const Tensor tangent = map.jvp(
      {nhwc(in.at("x_dot")), vector_of(in.at("gamma_dot")), vector_of(in.at("beta_dot"))})[0];
  // The golden numbers are float64 results of another program.
  REQUIRE(relative_error(map.outputs()[0], nhwc(expected.at("y"))) <= 1e-13);
  REQUIRE(relative_error(tangent, nhwc(expected.at("y_dot"))) <= 1e-13);
}

TEST_CASE("batch_norm: float32 tangent and cotangent are adjoint", "[norm]") {
  Tensors in, tangents;
  for (const Tensor& t : batch_norm_inputs(true)) {
    in.push_back(t.to(ek::DType::float32));
    tangents.push_back(random_tensor(t.shape(), 40 + in.size(), 1, 0, ek::DType::float32));
  }
  const ek::LinearMap map = ek::linearize_tensors(batch_norm_of(true), in);
  const Tensor ct = random_tensor(images, 50, 1, 0, ek::DType::float32);
  auto inner = [](const Tensor& a, const Tensor& b) {
    const std::vector<double> x = a.to_vector(), y = b.to_vector();
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
    return sum;
  };
  const Tensor tangent = map.jvp(tangents)[0];
  const Tensors cotangents = map.vjp({ct});
  double reverse = 0;
  for (std::size_t i = 0; i < in.size(); ++i) reverse += inner(cotangents[i], tangents[i]);
  // Rounding of float32, relative to the size that the terms can add up to.
  const double size = std::sqrt(inner(ct, ct) * inner(tangent, tangent));
  REQUIRE(std::abs(inner(ct, tangent) - reverse) <= 1e-6 * size);
}

TEST_CASE("norm_conv: equals its parts, in training and evaluation mode", "[norm]") {
  const Tensors in = norm_inputs(true);
  const Tensor w = random_tensor({3, 3, 3, 5}, 7, 0.3);
  const ek::ops::Conv2dOptions conv{.stride = {2, 2}, .padding = {1, 1}};
  const std::optional<ChannelStats> running{{random_tensor({3}, 8), random_tensor({3}, 9)}};
  for (const bool train : {true, false}) {
    INFO("train " << train);
    const std::optional<ChannelStats> given = train ? std::nullopt : running;
    auto unit = [&](const Tensors& t) {
      const ek::ops::NormConv u = ek::ops::norm_conv({t[0], {t[1], t[2]}}, t[3], t[4], t[5],
                                                     {1e-5, true}, t[6], conv, given);
      if (!train) REQUIRE(u.out.stats.var.id() == running->var.id());
      Tensors result{u.activation, u.out.y};
      if (train) result.insert(result.end(), {u.out.stats.mean, u.out.stats.var});
      return result;
    };
    Tensors inputs = in;
    inputs.push_back(w);
    check_gradients("norm_conv", unit, inputs);
    const Tensors parts = unit(inputs);
    const Tensor act = norm_act_of(true)(in)[0];
    const Tensor y = ek::ops::conv2d(act, w, conv);
    REQUIRE(relative_error(parts[0], act) == 0);
    REQUIRE(relative_error(parts[1], y) == 0);
    // The unit adds up slices of the batch where channel_stats adds up blocks of rows.
    if (train) REQUIRE(relative_error(parts[3], ek::ops::channel_stats(y).var) <= 1e-14);
  }
}

TEST_CASE("norm ops: errors", "[norm]") {
  auto zeros = [](const Shape& shape) { return Tensor::zeros(shape, ek::DType::float32); };
  const Tensor y = zeros({2, 3, 3, 4}), c = zeros({4});
  using namespace ek::ops;
  REQUIRE_THROWS_WITH(channel_stats(zeros({0, 4})),
                      "channel_stats: y must be [..., channels] and not empty, got [0, 4]");
  REQUIRE_THROWS_WITH(channel_stats(Tensor::zeros({2, 4}, ek::DType::int64)),
                      "channel_stats: y is int64 [2, 4], a floating-point dtype is wanted");
  REQUIRE_THROWS_WITH(
      norm_act(y, {c, zeros({3})}, c, c, {}, {}),
      "norm_act: var must be float32 [4] beside y float32 [2, 3, 3, 4], got float32 [3]");
  REQUIRE_THROWS_WITH(norm_act(y, {c, c}, {}, c, {}, {}), "norm_act: gamma is undefined");
  REQUIRE_THROWS_WITH(
      norm_act(y, {c, c}, c, Tensor::zeros({4}, ek::DType::float64), {}, {}),
      "norm_act: beta must be float32 [4] beside y float32 [2, 3, 3, 4], got float64 [4]");
  REQUIRE_THROWS_WITH(norm_act(y, {c, c}, c, c, zeros({2, 3, 4, 4}), {}),
                      "norm_act: float32 [2, 3, 4, 4] on cpu does not match float32 [2, 3, 3, 4] "
                      "on cpu");
  REQUIRE_THROWS_WITH(norm_act(y, {c, c}, c, c, {}, {-1, false}),
                      "norm_act: eps must not be negative, got -1");
}
