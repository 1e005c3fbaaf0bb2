// Whole training steps in graphs: batches made on the device, a small network, momentum, a learning
// rate that changes with every step. A graph has the bits of the steps one by one, however many
// steps it holds.
#include <algorithm>
#include <cstring>

#include "data/resident.h"
#include "engine/functional.h"
#include "engine/graph.h"
#include "engine/ops.h"
#include "engine/optim.h"
#include "engine/step_feed.h"
#include "tests/catch.h"
#include "tests/error_of.h"

namespace ek {
namespace {

constexpr Device simt{Device::Kind::simt};
constexpr std::int64_t batch_size = 4, total_steps = 13, classes = 3;  // 1 + 12: the first is eager

ImageSet random_images() {
  const RandomStream random(3, Purpose::test);
  ImageSet images{.height = 8, .width = 8, .pixels = {}, .labels = {}, .coarse = {}};
  for (std::uint64_t i = 0; i < 11; ++i) images.labels.push_back(std::int64_t(i) % classes);
  for (std::uint64_t i = 0; i < 11 * 8 * 8 * 3; ++i) {
    images.pixels.push_back(std::uint8_t(random.below(i, 256)));
  }
  return images;
}

StreamSpec stream_of(const ImageSet& images) {
  StreamSpec spec;
  spec.images = &images;
  for (std::int64_t i = 0; i < images.count(); ++i) spec.subset.push_back(i);
  spec.sampler = shuffled_sampler(images.count(), 5);
  spec.batch_size = batch_size;
  spec.augment = {.height = 8, .width = 8, .zero_pad = 2, .flip = true};
  spec.augment.mean = {0.5, 0.5, 0.5};
  spec.seed = 2;
  return spec;
}

Params start_params() {
  const RandomStream random(9, Purpose::test);
  std::uint64_t at = 0;
  const auto values = [&](const Shape& shape, double scale, double shift) {
    std::vector<double> numbers(std::size_t(shape.numel()));
    for (double& number : numbers) number = shift + scale * random.normal(at++);
    return Tensor::from(numbers, shape).to(DType::float32);
  };
  return Params({{"conv1", values({8, 3, 3, 3}, 0.2, 0)},
                 {"gamma", values({8}, 0.1, 1)},
                 {"beta", values({8}, 0.1, 0)},
                 {"conv2", values({8, 3, 3, 8}, 0.1, 0)},
                 {"linear", values({classes, 8}, 0.3, 0)},
                 {"bias", values({classes}, 0.1, 0)}})
      .flattened()
      .to(simt);
}

Tensor loss_of(const Params& p, const Batch& batch) {
  const ops::Conv2dOptions conv{.padding = {1, 1}};
  const ops::PreNorm first = ops::conv_stats(batch.images, p["conv1"], conv, {});
  const ops::NormConv second =
      ops::norm_conv(first, p["gamma"], p["beta"], {}, {.relu = true}, p["conv2"], conv, {});
  const Tensor features = ops::global_avg_pool(ops::relu(second.out.y));
  const Tensor logits = ops::linear(features, p["linear"], p["bias"]);
  return ops::mean(ops::softmax_cross_entropy(logits, batch.labels));
}

double rate_of(std::int64_t step) {
  return 0.2 / double(3 + step);
}

struct Run {
  ImageSet images = random_images();
  StreamSpec spec = stream_of(images);
  ResidentImages resident = make_resident(images, simt);
  Params params = start_params();
  Sgd sgd{{.momentum = 0.9, .nesterov = true}};
  std::vector<kernels::OptimSegment> segments = optimizer_segments(params, 5e-4, {});
  std::vector<double> losses, checks;  // checks: a loss of eager code between the graphs

  Tensor step(const Batch& batch, const Number& lr) {
    const auto [loss, gradient] =
        value_and_grad([&](const Params& p) { return loss_of(p, batch); }, params);
    sgd.step(params, gradient.flattened(MemoryUse::gradients), lr, segments);
    return loss;
  }
  void eager_step(std::int64_t step_number) {
    losses.push_back(step(make_batch(spec, step_number, resident), rate_of(step_number)).item());
  }
  void check() { checks.push_back(loss_of(params, make_batch(spec, 0, resident)).item()); }
};

Run eager() {
  Run run;
  for (std::int64_t s = 0; s < total_steps; ++s) {
    run.eager_step(s);
    run.check();
  }
  return run;
}

Run captured(std::int64_t steps_per_graph, bool poison) {
  const bool before = poison_freed_memory(poison);
  Run run;
  run.eager_step(0);
  run.check();
  StepFeed feed(simt, {.steps = steps_per_graph, .counts = 0, .batches = {batch_size}});
  Tensors losses;
  Graph graph = Graph::capture(simt, [&] {
    for (std::int64_t k = 0; k < steps_per_graph; ++k) {
      const Batch batch =
          resident_batch(run.resident, run.spec, feed.records(k, 0), feed.positions(k, 0));
      losses.push_back(run.step(batch, feed.number(k)));
    }
  });
  const std::int64_t per_step = graph.counts().kernels / steps_per_graph;
  // Every step is the same, but that the first packs the weights and the optimiser does it later.
  constexpr std::int64_t most_packs = 4;  // two convolutions, forward and backward data
  CHECK(graph.counts().kernels - per_step * steps_per_graph <= most_packs);
  CHECK(per_step < 60);
  CHECK(std::ranges::count_if(graph.kernels(), [](const std::string& kernel) {
          return contains(kernel, "augment_packed");
        }) == steps_per_graph);
  for (std::int64_t first = 1; first < total_steps; first += steps_per_graph) {
    for (std::int64_t k = 0; k < steps_per_graph; ++k) {
      const BatchDraw draw = draw_batch(run.spec, first + k);
      feed.set_number(k, 0, rate_of(first + k));
      feed.set_batch(k, 0, draw.records, draw.positions);
    }
    feed.send();
    graph.replay();
    for (const Tensor& loss : losses) run.losses.push_back(loss.item());
    run.check();
  }
  poison_freed_memory(before);
  return run;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

}  // namespace

TEST_CASE("captured steps have the bits of eager ones, 1, 3 or 4 to a graph", "[graph]") {
  if (!is_available(simt)) {
    WARN("this build has no simt device");
    return;
  }
  const Run expected = eager();
  REQUIRE(expected.losses.size() == std::size_t(total_steps));
  REQUIRE(expected.losses.back() != expected.losses.front());
  for (const std::int64_t steps_per_graph : {1, 3, 4}) {
    CAPTURE(steps_per_graph);
    const Run run = captured(steps_per_graph, steps_per_graph == 3);
    CHECK(run.sgd.steps() == total_steps);
    REQUIRE(run.losses == expected.losses);
    REQUIRE(same_bits(run.params.flat(), expected.params.flat()));
    REQUIRE(same_bits(run.sgd.state()[1].second, expected.sgd.state()[1].second));
    // Eager code in between sees the weights of the moment, not packs of older ones.
    for (std::size_t i = 1; i < run.checks.size(); ++i) {
      REQUIRE(run.checks[i] == expected.checks[i * std::size_t(steps_per_graph)]);
    }
  }
}

}  // namespace ek
