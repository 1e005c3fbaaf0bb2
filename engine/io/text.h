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

// Error that names `what` ("class folder data/train") and shows the text escaped unless it is UTF-8
// as RFC 3629 has it: no overlong form, no surrogate, nothing past U+10FFFF. For names from outside
// that go into JSON or safetensors metadata.
void require_utf8(std::string_view text, std::string_view what);

// A text of any bytes as UTF-8 on one line, reversibly: a byte that belongs to no UTF-8 character
// or is a control character becomes \xff (two lower-case digits), a backslash is doubled.
std::string escaped_bytes(std::string_view text);

}  // namespace ek
