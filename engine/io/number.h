#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

// Numbers in text, the same wherever one is given: on a command line, after --set, in a recipe.
// They are written as JSON has them, in decimal, without leading zeros, signs of plus or spaces. A
// whole number may have a fraction or an exponent, as 1e4 or 2.50e2, as long as it is whole.
namespace ek {

// A whole number, exactly.
struct WholeNumber {
  bool negative = false;
  std::uint64_t magnitude = 0;
};

// nullopt where `text` is no number, not whole, or beyond 64 bits.
std::optional<WholeNumber> whole_number(std::string_view text);

// The nearest double; nullopt where `text` is no number, or too large or too small for one (so that
// a number which is not 0 never becomes 0).
std::optional<double> real_number(std::string_view text);

// The number as a command line gave it. Error "WHAT: expected a whole number from 0 to 4096, came
// '...'" for anything else; what a type can hold at most goes without saying.
std::int64_t parse_integer(std::string_view text, std::string_view what,
                           std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                           std::int64_t most = std::numeric_limits<std::int64_t>::max());
std::uint64_t parse_unsigned(std::string_view text, std::string_view what);
double parse_real(std::string_view text, std::string_view what,
                  double least = std::numeric_limits<double>::lowest(),
                  double most = std::numeric_limits<double>::max());

// A limit as people write it: whole numbers with all their digits, 2^64 (the nearest double to the
// largest unsigned number) as that.
std::string limit_text(double limit);

}  // namespace ek
