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

// FNV-1a, 64 bits: tells texts apart that nobody means to confuse. `hash`: of the bytes before.
std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash = 0xcbf29ce484222325u);
// The same in 16 hexadecimal digits.
std::string hash_of(std::string_view text);

}  // namespace ek
