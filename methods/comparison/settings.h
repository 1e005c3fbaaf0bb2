#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace ek {

// Everything that a run's results depend on beside its data: the recipe's keys by their paths
// ("optim.lr"), and "precision", "device" and, where there is one, "init". Not among them are keys
// that change no result (doc, data.source, log.every, checkpoint.every).
struct RunSettings {
  std::map<std::string, nlohmann::json> values;  // without the seed
  nlohmann::json seed;
};

// From the object in a config.json, which `where` names in errors.
RunSettings settings_of(const nlohmann::json& config, const std::string& where);

// True for the keys that say how the training set is cut out of the data: data.profile,
// data.imbalance and so on.
bool is_split_key(std::string_view path);

// Without those keys.
RunSettings without_split(RunSettings settings);

// What `other` has else than `first`, as "optim.lr=0.02": the method and the loss before the other
// keys, the seed last. A key that the first has no place for (one of another method's) is named
// where it is not at its default.
std::vector<std::string> differences(const RunSettings& first, const RunSettings& other);

// True where neither has anything else than the other, the seed aside.
bool same_but_for_seed(const RunSettings& a, const RunSettings& b);

}  // namespace ek
