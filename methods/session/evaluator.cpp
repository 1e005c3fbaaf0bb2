#include "methods/session/evaluator.h"

#include <utility>

namespace ek {

Evaluator::Evaluator(const Experiment& experiment, const State& state, ResidentImages train,
                     bool in_graphs, std::optional<std::int64_t> chunk)
    : experiment_(experiment),
      model_([&experiment, &state](const Tensor& x) {
        return LogitsAndFeatures{experiment.method->infer(state, x).logits(), {}};
      }),
      options_(experiment.predict_options()) {
  if (chunk) options_.chunk = *chunk;
  options_.progress = [this](std::int64_t done, std::int64_t total) {
    if (watcher_) watcher_(done, total);
  };
  if (in_graphs) graphs_.emplace(experiment.device);
  if (experiment.device != Device{}) place(train_, experiment.source.train, std::move(train));
}

Predictions Evaluator::on_train(std::span<const std::int64_t> records) {
  return predict(experiment_.source.train, train_, records);
}

Predictions Evaluator::on_test(std::span<const std::int64_t> records) {
  const ImageSet& images = experiment_.source.test;
  if (experiment_.device != Device{} && !test_) {
    place(test_, images, make_resident(images, experiment_.device));
  }
  return predict(images, test_, records);
}

std::vector<double> Evaluator::meta_accuracy() {
  return experiment_.class_accuracy(on_train(experiment_.split.meta_index));
}

void Evaluator::place(std::optional<ResidentPredictor>& on_device, const ImageSet& set,
                      ResidentImages resident) const {
  on_device.emplace(model_, set, std::move(resident), experiment_.eval_transform, options_,
                    graphs_);
}

Predictions Evaluator::predict(const ImageSet& set, std::optional<ResidentPredictor>& on_device,
                               std::span<const std::int64_t> records) {
  if (on_device) return on_device->predict(records).predictions;
  return predict_with_features(model_, set, records, experiment_.eval_transform, options_)
      .predictions;
}

}  // namespace ek
