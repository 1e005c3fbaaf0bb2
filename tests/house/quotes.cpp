#include <fmt/format.h>

#include <algorithm>
#include <fstream>

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

bool holds(const Lines& file, const Lines& part) {
  return !part.empty() && !std::ranges::search(file, part).empty();
}

}  // namespace

Violations check_quotes(const fs::path& root) {
  constexpr std::string_view opening = "```cpp ";
  Violations found;
  for (const auto& entry : fs::recursive_directory_iterator(root / "docs")) {
    if (entry.path().extension() != ".md") continue;
    const Lines page = lines_of(entry.path());
    for (auto line = page.begin(); line != page.end(); ++line) {
      if (!line->starts_with(opening)) continue;
      const std::string file = line->substr(opening.size());
      const auto end = std::find(line, page.end(), std::string("```"));
      if (holds(lines_of(root / file), Lines(line + 1, end))) continue;
      found.push_back(fmt::format("{}:{}: not in {}",
                                  entry.path().lexically_relative(root).generic_string(),
                                  line - page.begin() + 1, file));
    }
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace house
