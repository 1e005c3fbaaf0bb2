// The reader of tuning.json: strict, since a table decides how a run rounds.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/io/atomic_file.h"
#include "engine/io/strict_json.h"
#include "engine/io/text.h"
#include "engine/tuning/tuning.h"
#include "kernels/base/error.h"
#include "kernels/base/versions.h"

namespace ek {
namespace {

using nlohmann::json;
using Names = std::vector<std::string>;

Names names_of(std::span<const std::string_view> all) {
  return {all.begin(), all.end()};
}

json parse_json(const std::string& text, const std::string& where) {
  try {
    return parse_strict_json(text, 6, "a table of kernel versions", where);
  } catch (const json::exception&) {
    fail("{}: not a JSON file", where);
  }
}

// An object with these keys and no others.
void require_keys(const json& object, const Names& keys, const std::string& where) {
  require(object.is_object(), "{}: expected an object, got {}", where, shown(object));
  for (const auto& [key, value] : object.items()) {
    require(std::ranges::find(keys, key) != keys.end(), "{}: unknown key {}{}", where, shown(key),
            did_you_mean(key, keys));
  }
  for (const std::string& key : keys) {
    require(object.contains(key), "{}: key '{}' is missing", where, key);
  }
}

// The place of object[key] among `known`.
int one_of(const json& object, const char* key, const Names& known, const std::string& where) {
  const json& value = object[key];
  require(value.is_string(), "{}: {}: expected a name, got {}", where, key, shown(value));
  const auto it = std::ranges::find(known, value.get<std::string>());
  require(it != known.end(), "{}: unknown {} {}{}", where, key, shown(value),
          did_you_mean(value.get<std::string>(), known));
  return int(it - known.begin());
}

// A word that can be quoted in JSON as it is: "sm_90", "13.0".
std::string word(const json& object, const char* key, const std::string& where) {
  const json& value = object[key];
  const auto plain = [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '_' || c == '.';
  };
  require(value.is_string() && std::ranges::all_of(value.get<std::string>(), plain),
          "{}: {}: expected a word of small letters, digits, '_' and '.', got {}", where, key,
          shown(value));
  return value;
}

void read_sizes(const json& sizes, kernels::Call& call, const std::string& where) {
  const Names names = names_of(kernels::size_names(call.function));
  require_keys(sizes, names, where + ": sizes");
  for (std::size_t i = 0; i < names.size(); ++i) {
    const json& value = sizes[names[i]];
    require(value.is_number_unsigned() && value.get<std::uint64_t>() <= INT64_MAX,
            "{}: sizes: {}: expected a whole number from 0 on, got {}", where, names[i],
            shown(value));
    call.sizes[i] = value.get<std::int64_t>();
  }
}

void read_times(const json& times, TuningEntry& entry, const std::string& where) {
  const Names versions = names_of(kernels::versions_of(entry.call.function));
  require(times.is_object(), "{}: median_us: expected an object, got {}", where, shown(times));
  for (const auto& [name, value] : times.items()) {
    const auto it = std::ranges::find(versions, name);
    require(it != versions.end(), "{}: median_us: unknown version {}{}", where, shown(name),
            did_you_mean(name, versions));
    require(value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() >= 0,
            "{}: median_us: {}: expected a time, got {}", where, name, shown(value));
    entry.median_us.emplace_back(int(it - versions.begin()), value.get<double>());
  }
  std::ranges::sort(entry.median_us);
  require(std::ranges::find(entry.median_us, entry.version, &std::pair<int, double>::first) !=
              entry.median_us.end(),
          "{}: median_us: no time of version '{}', which was chosen", where,
          versions[std::size_t(entry.version)]);
}

TuningEntry read_entry(const json& object, const std::string& where) {
  Names keys{"function", "type", "products", "sizes", "version", "origin"};
  require(object.is_object(), "{}: expected an object, got {}", where, shown(object));
  const bool timed = object.contains("median_us");
  if (timed) keys.push_back("median_us");
  require_keys(object, keys, where);
  TuningEntry entry;
  const auto functions = kernels::tuned_functions();
  entry.call.function =
      functions[std::size_t(one_of(object, "function", names_of(functions), where))];
  entry.call.type =
      kernels::CallType(one_of(object, "type", names_of(kernels::call_type_names), where));
  entry.call.products =
      kernels::FloatProducts(one_of(object, "products", names_of(kernels::product_names), where));
  read_sizes(object["sizes"], entry.call, where);
  entry.version =
      one_of(object, "version", names_of(kernels::versions_of(entry.call.function)), where);
  entry.origin = TuningEntry::Origin(one_of(object, "origin", {"measured", "given"}, where));
  require(timed == (entry.origin == TuningEntry::Origin::measured),
          "{}: median_us: expected where the origin is \"measured\", and there alone", where);
  if (timed) read_times(object["median_us"], entry, where);
  return entry;
}

}  // namespace

Tuning parse_tuning(const std::string& text, const std::string& where) {
  const json root = parse_json(text, where);
  require(root.is_object() && root.contains("format"),
          "{}: not a table of kernel versions: key 'format' is missing", where);
  require(root["format"] == Tuning::format, "{}: format {}, this program reads {}", where,
          shown(root["format"]), int(Tuning::format));
  require_keys(root, {"format", "architecture", "cuda", "entries"}, where);
  Tuning tuning;
  tuning.architecture = word(root, "architecture", where);
  tuning.cuda = word(root, "cuda", where);
  const json& entries = root["entries"];
  require(entries.is_array(), "{}: entries: expected a list, got {}", where, shown(entries));
  for (std::size_t i = 0; i < entries.size(); ++i) {
    tuning.entries.push_back(read_entry(entries[i], fmt::format("{}: entry {}", where, i + 1)));
  }
  try {
    tuning.table();
  } catch (const Error& error) {
    fail("{}: {}", where, error.what());
  }
  return tuning;
}

Tuning read_tuning(const std::filesystem::path& file) {
  constexpr std::uint64_t limit_bytes = 16 << 20;
  return parse_tuning(read_file(file, limit_bytes), file.string());
}

}  // namespace ek
