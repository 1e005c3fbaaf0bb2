#include "apps/common/help.h"

#include <algorithm>
#include <sstream>

#include "engine/io/strict_json.h"
#include "engine/io/text.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

constexpr std::size_t description_column = 30;  // CLI11's

// Where the lines that continue this one begin.
std::size_t indent_of(const std::string& line) {
  const std::size_t first = std::min(line.find_first_not_of(' '), line.size());
  const bool described = first > 0 && first < description_column &&
                         line.size() > description_column && line[description_column - 1] == ' ';
  return described ? description_column : first;
}

void append_wrapped(std::string& out, std::string line) {
  const std::size_t indent = indent_of(line);
  while (line.size() > help_columns) {
    std::size_t space = line.rfind(' ', help_columns);
    if (space == std::string::npos || space <= indent) break;  // one long word
    out += line.substr(0, line.find_last_not_of(' ', space) + 1) + "\n";
    line = std::string(indent, ' ') + line.substr(space + 1);
  }
  out += line + "\n";
}

void collect_names(const CLI::App& app, bool options, std::vector<std::string>& names) {
  if (options) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    if (!options) names.push_back(command->get_name());
    if (options && command->parsed()) collect_names(*command, options, names);
  }
}

}  // namespace

std::string wrapped_help(const std::string& text) {
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) append_wrapped(out, line);
  return out;
}

std::string unknown_argument(const CLI::App& app) {
  const std::vector<std::string> left = app.remaining(true);
  if (left.empty()) return "an argument is not known";
  const auto found = std::ranges::find_if(left, [](const auto& a) { return a.starts_with("-"); });
  const bool option = found != left.end();
  std::string word = option ? *found : left.front();
  if (option) word = word.substr(0, word.find('='));
  std::vector<std::string> names;
  collect_names(app, option, names);
  return fmt::format("unknown {} {}{} (--help lists all)", option ? "option" : "argument",
                     printable(word), did_you_mean(word, names));
}

}  // namespace ek
