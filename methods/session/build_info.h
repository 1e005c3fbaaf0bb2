#pragma once
#include <nlohmann/json.hpp>

namespace ek {

// {"evenkeel", "compiler", "instruction_set", "convolutions"}: what a result depends on beside its
// recipe.
nlohmann::json build_versions();

}  // namespace ek
