#include "methods/comparison/runs.h"

#include "engine/io/atomic_file.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

using nlohmann::json;
constexpr std::uint64_t json_limit_bytes = 256 << 20;

json read_json(const std::filesystem::path& file) {
  json root = json::parse(read_file(file, json_limit_bytes), nullptr, /*allow_exceptions=*/false);
  require(root.is_object(), "{}: expected a JSON object", file.string());
  return root;
}

// The list under `key` of `object`, one value per class; empty where there is none.
template <class T>
std::vector<T> per_class(const json& object, const char* key, std::size_t classes,
                         const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  try {
    auto values = found->get<std::vector<T>>();
    if (values.size() == classes) return values;
  } catch (const json::exception&) {
  }
  fail("{}: {}: expected a list of {} values, one per class", where, key, classes);
}

std::int64_t count_at(const json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  require(found != object.end() && found->is_number_integer() && *found >= 0,
          "{}: {}: expected an integer of 0 or more", where, key);
  return found->get<std::int64_t>();
}

json entry(const json& summary, const char* key, std::size_t classes, const std::string& where) {
  const auto found = summary.find(key);
  if (found == summary.end() || found->is_null()) return nullptr;
  require(found->is_object() && found->contains("overall") && found->at("overall").is_number(),
          "{}: {}: expected an object with a number \"overall\"", where, key);
  for (const char* group : {"many", "medium", "few"}) {
    const auto value = found->find(group);
    require(value == found->end() || value->is_null() || value->is_number(),
            "{}: {}.{}: expected a number or null", where, key, group);
  }
  if (found->contains("per_class_recall")) {
    const json& recalls = found->at("per_class_recall");
    require(recalls.is_array() && recalls.size() == classes,
            "{}: {}.per_class_recall: expected a list of {} values", where, key, classes);
    for (const json& recall : recalls) {
      require(recall.is_null() || recall.is_number(),
              "{}: {}.per_class_recall: expected numbers or null", where, key);
    }
  }
  return *found;
}

}  // namespace

RunResult read_run(const std::filesystem::path& folder) {
  require(std::filesystem::is_directory(folder), "{}: expected a run folder", folder.string());
  const auto manifest_file = folder / "manifest.json", summary_file = folder / "summary.json",
             config_file = folder / "config.json";
  const std::string where = summary_file.string();
  const json config = read_json(config_file), manifest_json = read_json(manifest_file);
  // A run has no summary before its first checkpoint.
  const json summary = std::filesystem::exists(summary_file)
                           ? read_json(summary_file)
                           : json{{"step", 0}, {"steps", config.value("steps", json())}};
  const Manifest manifest = parse_manifest(manifest_json, manifest_file.string());
  const std::size_t classes = manifest.class_counts.size();

  RunResult out;
  out.folder = folder.string();
  out.settings = settings_of(config, config_file.string());
  const auto name = summary.find("recipe");
  if (name != summary.end() && name->is_string()) out.recipe = name->get<std::string>();
  out.step = count_at(summary, "step", where);
  out.steps = count_at(summary, "steps", where);
  out.finished = out.step == out.steps;
  out.format = manifest.format;
  out.split_hash = manifest.hash;
  out.split = manifest.spec;
  out.data = manifest.data;
  out.test_images = count_at(manifest_json.at("data"), "test_images", manifest_file.string());
  out.class_counts = manifest.class_counts;
  out.class_names =
      per_class<std::string>(manifest_json, "class_names", classes, manifest_file.string());
  for (std::size_t c = out.class_names.size(); c < classes; ++c) {
    out.class_names.push_back(std::to_string(c));
  }
  if (const auto groups = out.settings.values.find("eval.groups");
      groups != out.settings.values.end()) {
    const json& limits = groups->second;
    require(limits.is_array() && limits.size() == 2 && limits[0].is_number_integer() &&
                limits[1].is_number_integer(),
            "{}: recipe: eval.groups: expected two integers", config_file.string());
    out.many_above = limits[0];
    out.few_below = limits[1];
  }
  out.difficulty = per_class<double>(manifest_json, "difficulty", classes, manifest_file.string());
  out.last = entry(summary, "last", classes, where);
  require(!out.finished || out.last.is_object(), "{}: last: expected results of a finished run",
          where);
  out.best_by_validation = entry(summary, "best_by_validation", classes, where);
  out.best_on_test = entry(summary, "best_on_test", classes, where);
  if (const auto figures = summary.find("class_figures");
      figures != summary.end() && figures->is_object()) {
    out.class_weight = per_class<double>(*figures, "class_weight", classes, where);
  }
  return out;
}

}  // namespace ek
