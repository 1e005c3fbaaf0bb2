#include "methods/session/trained_run.h"

#include <filesystem>

#include "engine/io/atomic_file.h"
#include "engine/io/text.h"
#include "methods/session/checkpoint.h"
#include "methods/session/model_of.h"

namespace ek {
namespace {

constexpr std::uint64_t checkpoint_limit_bytes = 1ull << 34;

const std::string& metadata(const SafetensorsFile& file, const char* key, const std::string& path) {
  const auto found = file.metadata.find(key);
  require(found != file.metadata.end(), "{}: not a checkpoint of a run: its metadata lacks '{}'",
          path, key);
  return found->second;
}

Manifest manifest_of(const std::string& text, const std::string& file) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  require(json.is_object(), "{}: metadata \"manifest\": expected a JSON object", file);
  return parse_manifest(json, file);
}

// What inference needs, as it is in the file.
std::vector<PartDecl> parts_at_inference(const Method& method) {
  std::vector<PartDecl> needed;
  for (PartDecl& part : method.needs().parts) {
    if (!part.at_inference) continue;
    part.start = FromSeed{};
    part.motion = Fixed{};
    needed.push_back(std::move(part));
  }
  return needed;
}

}  // namespace

std::string checkpoint_path(const std::string& given) {
  const std::filesystem::path path = given;
  return std::filesystem::is_directory(path) ? (path / "best.safetensors").string() : given;
}

TrainedRun::TrainedRun(std::string name, const std::string& file,
                       std::optional<Precision> precision, Device device)
    : name_(std::move(name)), file_(checkpoint_path(file)) {
  require(std::filesystem::is_regular_file(file_), "{}: there is no checkpoint", file_);
  const SafetensorsFile tensors = read_safetensors(file_);
  hash_ = hash_of(read_file(file_, checkpoint_limit_bytes));
  recipe_ = Recipe::resolve(metadata(tensors, "recipe", file_), file_);
  manifest_ = manifest_of(metadata(tensors, "manifest", file_), file_);
  precision_ = precision
                   ? *precision
                   : parse_precision(metadata(tensors, "precision", file_), file_ + ": precision");
  const auto classes = std::int64_t(manifest_.class_counts.size());
  model_ = model_of(recipe_, classes, precision_);
  split_.spec = manifest_.spec;
  split_.class_counts = manifest_.class_counts;
  split_.meta_index.resize(std::size_t(manifest_.meta_total));
  method_ = find_method(recipe_.text("method.name"))
                .make({recipe_, *model_, split_, precision_, recipe_.seed(), device, inputs_});
  state_ = State(parts_at_inference(*method_), 0, master_dtype(precision_), device, inputs_);
  load_model(state_, tensors, *model_, file_);
  load_checkpoint(state_, tensors, Scope::inference, file_);
}

InputPaths parse_inputs(const std::vector<std::string>& texts) {
  InputPaths paths;
  for (const std::string& text : texts) {
    const auto equals = text.find('=');
    require(equals != std::string::npos && equals > 0 && equals + 1 < text.size(),
            "--input '{}': expected NAME=RUN", text);
    paths.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return paths;
}

Inputs load_inputs(const InputPaths& paths, Precision precision, Device device) {
  Inputs inputs;
  for (const auto& [name, path] : paths) {
    require(!inputs.contains(name), "--input {}: given twice", name);
    inputs.add(std::make_unique<const TrainedRun>(name, path, precision, device));
  }
  return inputs;
}

nlohmann::json inputs_json(const Inputs& inputs) {
  nlohmann::json all = nlohmann::json::object();
  for (const auto& run : inputs.runs()) {
    const auto& trained = dynamic_cast<const TrainedRun&>(*run);
    all[trained.name()] = {{"run", escaped_bytes(trained.source())},
                           {"hash", trained.hash()},
                           {"recipe", trained.recipe().name()},
                           {"split", trained.manifest().hash}};
  }
  return all;
}

}  // namespace ek
