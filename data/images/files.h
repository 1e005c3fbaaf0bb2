#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ek {

// The lines of a text file without line ends, without empty lines at its end and without the byte
// order mark that some editors begin UTF-8 with. Error naming file and line where one is not UTF-8.
std::vector<std::string> read_lines(const std::filesystem::path& path);

// Creates the folder `path` with what `fill` writes into the folder it is given, all or nothing:
// that folder lies beside `path` and is renamed at the end. `path` may exist when it is an empty
// folder; otherwise Error.
void write_folder(const std::filesystem::path& path,
                  const std::function<void(const std::filesystem::path&)>& fill);

// Writes a file inside such a folder: checked, but neither synchronised to the disk nor renamed,
// since the folder as a whole is what appears or does not (thousands of small files are slow
// otherwise). Error naming the file.
void write_file_in_new_folder(const std::filesystem::path& file, std::string_view bytes);

// The last part of a path, whether or not it ends with a slash.
std::string folder_name(const std::filesystem::path& path);

}  // namespace ek
