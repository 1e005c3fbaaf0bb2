#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/manifest.h"
#include "engine/tensor/precision.h"
#include "methods/evaluation/predict.h"
#include "methods/method.h"
#include "methods/recipes/recipe.h"
#include "methods/session/checkpoint.h"

namespace ek {

// What the command line says about a file that carries no recipe.
struct ForeignModel {
  std::string name;              // "": the one that the tensors fit
  std::int64_t num_classes = 0;  // 0: rows of the classifier
  std::string normalize;         // normalisation constants; "": cifar-a
};

// A checkpoint file with everything that is known about it.
class EvalCheckpoint {
 public:
  // `file` may be a run folder, which stands for its best.safetensors. Evaluated on `device` in the
  // precision of the run; but the CPU, which has no tf32, takes float32 instead, and title() says
  // so.
  EvalCheckpoint(const std::string& file, const ForeignModel& foreign, Device device = {});

  const std::string& file() const { return file_; }
  const std::optional<Recipe>& recipe() const { return recipe_; }
  const std::optional<Manifest>& manifest() const { return manifest_; }
  std::optional<std::int64_t> step() const { return step_; }  // nullopt: the file does not say
  // "FILE (MODEL, METHOD, LOSS, step N)"
  std::string title() const;
  const Model& model() const { return *model_; }
  Precision precision() const { return precision_; }  // of the evaluation
  std::vector<std::int64_t> class_counts() const;     // empty where they are not known

  // The split of the recipe over this data. Error unless its hash is the one of the checkpoint.
  Split split_of(const DataSource& source) const;

  // Logits by the method's rule, and features where asked for, of images of `source`. On a device
  // from images in its memory and in graphs (ResidentPredictor).
  PredictedFeatures run(const DataSource& source, const ImageSet& images,
                        std::span<const std::int64_t> records, bool with_features,
                        const PredictOptions& options) const;

 private:
  FeatureFunction function(bool with_features) const;
  std::vector<PartDecl> parts() const;

  std::string file_;
  std::optional<std::int64_t> step_;
  std::optional<Recipe> recipe_;
  std::optional<Manifest> manifest_;
  std::string normalize_;  // of a foreign model
  Device device_;
  Precision precision_ = Precision::float32;
  bool instead_of_tf32_ = false;
  std::unique_ptr<const Model> model_;
  Inputs inputs_;  // none: inference needs no other run
  // The split's numbers alone: inference draws no training images, and they need not be at hand.
  Split split_;
  std::unique_ptr<const Method> method_;  // null where the file says nothing of one
  State state_;
};

}  // namespace ek
