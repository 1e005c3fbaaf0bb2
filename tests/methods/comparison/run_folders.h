#pragma once
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "methods/comparison/tables.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

// Run folders for tests, and the words of tables.
using namespace ek;
using nlohmann::json;

inline json manifest(const std::vector<std::int64_t>& counts, const std::string& hash) {
  return {{"data", {{"name", "d"}, {"format", "synthetic"}, {"test_images", 30}}},
          {"split",
           {{"profile", "exponential"},
            {"imbalance", 100},
            {"n_max", 500},
            {"subset", "ldam"},
            {"subset_seed", 0},
            {"meta_per_class", 10}}},
          {"counts", counts},
          {"meta_total", 30},
          {"hash", hash}};
}

inline json figures(double overall, const std::vector<double>& recalls) {
  return {{"overall", overall},
          {"many", overall + 0.1},
          {"medium", overall},
          {"few", nullptr},
          {"per_class_recall", recalls}};
}

// A finished run's files; `changes` go into its resolved recipe.
struct RunFiles {
  json manifest, summary;
  std::map<std::string, json> changes = {};
};

inline std::filesystem::path put_run(const TempDir& dir, const std::string& name, RunFiles files) {
  json recipe{{"doc", "a run"},
              {"seed", 0},
              {"data", {{"profile", "exponential"}, {"imbalance", 100.0}}},
              {"method", {{"name", "supervised"}}},
              {"loss", {{"name", "cross-entropy"}}},
              {"optim", {{"lr", 0.1}}},
              {"log", {{"every", 50}}}};
  for (const auto& [path, value] : files.changes) {
    const auto dot = path.find('.');
    if (dot == std::string::npos) {
      recipe[path] = value;
    } else {
      recipe[path.substr(0, dot)][path.substr(dot + 1)] = value;
    }
  }
  const json config{
      {"recipe", recipe}, {"precision", "float32"}, {"device", "cpu"}, {"steps", 600}};
  if (files.summary.is_object()) {
    if (!files.summary.contains("step")) files.summary["step"] = 600;
    files.summary["steps"] = 600;
  }
  put_file(dir / name / "config.json", config.dump());
  put_file(dir / name / "manifest.json", files.manifest.dump());
  put_file(dir / name / "summary.json", files.summary.dump());
  return dir / name;
}

inline json summary_of(double overall) {
  return {{"recipe", "set/ce"}, {"last", figures(overall, {0.9, 0.3, 0.03})}};
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    lines.push_back(text.substr(begin, end - begin));
  }
  return lines;
}

// The words of the line that starts with `first`, after it.
inline std::vector<std::string> words_of(const std::string& text, const std::string& first) {
  for (const std::string& line : lines_of(text)) {
    if (!line.starts_with(first)) continue;
    std::istringstream stream(line.substr(first.size()));
    return {std::istream_iterator<std::string>(stream), {}};
  }
  return {};
}

using Words = std::vector<std::string>;
inline const std::string none = "–", pm = "±";
