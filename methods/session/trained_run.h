#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/manifest.h"
#include "engine/io/safetensors.h"
#include "methods/inputs.h"
#include "methods/method.h"

namespace ek {

// A checkpoint with its recipe and manifest: what a run has become, without its data.
class TrainedRun final : public InputRun {
 public:
  // `file`: a run folder, which stands for its best.safetensors, or a checkpoint. `name` is what
  // messages and methods call it. Its numbers are of the master dtype of `precision`, or of the
  // precision that the run had. Error where the file does not say what run it is of.
  TrainedRun(std::string name, const std::string& file, std::optional<Precision> precision,
             Device device);

  const std::string& name() const override { return name_; }
  const std::string& source() const override { return file_; }
  const State& state() const override { return state_; }
  Outputs infer(const Tensor& images) const override { return method_->infer(state_, images); }

  const Recipe& recipe() const { return recipe_; }
  const Manifest& manifest() const { return manifest_; }
  const Model& model() const { return *model_; }
  Precision precision() const { return precision_; }
  // Of the checkpoint's bytes: what a run that starts from this one records.
  const std::string& hash() const { return hash_; }

 private:
  std::string name_, file_, hash_;
  Precision precision_;
  Recipe recipe_;
  Manifest manifest_;
  Inputs inputs_;  // none: inference needs no other run
  // The split's numbers alone: inference draws no training images.
  Split split_;
  std::unique_ptr<const Model> model_;
  std::unique_ptr<const Method> method_;
  State state_;
};

// The checkpoint that a name on the command line stands for.
std::string checkpoint_path(const std::string& given);

// Where a run's inputs come from: name, and run folder or checkpoint.
using InputPaths = std::vector<std::pair<std::string, std::string>>;
// "NAME=RUN" as --input takes it.
InputPaths parse_inputs(const std::vector<std::string>& texts);
// The runs themselves, in the precision and on the device of the run that starts from them.
Inputs load_inputs(const InputPaths& paths, Precision precision, Device device);
// {NAME: {"run", "hash", "recipe", "split"}} for config.json.
nlohmann::json inputs_json(const Inputs& inputs);

}  // namespace ek
