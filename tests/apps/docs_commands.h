#pragma once
#include <string>
#include <vector>

// A command as README.md or a page of docs/ shows it: in a block of code or in backquotes.
struct DocsCommand {
  std::string where;               // "docs/runs.md:12"
  std::string program;             // "ek-train" or "scripts/test.sh"
  std::vector<std::string> words;  // after it, without quotes, brackets and remarks
};

// All commands of a page that begin with a program of ours, perhaps after "$ ". `page` is a path
// from the root of the source tree.
std::vector<DocsCommand> commands_of(const std::string& page);

// README.md and all of docs/, as paths from the root.
std::vector<std::string> pages_with_commands();
