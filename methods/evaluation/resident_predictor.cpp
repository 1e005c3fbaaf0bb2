#include "methods/evaluation/resident_predictor.h"

#include <utility>
#include <vector>

#include "kernels/base/error.h"

namespace ek {

ResidentPredictor::ResidentPredictor(FeatureFunction model, const ImageSet& images,
                                     ResidentImages resident, const kernels::AugmentSpec& transform,
                                     const PredictOptions& options,
                                     std::optional<GraphMemory> graphs)
    : model_(std::move(model)),
      images_(images),
      resident_(std::move(resident)),
      options_(options),
      graphs_(std::move(graphs)) {
  spec_.views = {transform};
  spec_.dtype = options.dtype;
}

PredictedFeatures ResidentPredictor::predict(std::span<const std::int64_t> records) {
  for (const std::int64_t record : records) {
    require(record >= 0 && record < images_.count(),
            "evaluation: expected records below {}, got {}", images_.count(), record);
  }
  return predict_chunks([&](std::span<const std::int64_t> chunk) { return run(chunk); }, images_,
                        records, options_);
}

// The transform of an evaluation draws nothing: any positions will do.
LogitsAndFeatures ResidentPredictor::launch(const Tensor& records) const {
  return model_(resident_batch(resident_, spec_, records, records).images());
}

LogitsAndFeatures ResidentPredictor::run(std::span<const std::int64_t> chunk) {
  const std::int64_t count = std::ssize(chunk);
  if (!graphs_ || count != options_.chunk) {
    return launch(Tensor::from(chunk, {count}).to(options_.device));
  }
  if (!graph_) {
    feed_.emplace(options_.device, StepFeed::Layout{.counts = 0, .numbers = 0, .batches = {count}});
    graph_ = Graph::capture(*graphs_, [&] { outputs_ = launch(feed_->records(0, 0)); });
  }
  feed_->set_batch(0, 0, chunk, chunk);
  feed_->send();
  graph_->replay();
  return outputs_;
}

}  // namespace ek
