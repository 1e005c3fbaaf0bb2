#include "models/outputs.h"

#include <algorithm>

#include "kernels/base/error.h"

namespace ek {

bool Outputs::contains(std::string_view name) const {
  return std::ranges::find(entries_, name, &Entry::first) != entries_.end();
}

const Tensor& Outputs::operator[](std::string_view name) const {
  const auto found = std::ranges::find(entries_, name, &Entry::first);
  if (found == entries_.end()) {
    std::vector<std::string> names;
    for (const Entry& entry : entries_) names.push_back(entry.first);
    fail("network: it gives no '{}' (it gives: {})", name, fmt::join(names, ", "));
  }
  return found->second;
}

}  // namespace ek
