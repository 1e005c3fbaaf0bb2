#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "methods/evaluation/resident_predictor.h"
#include "methods/session/experiment.h"

namespace ek {

// Predictions with the state that an experiment trains, between its steps. On a device the images
// lie in its memory, and with `in_graphs` whole chunks are replays (ResidentPredictor), of a graph
// per image set, all in the same memory.
class Evaluator {
 public:
  // Both outlive it. On a device nobody replaces the tensors of `state`: they change in place.
  // `train` are the resident images of experiment.source.train; empty on the cpu. No `chunk`: that
  // of experiment.predict_options().
  Evaluator(const Experiment& experiment, const State& state, ResidentImages train, bool in_graphs,
            std::optional<std::int64_t> chunk = {});

  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  // From now on called after every chunk with the images done and all images of that call; what it
  // throws ends the evaluation and changes nothing. {}: nobody watches.
  void watch(std::function<void(std::int64_t done, std::int64_t total)> watcher) {
    watcher_ = std::move(watcher);
  }

  // Logits and labels of records of the training or the test images; ek::predict has the rest.
  Predictions on_train(std::span<const std::int64_t> records);
  Predictions on_test(std::span<const std::int64_t> records);
  // Fraction of right predictions per class over the meta set.
  std::vector<double> meta_accuracy();

 private:
  void place(std::optional<ResidentPredictor>& on_device, const ImageSet& set,
             ResidentImages resident) const;
  Predictions predict(const ImageSet& set, std::optional<ResidentPredictor>& on_device,
                      std::span<const std::int64_t> records);

  const Experiment& experiment_;
  FeatureFunction model_;
  std::optional<GraphMemory> graphs_;
  PredictOptions options_;
  std::function<void(std::int64_t, std::int64_t)> watcher_;
  std::optional<ResidentPredictor> train_, test_;  // a device's
};

}  // namespace ek
