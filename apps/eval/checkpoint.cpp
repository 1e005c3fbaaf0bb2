#include "apps/eval/checkpoint.h"

#include <charconv>
#include <filesystem>

#include "data/pipelines.h"
#include "kernels/base/error.h"
#include "methods/evaluation/resident_predictor.h"
#include "models/registry.h"

namespace ek {
namespace {

std::string checkpoint_path(const std::string& given) {
  const std::filesystem::path path = given;
  return std::filesystem::is_directory(path) ? (path / "best.safetensors").string() : given;
}

Manifest manifest_of(const std::string& text, const std::string& file) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  require(json.is_object(), "{}: metadata \"manifest\": expected a JSON object", file);
  return parse_manifest(json, file);
}

std::int64_t step_of(const std::string& text, const std::string& file) {
  std::int64_t step = -1;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), step);
  require(error == std::errc() && stop == text.data() + text.size() && step >= 0,
          "{}: metadata \"step\": expected a number, got {} characters of something else", file,
          text.size());
  return step;
}

// The precision that the run evaluated in, so that its figures come out the same.
Precision precision_of(const SafetensorsFile& file, const std::string& name) {
  if (const auto found = file.metadata.find("precision"); found != file.metadata.end()) {
    return parse_precision(found->second, name + ": precision");
  }
  const bool wide = !file.tensors.empty() && file.tensors[0].second.dtype() == DType::float64;
  return wide ? Precision::float64 : Precision::float32;
}

}  // namespace

EvalCheckpoint::EvalCheckpoint(const std::string& file, const ForeignModel& foreign, Device device)
    : file_(checkpoint_path(file)), device_(device) {
  const SafetensorsFile tensors = read_safetensors(file_);
  const auto text = [&](const char* key) -> const std::string* {
    const auto found = tensors.metadata.find(key);
    return found == tensors.metadata.end() ? nullptr : &found->second;
  };
  if (const std::string* recipe = text("recipe")) recipe_ = Recipe::resolve(*recipe, file_);
  if (const std::string* manifest = text("manifest")) manifest_ = manifest_of(*manifest, file_);
  if (const std::string* step = text("step")) step_ = step_of(*step, file_);
  precision_ = precision_of(tensors, file_);
  if (precision_ == Precision::tf32 && device == Device{}) {
    precision_ = Precision::float32;
    instead_of_tf32_ = true;
  }
  if (recipe_) {
    std::int64_t classes = recipe_->integer("model.num_classes");
    if (classes == 0 && manifest_) classes = std::int64_t(manifest_->class_counts.size());
    require(classes >= 1, "{}: neither its recipe nor a manifest gives the number of classes",
            file_);
    model_ = make_model(recipe_->text("model.name"), classes, recipe_->text("model.classifier"),
                        recipe_->number("model.cosine_scale"), float_products(precision_));
  } else {
    model_ = infer_model(tensors, file_, foreign.name, foreign.num_classes);
    normalize_ = foreign.normalize;
  }
  require(!manifest_ || std::int64_t(manifest_->class_counts.size()) == model_->num_classes(),
          "{}: the model has {} classes, the manifest {}", file_, model_->num_classes(),
          manifest_ ? manifest_->class_counts.size() : 0);
  if (recipe_ && manifest_) {
    split_.spec = manifest_->spec;
    split_.class_counts = manifest_->class_counts;
    split_.meta_index.resize(std::size_t(manifest_->meta_total));
    method_ = find_method(recipe_->text("method.name"))
                  .make({*recipe_, *model_, split_, precision_,
                         recipe_->seed(), device_, inputs_});
  }
  state_ = State(parts(), 0, master_dtype(precision_), device_, inputs_);
  load_model(state_, tensors, *model_, file_);
  if (method_) load_checkpoint(state_, tensors, Scope::inference, file_);
}

// What inference needs, as it is in the file.
std::vector<PartDecl> EvalCheckpoint::parts() const {
  if (!method_) {
    return {{.name = "model", .params = model_->parameters(), .buffers = model_->buffers()}};
  }
  std::vector<PartDecl> needed;
  for (PartDecl& part : method_->needs().parts) {
    if (!part.at_inference) continue;
    part.start = FromSeed{};
    part.motion = Fixed{};
    needed.push_back(std::move(part));
  }
  return needed;
}

std::string EvalCheckpoint::title() const {
  if (!recipe_) return fmt::format("{} ({}, no recipe)", file_, model_->name());
  return fmt::format("{} ({}, {}, {}{}{})", file_, model_->name(), recipe_->text("method.name"),
                     recipe_->text("loss.name"), step_ ? fmt::format(", step {}", *step_) : "",
                     instead_of_tf32_ ? ", in float32 instead of tf32" : "");
}

std::vector<std::int64_t> EvalCheckpoint::class_counts() const {
  return manifest_ ? manifest_->class_counts : std::vector<std::int64_t>{};
}

Split EvalCheckpoint::split_of(const DataSource& source) const {
  require(recipe_ && manifest_,
          "{}: has no recipe and manifest, so its training split is not known (--split test is "
          "what can be evaluated)",
          file_);
  Split split = make_split(source.train, source.num_classes(), recipe_->split());
  const std::string hash = fmt::format("{:016x}", split.hash);
  require(hash == manifest_->hash,
          "{}: was trained on split {}, but its recipe cuts split {} out of {}", file_,
          manifest_->hash, hash, source.name);
  return split;
}

FeatureFunction EvalCheckpoint::function(bool with_features) const {
  return [this, with_features](const Tensor& x) {
    const Outputs out = method_ ? method_->infer(state_, x) : predict_model(*model_, state_, x);
    return LogitsAndFeatures{out.logits(), with_features ? out["features"] : Tensor()};
  };
}

PredictedFeatures EvalCheckpoint::run(const DataSource& source, const ImageSet& images,
                                      std::span<const std::int64_t> records, bool with_features,
                                      const PredictOptions& options) const {
  require(source.num_classes() == model_->num_classes(),
          "{}: the model has {} classes, the data {} has {}", file_, model_->num_classes(),
          source.name, source.num_classes());
  const auto transform =
      recipe_ ? eval_spec(recipe_->text("data.augment"), recipe_->text("data.normalize"),
                          images.height, images.width)
              : eval_spec("eval", normalize_, images.height, images.width);
  PredictOptions typed = options;
  typed.dtype = activation_dtype(precision_);
  typed.device = device_;
  const FeatureFunction model = function(with_features);
  if (device_ == Device{}) {
    return predict_with_features(model, images, records, transform, typed);
  }
  return ResidentPredictor(model, images, make_resident(images, device_), transform, typed, device_)
      .predict(records);
}

}  // namespace ek
