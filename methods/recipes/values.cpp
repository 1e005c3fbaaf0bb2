#include <algorithm>
#include <limits>

#include "engine/io/text.h"
#include "methods/recipes/parts.h"
#include "methods/recipes/recipe.h"

namespace ek {

namespace {

template <class T>
T as(const nlohmann::json& value, bool fits, std::string_view path, const char* wanted) {
  require(fits, "recipe key '{}': read as {}, it is {}", path, wanted, shown(value));
  return value.get<T>();
}

}  // namespace

const nlohmann::json& Recipe::at(std::string_view path) const {
  const nlohmann::json* here = &values_;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    const std::string part(path.substr(begin, end - begin));
    if (!here->is_object() || !here->contains(part)) {
      std::vector<std::string> known;
      const nlohmann::json flat = values_.flatten();
      for (const auto& [pointer, value] : flat.items()) {
        std::string name = pointer.substr(1);
        std::ranges::replace(name, '/', '.');
        known.push_back(name);
      }
      fail("recipe {}: key '{}' is not declared{}", name_, path, did_you_mean(path, known));
    }
    here = &here->at(part);
    begin = end + 1;
  }
  return *here;
}

double Recipe::number(std::string_view path) const {
  const nlohmann::json& value = at(path);
  return as<double>(value, value.is_number(), path, "a number");
}

std::int64_t Recipe::integer(std::string_view path) const {
  const nlohmann::json& value = at(path);
  constexpr auto top = std::uint64_t(std::numeric_limits<std::int64_t>::max());
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<std::uint64_t>() <= top);
  return as<std::int64_t>(value, fits, path, "an integer of 64 bits");
}

std::uint64_t Recipe::seed() const {
  return as<std::uint64_t>(at("seed"), at("seed").is_number_integer(), "seed", "an integer");
}

bool Recipe::flag(std::string_view path) const {
  const nlohmann::json& value = at(path);
  return as<bool>(value, value.is_boolean(), path, "true or false");
}

std::string Recipe::text(std::string_view path) const {
  const nlohmann::json& value = at(path);
  return as<std::string>(value, value.is_string(), path, "a string");
}

SplitSpec Recipe::split() const {
  return {.profile = text("data.profile"),
          .imbalance = number("data.imbalance"),
          .n_max = integer("data.n_max"),
          .subset = text("data.subset"),
          .subset_seed = std::uint64_t(integer("data.subset_seed")),
          .meta_per_class = integer("data.meta_per_class")};
}

ScheduleSpec Recipe::schedule() const {
  return {.kind = parse_schedule_kind(text("schedule.kind")),
          .unit = parse_schedule_unit(text("schedule.unit")),
          .length = integer("schedule.length"),
          .lr = number("optim.lr"),
          .warmup_length = integer("schedule.warmup"),
          .warmup_start = number("schedule.warmup_start"),
          .warmup = parse_schedule_warmup(text("schedule.warmup_kind")),
          .milestones = at("schedule.milestones").get<std::vector<std::int64_t>>(),
          .gamma = number("schedule.gamma"),
          .gammas = at("schedule.gammas").get<std::vector<double>>(),
          .final_lr = number("schedule.final_lr"),
          .cosine_begin = integer("schedule.cosine_begin")};
}

Sgd::Settings Recipe::optimizer() const {
  return {.momentum = number("optim.momentum"), .nesterov = flag("optim.nesterov")};
}

Adam::Settings Recipe::meta_optimizer() const {
  return {.beta1 = number("meta_optim.beta1"),
          .beta2 = number("meta_optim.beta2"),
          .eps = number("meta_optim.eps")};
}

std::vector<GroupSpec> Recipe::groups() const {
  std::vector<GroupSpec> groups;
  for (const nlohmann::json& entry : at("optim.groups")) {
    GroupSpec group{.names = entry["names"].get<std::vector<std::string>>(),
                    .lr_factor = entry["lr_factor"].get<double>(),
                    .weight_decay = std::nullopt,
                    .frozen = entry["frozen"].get<bool>()};
    if (!entry["weight_decay"].is_null()) group.weight_decay = entry["weight_decay"].get<double>();
    const bool named =
        !group.names.empty() && std::ranges::none_of(group.names, &std::string::empty);
    require(named, "'optim.groups[{}].names' expected a list of parameter names, came {}",
            groups.size(), shown(entry["names"]));
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace ek
