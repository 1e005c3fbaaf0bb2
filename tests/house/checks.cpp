#include "tests/house/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string_view>

namespace house {
namespace fs = std::filesystem;

namespace {

constexpr std::array floors{"kernels", "engine", "models", "data", "methods", "benchmarks", "apps"};
constexpr std::array free_folders{"tests"};
constexpr int fullest_folder = 25;
constexpr std::size_t longest_file = 400, largest_median = 150, widest_line = 100;

// Which floors a floor may include.
const std::map<std::string, std::set<std::string>>& allowed_floors() {
  static const std::map<std::string, std::set<std::string>> allowed{
      {"kernels", {"kernels"}},
      {"engine", {"kernels", "engine"}},
      {"models", {"kernels", "engine", "models"}},
      {"data", {"kernels", "engine", "data"}},
      {"methods", {"kernels", "engine", "models", "data", "methods"}},
      {"benchmarks", {"kernels", "engine", "models", "data", "methods", "benchmarks"}},
      {"apps", {"kernels", "engine", "models", "data", "methods", "benchmarks", "apps"}},
  };
  return allowed;
}

struct Source {
  std::string path;  // from the root
  std::vector<std::string> lines;
};

std::vector<std::string> read_lines(const fs::path& path) {
  std::vector<std::string> lines;
  std::ifstream stream(path, std::ios::binary);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// Every source file of the floors and tests, sorted by path.
std::vector<Source> sources(const fs::path& root) {
  static const std::set<std::string> extensions{".h", ".cpp", ".cu", ".cuh"};
  std::vector<Source> list;
  const auto add_folder = [&](const char* folder) {
    if (!fs::is_directory(root / folder)) return;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (!entry.is_regular_file() || !extensions.contains(entry.path().extension())) continue;
      list.push_back(
          {entry.path().lexically_relative(root).generic_string(), read_lines(entry.path())});
    }
  };
  for (const char* folder : floors) add_folder(folder);
  for (const char* folder : free_folders) add_folder(folder);
  std::ranges::sort(list, {}, &Source::path);
  return list;
}

std::string first_component(std::string_view path) {
  return std::string(path.substr(0, path.find('/')));
}

struct Include {
  bool angled;
  std::string target;
};

// What a line of the form  # include "target"  or <target> includes.
std::optional<Include> parse_include(std::string_view line) {
  const auto skip_spaces = [&] {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  };
  const auto skip = [&](std::string_view word) {
    skip_spaces();
    if (!line.starts_with(word)) return false;
    line.remove_prefix(word.size());
    return true;
  };
  if (!skip("#") || !skip("include")) return std::nullopt;
  skip_spaces();
  if (line.empty() || (line[0] != '"' && line[0] != '<')) return std::nullopt;
  const bool angled = line[0] == '<';
  const std::size_t end = line.find(angled ? '>' : '"', 1);
  if (end == std::string_view::npos) return std::nullopt;
  return Include{angled, std::string(line.substr(1, end - 1))};
}

std::size_t code_points(std::string_view text) {
  return std::size_t(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

// '*' in a pattern of .gitignore that has no inner slash.
bool glob_matches(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern[0] == '*') {
    return glob_matches(pattern.substr(1), name) ||
           (!name.empty() && glob_matches(pattern, name.substr(1)));
  }
  return !name.empty() && pattern[0] == name[0] && glob_matches(pattern.substr(1), name.substr(1));
}

bool ignored(const fs::path& root, const std::string& name) {
  for (std::string pattern : read_lines(root / ".gitignore")) {
    if (pattern.empty() || pattern[0] == '#') continue;
    if (pattern[0] == '/') pattern.erase(0, 1);
    if (pattern.back() == '/') pattern.pop_back();
    if (glob_matches(pattern, name)) return true;
  }
  return false;
}

}  // namespace

Violations check_includes(const fs::path& root) {
  Violations found;
  for (const Source& source : sources(root)) {
    const std::string floor = first_component(source.path);
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const auto include = parse_include(source.lines[i]);
      if (!include) continue;
      const std::string& target = include->target;
      const std::string target_floor = first_component(target);
      const bool of_house =
          std::ranges::count(floors, target_floor) + std::ranges::count(free_folders, target_floor);
      const std::string where = fmt::format("{}:{}: includes {}", source.path, i + 1, target);
      if (include->angled && !of_house) continue;
      if (include->angled) {
        found.push_back(where + " in angle brackets");
      } else if (!of_house || !fs::is_regular_file(root / target)) {
        found.push_back(where + ", which is no file from the root");
      } else if (allowed_floors().contains(floor) &&
                 !allowed_floors().at(floor).contains(target_floor)) {
        found.push_back(fmt::format("{}, but {} may not include {}", where, floor, target_floor));
      }
    }
  }
  return found;
}

Violations check_file_sizes(const fs::path& root) {
  Violations found;
  std::vector<std::size_t> sizes;
  for (const Source& source : sources(root)) {
    sizes.push_back(source.lines.size());
    if (source.lines.size() > longest_file) {
      found.push_back(
          fmt::format("{}: {} lines, at most {}", source.path, source.lines.size(), longest_file));
    }
  }
  if (sizes.empty()) return found;
  const auto middle = sizes.begin() + std::ptrdiff_t(sizes.size() / 2);
  std::ranges::nth_element(sizes, middle);
  if (*middle > largest_median) {
    found.push_back(
        fmt::format("the median file has {} lines, at most {}", *middle, largest_median));
  }
  return found;
}

namespace {

// How high a source lies within methods/, and the group that it shares that height with.
std::pair<int, std::string> place_in_methods(std::string_view path) {
  const std::string rest(path.substr(std::string_view("methods/").size()));
  const std::string folder = rest.find('/') == std::string::npos ? "" : first_component(rest);
  static const std::map<std::string, int> fixed{
      {"recipes", 0}, {"losses", 1}, {"evaluation", 1}, {"session", 5}, {"training", 6}};
  if (const auto found = fixed.find(folder); found != fixed.end()) return {found->second, folder};
  if (!folder.empty()) return {3, folder};
  if (rest == "registry.cpp") return {4, rest};
  if (rest == "supervised.cpp") return {3, rest};
  return {2, "methods"};
}

}  // namespace

Violations check_method_order(const fs::path& root) {
  Violations found;
  for (const Source& source : sources(root)) {
    if (!source.path.starts_with("methods/")) continue;
    const auto [height, group] = place_in_methods(source.path);
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const auto include = parse_include(source.lines[i]);
      if (!include || include->angled || !include->target.starts_with("methods/")) continue;
      const auto [other, of] = place_in_methods(include->target);
      if (other < height || group == of) continue;
      found.push_back(
          fmt::format("{}:{}: {} may not include {}", source.path, i + 1, group, include->target));
    }
  }
  return found;
}

