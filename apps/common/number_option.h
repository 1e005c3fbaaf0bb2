#pragma once
#include <CLI/CLI.hpp>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>

// Options that take a number: as engine/io/number.h reads it, within limits; anything else is an
// Error that names the option. CLI11's own conversions would read 010 as 8 and -1 as 2^64-1.
namespace ek {

template <class T>
struct Limits {
  T least, most = std::numeric_limits<T>::max();
};

CLI::Option* add_integer(CLI::App& app, const std::string& name,
                         std::function<void(std::int64_t)> set, const std::string& doc,
                         Limits<std::int64_t> limits);
// From 0 to 2^64-1.
CLI::Option* add_unsigned(CLI::App& app, const std::string& name,
                          std::function<void(std::uint64_t)> set, const std::string& doc);
CLI::Option* add_real(CLI::App& app, const std::string& name, std::function<void(double)> set,
                      const std::string& doc, Limits<double> limits);

// The same into a variable, which outlives `app`; the help calls it N, a real number X.
template <std::signed_integral T>
CLI::Option* add_number(CLI::App& app, const std::string& name, T& value, const std::string& doc,
                        T least = 0, T most = std::numeric_limits<T>::max()) {
  return add_integer(app, name, [&value](std::int64_t n) { value = T(n); }, doc, {least, most});
}
inline CLI::Option* add_number(CLI::App& app, const std::string& name,
                               std::optional<std::int64_t>& value, const std::string& doc,
                               std::int64_t least = 0) {
  return add_integer(app, name, [&value](std::int64_t n) { value = n; }, doc, {least});
}
inline CLI::Option* add_number(CLI::App& app, const std::string& name, double& value,
                               const std::string& doc, double least = 0) {
  return add_real(app, name, [&value](double x) { value = x; }, doc, {least});
}

}  // namespace ek
