// Layers and phases of profiled ops: forward, and on the tape for the derivatives.
#include <nlohmann/json.hpp>
#include <set>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "engine/profile/profiler.h"
#include "engine/training/optim.h"
#include "tests/catch.h"

using namespace ek;

namespace {

using Places = std::set<std::pair<std::string, Phase>>;  // (layer, phase)

Places places_of(const std::vector<ProfileEvent>& events, const std::string& name) {
  Places places;
  for (const ProfileEvent& event : events) {
    if (event.name == name) places.insert({event.layer, event.phase});
  }
  return places;
}

Tensor numbers(const Shape& shape) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < shape.numel(); ++i) values.push_back(0.25 * double(i % 7) - 0.6);
  return Tensor::from(values, shape);
}

// Two layers, each a linear map and, outside of layers, a sum of squares.
Tensor network(const Params& p) {
  const Tensor x = numbers({3, 4});
  Tensor h;
  {
    const LayerScope layer("first");
    h = ops::relu(ops::linear(x, p["a"], {}));
  }
  {
    const LayerScope layer("second.", "linear");
    h = ops::linear(h, p["b"], {});
  }
  return ops::sum(ops::square(h));
}

Params parameters() {
  return Params({{"a", numbers({5, 4})}, {"b", numbers({2, 5})}}).flattened();
}

}  // namespace

TEST_CASE("layers and phases: scopes nest and end, and cost nothing while nothing is profiled") {
  {
    const LayerScope layer("unseen");
    CHECK(current_layer() == 0);
  }
  CHECK(current_phase() == Phase::other);
  profiler_start();
  {
    const PhaseScope phase(Phase::data);
    const LayerScope outer("outer");
    { ProfileScope scope("a"); }
    {
      const LayerScope inner("outer", ".inner");
      const PhaseScope evaluation(Phase::evaluation);
      ProfileScope scope("b");
    }
    ProfileScope scope("c");
  }
  { ProfileScope scope("d"); }
  const auto events = profiler_stop();
  REQUIRE(events.size() == 4);
  CHECK(places_of(events, "a") == Places{{"outer", Phase::data}});
  CHECK(places_of(events, "b") == Places{{"outer.inner", Phase::evaluation}});
  CHECK(places_of(events, "c") == Places{{"outer", Phase::data}});
  CHECK(places_of(events, "d") == Places{{"", Phase::other}});
  CHECK(current_layer() == 0);
}

TEST_CASE("derivatives run under the layer that recorded their op") {
  const Params p = parameters();
  profiler_start();
  const auto lin = linearize(network, p);
  const Tensor one = Tensor::full({}, 1, DType::float64);
  lin.vjp(one);
  lin.jvp(p);
  const auto events = profiler_stop();

  const auto forward = places_of(events, "linear");
  CHECK(forward.contains({"first", Phase::forward}));
  CHECK(forward.contains({"second.linear", Phase::forward}));
  CHECK(!forward.contains({"", Phase::forward}));
  std::map<Phase, std::set<std::string>> layers;
  for (const ProfileEvent& event : events) layers[event.phase].insert(event.layer);
  const std::set<std::string> all{"first", "second.linear", ""};
  CHECK(layers[Phase::forward] == all);
  CHECK(layers[Phase::backward] == all);
  CHECK(layers[Phase::tangent] == all);
  CHECK(layers.size() == 3);
  // What belongs to a layer alone is found nowhere else.
  for (const ProfileEvent& event : events) {
    if (event.name == "matmul" || event.name == "linear") CHECK(event.layer != "");
  }
}

TEST_CASE("a derivative of a derivative keeps the layers, and ends up in its own phase") {
  const Params p = parameters();
  profiler_start();
  hvp(network, p, p);
  for (const ProfileEvent& event : profiler_stop()) {
    INFO(event.name);
    if (event.name == "matmul" || event.name == "linear") CHECK(event.layer != "");
    CHECK(event.phase != Phase::other);
  }
}

TEST_CASE("optimisers and convolutions say what they are") {
  Params p = parameters();
  const auto segments = optimizer_segments(p, 0, {});
  Sgd sgd({});
  profiler_start();
  sgd.step(p, p.zeros_like(), 0.1, segments);
  ops::conv2d(numbers({2, 5, 5, 3}), numbers({4, 3, 3, 3}), {.padding = {1, 1}});
  const auto events = profiler_stop();
  CHECK(places_of(events, "sgd") == Places{{"", Phase::optimizer}});
  const auto conv = std::ranges::find(events, "conv2d", &ProfileEvent::name);
  REQUIRE(conv != events.end());
  REQUIRE(conv->conv.has_value());
  CHECK(conv->conv->shape == kernels::Conv2dShape{2, 5, 5, 3, 4, 3, 3, 1, 1, 1, 1, 1});
  CHECK(conv->conv->pass == kernels::Conv2dPass::forward);
  CHECK(conv->conv->dtype == DType::float64);
}

TEST_CASE("the trace tells layer and phase") {
  ProfileEvent event{.name = "conv2d", .detail = {}, .duration_ms = 1};
  event.layer = "layer1.0.conv1";
  event.phase = Phase::backward;
  const auto trace = nlohmann::json::parse(chrome_trace({event}));
  const auto& entry = trace.at("traceEvents").at(0);
  CHECK(entry.at("cat") == "backward");
  CHECK(entry.at("args").at("layer") == "layer1.0.conv1");
  CHECK(entry.at("args").at("phase") == "backward");
}
