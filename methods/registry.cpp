#include "engine/io/text.h"
#include "methods/entries.h"

namespace ek {

const std::vector<MethodEntry>& method_registry() {
  static const std::vector<MethodEntry> entries{
      supervised_entry(),
      difficulty_net_entry(),
  };
  return entries;
}

const MethodEntry& find_method(const std::string& name) {
  std::vector<std::string> names;
  for (const MethodEntry& entry : method_registry()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  fail("method '{}' is not known (known: {}){}", name, fmt::join(names, ", "),
       did_you_mean(name, names));
}

}  // namespace ek
