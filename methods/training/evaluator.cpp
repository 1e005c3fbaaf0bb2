#include "methods/training/evaluator.h"

#include <utility>

namespace ek {

Evaluator::Evaluator(const Task& task, const TrainState& state, ResidentImages train,
                     bool in_graphs, std::optional<std::int64_t> chunk)
    : task_(task),
      model_([&task, &state](const Tensor& x) {
        return LogitsAndFeatures{task.method->inference_logits(state, x), {}};
      }),
      options_(task.predict_options()) {
  if (chunk) options_.chunk = *chunk;
  if (in_graphs) graphs_.emplace(task.device);
  if (task.device != Device{}) place(train_, task.source.train, std::move(train));
}

Predictions Evaluator::on_train(std::span<const std::int64_t> records) {
  return predict(task_.source.train, train_, records);
}

Predictions Evaluator::on_test(std::span<const std::int64_t> records) {
  const ImageSet& images = task_.source.test;
  if (task_.device != Device{} && !test_) {
    place(test_, images, make_resident(images, task_.device));
  }
  return predict(images, test_, records);
}

std::vector<double> Evaluator::meta_accuracy() {
  return task_.class_accuracy(on_train(task_.split.meta_index));
}

void Evaluator::place(std::optional<ResidentPredictor>& on_device, const ImageSet& set,
                      ResidentImages resident) const {
  on_device.emplace(model_, set, std::move(resident), task_.eval_transform, options_, graphs_);
}

Predictions Evaluator::predict(const ImageSet& set, std::optional<ResidentPredictor>& on_device,
                               std::span<const std::int64_t> records) {
  if (on_device) return on_device->predict(records).predictions;
  return predict_with_features(model_, set, records, task_.eval_transform, options_).predictions;
}

}  // namespace ek
