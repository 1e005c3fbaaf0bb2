#include "methods/training/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

std::string this_process() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return fmt::format("process {} on {}", ::getpid(), host[0] ? host.data() : "this host");
}

std::string written_in(int descriptor) {
  std::array<char, 300> text{};
  const ssize_t got = ::pread(descriptor, text.data(), text.size() - 1, 0);
  std::string holder(text.data(), std::size_t(got > 0 ? got : 0));
  holder = holder.substr(0, holder.find('\n'));
  // The holder has not written its name yet.
  return holder.empty() ? "another process" : holder;
}

bool is_file_of(int descriptor, const fs::path& path) {
  struct stat open {
  }, named{};
  return ::fstat(descriptor, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

}  // namespace

RunLock::RunLock(const fs::path& folder) : path_(folder / file_name) {
  for (;;) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
      const int error = errno;
      fail("{}: cannot write: {}", path_.string(), reason(error));
    }
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      const std::string holder = written_in(descriptor_);
      ::close(std::exchange(descriptor_, -1));
      require(error != EWOULDBLOCK, "--out {}: in use by {}", folder.string(), holder);
      warning_ = fmt::format(
          "warning: {} cannot be locked ({}): let no other process write to this run folder",
          folder.string(), reason(error));
      return;
    }
    // Whoever had it before may have removed the file after it was opened here.
    if (is_file_of(descriptor_, path_)) break;
    ::close(std::exchange(descriptor_, -1));
  }
  known_ = TemporaryName(path_.string());
  const std::string text = this_process() + "\n";
  // For whoever is refused; the lock holds without it.
  if (::ftruncate(descriptor_, 0) != 0 ||
      ::pwrite(descriptor_, text.data(), text.size(), 0) != ssize_t(text.size())) {
    const int error = errno;
    unlock();
    fail("{}: cannot write: {}", path_.string(), reason(error));
  }
}

RunLock::RunLock(RunLock&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      known_(std::move(other.known_)),
      warning_(std::move(other.warning_)) {}

RunLock& RunLock::operator=(RunLock&& other) noexcept {
  if (this == &other) return *this;
  unlock();
  path_ = std::move(other.path_);
  descriptor_ = std::exchange(other.descriptor_, -1);
  known_ = std::move(other.known_);
  warning_ = std::move(other.warning_);
  return *this;
}

void RunLock::unlock() {
  if (descriptor_ < 0) return;
  ::unlink(path_.c_str());
  known_.forget();
  ::close(std::exchange(descriptor_, -1));
}

std::string RunLock::holder(const fs::path& folder) {
  const int descriptor = ::open((folder / file_name).c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return "";
  const bool held = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  std::string name = held ? written_in(descriptor) : "";
  ::close(descriptor);
  return name;
}

}  // namespace ek
