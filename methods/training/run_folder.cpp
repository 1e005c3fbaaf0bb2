#include "methods/training/run_folder.h"

#include <algorithm>
#include <cstring>

#include "data/manifest.h"
#include "engine/io/text.h"
#include "methods/session/checkpoint.h"
#include "methods/training/finite.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t json_limit_bytes = 1ull << 30;

nlohmann::json read_json(const fs::path& file) {
  try {
    return nlohmann::json::parse(read_file(file, json_limit_bytes));
  } catch (const nlohmann::json::exception&) {
    fail("{}: not a JSON file", file.string());
  }
}

// "" where a configuration names no table.
std::string tuning_hash(const nlohmann::json& config) {
  const auto it = config.find("tuning");
  if (it == config.end() || it->is_null()) return "";
  require(it->is_object() && it->contains("hash") && (*it)["hash"].is_string(),
          "config.json: tuning: expected null or an object with a hash");
  return (*it)["hash"];
}

// The input runs by their weights; their folders may have moved.
void require_same_inputs(const nlohmann::json& stored, const nlohmann::json& now) {
  for (const auto& [name, run] : stored.items()) {
    require(now.contains(name), "--resume: the run began with --input {}={}", name,
            run.value("run", ""));
    require(now[name]["hash"] == run["hash"],
            "--resume: --input {}: its weights have the hash {}, those at the start {}", name,
            now[name]["hash"].get<std::string>(), run["hash"].get<std::string>());
  }
}

void require_same_recipe(const nlohmann::json& stored, const nlohmann::json& now) {
  const nlohmann::json difference = nlohmann::json::diff(stored, now);
  if (difference.empty()) return;
  const std::string at = difference[0]["path"];
  const nlohmann::json::json_pointer pointer(at);
  const auto text = [&](const nlohmann::json& json) {
    constexpr std::size_t longest = 80;
    const std::string dump = json.contains(pointer) ? json[pointer].dump() : "absent";
    return dump.size() <= longest ? dump : dump.substr(0, longest) + "...";
  };
  std::string key = at.substr(1);
  std::ranges::replace(key, '/', '.');
  fail(
      "--resume: recipe differs in {}: {} in the run, {} now (--resume --out RUN alone takes the "
      "run's own)",
      key, text(stored), text(now));
}

}  // namespace

RunFolder::RunFolder(RunClaim claim, const nlohmann::json& config, const nlohmann::json& manifest)
    : claim_(std::move(claim)),
      path_(claim_.path()),
      recipe_text_(config.at("recipe").dump()),
      manifest_text_(manifest.dump()),
      precision_(config.at("precision")),
      tuning_hash_(tuning_hash(config)) {}

RunFolder RunFolder::create(RunClaim claim, const nlohmann::json& config,
                            const nlohmann::json& manifest, const Tuning* tuning) {
  RunFolder run(std::move(claim), config, manifest);
  if (tuning) write_file_atomically(run.path_ / "tuning.json", tuning->text());
  write_file_atomically(run.path_ / "manifest.json", manifest.dump(2) + "\n");
  // The last of them: where it is, a run can be resumed.
  write_file_atomically(run.path_ / "config.json", config.dump(2) + "\n");
  run.metrics_ = std::make_unique<JsonLines>(run.path_ / "metrics.jsonl");
  return run;
}

RunFolder RunFolder::reopen(RunClaim claim, const nlohmann::json& config,
                            const nlohmann::json& manifest, bool other_data) {
  const nlohmann::json stored = stored_config(claim.path());
  require_same_inputs(stored.value("inputs", nlohmann::json::object()), config.at("inputs"));
  const Manifest before = read_manifest(claim.path() / "manifest.json"),
                 now = parse_manifest(manifest, "now");
  if (!other_data) {
    require_same_data(before.data, "the run", now.data, "--resume", "--allow-other-data");
    require(before.test_images < 0 || before.test_images == now.test_images,
            "--resume: other data than that of the run: {} test images there, {} here "
            "(--allow-other-data if it is meant)",
            before.test_images, now.test_images);
  }
  require_same_split(before, "the run", now, "--resume");
  RunFolder run(std::move(claim), config, manifest);
  if (other_data) write_file_atomically(run.path_ / "manifest.json", manifest.dump(2) + "\n");
  run.tuning_hash_ = tuning_hash(stored);
  return run;
}

nlohmann::json RunFolder::stored_config(const fs::path& path) {
  require(fs::is_directory(path), "--resume: {} is not a run folder", path.string());
  nlohmann::json stored = read_json(path / "config.json");
  const auto is_text = [&](const char* key) {
    return stored.contains(key) && stored[key].is_string();
  };
  require(stored.is_object() && stored.contains("recipe") && stored["recipe"].is_object() &&
              is_text("precision"),
          "{}: not the configuration of a run", (path / "config.json").string());
  return stored;
}

