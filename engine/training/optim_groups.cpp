#include <cmath>

#include "engine/io/text.h"
#include "engine/training/optim.h"

namespace ek {
namespace {

bool same_settings(const kernels::OptimSegment& a, const kernels::OptimSegment& b) {
  return a.lr_factor == b.lr_factor && a.weight_decay == b.weight_decay && a.frozen == b.frozen;
}

void check_group(const GroupSpec& group, const Params& params) {
  require(!group.names.empty(), "optim groups: a group without names");
  require(std::isfinite(group.lr_factor) && group.lr_factor >= 0,
          "optim groups: lr_factor {} for '{}', expected 0 or more", group.lr_factor,
          group.names[0]);
  const double decay = group.weight_decay.value_or(0);
  require(std::isfinite(decay) && decay >= 0,
          "optim groups: weight_decay {} for '{}', expected 0 or more", decay, group.names[0]);
  for (const std::string& pattern : group.names) {
    bool matched = false;
    std::vector<std::string> known;
    for (const Params::Entry& entry : params) {
      matched = matched || matches_group_pattern(pattern, entry.name);
      known.push_back(entry.name);
    }
    require(matched, "optim groups: '{}' matches no parameter{}", pattern,
            matched ? "" : did_you_mean(pattern, known));
  }
}

const GroupSpec* find_group(const std::vector<GroupSpec>& groups, std::string_view name) {
  for (const GroupSpec& group : groups) {
    for (const std::string& pattern : group.names) {
      if (matches_group_pattern(pattern, name)) return &group;
    }
  }
  return nullptr;
}

}  // namespace

bool matches_group_pattern(std::string_view pattern, std::string_view name) {
  // Wildcards without recursion: on a mismatch, let the latest '*' take one character more.
  std::size_t p = 0, n = 0, star = std::string_view::npos, taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p, ++n;
    } else if (p == pattern.size() && p > 0 && name[n] == '.') {
      return true;  // the rest of the name is below what the pattern names
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<kernels::OptimSegment> optimizer_segments(const Params& params, double weight_decay,
                                                      const std::vector<GroupSpec>& groups) {
  require(std::isfinite(weight_decay) && weight_decay >= 0,
          "optim: weight_decay {}, expected 0 or more", weight_decay);
  for (const GroupSpec& group : groups) check_group(group, params);
  std::vector<kernels::OptimSegment> segments;
  std::int64_t begin = 0;
  for (const Params::Entry& entry : params) {
    kernels::OptimSegment segment{begin, begin + entry.tensor.numel(), 1, weight_decay, false};
    if (const GroupSpec* group = find_group(groups, entry.name)) {
      segment.lr_factor = group->lr_factor;
      segment.weight_decay = group->weight_decay.value_or(weight_decay);
      segment.frozen = group->frozen;
    }
    begin = segment.end;
    if (!segments.empty() && same_settings(segments.back(), segment)) {
      segments.back().end = segment.end;
    } else {
      segments.push_back(segment);
    }
  }
  return segments;
}

}  // namespace ek
