#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace ek {

// JSON that says one thing. Error, beginning with `where`, for a key that an object has twice, for
// lists and objects inside each other in more than the `levels` that `what` ("a recipe") may have,
// for a number beyond what a double holds (1e400, 1e-400), and for a NUL byte; nlohmann's
// exceptions for what is not JSON. A number that is whole is an integer, exactly, however it is
// written (1e4, 2.0); where it has more than 64 bits it is the nearest double.
nlohmann::json parse_strict_json(const std::string& text, int levels, std::string_view what,
                                 const std::string& where);

// A value or a name for a message: one line, printable, cut after 80 characters.
std::string shown(const nlohmann::json& value);
std::string printable(std::string_view text);

}  // namespace ek
