#pragma once
// Which version of a function runs: the one that is named (kernels/base/versions.h), else that of
// the table in force (kernels/base/tuning.h), else that of a rule.
#include <initializer_list>
#include <string_view>

#include "kernels/base/arguments.h"
#include "kernels/base/tuning.h"
#include "kernels/base/versions.h"
#include "kernels/cuda/base/team.cuh"

namespace ek::kernels::EK_TARGET {

// `sizes` in the order of size_names(function).
template <class T>
Call call_of(const char* function, std::initializer_list<std::int64_t> sizes,
             FloatProducts products = FloatProducts::exact) {
  Call call{function, call_type<T>, products};
  std::size_t at = 0;
  for (const std::int64_t size : sizes) call.sizes[at++] = size;
  return call;
}

// Of a call for which no version is named. Bit v of `served`: version v serves it, as it does every
// call with this key; `rule` is one of them. `again()` makes the same call from its start.
template <class Again>
int chosen(const Call& call, unsigned served, int rule, const Again& again) {
  const auto run = [](const void* state) { (*static_cast<const Again*>(state))(); };
  return chosen_version(call, served, rule, {&again, run});
}

// For "plain" and one tuned version, which the rule takes wherever it serves the call. `refusal` is
// what a call gets that names it where it does not.
inline bool tuned(std::string_view function, const char* refusal, bool serves) {
  const int named = named_version(function);
  require_argument(named < 1 || serves, refusal, std::int64_t(named));
  return named < 0 ? serves : named == 1;
}
// The same where tables choose.
template <class Again>
bool tuned(const Call& call, const char* refusal, bool serves, const Again& again) {
  const bool version = tuned(call.function, refusal, serves);
  if (named_version(call.function) >= 0) return version;
  return chosen(call, serves ? 3 : 1, version, again) == 1;
}

// For "plain", "warp" and "block", which all serve every row of fewer than 2^31 - 257 columns.
enum class ByTeam { plain, warp, block };
inline ByTeam by_team(const char* function, std::int64_t columns) {
  const int named = named_version(function);
  if (named >= 0) return ByTeam(named);
  if (columns < kFewColumns) return ByTeam::plain;
  return columns <= kWarpColumns ? ByTeam::warp : ByTeam::block;
}
// The same where tables choose.
template <class T, class Again>
ByTeam by_team(const char* function, std::int64_t rows, std::int64_t columns, const Again& again) {
  const ByTeam version = by_team(function, columns);
  if (named_version(function) >= 0) return version;
  return ByTeam(chosen(call_of<T>(function, {rows, columns}), 7, int(version), again));
}

}  // namespace ek::kernels::EK_TARGET
