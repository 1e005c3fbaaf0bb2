#pragma once
// Which version of a function runs: the one that is named (kernels/versions.h), or that of a rule.
#include "kernels/arguments.h"
#include "kernels/cuda/team.cuh"
#include "kernels/versions.h"

namespace ek::kernels::EK_TARGET {

// For "plain" and one tuned version, which the rule takes wherever it serves the call. `refusal` is
// what a call gets that names it where it does not.
inline bool tuned(const char* function, const char* refusal, bool serves) {
  const int named = named_version(function);
  require_argument(named < 1 || serves, refusal, std::int64_t(named));
  return named < 0 ? serves : named == 1;
}

// For "plain", "warp" and "block", which all serve every row of fewer than 2^31 - 257 columns.
enum class ByTeam { plain, warp, block };
inline ByTeam by_team(const char* function, std::int64_t columns) {
  const int named = named_version(function);
  if (named >= 0) return ByTeam(named);
  if (columns < kFewColumns) return ByTeam::plain;
  return columns <= kWarpColumns ? ByTeam::warp : ByTeam::block;
}

}  // namespace ek::kernels::EK_TARGET
