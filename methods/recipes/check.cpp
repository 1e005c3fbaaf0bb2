#include <algorithm>
#include <cmath>

#include "engine/io/text.h"
#include "kernels/base/error.h"
#include "methods/recipes/parts.h"

namespace ek::recipe_parts {
namespace {

using nlohmann::json;

// Doubles hold every integer up to here.
constexpr double integer_limit = 9007199254740992.0;

std::string type_name(const json& specimen) {
  switch (specimen.type()) {
    case json::value_t::boolean:
      return "true or false";
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
      return "an integer";
    case json::value_t::number_float:
      return "a number";
    case json::value_t::string:
      return "a string";
    case json::value_t::array:
      return "a list";
    case json::value_t::object:
      return "an object";
    default:
      return "a value";
  }
}

std::string plural(const json& specimen) {
  if (specimen.is_number_integer()) return "integers";
  if (specimen.is_number()) return "numbers";
  if (specimen.is_string()) return "strings";
  return specimen.is_object() ? "objects" : "values";
}

std::string range_text(const KeySpec& key) {
  const bool below = key.minimum > -1e300, above = key.maximum < 1e300;
  if (below && above) return fmt::format(" from {} to {}", key.minimum, key.maximum);
  if (below) return fmt::format(" of {} or more", key.minimum);
  if (above) return fmt::format(" of {} or less", key.maximum);
  return "";
}

struct Checker {
  const KeySpec& key;
  const std::string& who;

  [[noreturn]] void fail_value(const std::string& path, const std::string& expected,
                               const json& value) const {
    fail("{}: '{}' expected {}, came {}", who, path, expected, shown(value));
  }

  json number(const std::string& path, const json& specimen, const json& value) const {
    const bool whole = specimen.is_number_integer();
    const std::string expected = type_name(specimen) + range_text(key);
    if (!value.is_number()) fail_value(path, expected, value);
    const double x = value.get<double>();
    if (!(x >= key.minimum && x <= key.maximum)) fail_value(path, expected, value);
    if (!whole) return x;
    // As written: 2^53 + 1 would round to 2^53 on its way through a double.
    if (value.is_number_integer()) {
      const bool fits = value.is_number_unsigned()
                            ? value.get<std::uint64_t>() <= std::uint64_t(integer_limit)
                            : value.get<std::int64_t>() >= -std::int64_t(integer_limit);
      if (!fits) fail_value(path, expected, value);
      return value.get<std::int64_t>();
    }
    if (!(std::abs(x) <= integer_limit) || x != std::floor(x)) fail_value(path, expected, value);
    return std::int64_t(x);
  }

  json text(const std::string& path, const json& value) const {
    if (key.choices.empty()) {
      if (!value.is_string()) fail_value(path, "a string", value);
      return value;
    }
    const std::string given = value.is_string() ? value.get<std::string>() : "";
    if (value.is_string() && std::ranges::count(key.choices, given) > 0) return value;
    fail("{}: '{}' expected one of {}, came {}{}", who, path, fmt::join(key.choices, ", "),
         shown(value), value.is_string() ? did_you_mean(given, key.choices) : "");
  }

  json list(const std::string& path, const json& element, const json& value) const {
    if (!value.is_array()) fail_value(path, "a list of " + plural(element), value);
    json out = json::array();
    for (std::size_t i = 0; i < value.size(); ++i) {
      const std::string at = fmt::format("{}[{}]", path, i);
      out.push_back(element.is_null() ? value[i] : like(at, element, value[i]));
    }
    return out;
  }

  json object(const std::string& path, const json& specimen, const json& value) const {
    if (!value.is_object()) fail_value(path, "an object", value);
    std::vector<std::string> fields;
    for (const auto& [name, unused] : specimen.items()) fields.push_back(name);
    json out = specimen;
    for (const auto& [name, part] : value.items()) {
      require(specimen.contains(name), "{}: unknown key '{}.{}'{}", who, path, printable(name),
              did_you_mean(name, fields));
      out[name] = like(path + "." + name, specimen[name], part);
    }
    return out;
  }

