#include "engine/tuning/tuning.h"

#include <algorithm>
#include <map>

#include "engine/io/text.h"
#include "engine/memory/cuda_runtime.h"
#include "engine/tuning/committed_tuning.h"
#include "kernels/base/error.h"
#include "kernels/base/versions.h"

namespace ek {
namespace {

// All that is quoted here is a name without characters that JSON would escape; `architecture` and
// `cuda` are held to that as they are read.
std::string line_of(const TuningEntry& entry) {
  const kernels::Call& call = entry.call;
  const auto names = kernels::size_names(call.function);
  const auto versions = kernels::versions_of(call.function);
  std::vector<std::string> sizes, times;
  for (std::size_t i = 0; i < names.size(); ++i) {
    sizes.push_back(fmt::format("\"{}\": {}", names[i], call.sizes[i]));
  }
  for (const auto& [version, us] : entry.median_us) {
    times.push_back(fmt::format("\"{}\": {:.3f}", versions[std::size_t(version)], us));
  }
  const bool measured = entry.origin == TuningEntry::Origin::measured;
  return fmt::format(
      "    {{\"function\": \"{}\", \"type\": \"{}\", \"products\": \"{}\", \"sizes\": {{{}}}, "
      "\"version\": \"{}\", \"origin\": \"{}\"{}}}",
      call.function, kernels::call_type_names[std::size_t(call.type)],
      kernels::product_names[std::size_t(call.products)], fmt::join(sizes, ", "),
      versions[std::size_t(entry.version)], measured ? "measured" : "given",
      measured ? fmt::format(", \"median_us\": {{{}}}", fmt::join(times, ", ")) : std::string());
}

}  // namespace

std::string Tuning::text() const {
  std::vector<const TuningEntry*> sorted;
  for (const TuningEntry& entry : entries) sorted.push_back(&entry);
  std::ranges::sort(sorted, {}, [](const TuningEntry* entry) { return entry->call; });
  std::vector<std::string> lines;
  for (const TuningEntry* entry : sorted) lines.push_back(line_of(*entry));
  return fmt::format(
      "{{\n  \"format\": {},\n  \"architecture\": \"{}\",\n  \"cuda\": \"{}\",\n  \"entries\": "
      "[{}{}{}]\n}}\n",
      format, architecture, cuda, lines.empty() ? "" : "\n", fmt::join(lines, ",\n"),
      lines.empty() ? "" : "\n  ");
}

std::string Tuning::hash() const {
  return hash_of(text());
}

kernels::TuningTable Tuning::table() const {
  std::vector<kernels::TuningTable::Choice> choices;
  for (const TuningEntry& entry : entries) choices.push_back({entry.call, entry.version});
  return kernels::TuningTable(std::move(choices));
}

std::string architecture_of(Device device) {
  switch (device.kind) {
    case Device::Kind::cpu:
      return "";
    case Device::Kind::simt:
      return "simt";
    case Device::Kind::cuda:
      return cuda::architecture_of(device.index);
  }
  return "";
}

void require_for(const Tuning& tuning, Device device, const std::string& where) {
  const std::string here = architecture_of(device);
  require(tuning.architecture == here, "{}: a table for {}, but {} is {}", where,
          tuning.architecture, device.str(),
          here.empty() ? "no GPU: it has one version of each kernel" : here);
}

const Tuning* committed_tuning(Device device) {
  static const std::map<std::string, Tuning> committed = [] {
    std::map<std::string, Tuning> all;
    for (const auto& [name, text] : committed_tuning_texts()) {
      const std::string where = fmt::format("kernels/cuda/tuning/{}.json", name);
      Tuning tuning = parse_tuning(std::string(text), where);
      require(tuning.architecture == name, "{}: expected a table for {}, got one for {}", where,
              name, tuning.architecture);
      all.emplace(name, std::move(tuning));
    }
    return all;
  }();
  const auto it = committed.find(architecture_of(device));
  return it == committed.end() ? nullptr : &it->second;
}

void use_committed_tuning(Device device) {
  static std::unique_ptr<TuningScope> scope;
  scope.reset();
  if (const Tuning* tuning = committed_tuning(device)) {
    scope = std::make_unique<TuningScope>(*tuning);
  }
}

}  // namespace ek
