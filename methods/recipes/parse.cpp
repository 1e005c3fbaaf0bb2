#include "engine/io/strict_json.h"
#include "kernels/base/error.h"
#include "methods/recipes/parts.h"

namespace ek::recipe_parts {
namespace {

// Deeper than any recipe, and shallow enough for the recursions that follow.
constexpr int depth_limit = 16;
constexpr std::size_t size_limit_bytes = std::size_t(1) << 20;

// nlohmann's message without its own prefix:
// "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..."
std::string syntax_message(const std::string& what) {
  constexpr std::string_view marker = "parse error at ";
  const auto begin = what.find(marker);
  if (begin != std::string::npos) return what.substr(begin + marker.size());
  const auto bracket = what.find("] ");
  return bracket == std::string::npos ? what : what.substr(bracket + 2);
}

nlohmann::json parse_strict(const std::string& text, const std::string& who) {
  return parse_strict_json(text, depth_limit, "a recipe", who);
}

}  // namespace

std::vector<Assignment> flatten(const nlohmann::json& object, const std::string& who) {
  auto check_name = [&](const std::string& key) {
    require(key.find('.') == std::string::npos,
            "{}: key '{}' has a dot; expected an object inside an object", who, printable(key));
  };
  std::vector<Assignment> out;
  for (const auto& [group, members] : object.items()) {
    check_name(group);
    if (!members.is_object()) {
      out.push_back({group, members});
      continue;
    }
    for (const auto& [key, value] : members.items()) {
      check_name(key);
      out.push_back({group + "." + key, value});
    }
  }
  return out;
}

std::vector<Assignment> parse_file(const std::string& text, const std::string& who) {
  require(text.size() <= size_limit_bytes, "{}: expected at most {} bytes, came {}", who,
          size_limit_bytes, text.size());
  nlohmann::json json;
  try {
    json = parse_strict(text, who);
  } catch (const nlohmann::json::exception& error) {
    std::string message = syntax_message(error.what());
    if (message.size() > 200) message = message.substr(0, 200) + "...";
    // Not through printable(), which would escape the quotes of the message.
    for (char& c : message) {
      if (c < 0x20 || c > 0x7e) c = '?';
    }
    fail("{}: {}", who, message);
  }
  require(json.is_object(), "{}: expected a JSON object, came {}", who, shown(json));
  return flatten(json, who);
}

std::vector<Assignment> parse_sets(const std::vector<std::string>& sets, const std::string& who) {
  std::vector<Assignment> out;
  for (const std::string& set : sets) {
    const auto equals = set.find('=');
    require(equals != std::string::npos && equals > 0,
            "{}: --set expected key.path=value, came '{}'", who, printable(set));
    const std::string path = set.substr(0, equals), text = set.substr(equals + 1);
    nlohmann::json value;
    try {
      value = text.size() <= size_limit_bytes ? parse_strict(text, who) : nlohmann::json(text);
    } catch (const nlohmann::json::exception&) {
      value = text;
    }
    if (value.is_object() && path.find('.') == std::string::npos) {
      for (Assignment& part : flatten({{path, value}}, who)) out.push_back(std::move(part));
    } else {
      out.push_back({path, std::move(value), text});
    }
  }
  return out;
}

}  // namespace ek::recipe_parts
