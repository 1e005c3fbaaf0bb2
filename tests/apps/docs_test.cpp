// Every command that README.md and docs/ show is one that the programs take.
#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include "tests/apps/docs_commands.h"
#include "tests/apps/program_run.h"

namespace {

using Names = std::set<std::string>;

Names names_in(const std::string& text, const char* pattern) {
  const std::regex name(pattern);
  Names found;
  for (std::sregex_iterator m(text.begin(), text.end(), name), end; m != end; ++m) {
    found.insert((*m)[1].str());
  }
  return found;
}

const std::string& help_of(const std::string& program, const std::string& command = "") {
  static const TempDir dir;
  static std::map<std::string, std::string> known;
  const auto [place, first] = known.try_emplace(program + " " + command);
  if (first) {
    const ProgramRun run = run_program(dir, program, command + " --help");
    CAPTURE(program, command, run.error);
    REQUIRE(run.code == 0);
    place->second = run.out;
  }
  return place->second;
}

bool built(const std::string& program) {
  return std::filesystem::exists(binary_dir() + "/bin/" + program);
}

// Arguments in quotes for the shell.
std::string quoted(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += " '" + word + "'";
  return text;
}

void check_options(const DocsCommand& command, const std::string& help) {
  const Names options = names_in(help, R"((--[a-z][a-z0-9-]*))");
  for (const std::string& word : command.words) {
    if (word == "--") break;  // what follows is another program's
    if (!word.starts_with("--")) continue;
    const std::string option = word.substr(0, word.find('='));
    CAPTURE(command.where, command.program, option);
    CHECK(options.contains(option));
  }
}

// The recipe and the overrides of the command, through the program itself.
void check_recipe(const DocsCommand& command) {
  std::vector<std::string> words;
  std::string recipe = "cifar100-lt/ce";
  bool sets = false, named = false;
  for (std::size_t i = 0; i + 1 < command.words.size(); ++i) {
    const std::string& value = command.words[i + 1];
    if (command.words[i] == "--recipe" && !value.starts_with("runs/") && value != "RUN" &&
        value != "NAME") {
      recipe = value;
      named = true;
    }
    if (command.words[i] != "--set" || value.find('=') == std::string::npos) continue;
    words.insert(words.end(), {"--set", value});
    sets = true;
  }
  if (!sets && !named) return;
  const TempDir dir;
  const ProgramRun run =
      run_program(dir, "ek-train", "--dump-recipe --recipe '" + recipe + "'" + quoted(words));
  CAPTURE(command.where, run.error);
  CHECK(run.code == 0);
}

}  // namespace

TEST_CASE("docs: every command of README.md and docs/ is one that its program takes", "[docs]") {
  static const Names check_modes{"test", "grad", "perf", "support", "ops", "versions", "tuning"};
  int checked = 0;
  for (const std::string& page : pages_with_commands()) {
    for (const DocsCommand& command : commands_of(page)) {
      CAPTURE(command.where, command.program);
      if (command.program.starts_with("scripts/")) {
        const std::string file = source_dir() + "/" + command.program;
        CHECK(std::filesystem::exists(file));
        check_options(command, file_bytes(file));
        continue;
      }
      if (command.program == "ek-bench" && !built("ek-bench")) continue;
      if (command.program == "ek-bench-vendor" && !built("ek-bench-vendor")) continue;
      REQUIRE(built(command.program));
      const std::string first = command.words.empty() ? "" : command.words[0];
      const bool part = command.program == "ek-data" && !first.empty() && first[0] != '-';
      check_options(command, help_of(command.program, part ? first : "") + " --help " +
                                 help_of(command.program));
      if (command.program == "ek-train") check_recipe(command);
      if (command.program == "ek-check" && !first.empty() && first[0] != '-') {
        CHECK(check_modes.contains(first));
      }
      ++checked;
    }
  }
  CHECK(checked > 50);  // the pages are read at all
}

TEST_CASE("docs: the test finds a command that is not one", "[docs]") {
  const auto fails = [](const std::string& option) {
    return !names_in(help_of("ek-train"), R"((--[a-z][a-z0-9-]*))").contains(option);
  };
  CHECK(fails("--recpie"));
  CHECK(!fails("--recipe"));
}

TEST_CASE("docs: help has 80 columns and no nameless values", "[docs]") {
  std::vector<std::pair<std::string, std::string>> all{
      {"ek-train", ""},        {"ek-eval", ""},        {"ek-data", ""},
      {"ek-data", "describe"}, {"ek-data", "make-lt"}, {"ek-data", "synthesize"},
      {"ek-data", "preview"},  {"ek-op", ""},          {"ek-check", ""},
      {"ek-bench-step", ""}};
  if (built("ek-bench")) all.emplace_back("ek-bench", "");
  for (const auto& [program, command] : all) {
    CAPTURE(program, command);
    const std::string& help = help_of(program, command);
    for (const std::string& line : names_in(help, "([^\n]+)")) {
      // The first line of usage has the path that the program was called by.
      if (line.starts_with("Usage:")) continue;
      CAPTURE(line);
      CHECK(line.size() <= 80);
      CHECK(!std::regex_search(line, std::regex(R"( (TEXT|UINT|INT|FLOAT)\b)")));
    }
  }
}

TEST_CASE("docs: the example of ek-op runs as it is shown", "[docs]") {
  const TempDir dir;
  const ProgramRun made =
      run_program(dir, "ek-op", "metagrad:difficulty-net --example toy.safetensors");
  REQUIRE(made.code == 0);
  REQUIRE(made.out.starts_with("ek-op "));
  const ProgramRun run = run_program(dir, "ek-op", made.out.substr(6, made.out.size() - 7));
  CAPTURE(run.error);
  REQUIRE(run.code == 0);
  const std::string page = file_bytes(source_dir() + "/docs/ek-op.md");
  CHECK(page.find(made.out) != std::string::npos);
  CHECK(page.find(run.out) != std::string::npos);
}
