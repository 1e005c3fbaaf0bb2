#include "tests/apps/docs_commands.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>

#include "tests/paths.h"

namespace fs = std::filesystem;

namespace {

// Words as a shell splits them. Three spaces or a # begin a remark; brackets of usage lines, and
// "..." are no part of a word.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool any = false;
  char quote = 0;
  const auto end_word = [&] {
    if (any && word != "...") words.push_back(word);
    word.clear();
    any = false;
  };
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote) {
      if (c == quote)
        quote = 0;
      else
        word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      any = true;
    } else if (c == ' ') {
      end_word();
      if (line.compare(i, 3, "   ") == 0) break;
    } else if (c == '#' && !any) {
      break;
    } else if ((c == '[' && !any) || (c == ']' && word.find('[') == std::string::npos)) {
      continue;
    } else {
      word += c;
      any = true;
    }
  }
  end_word();
  return words;
}

}  // namespace

std::vector<DocsCommand> commands_of(const std::string& page) {
  static const std::regex command(R"(^\s*(?:\$ )?(ek-[a-z-]+|scripts/[\w./-]+\.sh)( .*)?$)");
  static const std::regex inlined(R"(`((?:ek-[a-z-]+|scripts/[\w./-]+\.sh)(?: [^`]*)?)`)");
  std::ifstream stream(fs::path(source_dir()) / page);
  std::vector<DocsCommand> found;
  bool code = false;
  int number = 0;
  const auto add = [&](const std::string& text) {
    std::smatch m;
    if (!std::regex_match(text, m, command)) return;
    found.push_back({page + ":" + std::to_string(number), m[1].str(), words_of(m[2].str())});
  };
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (line.starts_with("```")) {
      code = !code;
    } else if (code) {
      add(line);
    } else {
      for (std::sregex_iterator m(line.begin(), line.end(), inlined), end; m != end; ++m) {
        add((*m)[1].str());
      }
    }
  }
  return found;
}

std::vector<std::string> pages_with_commands() {
  std::vector<std::string> pages{"README.md"};
  const fs::path root = source_dir();
  for (const auto& entry : fs::recursive_directory_iterator(root / "docs")) {
    if (entry.path().extension() != ".md") continue;
    pages.push_back(entry.path().lexically_relative(root).generic_string());
  }
  std::ranges::sort(pages);
  return pages;
}
