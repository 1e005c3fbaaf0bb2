#include "data/files.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>

#include "kernels/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

fs::path beside(const fs::path& path) {
  fs::path out = path;
  out += fmt::format(".partial-{}", ::getpid());
  return out;
}

// Removes a half-written file or folder unless the work was finished.
struct Removal {
  fs::path path;
  ~Removal() {
    std::error_code ignored;
    if (!path.empty()) fs::remove_all(path, ignored);
  }
};

}  // namespace

std::vector<std::uint8_t> read_file(const fs::path& path, std::uint64_t limit_bytes) {
  std::error_code error;
  const std::uint64_t size = fs::file_size(path, error);
  require(!error, "{}: cannot be read: {}", path.string(), error.message());
  require(size <= limit_bytes, "{}: expected at most {} bytes, got {}", path.string(), limit_bytes,
          size);
  std::ifstream file(path, std::ios::binary);
  require(file.is_open(), "{}: cannot be opened: {}", path.string(), std::strerror(errno));
  std::vector<std::uint8_t> bytes(size);
  file.read(reinterpret_cast<char*>(bytes.data()), std::streamsize(size));
  require(std::uint64_t(file.gcount()) == size, "{}: expected {} bytes, could read {}",
          path.string(), size, file.gcount());
  return bytes;
}

std::vector<std::string> read_lines(const fs::path& path) {
  static constexpr std::uint64_t limit_bytes = 64 << 20;
  const auto bytes = read_file(path, limit_bytes);
  std::vector<std::string> lines(1);
  for (const std::uint8_t byte : bytes) {
    if (byte == '\n') {
      lines.emplace_back();
    } else if (byte != '\r') {
      lines.back().push_back(char(byte));
    }
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

void write_file(const fs::path& path, std::span<const std::uint8_t> bytes) {
  Removal partial{beside(path)};
  std::FILE* file = std::fopen(partial.path.c_str(), "wb");
  if (!file) {
    const int code = errno;
    partial.path.clear();
    fail("{}: cannot be written: {}", path.string(), std::strerror(code));
  }
  errno = 0;
  bool good = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  good = good && std::fflush(file) == 0;
  int code = errno;
  if (std::fclose(file) != 0 && good) {
    good = false;
    code = errno;
  }
  require(good, "{}: writing {} bytes failed: {}", path.string(), bytes.size(),
          std::strerror(code));
  std::error_code error;
  fs::rename(partial.path, path, error);
  require(!error, "{}: cannot be written: {}", path.string(), error.message());
  partial.path.clear();
}

void write_text(const fs::path& path, std::string_view text) {
  write_file(path, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

void write_folder(const fs::path& path, const std::function<void(const fs::path&)>& fill) {
  fs::path target = path;
  if (!target.has_filename()) target = target.parent_path();
  std::error_code error;
  const auto status = fs::status(target, error);
  if (fs::exists(status)) {
    require(fs::is_directory(status), "{}: expected a new folder, there is a file of that name",
            target.string());
    const bool empty = fs::is_empty(target, error);
    require(!error && empty, "{}: expected a new or empty folder, it has contents",
            target.string());
  }
  Removal partial{beside(target)};
  require(!fs::exists(partial.path, error), "{}: {} is in the way", target.string(),
          partial.path.string());
  fs::create_directories(partial.path, error);
  require(!error, "{}: cannot be created: {}", target.string(), error.message());
  fill(partial.path);
  fs::rename(partial.path, target, error);  // replaces an empty folder
  require(!error, "{}: cannot be created: {}", target.string(), error.message());
  partial.path.clear();
}

std::string folder_name(const fs::path& path) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(path, error);
  const std::string name = (error || whole.empty() ? path : whole).filename().string();
  return name.empty() ? "data" : name;
}

}  // namespace ek
