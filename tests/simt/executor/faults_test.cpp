#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "kernels/base/error.h"
#include "kernels/simt/check/sanitizer.h"
#include "kernels/simt/options.h"
#include "tests/catch.h"
#include "tests/paths.h"
#include "tests/simt/executor/fault.h"
#include "tests/simt/executor/orders.h"

using namespace ek::simt;
using namespace ek::simt::test;

namespace {

std::vector<Fault> all_faults() {
  std::vector<Fault> all;
  for (auto* list : {barrier_faults, warp_faults, memory_faults, async_faults, block_faults}) {
    for (Fault& fault : list()) all.push_back(std::move(fault));
  }
  return all;
}

// The checked flavour must find an error in every order, the others in one of them.
std::string outcome_of(const Fault& fault) {
  bool wrong = false;
  int errors = 0;
  std::string message;
  const std::vector<Options> orders = some_orders();
  for (const Options& options : orders) {
    const ScopedOptions scope(options);
    try {
      if (fault.run() != fault.expected) wrong = true;
    } catch (const ek::Error& error) {
      ++errors;
      if (message.empty()) message = error.what();
    }
  }
  const int enough = flavour() == Flavour::checked ? int(orders.size()) : 1;
  if (errors >= enough) return "error " + message;
  if (errors > 0) return fmt::format("error_in_{}_orders {}", errors, message);
  return wrong ? "order" : "missed";
}

// In a process of its own, which a sanitizer may end.
std::string outcome_apart(const Fault& fault) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    close(ends[0]);
    if (address_sanitizer() && !freopen("/dev/null", "w", stderr)) _exit(3);
    const std::string outcome = outcome_of(fault);
    const auto written = write(ends[1], outcome.data(), outcome.size());
    _exit(written == ssize_t(outcome.size()) ? 0 : 3);
  }
  close(ends[1]);
  std::string outcome;
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    outcome.append(buffer, std::size_t(n));
  }
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return outcome;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSanitizerExit) return "error of the sanitizer";
  return "the process died";
}

const char* expected_outcome(const Fault& fault) {
  if (flavour() == Flavour::checked) return fault.checked;
  return flavour() == Flavour::sanitized ? fault.sanitized : fault.plain;
}

std::string table_row(const Fault& fault) {
  return fmt::format("| {} | {} | {} | {} |", fault.name, fault.plain, fault.sanitized,
                     fault.checked);
}

std::string summary_row(const std::vector<Fault>& faults) {
  const auto count = [&](const char* Fault::*flavour, const std::string& kind) {
    return std::ranges::count_if(faults, [&](const Fault& f) { return f.*flavour == kind; });
  };
  std::string row = fmt::format("| **{} faults: error + order** |", faults.size());
  for (const char* Fault::*flavour : {&Fault::plain, &Fault::sanitized, &Fault::checked}) {
    row += fmt::format(" {} + {} |", count(flavour, "error"), count(flavour, "order"));
  }
  return row;
}

void check_outcomes(const std::vector<Fault>& kernels) {
  for (const Fault& kernel : kernels) {
    const std::string outcome = outcome_apart(kernel);
    INFO(kernel.name << ": " << outcome);
    CHECK(outcome.substr(0, outcome.find(' ')) == expected_outcome(kernel));
    if (std::getenv("EK_SHOW_FAULTS")) fmt::print("{}\n    {}\n", kernel.name, outcome);
  }
}

}  // namespace

// EK_SHOW_FAULTS=1 prints what is caught and with which message.
TEST_CASE("planted faults") {
  check_outcomes(all_faults());
}

// Seen through the same glasses, kernels without a fault raise no alarm in any flavour or order.
TEST_CASE("correct kernels raise no alarm") {
  check_outcomes(correct_kernels());
}

// The guide shows the table as it is here.
TEST_CASE("the guide tells what is caught") {
  std::ifstream file(source_dir() + "/docs/host-executor.md");
  REQUIRE(file.good());
  std::stringstream text;
  text << file.rdbuf();
  INFO(summary_row(all_faults()));
  CHECK(text.str().find(summary_row(all_faults())) != std::string::npos);
  for (const Fault& fault : all_faults()) {
    INFO(table_row(fault));
    CHECK(text.str().find(table_row(fault)) != std::string::npos);
  }
}
