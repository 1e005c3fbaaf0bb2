#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ek {

// The whole file. Error naming it when it cannot be read or is larger than `limit_bytes`.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path,
                                    std::uint64_t limit_bytes = std::uint64_t(16) << 30);

// The lines of a text file without line ends, and without empty lines at its end.
std::vector<std::string> read_lines(const std::filesystem::path& path);

// Writes beside the file and renames, so that a reader sees the old contents or the new ones. On
// any failure (folder missing or read-only, disk full) throws Error and leaves nothing behind.
void write_file(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);
void write_text(const std::filesystem::path& path, std::string_view text);

// Creates the folder `path` with what `fill` writes into the folder it is given, all or nothing:
// that folder lies beside `path` and is renamed at the end. `path` may exist when it is an empty
// folder; otherwise Error.
void write_folder(const std::filesystem::path& path,
                  const std::function<void(const std::filesystem::path&)>& fill);

// The last part of a path, whether or not it ends with a slash.
std::string folder_name(const std::filesystem::path& path);

}  // namespace ek
