#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <regex>
#include <set>

#include "tests/house/checks.h"

namespace house {
namespace fs = std::filesystem;

namespace {

using Lines = std::vector<std::string>;

Lines lines_of(const fs::path& path) {
  Lines lines;
  std::ifstream stream(path, std::ios::binary);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<fs::path> files_below(const fs::path& folder, const std::set<std::string>& extensions) {
  std::vector<fs::path> files;
  if (!fs::is_directory(folder)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && extensions.contains(entry.path().extension().string())) {
      files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  return files;
}

constexpr std::array floors{"kernels", "engine",     "models", "data",
                            "methods", "benchmarks", "apps",   "tests"};

// The lines outside of blocks of code; those inside are empty.
Lines prose_of(const fs::path& page) {
  Lines lines = lines_of(page);
  bool code = false;
  for (std::string& line : lines) {
    const bool fence = line.starts_with("```");
    if (fence) code = !code;
    if (fence || code) line.clear();
  }
  return lines;
}

// As pages are shown: lower case, spaces as hyphens, other punctuation gone.
std::string anchor_of(const std::string& heading) {
  std::string anchor;
  for (const char c : heading) {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_') {
      anchor += char(std::tolower(static_cast<unsigned char>(c)));
    } else if (c == ' ') {
      anchor += '-';
    }
  }
  return anchor;
}

bool has_heading(const fs::path& page, const std::string& anchor) {
  return std::ranges::any_of(prose_of(page), [&](const std::string& line) {
    const std::size_t text = line.find_first_not_of('#');
    return line.starts_with('#') && text != std::string::npos && line[text] == ' ' &&
           anchor_of(line.substr(text + 1)) == anchor;
  });
}

// "" or what is wrong with the link.
std::string fault_of_link(const fs::path& page, const std::string& link) {
  if (link.find("://") != std::string::npos || link.starts_with("mailto:")) return "";
  const std::size_t hash = std::min(link.find('#'), link.size());
  const fs::path target = hash == 0 ? page : page.parent_path() / link.substr(0, hash);
  if (!fs::exists(target)) return link + " leads nowhere";
  if (hash < link.size() && !has_heading(target, link.substr(hash + 1))) {
    return link + " has no such heading";
  }
  return "";
}

// A path from the root in backquotes that is none of a file or folder, "" if there is none such.
std::string fault_of_path(const fs::path& root, const std::string& path) {
  const std::string first = path.substr(0, path.find('/'));
  const bool ours = std::ranges::count(floors, first) + (first == "docs") + (first == "scripts") +
                    (first == "cmake");
  static const std::regex pattern(R"([*{}]|/[A-Z]{3,}\.)");  // `kernels/NAME.h`
  if (!ours || std::regex_search(path, pattern)) return "";
  return fs::exists(root / path) ? "" : path + " is no file";
}

}  // namespace

Violations check_citations(const fs::path& root) {
  static const std::regex spec(
      R"(\bspec (\d|methods-|data-protocol|evaluation|interfaces|experts))");
  static const std::regex design(R"(\bDESIGN\b)"), page(R"(\bdocs/[\w/.-]*\.md\b)");
  Violations found;
  for (const char* floor : floors) {
    for (const fs::path& file : files_below(root / floor, {".h", ".cpp", ".cu", ".cuh"})) {
      const std::string name = file.lexically_relative(root).generic_string();
      if (name.starts_with("tests/house/")) continue;  // plants them
      const Lines lines = lines_of(file);
      for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto report = [&](const std::string& what) {
          found.push_back(fmt::format("{}:{}: cites {}", name, i + 1, what));
        };
        if (std::regex_search(lines[i], design)) report("DESIGN");
        if (std::regex_search(lines[i], spec)) report("a spec");
        std::smatch match;
        if (std::regex_search(lines[i], match, page) && !fs::exists(root / match.str())) {
          report(match.str());
        }
      }
    }
  }
  return found;
}

Violations check_links(const fs::path& root) {
  static const std::regex link(R"(\]\(([^()\s]+)\))"), quoted(R"(`([\w./-]+/[\w./*{}-]+)`)");
  std::vector<fs::path> pages = files_below(root / "docs", {".md"});
  pages.insert(pages.begin(), root / "README.md");
  Violations found;
  for (const fs::path& page : pages) {
    const Lines lines = prose_of(page);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const auto search = [&](const std::regex& what, auto&& fault_of) {
        for (std::sregex_iterator m(lines[i].begin(), lines[i].end(), what), end; m != end; ++m) {
          const std::string fault = fault_of((*m)[1].str());
          if (fault.empty()) continue;
          found.push_back(fmt::format("{}:{}: {}", page.lexically_relative(root).generic_string(),
                                      i + 1, fault));
        }
      };
      search(link, [&](const std::string& text) { return fault_of_link(page, text); });
      search(quoted, [&](const std::string& text) { return fault_of_path(root, text); });
    }
  }
  return found;
}

}  // namespace house
