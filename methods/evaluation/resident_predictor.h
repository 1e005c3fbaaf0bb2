#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "data/resident.h"
#include "engine/graph/graph.h"
#include "engine/training/step_feed.h"
#include "methods/evaluation/predict.h"

namespace ek {

// Predictions for an image set that lies in the memory of a device. Nothing but indices goes there:
// batches are made on the device, and given memory for graphs, whole chunks (PredictOptions) are
// replays of one, captured when first wanted, batch, forward pass and all; what is left over runs
// op by op. The bits are those of predict_with_features on that device in both ways.
class ResidentPredictor {
 public:
  // `resident` are the resident images of `images`, on options.device; `images` outlives this.
  // `model` does nothing but launches (docs/graphs.md). What it reads keeps its addresses.
  ResidentPredictor(FeatureFunction model, const ImageSet& images, ResidentImages resident,
                    const kernels::AugmentSpec& transform, const PredictOptions& options,
                    std::optional<GraphMemory> graphs);

  // Logits, labels and, where the model gives them, features of `records`, in that order. Error
  // where one of them is no record of the set, and those of ek::predict.
  PredictedFeatures predict(std::span<const std::int64_t> records);

 private:
  LogitsAndFeatures run(std::span<const std::int64_t> chunk);
  LogitsAndFeatures launch(const Tensor& records) const;

  FeatureFunction model_;
  const ImageSet& images_;
  ResidentImages resident_;
  StreamSpec spec_;  // how a chunk is made
  PredictOptions options_;
  std::optional<GraphMemory> graphs_;
  std::optional<StepFeed> feed_;
  LogitsAndFeatures outputs_;  // what a replay writes
  std::optional<Graph> graph_;
};

}  // namespace ek
