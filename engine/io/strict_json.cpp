#include "engine/io/strict_json.h"

#include <set>
#include <vector>

#include "kernels/base/error.h"

namespace ek {
namespace {

std::string cut(std::string text) {
  constexpr std::size_t longest = 80;
  return text.size() > longest ? text.substr(0, longest) + "..." : text;
}

// Control characters and broken UTF-8 are escaped or replaced.
std::string dumped(const nlohmann::json& value) {
  return value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

nlohmann::json parse_strict_json(const std::string& text, int levels, std::string_view what,
                                 const std::string& where) {
  std::vector<std::set<std::string>> seen;  // the keys of each open object
  const auto watch = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    require(depth < levels, "{}: nested deeper than the {} levels that {} may have", where, levels,
            what);
    if (event == Event::object_start) seen.emplace_back();
    if (event == Event::object_end) seen.pop_back();
    if (event == Event::key) {
      const std::string key = parsed.get<std::string>();
      require(seen.back().insert(key).second, "{}: duplicate key '{}'", where, printable(key));
    }
    return true;
  };
  return nlohmann::json::parse(text, watch);
}

std::string shown(const nlohmann::json& value) {
  return cut(dumped(value));
}

std::string printable(std::string_view text) {
  const std::string quoted = dumped(std::string(text));
  return cut(quoted.substr(1, quoted.size() - 2));
}

}  // namespace ek
