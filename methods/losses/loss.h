#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/ops.h"
#include "methods/recipes/recipe.h"

namespace ek {

// How weighted per-sample losses become one number (spec methods-reweighting 1):
//   mean_batch      sum a_i l_i / B
//   mean_weighted   sum a_i l_i / sum a_i, the denominator a constant
//   sum_normalised  sum (a_i / sum a) l_i, the denominator differentiated
// Where sum a is 0, the last two divide by 1.
enum class Normalizer { mean_batch, mean_weighted, sum_normalised };
Normalizer parse_normalizer(std::string_view text);
const std::vector<std::string>& normalizer_names();

// Scalar loss of `losses` [B] under `weights` [B] (undefined: ones). Differentiable in both.
Tensor reduce_losses(const Tensor& losses, const Tensor& weights, Normalizer normalizer);

// What a loss is made of: the fused loss of engine/ops.h and class weights [C] (undefined: ones).
struct LossParts {
  ops::SoftmaxLossOptions options;
  Tensor class_weights;
};

// A loss by name. `make` gets the loss's options, all of them there and checked, and the training
// counts per class (0 for a class that takes no part).
struct LossEntry {
  std::string name, doc;
  std::vector<KeySpec> keys;  // "loss.*", beside loss.name and loss.normalizer
  LossParts (*make)(const nlohmann::json& options, const std::vector<std::int64_t>& class_counts,
                    DType dtype) = nullptr;
};

const std::vector<LossEntry>& loss_registry();
// Error with the nearest known name.
const LossEntry& find_loss(std::string_view name);

// A classification loss per sample, with the class weights that it carries.
class Loss {
 public:
  // `loss.*` of the recipe; counts: training images per class. Constants are of `dtype`, which is
  // the logits'.
  static Loss from_recipe(const Recipe& recipe, const std::vector<std::int64_t>& class_counts,
                          DType dtype);
  // The same from the options alone, e.g. {"tau": 1.5, "normalizer": "mean_batch"}; what is left
  // out has its default, what is not known is an Error.
  static Loss make(std::string_view name, const nlohmann::json& options,
                   const std::vector<std::int64_t>& class_counts, DType dtype);
  static Loss cross_entropy() { return Loss(); }

  // The same loss with its constants on another device: the logits'.
  Loss to(Device device) const;

  // Unweighted losses [B] of logits [B, C] and labels int64 [B].
  Tensor per_sample(const Tensor& logits, const Tensor& labels) const;
  // Constant class weights [C] of class-weighted losses; undefined where all are 1.
  const Tensor& class_weights() const { return parts_.class_weights; }
  Normalizer normalizer() const { return normalizer_; }
  // The scalar that plain training minimises: class weights and normaliser applied.
  Tensor scalar(const Tensor& logits, const Tensor& labels) const;

 private:
  LossParts parts_;
  Normalizer normalizer_ = Normalizer::mean_batch;
};

}  // namespace ek
