// The attributes of an op: checked against what it declares.
#include <algorithm>

#include "apps/op/table.h"
#include "engine/io/text.h"
#include "methods/recipes/parts.h"

namespace ek {
namespace {

using nlohmann::json;
using recipe_parts::Assignment;

json checked_pair(const KeySpec& key, const json& value, const std::string& who) {
  const bool list = value.is_array() && value.size() == 2;
  require(list || value.is_number(), "{}: '{}' expected an integer or [height, width], came {}",
          who, key.path, shown(value));
  KeySpec one = key;
  one.fallback = 0;
  const json height = list ? value[0] : value, width = list ? value[1] : value;
  return {recipe_parts::checked(one, {key.path, height}, who),
          recipe_parts::checked(one, {key.path, width}, who)};
}

const OpAttribute& declared(const OpEntry& op, const std::string& path, const std::string& who) {
  const std::string head = path.substr(0, path.find('.'));
  std::vector<std::string> names;
  for (const OpAttribute& attribute : op.attributes) {
    const std::string& name = attribute.key.path;
    if (name == path || (attribute.object && name == head)) return attribute;
    names.push_back(name);
  }
  require(!names.empty(), "{}: unknown attribute '{}'; {} takes none", who, printable(path),
          op.name);
  fail("{}: unknown attribute '{}'{} (known: {})", who, printable(path), did_you_mean(path, names),
       fmt::join(names, ", "));
}

}  // namespace

json check_attributes(const OpEntry& op, const std::string& text) {
  const std::string who = op.name + ": --attrs";
  json all = json::object();
  for (const Assignment& assignment : recipe_parts::parse_file(text.empty() ? "{}" : text, who)) {
    const OpAttribute& attribute = declared(op, assignment.path, who);
    const std::string& name = attribute.key.path;
    if (assignment.value.is_null()) continue;  // stands for the default
    if (assignment.path != name) {
      all[name][assignment.path.substr(name.size() + 1)] = assignment.value;
    } else if (attribute.pair) {
      all[name] = checked_pair(attribute.key, assignment.value, who);
    } else {
      all[name] = recipe_parts::checked(attribute.key, assignment, who);
    }
  }
  for (const OpAttribute& attribute : op.attributes) {
    const KeySpec& key = attribute.key;
    if (all.contains(key.path)) continue;
    require(!attribute.required, "{}: '{}' is missing, {}", who, key.path, key.doc);
    const bool fill = attribute.pair && !key.fallback.is_null();
    all[key.path] = fill ? json{key.fallback, key.fallback} : key.fallback;
  }
  return all;
}

}  // namespace ek
