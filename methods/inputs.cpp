#include "methods/inputs.h"

#include <algorithm>

namespace ek {
namespace {

bool is_fresh(const std::vector<std::string>& patterns, std::string_view name) {
  return std::ranges::any_of(
      patterns, [&](const std::string& pattern) { return matches_group_pattern(pattern, name); });
}

Params filled(const Params& own, const Params& given, const FromInput& from,
              const std::string& source) {
  std::vector<Params::Entry> entries;
  for (const auto& [name, tensor] : own) {
    if (is_fresh(from.fresh, name)) {
      entries.push_back({name, tensor});
      continue;
    }
    require(given.contains(name), "input {}: {} has no {} {} in its part {}", from.run, source,
            name, tensor.shape().str(), from.part);
    const Tensor& value = given[name];
    require(value.shape() == tensor.shape(), "input {}: {} of {} is {}, {} expected", from.run,
            name, source, value.shape().str(), tensor.shape().str());
    entries.push_back({name, value.to(Device{}).to(tensor.dtype())});
  }
  return entries.empty() ? Params() : Params(std::move(entries)).flattened();
}

}  // namespace

bool Inputs::contains(std::string_view name) const {
  return std::ranges::any_of(runs_, [&](const auto& run) { return run->name() == name; });
}

const InputRun& Inputs::operator[](std::string_view name) const {
  const auto found =
      std::ranges::find_if(runs_, [&](const auto& run) { return run->name() == name; });
  if (found == runs_.end()) {
    std::vector<std::string> names;
    for (const auto& run : runs_) names.push_back(run->name());
    fail("there is no input run '{}' (given: {}); --input {}=RUN names one", name,
         names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")), name);
  }
  return **found;
}

void Inputs::fill(Params& params, Params& buffers, const FromInput& from) const {
  const InputRun& run = (*this)[from.run];
  const Part& part = run.state()[from.part];
  for (const std::string& pattern : from.fresh) {
    const bool known = std::ranges::any_of(params.entries(), [&](const Params::Entry& entry) {
      return matches_group_pattern(pattern, entry.name);
    });
    require(known, "input {}: '{}' should start afresh but names no parameter", from.run, pattern);
  }
  params = filled(params, part.params, from, run.source());
  buffers = filled(buffers, part.buffers, from, run.source());
}

}  // namespace ek
