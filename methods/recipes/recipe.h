#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "data/longtail.h"
#include "engine/training/optim.h"
#include "engine/training/schedule.h"

namespace ek {

// One recipe key: where it lives, what it may hold, what it means.
struct KeySpec {
  std::string path;         // "optim.lr"
  nlohmann::json fallback;  // the default; its type is the key's type (null: any or absent)
  std::string doc;          // one line
  std::vector<std::string> choices = {};     // allowed strings, if it is a choice
  double minimum = -1e300, maximum = 1e300;  // of a number, or of the numbers of a list
  // The maximum itself is not allowed; where there is none, the minimum.
  bool exclusive = false;
  // Of a list: a specimen of its elements. They have its type; where it is an object, its fields
  // are those that an element may have, with their defaults.
  nlohmann::json element = nullptr;
};

// Every key that a recipe with this method and loss may hold, in the order of the documentation:
// the common ones and those that the method and the loss declare. A method may declare a common key
// anew to give it another default. Methods that need a meta set hold out 10 images per class by
// default, the others none.
std::vector<KeySpec> recipe_keys(const std::string& method, const std::string& loss);

// A recipe with all defaults filled in and every key checked. Unknown keys are refused with the
// nearest known name, values with the type, choices or range that were expected, duplicate keys as
// such. null stands for the default everywhere.
class Recipe {
 public:
  // `text` is JSON; `source` names it in messages ("recipe SOURCE: ..."); `sets` are
  // "key.path=value" overrides (the value is JSON, or else taken as a string). Later wins:
  // defaults, the method's preset, the file, the overrides; so what a file says is stronger than a
  // preset, also where an override names the preset. The JSON of a resolved recipe resolves to
  // itself.
  static Recipe resolve(const std::string& text, const std::string& source,
                        const std::vector<std::string>& sets = {});

  // Every key, nested by group, sorted.
  const nlohmann::json& json() const { return values_; }
  // Of UTF-8 whatever the file is called (escaped_bytes of engine/io/text.h).
  const std::string& name() const { return name_; }

  double number(std::string_view path) const;
  std::int64_t integer(std::string_view path) const;
  std::uint64_t seed() const;  // the key "seed", of 64 bits
  bool flag(std::string_view path) const;
  std::string text(std::string_view path) const;
  // A key's value, or a whole group as an object; Error if `path` is not declared.
  const nlohmann::json& at(std::string_view path) const;

  SplitSpec split() const;                // data.*
  ScheduleSpec schedule() const;          // schedule.* and optim.lr
  Sgd::Settings optimizer() const;        // optim.*
  Adam::Settings meta_optimizer() const;  // meta_optim.*
  std::vector<GroupSpec> groups() const;  // optim.groups

 private:
  std::string name_;
  nlohmann::json values_;
};

// The recipe with its defaults and their documentation, for --describe: a line per key.
std::string describe(const Recipe& recipe);

}  // namespace ek
