#include "engine/training/optim.h"

#include <cmath>
#include <cstring>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "engine/tensor/random.h"
#include "tests/catch.h"
#include "tests/error_of.h"

using namespace ek;

namespace {

const std::vector<std::pair<std::string, Shape>> layout{
    {"conv1.weight", {2, 3}},  {"bn1.weight", {2}},  {"bn1.bias", {2}},
    {"linear.weight", {3, 2}}, {"linear.bias", {3}}, {"linear2.weight", {2, 2}},
};

// Parameters of the layout, normal values that depend on `epoch` alone.
Params some_params(DType dtype, std::uint32_t epoch) {
  const RandomStream random(1, Purpose::test, epoch);
  std::vector<Params::Entry> entries;
  std::uint64_t index = 0;
  for (const auto& [name, shape] : layout) {
    std::vector<double> values(std::size_t(shape.numel()));
    for (double& value : values) value = random.normal(index++);
    entries.push_back({name, Tensor::from(values, shape).to(dtype)});
  }
  return Params(std::move(entries)).flattened();
}

std::vector<kernels::OptimSegment> plain(const Params& params, double weight_decay = 0) {
  return optimizer_segments(params, weight_decay, {});
}

double largest_difference(const Params& params, const std::vector<double>& expected) {
  const auto values = params.flat().to_vector();
  REQUIRE(values.size() == expected.size());
  double largest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double difference = std::abs(values[i] - expected[i]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// A few roundings of numbers of order one.
double tolerance(DType dtype) {
  return dtype == DType::float64 ? 1e-14 : 4e-6;
}

}  // namespace

TEST_CASE("sgd follows its formula, step by step") {
  const DType dtype = GENERATE(DType::float32, DType::float64);
  const double momentum = GENERATE(0.0, 0.9);
  const bool nesterov = momentum > 0 && GENERATE(false, true);
  Params params = some_params(dtype, 0);
  Sgd sgd({momentum, nesterov});
  const auto segments = plain(params, 0.01);
  std::vector<double> p = params.flat().to_vector(), buffer(p.size());
  for (int step = 0; step < 4; ++step) {
    const Params gradient = some_params(dtype, 10 + std::uint32_t(step));
    const auto g0 = gradient.flat().to_vector();
    const double lr = 0.1 / (1 + step);
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double g = g0[i] + 0.01 * p[i];
      buffer[i] = step == 0 ? g : momentum * buffer[i] + g;
      p[i] -= lr * (nesterov ? g + momentum * buffer[i] : buffer[i]);
    }
    sgd.step(params, gradient, lr, segments);
    REQUIRE(largest_difference(params, p) <= tolerance(dtype));
  }
  CHECK(sgd.steps() == 4);
}

TEST_CASE("the first momentum buffer is the gradient") {
  Params params = some_params(DType::float64, 0);
  const Params gradient = some_params(DType::float64, 1);
  Sgd sgd({0.9, false});
  CHECK(sgd.state().size() == 1);
  sgd.step(params, gradient, 0.1, plain(params));
  const auto state = sgd.state();
  REQUIRE(state.size() == 2);
  CHECK(state[0].first == "step");
  CHECK(state[0].second.item() == 1);
  CHECK(state[1].first == "momentum_buffer");
  CHECK(same_bits(state[1].second, gradient.flat()));
}

TEST_CASE("adam follows its formula, step by step") {
  const DType dtype = GENERATE(DType::float32, DType::float64);
  Params params = some_params(dtype, 0);
  const Adam::Settings settings{0.8, 0.99, 1e-6};
  Adam adam(settings);
  const auto segments = plain(params, 0.02);
  std::vector<double> p = params.flat().to_vector(), m(p.size()), v(p.size());
  for (int step = 1; step <= 4; ++step) {
    const Params gradient = some_params(dtype, 20 + std::uint32_t(step));
    const auto g0 = gradient.flat().to_vector();
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double g = g0[i] + 0.02 * p[i];
      m[i] = settings.beta1 * m[i] + (1 - settings.beta1) * g;
      v[i] = settings.beta2 * v[i] + (1 - settings.beta2) * g * g;
      const double m_hat = m[i] / (1 - std::pow(settings.beta1, step));
      const double v_hat = v[i] / (1 - std::pow(settings.beta2, step));
      p[i] -= 0.05 * m_hat / (std::sqrt(v_hat) + settings.eps);
    }
    adam.step(params, gradient, 0.05, segments);
    REQUIRE(largest_difference(params, p) <= tolerance(dtype));
  }
}

