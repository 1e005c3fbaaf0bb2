// How many kernels, copies and fills a training step puts on a device's queue. Counted on the simt
// device, with ResNet-32 on tiny images: the number hardly depends on their size, nor on the batch.
#include "engine/graph/launch_trace.h"

#include <cstdlib>
#include <iostream>

#include "engine/tensor/random.h"
#include "engine/training/optim.h"
#include "methods/losses/loss.h"
#include "methods/meta/bilevel.h"
#include "models/difficulty_net.h"
#include "models/registry.h"
#include "tests/catch.h"

using namespace ek;

namespace {

constexpr Device simt{Device::Kind::simt, 0};
constexpr std::int64_t classes = 10, batch = 2, extent = 4;

Tensor images(std::uint32_t view) {
  const RandomStream stream(1, Purpose::test, 0, view);
  std::vector<double> values(std::size_t(batch * extent * extent * 3));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = stream.uniform(i) - 0.5;
  return Tensor::from(values, {batch, extent, extent, 3}).to(DType::float32);
}

// Plain and Difficulty-Net steps as the methods make them, on a device.
struct Steps {
  explicit Steps(Device device_, DType images_dtype)
      : device(device_),
        model(make_model("resnet32", classes)),
        params(model->init(1).to(device)),
        buffers(model->initial_buffers().to(device)),
        x(images(0).to(images_dtype).to(device)),
        meta_x(images(1).to(images_dtype).to(device)),
        labels(Tensor::from(std::vector<std::int64_t>{3, 7}, {batch}).to(device)),
        theta(net.init(1).to(device)),
        accuracy(Tensor::full({classes}, 0.5, DType::float32, device)),
        segments(optimizer_segments(params, 1e-4, {})),
        net_segments(optimizer_segments(theta, 0, {})) {}

  void plain() {
    auto f = [&](const Params& p) {
      ModelOutput out = model->forward(p, buffers, x, Mode::train);
      return std::pair(loss.scalar(out.logits, labels), out.buffers);
    };
    auto lin = linearize(f, params);
    const Params new_buffers = lin.aux();
    apply(std::move(lin).vjp(one));
    buffers = new_buffers;
  }

  void difficulty() {
    const BilevelProblem problem{
        [&](const Params& p) {
          ModelOutput out = model->forward(p, buffers, x, Mode::train);
          return std::pair(loss.per_sample(out.logits, labels), out.buffers);
        },
        [&](const Params& p) {
          const Tensor logits = model->forward(p, buffers, meta_x, Mode::train).logits;
          return ops::mean(loss.per_sample(logits, labels));
        },
        class_weighted_mean(labels),
        {.lr = 0.1}};
    auto train = linearize(problem.train_losses, params);
    const DifficultyPass before = net.pass(theta, accuracy);
    const Params seen = as_class_weights(before.class_weights);
    const MetaGradient meta = meta_gradient(Estimator::forward, problem, train, params, seen,
                                            problem.inner.cotangent(train.value(), seen));
    adam.step(theta,
              net.gradient(theta, accuracy, before, meta.outer["class_weights"],
                           DriverTarget::one_minus_share, 0.3),
              1e-3, net_segments);
    const Tensor weights = net.pass(theta, accuracy).class_weights;
    const Tensor cotangent = problem.inner.cotangent(train.value(), as_class_weights(weights));
    const Params new_buffers = train.aux();
    apply(std::move(train).vjp(cotangent));
    buffers = new_buffers;
  }

  // One chunk of the accuracy pass; a meta set of 1000 images is one.
  Tensor accuracy_pass() const { return model->forward(params, buffers, x, Mode::eval).logits; }

  void apply(const Params& gradient) { sgd.step(params, flat_gradient(gradient), 0.1, segments); }

  Device device;
  std::unique_ptr<const Model> model;
  Params params, buffers;
  Tensor x, meta_x, labels;
  Loss loss = Loss::cross_entropy();
  DifficultyNet net{classes};
  Params theta;
  Tensor accuracy, one = Tensor::full({}, 1, DType::float32, device);
  Sgd sgd{{.momentum = 0.9}};
  Adam adam{{}};
  std::vector<kernels::OptimSegment> segments, net_segments;
};

// Launches of a step after the first, which makes what later ones keep. EK_SHOW_LAUNCHES=1 in the
// environment prints them by kernel.
template <class Step>
std::int64_t launches(const Step& step) {
  step();
  const LaunchTrace trace;
  step();
  if (std::getenv("EK_SHOW_LAUNCHES")) std::cout << trace.table() << "\n";
  return trace.count();
}

}  // namespace

TEST_CASE("a step of ResNet-32 is few launches", "[launches]") {
  if (!is_available(simt)) return;
  for (DType dtype : {DType::float32, DType::bfloat16}) {
    INFO(name_of(dtype));
    Steps steps(simt, dtype);
    CHECK(launches([&] { steps.plain(); }) == 85);
    // Made of the same ops in either type; one of them is enough, as it takes seconds.
    if (dtype == DType::bfloat16) {
      CHECK(launches([&] { steps.difficulty(); }) == 261);
      CHECK(launches([&] { steps.accuracy_pass(); }) == 35);
    }
  }
}
