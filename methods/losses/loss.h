#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/ops.h"
#include "methods/losses/loss_entry.h"
#include "methods/recipes/recipe.h"

namespace ek {

// How weighted per-sample losses become one number:
//   mean_batch      sum a_i l_i / B
//   mean_weighted   sum a_i l_i / sum a_i, the denominator a constant
//   sum_normalised  sum (a_i / sum a) l_i, the denominator differentiated
// Where sum a is 0, the last two divide by 1.
enum class Normalizer { mean_batch, mean_weighted, sum_normalised };
Normalizer parse_normalizer(std::string_view text);
const std::vector<std::string>& normalizer_names();

// Scalar loss of `losses` [B] under `weights` [B] (undefined: ones). Differentiable in both.
Tensor reduce_losses(const Tensor& losses, const Tensor& weights, Normalizer normalizer);

// A loss of a recipe, with the class weights that it carries: a function of named tensors made
// ready for a dtype, a device and the training counts.
class Loss {
 public:
  // `loss.*` of the recipe; counts: training images per class. Constants are of `dtype`, which is
  // the logits', and on `device`.
  static Loss from_recipe(const Recipe& recipe, const std::vector<std::int64_t>& class_counts,
                          DType dtype, Device device = {});
  // The same from the options alone, e.g. {"tau": 1.5, "normalizer": "mean_batch"}; what is left
  // out has its default, what is not known is an Error.
  static Loss make(std::string_view name, const nlohmann::json& options,
                   const std::vector<std::int64_t>& class_counts, DType dtype, Device device = {});
  static Loss cross_entropy();

  const LossEntry& entry() const { return *entry_; }
  // Its value: [B] or [], as entry().kind says.
  Tensor operator()(const LossInputs& inputs) const;
  // Error naming `who` unless it is a per-sample loss of logits and labels alone.
  void require_of_logits(std::string_view who) const;

  // Unweighted losses [B] of logits [B, C] and labels int64 [B].
  Tensor per_sample(const Tensor& logits, const Tensor& labels) const;
  // Constant class weights [C] of class-weighted losses; undefined where all are 1.
  const Tensor& class_weights() const { return class_weights_; }
  Normalizer normalizer() const { return normalizer_; }
  // The scalar that plain training minimises: class weights and normaliser applied.
  Tensor scalar(const Tensor& logits, const Tensor& labels) const;
  Tensor scalar(const LossInputs& inputs) const;

 private:
  Loss() = default;
  const LossEntry* entry_ = nullptr;
  LossFunction function_;
  Tensor class_weights_;
  Normalizer normalizer_ = Normalizer::mean_batch;
};

// LossEntry::absorbed_prior of a resolved recipe's loss. Error for a data.sampler that changes the
// prior which the model sees.
double absorbed_prior(const Recipe& recipe);

}  // namespace ek
