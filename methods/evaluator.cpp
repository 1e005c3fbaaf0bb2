#include "methods/evaluator.h"

#include <utility>

#include "engine/profiler.h"
#include "engine/tape.h"

namespace ek {

Evaluator::Evaluator(const Task& task, const TrainState& state, ResidentImages train,
                     bool in_graphs, std::int64_t chunk)
    : task_(task), state_(state), in_graphs_(in_graphs), options_(task.predict_options()) {
  options_.chunk = chunk;
  train_.resident = std::move(train);
  spec_.augment = task.eval_transform;
  spec_.dtype = options_.dtype;
}

Predictions Evaluator::on_train(std::span<const std::int64_t> records) {
  return predict(task_.source.train, train_, records);
}

Predictions Evaluator::on_test(std::span<const std::int64_t> records) {
  const bool resident = task_.device == Device{} || test_.resident.pixels.defined();
  if (!resident) test_.resident = make_resident(task_.source.test, task_.device);
  return predict(task_.source.test, test_, records);
}

std::vector<double> Evaluator::meta_accuracy() {
  return task_.class_accuracy(on_train(task_.split.meta_index));
}

Predictions Evaluator::predict(const ImageSet& set, Images& images,
                               std::span<const std::int64_t> records) {
  if (task_.device == Device{}) {
    const auto logits = [&](const Tensor& x) { return task_.method->inference_logits(state_, x); };
    return ek::predict(logits, set, records, task_.eval_transform, options_);
  }
  for (const std::int64_t record : records) {
    require(record >= 0 && record < set.count(), "evaluation: expected records below {}, got {}",
            set.count(), record);
  }
  return predict_chunks(
      [&](std::span<const std::int64_t> chunk) { return chunk_logits(images, chunk); }, set,
      records, options_);
}

// The transform of an evaluation draws nothing: any positions will do.
Tensor Evaluator::logits_of(const Images& images, const Tensor& records) {
  const Batch batch = resident_batch(images.resident, spec_, records, records);
  return task_.method->inference_logits(state_, batch.images);
}

Tensor Evaluator::chunk_logits(Images& images, std::span<const std::int64_t> records) {
  const std::int64_t count = std::ssize(records);
  if (!in_graphs_ || count != options_.chunk) {
    const std::vector<std::int64_t> index(records.begin(), records.end());
    return logits_of(images, Tensor::from(index, {count}).to(task_.device));
  }
  if (!images.graph) {
    images.feed.emplace(task_.device,
                        StepFeed::Layout{.counts = 0, .numbers = 0, .batches = {count}});
    images.graph = Graph::capture(
        task_.device, [&] { images.logits = logits_of(images, images.feed->records(0, 0)); });
  }
  images.feed->set_batch(0, 0, records, records);
  images.feed->send();
  images.graph->replay();
  return images.logits;
}

}  // namespace ek
