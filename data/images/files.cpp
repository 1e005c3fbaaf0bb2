#include "data/images/files.h"

#include <unistd.h>

#include <fstream>
#include <system_error>
#include <utility>

#include "engine/io/atomic_file.h"
#include "engine/io/text.h"
#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

fs::path beside(const fs::path& path) {
  fs::path out = path;
  out += fmt::format(".partial-{}", ::getpid());
  return out;
}

// Folders that were made on the way to a result; removed again unless it was reached.
class NewFolder {
 public:
  explicit NewFolder(fs::path path) : path_(std::move(path)) {
    std::error_code error;
    for (fs::path p = path_.parent_path(); !p.empty() && !fs::exists(p, error);) {
      parents_.push_back(p);
      p = p.parent_path();
    }
    fs::create_directories(path_, error);
    if (error) {
      const std::string why = error.message();
      remove();
      fail("{}: cannot be created: {}", path_.string(), why);
    }
  }
  ~NewFolder() {
    if (!kept_) remove();
  }
  const fs::path& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  void remove() const {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
    for (const fs::path& parent : parents_) fs::remove(parent, ignored);
  }

  fs::path path_;
  std::vector<fs::path> parents_;  // made for it, innermost first
  bool kept_ = false;
};

}  // namespace

std::vector<std::string> read_lines(const fs::path& path) {
  static constexpr std::uint64_t limit_bytes = 64 << 20;
  static constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  const std::string file = read_file(path, limit_bytes);
  std::string_view bytes = file;
  if (bytes.starts_with(byte_order_mark)) bytes.remove_prefix(byte_order_mark.size());
  std::vector<std::string> lines(1);
  for (const char byte : bytes) {
    if (byte == '\n') {
      lines.emplace_back();
    } else if (byte != '\r') {
      lines.back().push_back(byte);
    }
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    require_utf8(lines[i], fmt::format("{}: line {}", escaped_bytes(path.string()), i + 1));
  }
  return lines;
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
  require(!fs::exists(beside(target), error), "{}: {} is in the way", target.string(),
          beside(target).string());
  NewFolder partial(beside(target));
  fill(partial.path());
  fs::rename(partial.path(), target, error);  // replaces an empty folder
  require(!error, "{}: cannot be created: {}", target.string(), error.message());
  partial.keep();
}

void write_file_in_new_folder(const fs::path& file, std::string_view bytes) {
  std::ofstream out(file, std::ios::binary);
  out.write(bytes.data(), std::streamsize(bytes.size()));
  out.close();  // the last chance of a full disk to show
  require(out.good(), "{}: cannot write {} bytes", file.string(), bytes.size());
}

std::string folder_name(const fs::path& path) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(path, error);
  const std::string name = (error || whole.empty() ? path : whole).filename().string();
  return name.empty() ? "data" : escaped_bytes(name);
}

}  // namespace ek