TEST_CASE("a restored optimiser goes on bit for bit") {
  const DType dtype = GENERATE(DType::float32, DType::float64);
  const std::string kind = GENERATE("sgd", "nesterov", "plain", "adam");
  const auto make = [&]() -> std::unique_ptr<Optimizer> {
    if (kind == "adam") return std::make_unique<Adam>(Adam::Settings{});
    return std::make_unique<Sgd>(Sgd::Settings{kind == "plain" ? 0 : 0.9, kind == "nesterov"});
  };
  const int cut = GENERATE(0, 1, 3);
  const auto run = [&](Optimizer& optimizer, Params& params, int from, int to) {
    const auto segments = plain(params, 1e-4);
    for (int step = from; step < to; ++step) {
      optimizer.step(params, some_params(dtype, 100 + std::uint32_t(step)), 0.1, segments);
    }
  };
  Params whole = some_params(dtype, 0), first = some_params(dtype, 0);
  const auto a = make(), b = make(), c = make();
  run(*a, whole, 0, 6);
  run(*b, first, 0, cut);
  NamedTensors kept = b->state();
  for (auto& [name, tensor] : kept) tensor = tensor.clone();
  Params second = first.clone().flattened();
  run(*b, first, cut, 6);  // does not touch what was kept
  c->load_state(kept, second);
  CHECK(c->steps() == cut);
  run(*c, second, cut, 6);
  CHECK(same_bits(whole.flat(), first.flat()));
  CHECK(same_bits(whole.flat(), second.flat()));
  const auto end_a = a->state(), end_c = c->state();
  REQUIRE(end_a.size() == end_c.size());
  for (std::size_t i = 0; i < end_a.size(); ++i) {
    CHECK(end_a[i].first == end_c[i].first);
    CHECK(same_bits(end_a[i].second, end_c[i].second));
  }
}

TEST_CASE("group patterns name whole components") {
  CHECK(matches_group_pattern("linear", "linear.weight"));
  CHECK(matches_group_pattern("linear.weight", "linear.weight"));
  CHECK_FALSE(matches_group_pattern("linear", "linear2.weight"));
  CHECK_FALSE(matches_group_pattern("weight", "linear.weight"));
  CHECK(matches_group_pattern("*.bias", "layer1.0.bn1.bias"));
  CHECK_FALSE(matches_group_pattern("*.bias", "layer1.0.bn1.weight"));
  CHECK(matches_group_pattern("layer*.bn1", "layer1.0.bn1.bias"));
  CHECK(matches_group_pattern("*", "anything"));
  CHECK(matches_group_pattern("*a*b", "xaayb.c"));
  CHECK_FALSE(matches_group_pattern("", "a"));
  CHECK_FALSE(matches_group_pattern("linear.", "linear2"));
}

TEST_CASE("groups become segments of the flat buffer") {
  const Params params = some_params(DType::float32, 0);
  const auto one = plain(params, 0.5);
  REQUIRE(one.size() == 1);
  CHECK(one[0].begin == 0);
  CHECK(one[0].end == params.numel());
  CHECK(one[0].lr_factor == 1);
  CHECK(one[0].weight_decay == 0.5);
  CHECK_FALSE(one[0].frozen);

  GroupSpec bn{{"bn1", "conv1"}, 1, {}, true};
  GroupSpec bias{{"*.bias"}, 2, 0.0, false};
  const auto segments = optimizer_segments(params, 0.5, {bn, bias});
  // conv1 and bn1 (its bias too: the first group wins), linear.weight, linear.bias, linear2.
  REQUIRE(segments.size() == 4);
  CHECK(segments[0].begin == 0);
  CHECK(segments[0].end == 10);
  CHECK(segments[0].frozen);
  CHECK(segments[1].end == 16);
  CHECK(segments[1].weight_decay == 0.5);
  CHECK(segments[2].begin == 16);
  CHECK(segments[2].end == 19);
  CHECK(segments[2].lr_factor == 2);
  CHECK(segments[2].weight_decay == 0);
  CHECK(segments[3].end == params.numel());
  CHECK(segments[3].lr_factor == 1);

  GroupSpec misspelt;
  misspelt.names = {"linaer.bias"};
  CHECK(error_of([&] { optimizer_segments(params, 0, {misspelt}); }) ==
        "optim groups: 'linaer.bias' matches no parameter, did you mean 'linear.bias'?");
  CHECK(contains(error_of([&] { optimizer_segments(params, 0, {GroupSpec{}}); }), "without names"));
  CHECK(contains(error_of([&] { optimizer_segments(params, -1, {}); }), "weight_decay -1"));
  GroupSpec wrong{{"bn1"}, std::nan(""), {}, false};
  CHECK(contains(error_of([&] { optimizer_segments(params, 0, {wrong}); }), "lr_factor nan"));
}

