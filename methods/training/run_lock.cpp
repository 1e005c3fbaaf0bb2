#include "methods/training/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "kernels/base/error.h"

namespace ek {
namespace {

std::string holder(int descriptor) {
  std::array<char, 200> text{};
  const ssize_t size = pread(descriptor, text.data(), text.size() - 1, 0);
  std::string said(text.data(), size > 0 ? std::size_t(size) : 0);
  return said.empty() ? "another process" : said.substr(0, said.find('\n'));
}

// Whether the open file is still the one of that name: a holder removes it when it ends.
bool is_current(int descriptor, const std::filesystem::path& path) {
  struct stat open_file {};
  struct stat named {};
  return fstat(descriptor, &open_file) == 0 && stat(path.c_str(), &named) == 0 &&
         open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& folder) : path_(folder / "lock") {
  while (true) {
    descriptor_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    require(descriptor_ >= 0, "{}: {}", path_.string(), std::strerror(errno));
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const bool held = errno == EWOULDBLOCK;
      const std::string why = held ? "in use by " + holder(descriptor_) : std::strerror(errno);
      close(std::exchange(descriptor_, -1));
      fail("{}: the run is {}", folder.string(), why);
    }
    if (is_current(descriptor_, path_)) break;
    close(std::exchange(descriptor_, -1));
  }
  std::array<char, 128> machine{};
  gethostname(machine.data(), machine.size() - 1);
  const std::string mine = fmt::format("process {} on {}\n", getpid(), machine.data());
  if (ftruncate(descriptor_, 0) != 0 ||
      pwrite(descriptor_, mine.data(), mine.size(), 0) != ssize_t(mine.size())) {
    const std::string why = std::strerror(errno);
    close(std::exchange(descriptor_, -1));
    fail("{}: {}", path_.string(), why);
  }
}

RunLock::RunLock(RunLock&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

RunLock::~RunLock() {
  if (descriptor_ < 0) return;
  unlink(path_.c_str());
  close(descriptor_);
}

}  // namespace ek
