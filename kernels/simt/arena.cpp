#include "kernels/simt/arena.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/base/error.h"
#include "kernels/simt/check/sanitizer.h"

namespace ek::simt {

bool address_sanitizer() {
  return kAddressSanitizer;
}

namespace {
std::size_t rounded_up(std::size_t value, std::size_t step) {
  return (value + step - 1) / step * step;
}
}  // namespace

void SharedArena::Free::operator()(unsigned char* p) const {
  unpoison(p, kArenaBytes);
  std::free(p);
}

SharedArena::SharedArena()
    : owner_(static_cast<unsigned char*>(std::aligned_alloc(1024, kArenaBytes))),
      memory_(owner_.get()) {
  require(memory_ != nullptr, "simt: no memory for {} bytes of shared memory", kArenaBytes);
}

void SharedArena::reset(std::size_t dynamic_bytes, std::uint8_t poison) {
  unpoison(memory_, kArenaBytes);
  poison_ = poison;
  slots_.clear();
  static_bytes_ = 0;
  dynamic_bytes_ = dynamic_bytes;
  std::memset(memory_, poison, dynamic_bytes);
  close_region(dynamic_bytes);
}

// Ends the live part at `end`: a red zone, then memory that nobody asked for.
void SharedArena::close_region(std::size_t end) {
  used_ = rounded_up(end + kRedzone, 16);
  std::memset(memory_ + end, kRedzoneByte, used_ - end);
  make_poison(memory_ + end, kArenaBytes - end);
}

void* SharedArena::slot(const void* key, std::size_t bytes, std::size_t alignment) {
  for (const Slot& slot : slots_) {
    if (slot.key == key) return memory_ + slot.begin;
  }
  const std::size_t begin = rounded_up(used_, std::max<std::size_t>(alignment, 16));
  static_bytes_ += rounded_up(bytes, 16);
  if (static_bytes_ > kMaxStaticBytes || static_bytes_ + dynamic_bytes_ > kMaxBytes ||
      begin + bytes + 2 * kRedzone > kArenaBytes) {
    return nullptr;
  }
  unpoison(memory_ + used_, begin + bytes + 2 * kRedzone - used_);
  std::memset(memory_ + used_, kRedzoneByte, begin - used_);
  std::memset(memory_ + begin, poison_, bytes);
  slots_.push_back({key, begin, bytes});
  close_region(begin + bytes);
  return memory_ + begin;
}

std::string SharedArena::damage() const {
  unpoison(memory_, used_);  // to look at the red zones; the next reset poisons again
  const auto damaged = [&](std::size_t end) {
    const unsigned char* zone = memory_ + end;
    return std::any_of(zone, zone + kRedzone, [](unsigned char b) { return b != kRedzoneByte; });
  };
  if (damaged(dynamic_bytes_)) {
    return fmt::format("something wrote past the end of the {} bytes of dynamic shared memory",
                       dynamic_bytes_);
  }
  for (const Slot& slot : slots_) {
    if (damaged(slot.begin + slot.bytes)) {
      return fmt::format("something wrote past the end of a shared variable of {} bytes",
                         slot.bytes);
    }
  }
  return "";
}

bool SharedArena::declared(const void* address, std::size_t bytes) const {
  const std::size_t begin = std::size_t(static_cast<const unsigned char*>(address) - memory_);
  if (begin + bytes <= dynamic_bytes_) return true;
  return std::any_of(slots_.begin(), slots_.end(), [&](const Slot& slot) {
    return begin >= slot.begin && begin + bytes <= slot.begin + slot.bytes;
  });
}

}  // namespace ek::simt
