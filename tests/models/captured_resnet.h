#pragma once
// Training steps of a ResNet with running statistics, and evaluation, captured and replayed,
// against the same steps one by one. Shared by the tests of the simt device and of GPUs.
#include <cstring>
#include <optional>
#include <string>

#include "engine/autodiff/functional.h"
#include "engine/graph/graph.h"
#include "engine/ops.h"
#include "engine/tensor/precision.h"
#include "engine/tensor/random.h"
#include "engine/training/optim.h"
#include "engine/training/step_feed.h"
#include "models/registry.h"
#include "tests/catch.h"

namespace ek::captured_resnet {

struct Setting {
  Device device;
  std::string model = "resnet8";
  Precision precision = Precision::float32;
  std::int64_t batch = 2, size = 8, classes = 3;
  std::int64_t steps_per_graph = 2, replays = 2;
};

struct Network {
  explicit Network(const Setting& s)
      : model(make_model(s.model, s.classes, "linear", 1, float_products(s.precision))),
        params(model->init(1, master_dtype(s.precision)).to(s.device)),
        buffers(model->initial_buffers(master_dtype(s.precision)).to(s.device)) {}

  std::unique_ptr<const Model> model;
  Params params, buffers;
  Sgd sgd{{.momentum = 0.9}};
  std::vector<kernels::OptimSegment> segments = optimizer_segments(params, 1e-3, {});

  Tensor step(const Tensor& images, const Tensor& labels, const Number& lr) {
    const auto [loss, gradient, updated] = value_and_grad(
        [&](const Params& p) {
          ModelOutput out = model->forward(p, buffers, images, Mode::train);
          return std::pair(ops::mean(ops::softmax_cross_entropy(out.logits, labels)), out.buffers);
        },
        params);
    sgd.step(params, gradient.flattened(MemoryUse::gradients), lr, segments);
    assign(buffers, updated);
    return loss;
  }
  Tensor evaluate(const Tensor& images) const {
    return model->forward(params, buffers, images, Mode::eval).logits;
  }
};

inline Tensor random_images(const Setting& s) {
  const RandomStream random(4, Purpose::test);
  const Shape shape{s.batch, s.size, s.size, 3};
  std::vector<double> values(std::size_t(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = random.normal(i);
  return Tensor::from(values, shape).to(activation_dtype(s.precision)).to(s.device);
}

inline Tensor some_labels(const Setting& s) {
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < s.batch; ++i) labels.push_back((i * 7 + 2) % s.classes);
  return Tensor::from(labels, {s.batch}).to(s.device);
}

// Bit for bit, on whichever devices they lie.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device{}), y = b.to(Device{});
  return x.dtype() == y.dtype() && x.shape() == y.shape() &&
         std::memcmp(x.raw(), y.raw(), x.bytes()) == 0;
}

inline void compare_with_eager(const Setting& s) {
  const std::int64_t total = 1 + s.steps_per_graph * s.replays;
  CAPTURE(s.device.str(), s.model, name_of(s.precision), s.steps_per_graph);
  const Tensor images = random_images(s), labels = some_labels(s);
  const auto rate = [](std::int64_t step) { return 0.1 / double(1 + step); };

  Network eager(s), captured(s);
  std::vector<double> losses;
  for (std::int64_t step = 0; step < total; ++step) {
    losses.push_back(eager.step(images, labels, rate(step)).item());
  }

  captured.step(images, labels, rate(0));
  StepFeed feed(s.device, {.steps = s.steps_per_graph, .counts = 0});
  Tensors of_steps;
  Tensor logits;
  Graph steps = Graph::capture(s.device, [&] {
    for (std::int64_t k = 0; k < s.steps_per_graph; ++k) {
      of_steps.push_back(captured.step(images, labels, feed.number(k)));
    }
  });
  Graph evaluation = Graph::capture(s.device, [&] { logits = captured.evaluate(images); });
  for (std::int64_t first = 1; first < total; first += s.steps_per_graph) {
    for (std::int64_t k = 0; k < s.steps_per_graph; ++k) feed.set_number(k, 0, rate(first + k));
    feed.send();
    steps.replay();
    evaluation.replay();
    for (std::int64_t k = 0; k < s.steps_per_graph; ++k) {
      REQUIRE(of_steps[std::size_t(k)].item() == losses[std::size_t(first + k)]);
    }
  }
  CHECK(losses.back() < losses.front());
  REQUIRE(same_bits(captured.params.flat(), eager.params.flat()));
  REQUIRE(same_bits(captured.buffers.flat(), eager.buffers.flat()));
  REQUIRE(same_bits(logits, eager.evaluate(images)));
  REQUIRE(same_bits(captured.evaluate(images), logits));
}

}  // namespace ek::captured_resnet
