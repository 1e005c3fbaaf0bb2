// What the dispatch of kernels tells a tuner, over all ops of ek-check: each version that it says
// serves a call runs it, and equal calls have equal candidates.
#include <algorithm>
#include <map>
#include <set>

#include "apps/check/table.h"
#include "engine/tensor/precision.h"
#include "kernels/base/tuning.h"
#include "kernels/base/versions.h"
#include "tests/catch.h"
#include "tests/simt_device.h"

using namespace ek;

namespace {

// Runs each call with every version, and with the rule's in the end.
struct EveryVersion final : kernels::CallTuner {
  struct Seen {
    unsigned served;
    int rule;
  };
  std::map<kernels::Call, Seen> calls;
  std::vector<std::string> errors;

  int choose(const kernels::Call& call, unsigned served, int rule,
             const kernels::Repeat& again) override {
    const auto [it, fresh] = calls.try_emplace(call, Seen{served, rule});
    if (it->second.served != served || it->second.rule != rule) {
      errors.push_back("other candidates, or another rule: " + kernels::describe(call));
    }
    const auto versions = kernels::versions_of(call.function);
    if ((served >> rule & 1u) == 0 || served >> versions.size() != 0) {
      errors.push_back("a rule or a version that is none: " + kernels::describe(call));
    }
    for (std::size_t v = 0; fresh && v < versions.size(); ++v) {
      if ((served >> v & 1u) == 0) continue;
      const kernels::ScopedVersion named(call.function, versions[v]);
      try {
        again();
      } catch (const Error& error) {
        errors.push_back(
            fmt::format("{}: {}: {}", kernels::describe(call), versions[v], error.what()));
      }
    }
    return rule;
  }
};

}  // namespace

TEST_CASE("on simt every version that a dispatch offers serves the call", "[simt]") {
  if (!has_simt()) return;
  EveryVersion tuner;
  {
    const kernels::ScopedTuner scope(&tuner);
    for (const CheckCase& one : check_cases()) {
      for (const CheckType type : check_types_of(simt)) {
        // Values are others' to check: a call that runs again in place changes them.
        test_outcomes(one, simt, type);
      }
    }
  }
  for (const std::string& error : tuner.errors) UNSCOPED_INFO(error);
  CHECK(tuner.errors.empty());
  std::set<std::string_view> seen, chosen_from;
  for (const auto& [call, candidates] : tuner.calls) {
    seen.insert(call.function);
    if ((candidates.served & (candidates.served - 1)) != 0) chosen_from.insert(call.function);
  }
  for (const std::string_view function : kernels::tuned_functions()) {
    CAPTURE(function);
    CHECK(seen.contains(function));
    CHECK(chosen_from.contains(function));
  }
}