  // `value` as something of the specimen's type.
  json like(const std::string& path, const json& specimen, const json& value) const {
    if (specimen.is_boolean() && !value.is_boolean()) fail_value(path, "true or false", value);
    if (specimen.is_number()) return number(path, specimen, value);
    if (specimen.is_string()) return text(path, value);
    if (specimen.is_array()) {
      // A list inside an element carries its own specimen as its only element.
      return list(path, specimen.size() == 1 ? specimen[0] : key.element, value);
    }
    if (specimen.is_object()) return object(path, specimen, value);
    if (specimen.is_null() && path != key.path && !value.is_null() && !value.is_number()) {
      fail_value(path, "a number or null", value);
    }
    return value;
  }
};

std::string leaf(std::string_view path) {
  return std::string(path.substr(path.rfind('.') + 1));  // npos + 1 is 0
}

std::string group(std::string_view path) {
  const auto dot = path.rfind('.');
  return dot == std::string_view::npos ? "" : std::string(path.substr(0, dot));
}

// Names that other programs use for what a leaf of ours is called.
struct Alias {
  std::string_view other, ours;
};
constexpr Alias aliases[] = {
    {"learning_rate", "lr"},
    {"wd", "weight_decay"},
    {"epochs", "length"},
    {"iterations", "length"},
    {"steps", "length"},
    {"batch", "batch_size"},
    {"arch", "name"},
    {"backbone", "name"},
    {"imbalance_factor", "imbalance"},
    {"imbalance_ratio", "imbalance"},
    {"smoothing", "label_smoothing"},
    {"temperature", "tau"},
};

}  // namespace

json checked(const KeySpec& key, const Assignment& assignment, const std::string& who) {
  if (assignment.value.is_null()) return key.fallback;
  // A command line needs no quotes around a string that looks like a number.
  const bool as_text = key.fallback.is_string() && !assignment.text.empty();
  const json value =
      as_text && !assignment.value.is_string() ? json(assignment.text) : assignment.value;
  try {
    (void)value.dump();
  } catch (const json::exception&) {
    fail("{}: '{}' expected UTF-8 text, came {}", who, key.path, shown(value));
  }
  if (key.fallback.is_array()) return Checker{key, who}.list(key.path, key.element, value);
  return Checker{key, who}.like(key.path, key.fallback, value);
}

void fail_unknown(const std::string& path, const std::vector<KeySpec>& keys,
                  const std::string& who) {
  std::vector<std::string> members;
  for (const KeySpec& key : keys) {
    if (group(key.path) == path) members.push_back(leaf(key.path));
  }
  require(members.empty(), "{}: '{}' expected an object with any of {}", who, path,
          fmt::join(members, ", "));

  // Nearest by the whole path, or by the last component alone; the latter costs one more in another
  // group.
  const std::string wanted = leaf(path), wanted_group = group(path);
  std::string best;
  std::size_t best_distance = std::size_t(-1);
  auto offer = [&](const KeySpec& key, std::size_t distance, std::size_t length) {
    const std::size_t limit = length < 5 ? 1 : std::max<std::size_t>(2, length / 3);
    if (distance <= limit && distance < best_distance) {
      best_distance = distance;
      best = key.path;
    }
  };
  for (const KeySpec& key : keys) {
    const std::size_t elsewhere = group(key.path) == wanted_group ? 0 : 1;
    const std::string name = leaf(key.path);
    const std::size_t distance = edit_distance(wanted, name);
    // A shared group alone ("optim.zz", "optim.lr") is no likeness.
    if (distance < name.size()) offer(key, edit_distance(path, key.path), key.path.size());
    offer(key, distance + elsewhere, name.size());
    for (const Alias& alias : aliases) {
      if (alias.ours != name) continue;
      // "name" means something in every group; the group tells which.
      if (alias.ours == "name" && group(key.path) != "model") continue;
      offer(key, edit_distance(wanted, alias.other) + elsewhere, alias.other.size());
    }
  }
  fail("{}: unknown key '{}'{}", who, printable(path),
       best.empty() ? "" : fmt::format(", did you mean '{}'?", best));
}

}  // namespace ek::recipe_parts