Violations check_folder_sizes(const fs::path& root) {
  std::map<std::string, int> counts;
  for (const Source& source : sources(root)) {
    ++counts[fs::path(source.path).parent_path().generic_string()];
  }
  Violations found;
  for (const auto& [folder, count] : counts) {
    if (count > fullest_folder) {
      found.push_back(
          fmt::format("{}: {} source files, at most {}", folder, count, fullest_folder));
    }
  }
  return found;
}

Violations check_lines(const fs::path& root) {
  Violations found;
  for (const Source& source : sources(root)) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const std::string& line = source.lines[i];
      const auto report = [&](std::string what) {
        found.push_back(fmt::format("{}:{}: {}", source.path, i + 1, what));
      };
      const std::size_t columns = code_points(line);
      if (columns > widest_line)
        report(fmt::format("{} columns, at most {}", columns, widest_line));
      if (line.find('\t') != std::string::npos) report("a tab");
      if (line.ends_with(' ') || line.ends_with('\r')) report("ends with a space");
    }
  }
  return found;
}

Violations check_headers(const fs::path& root) {
  Violations found;
  for (const Source& source : sources(root)) {
    if (!source.path.ends_with(".h") && !source.path.ends_with(".cuh")) continue;
    if (std::ranges::count(source.lines, "#pragma once") != 1) {
      found.push_back(source.path + ": no #pragma once");
    }
  }
  return found;
}

Violations check_shared_memory(const fs::path& root) {
  Violations found;
  for (const Source& source : sources(root)) {
    if (!source.path.ends_with(".cu") && !source.path.ends_with(".cuh")) continue;
    if (source.path == "kernels/cuda/base/native.cuh") continue;
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const std::string code = source.lines[i].substr(0, source.lines[i].find("//"));
      if (code.find("__shared__") == std::string::npos) continue;
      found.push_back(fmt::format("{}:{}: __shared__", source.path, i + 1));
    }
  }
  return found;
}

Violations check_top_level(const fs::path& root) {
  static const std::set<std::string> allowed{".ci",
                                             ".clang-format",
                                             ".git",
                                             ".gitignore",
                                             "CMakeLists.txt",
                                             "LICENSE",
                                             "README.md",
                                             "CMakePresets.json",
                                             "apps",
                                             "benchmarks",
                                             "cmake",
                                             "data",
                                             "docs",
                                             "engine",
                                             "kernels",
                                             "methods",
                                             "models",
                                             "scripts",
                                             "tests"};
  Violations found;
  for (const auto& entry : fs::directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    if (!allowed.contains(name) && !ignored(root, name)) {
      found.push_back(name + ": does not belong at the top of the tree");
    }
  }
  std::ranges::sort(found);
  return found;
}

Violations check_scripts(const fs::path& root) {
  Violations found;
  const auto check = [&](const fs::path& path) {
    const bool runs = (fs::status(path).permissions() & fs::perms::owner_exec) != fs::perms::none;
    const auto lines = read_lines(path);
    const std::string name = path.lexically_relative(root).generic_string();
    if (!runs) found.push_back(name + ": not executable");
    if (lines.empty() || !lines[0].starts_with("#!")) found.push_back(name + ": no #! line");
    if (std::ranges::count(lines, "set -euo pipefail") == 0) {
      found.push_back(name + ": no set -euo pipefail");
    }
  };
  for (const char* folder : {"scripts", ".ci"}) {
    if (!fs::is_directory(root / folder)) continue;
    for (const auto& entry : fs::directory_iterator(root / folder)) {
      if (entry.is_regular_file()) check(entry.path());
    }
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace house
