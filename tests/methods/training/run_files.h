#pragma once
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/temp_dir.h"

// What a run folder holds, as JSON.
inline nlohmann::json json_of(const std::filesystem::path& file) {
  return nlohmann::json::parse(file_bytes(file));
}

// The lines of metrics.jsonl without what the clock says.
inline std::vector<nlohmann::json> metrics_of(const std::filesystem::path& run) {
  std::ifstream stream(run / "metrics.jsonl");
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(nlohmann::json::parse(line));
    lines.back().erase("wall_s");
  }
  return lines;
}
