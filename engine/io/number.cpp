#include "engine/io/number.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/io/strict_json.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Takes the digits at the front of `text`.
std::string_view take_digits(std::string_view& text) {
  const std::size_t count = std::size_t(std::ranges::find_if_not(text, is_digit) - text.begin());
  const std::string_view digits = text.substr(0, count);
  text.remove_prefix(count);
  return digits;
}

// The parts of -DIGITS.FRACTIONeEXPONENT.
struct Parts {
  bool negative = false;
  std::string_view digits, fraction;
  bool negative_exponent = false;
  std::string_view exponent;
};

std::optional<Parts> parts_of(std::string_view text) {
  Parts parts;
  parts.negative = text.starts_with('-');
  if (parts.negative) text.remove_prefix(1);
  parts.digits = take_digits(text);
  if (parts.digits.empty() || (parts.digits.size() > 1 && parts.digits[0] == '0')) return {};
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    parts.fraction = take_digits(text);
    if (parts.fraction.empty()) return {};
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    parts.negative_exponent = text.starts_with('-');
    if (parts.negative_exponent || text.starts_with('+')) text.remove_prefix(1);
    parts.exponent = take_digits(text);
    if (parts.exponent.empty()) return {};
  }
  if (!text.empty()) return {};
  return parts;
}

bool is_zero(const Parts& parts) {
  const auto zero = [](char c) { return c == '0'; };
  return std::ranges::all_of(parts.digits, zero) && std::ranges::all_of(parts.fraction, zero);
}

std::string came(std::string_view text) {
  const bool minus = text.starts_with('-');
  const std::string_view digits = text.substr(minus ? 1 : 0);
  const bool octal = digits.size() > 1 && digits[0] == '0' && is_digit(digits[1]);
  return fmt::format("came '{}'{}", printable(text), octal ? ", which begins with a 0" : "");
}

}  // namespace

std::optional<WholeNumber> whole_number(std::string_view text) {
  const auto parts = parts_of(text);
  if (!parts) return {};
  if (is_zero(*parts)) return WholeNumber{parts->negative, 0};
  // More places than memory has digits for cannot be whole and within 64 bits.
  std::int64_t shift = 0;
  if (!parts->exponent.empty()) {
    const auto [end, error] = std::from_chars(
        parts->exponent.data(), parts->exponent.data() + parts->exponent.size(), shift);
    constexpr std::int64_t too_many = std::int64_t(1) << 40;
    if (error != std::errc() || shift > too_many) return {};
    if (parts->negative_exponent) shift = -shift;
  }
  // The point moves to where the exponent puts it; only zeros may lie behind.
  std::string digits = std::string(parts->digits) + std::string(parts->fraction);
  const std::int64_t point = std::int64_t(parts->digits.size()) + shift;
  const std::int64_t last = std::int64_t(digits.find_last_not_of('0')) + 1;
  if (point < last) return {};
  const std::size_t first = digits.find_first_not_of('0');
  constexpr std::int64_t longest = 20;  // digits of 2^64
  if (point - std::int64_t(first) > longest) return {};
  digits.resize(std::size_t(point), '0');
  WholeNumber number{parts->negative, 0};
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number.magnitude);
  if (error != std::errc()) return {};
  return number;
}

std::optional<double> real_number(std::string_view text) {
  const auto parts = parts_of(text);
  if (!parts) return {};
  if (is_zero(*parts)) return parts->negative ? -0.0 : 0.0;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || !std::isfinite(value) || value == 0) return {};
  return value;
}

std::int64_t parse_integer(std::string_view text, std::string_view what, std::int64_t least,
                           std::int64_t most) {
  constexpr auto top = std::uint64_t(std::numeric_limits<std::int64_t>::max());
  const auto number = whole_number(text);
  if (number && number->magnitude <= top) {
    const auto magnitude = std::int64_t(number->magnitude);
    const std::int64_t value = number->negative ? -magnitude : magnitude;
    if (value >= least && value <= most) return value;
  }
  using Limits = std::numeric_limits<std::int64_t>;
  const std::string range = least == Limits::min()  ? ""
                            : most == Limits::max() ? fmt::format(" of {} or more", least)
                                                    : fmt::format(" from {} to {}", least, most);
  fail("{}: expected a whole number{}, {}", what, range, came(text));
}

std::uint64_t parse_unsigned(std::string_view text, std::string_view what) {
  const auto number = whole_number(text);
  if (number && (!number->negative || number->magnitude == 0)) return number->magnitude;
  fail("{}: expected a whole number from 0 to {}, {}", what,
       std::numeric_limits<std::uint64_t>::max(), came(text));
}

double parse_real(std::string_view text, std::string_view what, double least, double most) {
  const auto number = real_number(text);
  if (number && *number >= least && *number <= most) return *number;
  using Limits = std::numeric_limits<double>;
  const std::string range =
      least == Limits::lowest() ? ""
      : most == Limits::max()   ? fmt::format(" of {} or more", limit_text(least))
                              : fmt::format(" from {} to {}", limit_text(least), limit_text(most));
  fail("{}: expected a number{}, {}", what, range, came(text));
}

std::string limit_text(double limit) {
  constexpr double two_64 = 18446744073709551616.0, two_63 = 9223372036854775808.0;
  if (limit == two_64) return std::to_string(std::numeric_limits<std::uint64_t>::max());
  if (limit == std::floor(limit) && std::abs(limit) < two_63) {
    return std::to_string(std::int64_t(limit));
  }
  return fmt::format("{}", limit);
}

}  // namespace ek
