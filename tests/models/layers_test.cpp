// A profile names the layers of a network: every convolution, in every phase, under its own name.
#include <map>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "engine/profile/profiler.h"
#include "models/registry.h"
#include "tests/catch.h"

using namespace ek;

namespace {

// Layers in which an op ran, with how often, of one phase.
std::map<std::string, int> layers_of(const std::vector<ProfileEvent>& events,
                                     const std::string& name, Phase phase) {
  std::map<std::string, int> layers;
  for (const ProfileEvent& event : events) {
    if (event.name == name && event.phase == phase) ++layers[event.layer];
  }
  return layers;
}

}  // namespace

TEST_CASE("profiled convolutions carry the names of their weights in every phase") {
  const auto model = make_model("resnet8", 5);
  const Params params = model->init(1), buffers = model->initial_buffers();
  std::vector<double> pixels(2 * 16 * 16 * 3);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = double(i % 11) / 5 - 1;
  const Tensor x = Tensor::from(pixels, {2, 16, 16, 3}).to(DType::float32);

  std::map<std::string, int> convolutions;
  for (const ParameterSpec& spec : model->parameters()) {
    const std::string end = ".weight";
    if (spec.shape.rank() == 4) {
      convolutions[spec.name.substr(0, spec.name.size() - end.size())] = 1;
    }
  }
  REQUIRE(convolutions.size() == 7);

  profiler_start();
  const auto lin = linearize(
      [&](const Params& p) { return ops::sum(model->forward(p, buffers, x, Mode::train).logits); },
      params);
  lin.vjp(Tensor::full({}, 1, DType::float32));
  lin.jvp(params);
  const auto events = profiler_stop();

  CHECK(layers_of(events, "norm_conv", Phase::forward) == convolutions);
  CHECK(layers_of(events, "norm_conv_vjp", Phase::backward) == convolutions);
  CHECK(layers_of(events, "norm_conv_jvp", Phase::tangent) == convolutions);
  CHECK(layers_of(events, "linear", Phase::forward) == std::map<std::string, int>{{"linear", 1}});
  CHECK(layers_of(events, "global_avg_pool", Phase::forward) ==
        std::map<std::string, int>{{"pool", 1}});
  CHECK(layers_of(events, "subsample_pad", Phase::forward) ==
        std::map<std::string, int>{{"layer2.0.shortcut", 1}, {"layer3.0.shortcut", 1}});
  // Only the sum over the logits lies outside of all layers.
  for (const ProfileEvent& event : events) {
    INFO(event.name << " " << event.detail << " " << name_of(event.phase));
    const bool of_network = event.name.find("conv") != std::string::npos ||
                            event.name.find("norm") != std::string::npos;
    if (of_network) CHECK(event.layer != "");
  }
}
