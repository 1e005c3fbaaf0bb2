#include "engine/io/text.h"
#include "methods/losses/loss.h"
#include "methods/method.h"
#include "methods/recipes/catalogue.h"

namespace ek {

// A line here and one in the list below: that is how a method becomes known.
MethodEntry supervised_entry();
MethodEntry difficulty_net_entry();
MethodEntry classifier_stage_entry();
MethodEntry dive_method_entry();

const std::vector<MethodEntry>& method_registry() {
  static const std::vector<MethodEntry> entries{
      supervised_entry(),
      difficulty_net_entry(),
      classifier_stage_entry(),
      dive_method_entry(),
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

const Catalogue& catalogue() {
  static const Catalogue all = [] {
    Catalogue built{.methods = {}, .losses = {}, .normalizers = normalizer_names()};
    for (const MethodEntry& entry : method_registry()) {
      built.methods.push_back(
          {entry.name, entry.doc, entry.keys, entry.published, entry.needs_meta});
    }
    for (const LossEntry& entry : loss_registry()) {
      built.losses.push_back({.name = entry.name, .doc = entry.doc, .keys = entry.keys});
    }
    return built;
  }();
  return all;
}

}  // namespace ek
