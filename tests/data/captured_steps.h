#pragma once
// Whole training steps in graphs: batches made on the device, a small network, momentum, a learning
// rate that changes with every step. Shared by the tests of the simt device and of GPUs.
#include <algorithm>
#include <cstring>
#include <functional>

#include "data/resident.h"
#include "engine/autodiff/functional.h"
#include "engine/graph/graph.h"
#include "engine/ops.h"
#include "engine/training/optim.h"
#include "engine/training/step_feed.h"
#include "tests/catch.h"
#include "tests/error_of.h"

namespace ek::captured_steps {

inline constexpr std::int64_t batch_size = 4, classes = 3;

inline ImageSet random_images() {
  const RandomStream random(3, Purpose::test);
  ImageSet images{.height = 8, .width = 8, .pixels = {}, .labels = {}, .coarse = {}};
  for (std::uint64_t i = 0; i < 11; ++i) images.labels.push_back(std::int64_t(i) % classes);
  for (std::uint64_t i = 0; i < 11 * 8 * 8 * 3; ++i) {
    images.pixels.push_back(std::uint8_t(random.below(i, 256)));
  }
  return images;
}

inline StreamSpec stream_of(const ImageSet& images) {
  StreamSpec spec;
  spec.images = &images;
  for (std::int64_t i = 0; i < images.count(); ++i) spec.subset.push_back(i);
  spec.sampler = shuffled_sampler(images.count(), 5);
  spec.batch_size = batch_size;
  spec.views[0] = {.height = 8, .width = 8, .zero_pad = 2, .flip = true};
  spec.views[0].mean = {0.5, 0.5, 0.5};
  spec.seed = 2;
  return spec;
}

inline Params start_params(Device device) {
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
      .to(device);
}

inline Tensor loss_of(const Params& p, const Batch& batch) {
  const ops::Conv2dOptions conv{.padding = {1, 1}};
  const ops::PreNorm first = ops::conv_stats(batch.images(), p["conv1"], conv, {});
  const ops::NormConv second =
      ops::norm_conv(first, p["gamma"], p["beta"], {}, {.relu = true}, p["conv2"], conv, {});
  const Tensor features = ops::global_avg_pool(ops::relu(second.out.y));
  const Tensor logits = ops::linear(features, p["linear"], p["bias"]);
  return ops::mean(ops::softmax_cross_entropy(logits, batch.labels));
}

inline double rate_of(std::int64_t step) {
  return 0.2 / double(3 + step);
}

struct Run {
  explicit Run(Device on) : device(on) {}
  Run(const Run&) = delete;  // spec points to images
  Run& operator=(const Run&) = delete;

  Device device;
  ImageSet images = random_images();
  StreamSpec spec = stream_of(images);
  ResidentImages resident = make_resident(images, device);
  Params params = start_params(device);
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

// The first step of a run, which is eager, and a graph of the steps after it.
class Captured {
 public:
  Captured(Device device, std::int64_t steps_per_graph)
      : run(device),
        steps_(steps_per_graph),
        feed_(device, {.steps = steps_per_graph, .counts = 0, .batches = {batch_size}}) {
    run.eager_step(0);
    run.check();
    graph_ = std::make_unique<Graph>(Graph::capture(device, [&] {
      for (std::int64_t k = 0; k < steps_; ++k) {
        const Batch batch =
            resident_batch(run.resident, run.spec, feed_.records(k, 0), feed_.positions(k, 0));
        losses_.push_back(run.step(batch, feed_.number(k)));
      }
    }));
  }

  // The next steps. `before_replay` runs when their numbers have been sent.
  void replay(const std::function<void()>& before_replay = {}) {
    for (std::int64_t k = 0; k < steps_; ++k) {
      const BatchDraw draw = draw_batch(run.spec, done_ + k);
      feed_.set_number(k, 0, rate_of(done_ + k));
      feed_.set_batch(k, 0, draw.records, draw.positions);
    }
    feed_.send();
    if (before_replay) before_replay();
    graph_->replay();
    done_ += steps_;
  }
  // Reads the losses of the last replay, and waits for them.
  void read_losses() {
    for (const Tensor& loss : losses_) run.losses.push_back(loss.item());
  }

  std::int64_t done() const { return done_; }  // steps
  const Graph& graph() const { return *graph_; }

  Run run;

 private:
  std::int64_t steps_, done_ = 1;
  StepFeed feed_;
  Tensors losses_;
  std::unique_ptr<Graph> graph_;
};

// Bit for bit, on whichever devices they lie.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device{}), y = b.to(Device{});
  return x.dtype() == y.dtype() && x.shape() == y.shape() &&
         std::memcmp(x.raw(), y.raw(), x.bytes()) == 0;
}

// What holds for every graph of these steps.
inline void check_contents(const Graph& graph, std::int64_t steps_per_graph) {
  const std::int64_t per_step = graph.counts().kernels / steps_per_graph;
  // Every step is the same, but that the first packs the weights and the optimiser does it later.
  constexpr std::int64_t most_packs = 4;  // two convolutions, forward and backward data
  CHECK(graph.counts().kernels - per_step * steps_per_graph <= most_packs);
  CHECK(per_step < 60);
  CHECK(std::ranges::count_if(graph.kernels(), [](const std::string& kernel) {
          return contains(kernel, "augment_packed");
        }) == steps_per_graph);
}

// A run of `steps` steps, eager, against graphs of so many each; the number of steps after the
// first, which is eager, must be a multiple of all. `poisoned` of them run with freed memory
// poisoned.
inline void compare_with_eager(Device device, std::int64_t steps,
                               const std::vector<std::int64_t>& steps_per_graph_each,
                               std::int64_t poisoned = 0) {
  Run expected(device);
  for (std::int64_t s = 0; s < steps; ++s) {
    expected.eager_step(s);
    expected.check();
  }
  REQUIRE(expected.losses.back() != expected.losses.front());
  for (const std::int64_t steps_per_graph : steps_per_graph_each) {
    CAPTURE(steps_per_graph);
    const bool before = poison_freed_memory(steps_per_graph == poisoned);
    Captured captured(device, steps_per_graph);
    check_contents(captured.graph(), steps_per_graph);
    while (captured.done() < steps) {
      captured.replay();
      captured.read_losses();
      captured.run.check();
    }
    poison_freed_memory(before);
    const Run& run = captured.run;
    CHECK(run.sgd.steps() == steps);
    REQUIRE(run.losses == expected.losses);
    REQUIRE(same_bits(run.params.flat(), expected.params.flat()));
    REQUIRE(same_bits(run.sgd.state()[1].second, expected.sgd.state()[1].second));
    // Eager code in between sees the weights of the moment, not packs of older ones.
    REQUIRE(run.checks.size() == std::size_t(1 + (steps - 1) / steps_per_graph));
    for (std::size_t i = 1; i < run.checks.size(); ++i) {
      REQUIRE(run.checks[i] == expected.checks[i * std::size_t(steps_per_graph)]);
    }
  }
}

}  // namespace ek::captured_steps
