#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "models/outputs.h"
#include "models/parameters.h"
#include "models/weights.h"

namespace ek {

// Training mode normalises with the statistics of the batch, evaluation with the running ones.
enum class Mode : std::uint8_t { train, eval };

struct ModelOutput {
  Tensor logits;    // [batch, classes]
  Tensor features;  // [batch, feature_count()], what the classifier saw
  Params buffers;   // the new running statistics; those passed in, unchanged, in evaluation mode
};

// A network: structure without numbers. forward is a pure function of the weights; the running
// statistics after it are weights.buffers_after(), which whoever wants them unmoved does not take.
class Model {
 public:
  virtual ~Model() = default;

  const std::string& name() const { return name_; }
  std::int64_t num_classes() const { return num_classes_; }
  std::int64_t feature_count() const { return feature_count_; }

  // In PyTorch's order.
  const std::vector<ParameterSpec>& parameters() const { return parameters_; }
  const std::vector<ParameterSpec>& buffers() const { return buffers_; }

  // x [batch, height, width, 3]. Parameters and buffers are of its accumulation dtype: float32
  // beside bfloat16 images, and so are logits, features and new buffers. Error if a tensor is
  // missing or has another shape or dtype.
  virtual Outputs forward(Weights& weights, const Tensor& x) const = 0;
  // The same for a network with "logits" and "features" whose batch norms are all of one mode.
  ModelOutput forward(const Params& params, const Params& buffers, const Tensor& x,
                      Mode mode) const;

  Params init(std::uint64_t seed, DType dtype = DType::float32) const {
    return init_params(parameters_, seed, dtype);
  }
  Params initial_buffers(DType dtype = DType::float32) const {
    return init_params(buffers_, 0, dtype);
  }

 protected:
  Model(std::string name, std::int64_t num_classes, std::int64_t feature_count)
      : name_(std::move(name)), num_classes_(num_classes), feature_count_(feature_count) {
    require(num_classes >= 1, "model {}: num_classes must be at least 1, got {}", name_,
            num_classes);
  }

  std::vector<ParameterSpec> parameters_, buffers_;

 private:
  std::string name_;
  std::int64_t num_classes_, feature_count_;
};

}  // namespace ek
