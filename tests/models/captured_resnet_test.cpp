// ResNet-8 on the simt device: training steps with running statistics, and evaluation, captured and
// replayed, against the same steps one by one.
#include <cstring>

#include "engine/functional.h"
#include "engine/graph.h"
#include "engine/ops.h"
#include "engine/optim.h"
#include "engine/random.h"
#include "engine/step_feed.h"
#include "models/registry.h"
#include "tests/catch.h"

namespace ek {
namespace {

constexpr Device simt{Device::Kind::simt};
constexpr std::int64_t batch = 2, size = 8, classes = 3;

struct Network {
  std::unique_ptr<const Model> model = make_model("resnet8", classes);
  Params params = model->init(1).to(simt), buffers = model->initial_buffers().to(simt);
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

Tensor random_images(DType dtype) {
  const RandomStream random(4, Purpose::test);
  std::vector<double> values(std::size_t(batch * size * size * 3));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = random.normal(i);
  return Tensor::from(values, {batch, size, size, 3}).to(dtype).to(simt);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

}  // namespace

TEST_CASE("ResNet-8: captured training and evaluation have the bits of eager ones", "[graph]") {
  if (!is_available(simt)) {
    WARN("this build has no simt device");
    return;
  }
  const DType dtype = GENERATE(DType::float32, DType::bfloat16);
  const Tensor images = random_images(dtype);
  const Tensor labels = Tensor::from(std::vector<std::int64_t>{2, 0}, {batch}).to(simt);
  const auto rate = [](std::int64_t step) { return 0.1 / double(1 + step); };

  Network eager, captured;
  std::vector<double> losses;
  for (std::int64_t s = 0; s < 5; ++s) {
    losses.push_back(eager.step(images, labels, rate(s)).item());
  }

  captured.step(images, labels, rate(0));
  StepFeed feed(simt, {.steps = 2, .counts = 0});
  Tensors of_steps;
  Tensor logits;
  Graph steps = Graph::capture(simt, [&] {
    for (int k = 0; k < 2; ++k) of_steps.push_back(captured.step(images, labels, feed.number(k)));
  });
  Graph evaluation = Graph::capture(simt, [&] { logits = captured.evaluate(images); });
  for (std::int64_t first = 1; first < 5; first += 2) {
    for (std::int64_t k = 0; k < 2; ++k) feed.set_number(k, 0, rate(first + k));
    feed.send();
    steps.replay();
    evaluation.replay();
    CHECK(of_steps[0].item() == losses[std::size_t(first)]);
    CHECK(of_steps[1].item() == losses[std::size_t(first + 1)]);
  }
  CHECK(losses.back() < losses.front());
  REQUIRE(same_bits(captured.params.flat(), eager.params.flat()));
  REQUIRE(same_bits(captured.buffers.flat(), eager.buffers.flat()));
  REQUIRE(same_bits(logits, eager.evaluate(images)));
  REQUIRE(same_bits(captured.evaluate(images), logits));
}

}  // namespace ek
