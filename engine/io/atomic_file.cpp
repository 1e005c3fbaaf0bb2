#include "engine/io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;

namespace {

std::string reason() {
  return std::generic_category().message(errno);
}

// Never an argument of require(): errno may only be looked at after the call that failed.
[[noreturn]] void fail_to(const char* what, const fs::path& path) {
  const std::string why = reason();
  fail("{}: cannot {}: {}", path.string(), what, why);
}

// 0, or -1 with errno set.
int write_all(int descriptor, const char* data, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -1;
    data += written;
    bytes -= std::size_t(written);
  }
  return 0;
}

// Some file systems, and every pipe, cannot synchronise and say so with EINVAL.
int sync_to_disk(int descriptor) {
  if (::fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP) return 0;
  return -1;
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path_, ignored);
  require(status.type() != fs::file_type::directory, "{}: cannot write: Is a directory",
          path_.string());
  const bool direct = fs::exists(status) && !fs::is_regular_file(status);
  if (!direct && fs::is_symlink(fs::symlink_status(path_, ignored))) {
    const fs::path target = fs::weakly_canonical(path_, ignored);
    if (!target.empty()) path_ = target;
  }
  temporary_ = path_;
  if (!direct) temporary_ += ".tmp";
  if (!direct) known_ = TemporaryName(temporary_.string());
  const int flags = O_WRONLY | O_CLOEXEC | (direct ? 0 : O_CREAT | O_TRUNC);
  descriptor_ = ::open(temporary_.c_str(), flags, 0666);
  if (descriptor_ < 0) fail_to("write", path_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (temporary_ != path_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  require(descriptor_ >= 0, "{}: written after commit", path_.string());
  if (write_all(descriptor_, static_cast<const char*>(data), bytes) != 0) fail_to("write", path_);
}

void AtomicFile::commit() {
  require(descriptor_ >= 0, "{}: committed twice", path_.string());
  if (sync_to_disk(descriptor_) != 0) fail_to("write", path_);
  const int closed = ::close(std::exchange(descriptor_, -1));
  const bool direct = temporary_ == path_;
  if (closed != 0 || (!direct && ::rename(temporary_.c_str(), path_.c_str()) != 0)) {
    const std::string why = reason();
    if (!direct) ::unlink(temporary_.c_str());
    fail("{}: cannot write: {}", path_.string(), why);
  }
  known_.forget();
  if (direct) return;
  // The new name itself, so that it outlives a power cut; not every file system can.
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

void write_file_atomically(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

std::string read_file(const fs::path& path, std::uint64_t limit_bytes) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail_to("read", path);
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{descriptor};

  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_to("read", path);
  require(S_ISREG(status.st_mode), "{}: cannot read: not a regular file", path.string());
  require(std::uint64_t(status.st_size) <= limit_bytes, "{}: {} bytes, expected {} at most",
          path.string(), status.st_size, limit_bytes);
  std::string bytes(std::size_t(status.st_size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(descriptor, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_to("read", path);
    if (got == 0) break;  // cut while it was read
    done += std::size_t(got);
  }
  bytes.resize(done);
  return bytes;
}

JsonLines::JsonLines(fs::path path, std::uint64_t keep_bytes) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_to("write", path_);
  struct stat status {};
  std::string why;
  if (::fstat(descriptor_, &status) != 0) {
    why = fmt::format("cannot write: {}", reason());
  } else if (!S_ISREG(status.st_mode)) {
    why = "cannot write: not a regular file";
  } else if (std::uint64_t(status.st_size) < keep_bytes) {
    why = fmt::format("{} bytes, expected {} at least to resume from", status.st_size, keep_bytes);
  } else if (::ftruncate(descriptor_, off_t(keep_bytes)) != 0) {
    why = fmt::format("cannot cut to {} bytes: {}", keep_bytes, reason());
  }
  if (!why.empty()) {  // the destructor does not run for an object that was never whole
    ::close(descriptor_);
    fail("{}: {}", path_.string(), why);
  }
  size_bytes_ = keep_bytes;
}

JsonLines::~JsonLines() {
  ::close(descriptor_);
}

void JsonLines::append(std::string_view line) {
  require(line.find('\n') == std::string_view::npos, "{}: a line holds a line break",
          path_.string());
  std::string bytes(line);
  bytes += '\n';
  if (write_all(descriptor_, bytes.data(), bytes.size()) != 0) {
    std::string why = reason();
    if (::ftruncate(descriptor_, off_t(size_bytes_)) != 0) why += "; its last line is not whole";
    fail("{}: cannot write: {}", path_.string(), why);
  }
  size_bytes_ += bytes.size();
}

void JsonLines::sync() {
  if (sync_to_disk(descriptor_) != 0) fail_to("write", path_);
}

}  // namespace ek
