#include "methods/evaluation/runs.h"

#include <cmath>
#include <map>

#include "data/manifest.h"
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

MeanStd mean_std(std::span<const double> values) {
  require(!values.empty(), "mean_std: expected at least 1 value, got none");
  const double n = double(values.size());
  double sum = 0;
  for (double value : values) sum += value;
  MeanStd out{sum / n, std::nullopt};
  if (values.size() == 1) return out;
  double squares = 0;
  for (double value : values) squares += (value - out.mean) * (value - out.mean);
  out.std = std::sqrt(squares / (n - 1));
  return out;
}

RunResult read_run(const std::filesystem::path& folder) {
  const auto manifest_file = folder / "manifest.json", summary_file = folder / "summary.json";
  const std::string where = summary_file.string();
  require(std::filesystem::is_directory(folder), "{}: expected a run folder", folder.string());
  const json manifest_json = read_json(manifest_file), summary = read_json(summary_file);
  const Manifest manifest = parse_manifest(manifest_json, manifest_file.string());
  const std::size_t classes = manifest.class_counts.size();

  RunResult out;
  out.folder = folder.string();
  const auto name = summary.find("recipe");
  out.name = name != summary.end() && name->is_string()
                 ? name->get<std::string>()
                 : std::filesystem::path(folder).lexically_normal().filename().string();
  out.split_hash = manifest.hash;
  out.class_counts = manifest.class_counts;
  out.class_names =
      per_class<std::string>(manifest_json, "class_names", classes, manifest_file.string());
  for (std::size_t c = out.class_names.size(); c < classes; ++c) {
    out.class_names.push_back(std::to_string(c));
  }
  out.difficulty = per_class<double>(manifest_json, "difficulty", classes, manifest_file.string());
  out.last = entry(summary, "last", classes, where);
  out.best_by_validation = entry(summary, "best_by_validation", classes, where);
  out.best_on_test = entry(summary, "best_on_test", classes, where);
  if (const auto figures = summary.find("class_figures");
      figures != summary.end() && figures->is_object()) {
    out.class_weight = per_class<double>(*figures, "class_weight", classes, where);
  }
  return out;
}

void require_one_split(std::span<const RunResult> runs) {
  require(!runs.empty(), "compare: expected at least 1 run, got none");
  const RunResult& first = runs[0];
  for (const RunResult& run : runs) {
    require(run.split_hash == first.split_hash && run.class_counts == first.class_counts,
            "compare: {} has split {}, {} has split {}: results of different splits do not belong "
            "in one table",
            first.folder, first.split_hash, run.folder, run.split_hash);
  }
}

json to_json(std::span<const RunResult> runs) {
  require_one_split(runs);
  json out{{"split_hash", runs[0].split_hash},
           {"class_counts", runs[0].class_counts},
           {"runs", json::array()},
           {"repeated", json::array()}};
  std::map<std::string, std::vector<double>> overall;
  for (const RunResult& run : runs) {
    json entry{{"name", run.name},
               {"folder", run.folder},
               {"last", run.last},
               {"best_by_validation", run.best_by_validation},
               {"best_on_test", run.best_on_test}};
    if (!run.class_weight.empty()) entry["class_weight"] = run.class_weight;
    out["runs"].push_back(std::move(entry));
    if (run.last.is_object()) overall[run.name].push_back(run.last.at("overall").get<double>());
  }
  for (const auto& [name, values] : overall) {
    if (values.size() < 2) continue;
    const MeanStd stats = mean_std(values);
    out["repeated"].push_back(
        {{"name", name}, {"runs", values.size()}, {"mean", stats.mean}, {"std", *stats.std}});
  }
  return out;
}

}  // namespace ek
