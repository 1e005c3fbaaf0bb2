#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "data/resident.h"
#include "engine/graph.h"
#include "engine/step_feed.h"
#include "methods/task.h"

namespace ek {

// Predictions with the state that a task trains, between its steps.
//
// On a device the images lie in its memory, and with `in_graphs` whole chunks (PredictOptions) are
// replays of a graph per image set, captured when first wanted: batch, forward pass and all; what
// is left over runs op by op. The logits have the same bits in both ways.
class Evaluator {
 public:
  // Both outlive it. On a device nobody replaces the tensors of `state`: they change in place.
  // `train` are the resident images of task.source.train; empty on the cpu.
  Evaluator(const Task& task, const TrainState& state, ResidentImages train, bool in_graphs,
            std::int64_t chunk = PredictOptions{}.chunk);

  // Logits and labels of records of the training or the test images; ek::predict has the rest.
  Predictions on_train(std::span<const std::int64_t> records);
  Predictions on_test(std::span<const std::int64_t> records);
  // Fraction of right predictions per class over the meta set.
  std::vector<double> meta_accuracy();

 private:
  struct Images {
    ResidentImages resident;
    std::optional<StepFeed> feed;
    std::optional<Graph> graph;
    Tensor logits;  // what a replay writes
  };
  Predictions predict(const ImageSet& set, Images& images, std::span<const std::int64_t> records);
  Tensor chunk_logits(Images& images, std::span<const std::int64_t> records);
  Tensor logits_of(const Images& images, const Tensor& records);

  const Task& task_;
  const TrainState& state_;
  bool in_graphs_;
  PredictOptions options_;
  StreamSpec spec_;  // how a chunk is made
  Images train_, test_;
};

}  // namespace ek
