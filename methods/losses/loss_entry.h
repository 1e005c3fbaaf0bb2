#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tensor/tensor.h"
#include "methods/recipes/recipe.h"

namespace ek {

// The tensors that a loss is a function of, by name: "logits" [B, C], "labels" int64 [B], ...
class LossInputs {
 public:
  using Entry = std::pair<std::string_view, Tensor>;
  LossInputs(std::initializer_list<Entry> entries) : entries_(entries) {}
  explicit LossInputs(std::vector<Entry> entries) : entries_(std::move(entries)) {}
  // Error naming those that came.
  const Tensor& operator[](std::string_view name) const;

 private:
  std::vector<Entry> entries_;
};

enum class LossKind : std::uint8_t {
  per_sample,  // [B]; may be weighted, and gives bilevel methods their J v
  batch,       // []; of a batch as a whole
};
using LossFunction = std::function<Tensor(const LossInputs&)>;

struct LossArgument {
  enum class Kind : std::uint8_t { differentiable, constant, labels };
  std::string name, shape;  // the shape for people: "[B, C]"
  Kind kind = Kind::differentiable;
};
// {logits [B, C], labels [B]}: what most losses take.
std::vector<LossArgument> logits_and_labels();

// What a loss is made from: its options, all of them there and checked, and the training counts
// per class (0 for a class that takes no part). Constants are of the dtype and device of the
// logits.
struct LossSetup {
  const nlohmann::json& options;
  const std::vector<std::int64_t>& class_counts;
  DType dtype = DType::float32;
  Device device = {};

  double number(const char* option) const { return options[option].get<double>(); }
  std::string text(const char* option) const { return options[option].get<std::string>(); }
  Tensor constant(const std::vector<double>& values) const;  // [n]
};

// How much of the training prior the logits of a trained model carry: 1 where training has put
// log pi_s into them (cross-entropy and its weighted, focal and margin relatives), 0 where the loss
// has taken it out (balanced softmax and its relatives).
inline double prior_stays(const nlohmann::json&) {
  return 1;
}
inline double prior_removed(const nlohmann::json&) {
  return 0;
}

// A loss file ends with one of these; methods/losses/registry.cpp lists them.
struct LossEntry {
  std::string name, doc;
  LossKind kind = LossKind::per_sample;
  std::vector<LossArgument> arguments = logits_and_labels();
  std::vector<KeySpec> keys = {};  // "loss.*", beside loss.name and loss.normalizer
  bool needs_counts = true;        // whether it depends on the class counts
  double (*absorbed_prior)(const nlohmann::json& options) = prior_stays;
  LossFunction (*make)(const LossSetup& setup) = nullptr;
  // Constant weights per class [C], undefined where all are 1.
  Tensor (*class_weights)(const LossSetup& setup) = nullptr;
};

const std::vector<LossEntry>& loss_registry();
// Error with the nearest known name.
const LossEntry& find_loss(std::string_view name);

}  // namespace ek
