#include "engine/io/temporaries.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <utility>

namespace ek {
namespace {

// More than a program writes at a time.
std::array<std::atomic<const char*>, 64> names;
static_assert(std::atomic<const char*>::is_always_lock_free, "a signal handler reads them");

}  // namespace

TemporaryName::TemporaryName(std::string path) {
  char* copy = new char[path.size() + 1];
  std::memcpy(copy, path.c_str(), path.size() + 1);
  path_ = copy;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const char* free = nullptr;
    if (names[i].compare_exchange_strong(free, path_)) {
      slot_ = int(i);
      return;
    }
  }
}

TemporaryName::TemporaryName(TemporaryName&& other) noexcept
    : path_(std::exchange(other.path_, nullptr)), slot_(std::exchange(other.slot_, -1)) {}

TemporaryName& TemporaryName::operator=(TemporaryName&& other) noexcept {
  if (this == &other) return *this;
  forget();
  path_ = std::exchange(other.path_, nullptr);
  slot_ = std::exchange(other.slot_, -1);
  return *this;
}

void TemporaryName::forget() {
  if (slot_ >= 0) names[std::size_t(std::exchange(slot_, -1))].store(nullptr);
  delete[] std::exchange(path_, nullptr);
}

void unlink_temporaries() noexcept {
  for (const auto& name : names) {
    if (const char* path = name.load()) ::unlink(path);
  }
}

}  // namespace ek
