#include "methods/evaluation/predict.h"

#include <algorithm>
#include <cmath>

#include "data/loader.h"
#include "engine/autodiff/tape.h"
#include "engine/profile/profiler.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

// Appends the rows of `part` [B, width] to `all`; the first part decides the width.
void append(const Tensor& part, std::int64_t rows, const char* what, std::int64_t& width,
            std::vector<double>& all) {
  require(part.defined() && part.rank() == 2 && part.size(0) == rows &&
              (width == 0 || part.size(1) == width),
          "predict: expected {} of shape [{}, {}], got {}", what, rows,
          width == 0 ? std::string("n") : std::to_string(width),
          part.defined() ? part.shape().str() : "nothing");
  width = part.size(1);
  const std::vector<double> values = part.to_vector();
  all.insert(all.end(), values.begin(), values.end());
}

void check_row(std::span<const double> logits, std::int64_t record) {
  const auto bad = std::ranges::find_if(logits, [](double z) { return std::isnan(z); });
  require(bad == logits.end(), "predict: record {}: the logit of class {} is NaN", record,
          bad - logits.begin());
}

}  // namespace

PredictedFeatures predict_chunks(const ChunkFunction& model, const ImageSet& images,
                                 std::span<const std::int64_t> records,
                                 const PredictOptions& options) {
  require(options.chunk >= 1, "predict: expected at least 1 image per chunk, got {}",
          options.chunk);
  NoRecording no_recording;
  const PhaseScope phase(Phase::evaluation);
  PredictedFeatures out;
  Predictions& predictions = out.predictions;
  const auto total = std::int64_t(records.size());
  for (std::int64_t begin = 0; begin < total; begin += options.chunk) {
    const std::int64_t rows = std::min(options.chunk, total - begin);
    const auto chunk = records.subspan(std::size_t(begin), std::size_t(rows));
    const LogitsAndFeatures result = model(chunk);
    append(result.logits, rows, "logits", predictions.num_classes, predictions.logits);
    if (result.features) append(result.features, rows, "features", out.feature_count, out.features);
    for (const std::int64_t record : chunk) {
      predictions.labels.push_back(images.labels[std::size_t(record)]);
    }
    const auto classes = std::size_t(predictions.num_classes);
    for (std::int64_t i = 0; i < rows; ++i) {
      check_row({predictions.logits.data() + std::size_t(begin + i) * classes, classes},
                chunk[std::size_t(i)]);
    }
    if (options.progress) options.progress(begin + rows, total);
  }
  return out;
}

PredictedFeatures predict_with_features(const FeatureFunction& model, const ImageSet& images,
                                        std::span<const std::int64_t> records,
                                        const kernels::AugmentSpec& transform,
                                        const PredictOptions& options) {
  const auto chunk_model = [&](std::span<const std::int64_t> chunk) {
    return model(whole(images, chunk, transform, options.dtype, options.device).images());
  };
  return predict_chunks(chunk_model, images, records, options);
}

Predictions predict(const LogitsFunction& logits, const ImageSet& images,
                    std::span<const std::int64_t> records, const kernels::AugmentSpec& transform,
                    const PredictOptions& options) {
  const auto model = [&](const Tensor& x) { return LogitsAndFeatures{logits(x), {}}; };
  return predict_with_features(model, images, records, transform, options).predictions;
}

}  // namespace ek
