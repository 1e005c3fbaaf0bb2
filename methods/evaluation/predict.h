#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/images/dataset.h"
#include "engine/tensor/tensor.h"
#include "kernels/augment.h"
#include "methods/evaluation/metrics.h"

namespace ek {

// Images per call of the model where nothing else is said: on the CPU so few that they stay in its
// caches, elsewhere so many that they fill a GPU; 1000 are the whole meta set of CIFAR-100-LT, and
// divide its test images, so that no chunk is left over to run outside of graphs.
constexpr std::int64_t default_chunk(Device device) {
  return device == Device{} ? 256 : 1000;
}

struct PredictOptions {
  std::int64_t chunk = default_chunk({});  // images per call of the model
  DType dtype = DType::float32;            // of the images that the model is given
  Device device = {};                      // where they lie
  // Called after every chunk with the images done and all images.
  std::function<void(std::int64_t done, std::int64_t total)> progress = {};
};

// Images [B, height, width, 3] to logits [B, C].
using LogitsFunction = std::function<Tensor(const Tensor& images)>;

// Logits and labels of `records` of `images`, in that order, under the evaluation transform
// (data/pipelines.h, eval_spec). Nothing is recorded on tapes. Error naming
// the record when a logit is NaN: that is a fault of the run and no wrong prediction.
Predictions predict(const LogitsFunction& logits, const ImageSet& images,
                    std::span<const std::int64_t> records, const kernels::AugmentSpec& transform,
                    const PredictOptions& options = {});

// The same with what the classifier saw, features [B, F].
struct LogitsAndFeatures {
  Tensor logits, features;
};
using FeatureFunction = std::function<LogitsAndFeatures(const Tensor& images)>;
struct PredictedFeatures {
  Predictions predictions;
  std::int64_t feature_count = 0;
  std::vector<double> features;  // [rows, feature_count]
};
PredictedFeatures predict_with_features(const FeatureFunction& model, const ImageSet& images,
                                        std::span<const std::int64_t> records,
                                        const kernels::AugmentSpec& transform,
                                        const PredictOptions& options = {});

// The same where the logits and features of up to `chunk` records are made in some other way.
using ChunkFunction = std::function<LogitsAndFeatures(std::span<const std::int64_t> records)>;
PredictedFeatures predict_chunks(const ChunkFunction& model, const ImageSet& images,
                                 std::span<const std::int64_t> records,
                                 const PredictOptions& options);

}  // namespace ek
