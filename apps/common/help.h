#pragma once
#include <CLI/CLI.hpp>
#include <string>

namespace ek {

// The columns that --help keeps to.
inline constexpr std::size_t help_columns = 80;

// CLI11's help with long lines broken between words; what continues a description is set below
// where it begins.
std::string wrapped_help(const std::string& text);

// What is wrong where CLI11 met an argument that it does not know: which one, and the nearest
// option or subcommand.
std::string unknown_argument(const CLI::App& app);

}  // namespace ek