TEST_CASE("frozen parameters stay, learning-rate factors multiply") {
  Params params = some_params(DType::float64, 0);
  const auto before = params.flat().to_vector();
  const Params gradient = some_params(DType::float64, 1);
  const auto g = gradient.flat().to_vector();
  GroupSpec frozen{{"bn1"}, 1, {}, true}, fast{{"linear"}, 10, {}, false};
  Sgd sgd({});
  sgd.step(params, gradient, 0.1, optimizer_segments(params, 0, {frozen, fast}));
  std::vector<double> expected = before;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double factor = i >= 6 && i < 10 ? 0 : i >= 10 && i < 19 ? 10 : 1;
    expected[i] -= 0.1 * factor * g[i];
  }
  REQUIRE(largest_difference(params, expected) <= tolerance(DType::float64));
  for (std::size_t i = 6; i < 10; ++i) CHECK(params.flat().to_vector()[i] == before[i]);
}

TEST_CASE("a step is refused while a tape holds the parameters, and changes nothing") {
  Params params = some_params(DType::float32, 0);
  const Params gradient = some_params(DType::float32, 1);
  const auto before = params.flat().to_vector();
  Sgd sgd({0.9, false});
  {
    const auto lin = linearize(
        [](const Params& p) { return ops::sum(ops::square(p["linear.weight"])); }, params);
    CHECK(contains(error_of([&] { sgd.step(params, gradient, 0.1, plain(params)); }), "sgd"));
    CHECK(params.flat().to_vector() == before);
    CHECK(sgd.steps() == 0);
    CHECK(sgd.state().size() == 1);
  }
  sgd.step(params, gradient, 0.1, plain(params));
  CHECK(params.flat().to_vector() != before);
}

TEST_CASE("what does not fit an optimiser is refused") {
  Params params = some_params(DType::float32, 0);
  const Params gradient = some_params(DType::float32, 1);
  Sgd sgd({0.9, false});
  CHECK(contains(error_of([] { Sgd({1.0, false}); }), "sgd: momentum 1"));
  CHECK(contains(error_of([] { Sgd({0, true}); }), "nesterov with momentum 0"));
  CHECK(contains(error_of([] { Adam({1.0, 0.9, 1e-8}); }), "adam: beta 1"));
  CHECK(contains(error_of([] { Adam({0.9, 0.9, 0}); }), "adam: eps 0"));
  CHECK(contains(error_of([&] { sgd.step(params, gradient, std::nan(""), plain(params)); }),
                 "learning rate nan"));
  const Params part = params.only("linear.").flattened();
  CHECK_FALSE(error_of([&] { sgd.step(params, part, 0.1, plain(params)); }).empty());
  const Params wide = gradient.to(DType::float64).flattened();
  CHECK(contains(error_of([&] { sgd.step(params, wide, 0.1, plain(params)); }), "float64"));
  const std::vector<kernels::OptimSegment> far{{0, params.numel() + 1}};
  CHECK(contains(error_of([&] { sgd.step(params, gradient, 0.1, far); }), "segment 0 to "));
  CHECK(sgd.steps() == 0);

  const Tensor step = Tensor::from(std::vector<std::int64_t>{1}, {1});
  const Tensor buffer = Tensor::zeros({params.numel()}, DType::float32);
  const auto load = [&](const NamedTensors& state) {
    return error_of([&] { sgd.load_state(state, params); });
  };
  CHECK(load({{"step", step}, {"momentum_buffer", buffer}}).empty());
  CHECK(sgd.steps() == 1);
  CHECK(load({{"step", step}}) == "sgd: its state at step 1 has no 'momentum_buffer'");
  CHECK(load({{"momentum_buffer", buffer}}) ==
        "sgd: its state has nothing as step, expected 0 or more");
  CHECK(load({{"step", step}, {"exp_avg", buffer}}) ==
        "sgd: its state has 'exp_avg', expected step, momentum_buffer");
  CHECK(contains(load({{"step", step}, {"momentum_buffer", Tensor::zeros({3}, DType::float32)}}),
                 "'momentum_buffer' of its state is float32 [3], expected float32 [23]"));
  CHECK(contains(load({{"step", buffer}}), "expected one int64"));
  CHECK(sgd.steps() == 1);
}
