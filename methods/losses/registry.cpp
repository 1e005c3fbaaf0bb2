#include "engine/io/strict_json.h"
#include "engine/io/text.h"
#include "methods/losses/loss_entry.h"

namespace ek {

// A line here and one in the list below: that is how a loss becomes known.
LossEntry cross_entropy_entry();
LossEntry class_weighted_entry();
LossEntry balanced_softmax_entry();
LossEntry logit_adjusted_entry();
LossEntry dive_entry();

const std::vector<LossEntry>& loss_registry() {
  static const std::vector<LossEntry> entries{
      cross_entropy_entry(),  class_weighted_entry(), balanced_softmax_entry(),
      logit_adjusted_entry(), dive_entry(),
  };
  return entries;
}

const LossEntry& find_loss(std::string_view name) {
  std::vector<std::string> names;
  for (const LossEntry& entry : loss_registry()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  fail("loss '{}' is not known (known: {}){}", printable(name), fmt::join(names, ", "),
       did_you_mean(name, names));
}

}  // namespace ek
