#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace ek {

// JSON that says one thing: nlohmann's parser, which would take the last of several values under
// one key and nest without end, with both refused. Error, beginning with `where`, for a key that an
// object has twice, and for lists and objects inside each other in more than the `levels` that
// `what` ("a recipe") may have; nlohmann's exceptions for what is not JSON.
nlohmann::json parse_strict_json(const std::string& text, int levels, std::string_view what,
                                 const std::string& where);

// A value or a name for a message: one line, printable, cut after 80 characters.
std::string shown(const nlohmann::json& value);
std::string printable(std::string_view text);

}  // namespace ek