void RunFolder::take_up(TrainOptions& options, const Recipe& recipe) {
  const nlohmann::json stored = stored_config(options.out);
  require_same_recipe(stored["recipe"], recipe.json());
  const std::string precision = stored["precision"];
  require(precision == name_of(options.precision),
          "--resume: --precision differs: {} in the run, {} now", precision,
          name_of(options.precision));
  const std::string init = unescaped_bytes(stored.value("init", ""));
  const bool new_head = stored.value("new_head", false);
  require(options.init.empty() || options.init == init,
          "--resume: --init differs: {} in the run, {} now", init.empty() ? "none" : init,
          options.init);
  require(!options.new_head || new_head, "--resume: --init-head differs: the run began without");
  const bool has_checkpoint = fs::exists(fs::path(options.out) / "last.safetensors");
  options.init = has_checkpoint ? "" : init;
  options.new_head = !has_checkpoint && new_head;
}

std::optional<Tuning> RunFolder::stored_tuning(const fs::path& path) {
  const std::string hash = tuning_hash(stored_config(path));
  const fs::path file = path / "tuning.json";
  if (hash.empty()) {
    require(!fs::exists(file), "--resume: {} is there, but the run began without one",
            file.string());
    return std::nullopt;
  }
  Tuning tuning = read_tuning(file);
  require(tuning.hash() == hash, "--resume: {} has the hash {}, the run began with {}",
          file.string(), tuning.hash(), hash);
  return tuning;
}

SafetensorsMetadata RunFolder::metadata(std::int64_t step) const {
  SafetensorsMetadata about{{"format", "pt"},
                            {"recipe", recipe_text_},
                            {"manifest", manifest_text_},
                            {"precision", precision_},
                            {"step", std::to_string(step)}};
  if (!tuning_hash_.empty()) about["tuning"] = tuning_hash_;
  return about;
}

void RunFolder::save(const TrainingPoint& point) {
  const std::vector<NamedTensor> tensors = checkpoint_tensors(point.state, Scope::everything);
  require_finite(tensors, point.step);
  SafetensorsMetadata about = metadata(point.step);
  about["train.results"] = point.results.dump();
  // A checkpoint never speaks of metrics that a crash can take away.
  metrics_->sync();
  write_safetensors(path_ / "last.safetensors", tensors, about);
  claim_.keep();
}

bool RunFolder::load(TrainingPoint& point) const {
  const fs::path path = path_ / "last.safetensors";
  if (!fs::exists(path)) return false;
  const SafetensorsFile file = read_safetensors(path);
  const auto step = file.metadata.find("step");
  const auto results = file.metadata.find("train.results");
  require(step != file.metadata.end() && results != file.metadata.end(),
          "{}: not a training checkpoint, its metadata lacks the step", path.string());
  const auto tuning = file.metadata.find("tuning");
  const std::string hash = tuning == file.metadata.end() ? "" : tuning->second;
  require(hash == tuning_hash_, "{}: its kernel table has the hash {}, that of the run {}",
          path.string(), hash.empty() ? "none" : hash,
          tuning_hash_.empty() ? "none" : tuning_hash_);
  try {
    point.step = std::stoll(step->second);
    point.results = nlohmann::json::parse(results->second);
  } catch (const std::exception&) {
    fail("{}: its training metadata cannot be read", path.string());
  }
  require(point.step >= 0, "{}: step {}", path.string(), point.step);
  load_checkpoint(point.state, file, Scope::everything, path.string());
  return true;
}

void RunFolder::save_best(const State& state, std::int64_t step, const std::string& selected_by) {
  const std::vector<NamedTensor> tensors = checkpoint_tensors(state, Scope::inference);
  require_finite(tensors, step);
  SafetensorsMetadata about = metadata(step);
  about["selected_by"] = selected_by;
  write_safetensors(path_ / "best.safetensors", tensors, about);
  claim_.keep();
}

bool RunFolder::has_best() const {
  return fs::exists(path_ / "best.safetensors");
}

double RunFolder::cut_metrics(std::int64_t step) {
  const fs::path path = path_ / "metrics.jsonl";
  const std::string text = fs::exists(path) ? read_file(path, json_limit_bytes) : "";
  std::size_t keep = 0;
  double wall_s = 0;
  while (keep < text.size()) {
    const std::size_t end = text.find('\n', keep);
    if (end == std::string::npos) break;
    const auto line = nlohmann::json::parse(text.begin() + std::ptrdiff_t(keep),
                                            text.begin() + std::ptrdiff_t(end), nullptr, false);
    if (!line.is_object() || !line.contains("step") || !line["step"].is_number_integer()) break;
    if (line["step"].get<std::int64_t>() > step || !line.value("scheduled", true)) break;
    wall_s = line.value("wall_s", wall_s);
    keep = end + 1;
  }
  metrics_ = std::make_unique<JsonLines>(path, keep);
  return wall_s;
}

void RunFolder::log(const nlohmann::json& line) {
  metrics_->append(line.dump());
}

void RunFolder::write_summary(const nlohmann::json& summary) const {
  write_file_atomically(path_ / "summary.json", summary.dump(2) + "\n");
}

}  // namespace ek
