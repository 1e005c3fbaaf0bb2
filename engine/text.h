#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ek {

// Number of single-character edits between two words.
std::size_t edit_distance(std::string_view a, std::string_view b);

// ", did you mean 'x'?" for the nearest known word within a third of its length, else "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

// FNV-1a, 64 bits, in 16 hexadecimal digits: tells texts apart that nobody means to confuse.
std::string hash_of(std::string_view text);

}  // namespace ek
