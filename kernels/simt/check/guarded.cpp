#include "kernels/simt/check/guarded.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/simt/buffers.h"
#include "kernels/simt/check/sanitizer.h"

namespace ek::simt {

GuardedMemory::GuardedMemory(std::size_t bytes, const std::string& name, bool initialised)
    : name_(name), bytes_(bytes) {
  const std::size_t page = std::size_t(sysconf(_SC_PAGESIZE));
  const std::size_t inner = (std::max<std::size_t>(bytes, 1) + 15 + page - 1) / page * page;
  mapped_ = inner + 2 * page;
  void* memory = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(memory != MAP_FAILED, "simt: no memory for buffer '{}' of {} bytes", name, bytes);
  mapping_ = static_cast<unsigned char*>(memory);
  first_ = mapping_ + page;
  end_ = first_ + inner;
  data_ = end_ - (bytes + 15) / 16 * 16;
  if (mprotect(first_, inner, PROT_READ | PROT_WRITE) != 0) {
    munmap(mapping_, mapped_);
    fail("simt: cannot open the pages of buffer '{}'", name);
  }
  std::memset(first_, kSentinel, inner);
  make_poison(first_, std::size_t(data_ - first_));
  make_poison(data_ + bytes, std::size_t(end_ - data_) - bytes);
  register_buffer(data_, bytes, name, initialised);
}

GuardedMemory::~GuardedMemory() {
  unregister_buffer(data_);
  unpoison(first_, std::size_t(end_ - first_));
  munmap(mapping_, mapped_);
}

void GuardedMemory::check() const {
  const auto is_sentinel = [](unsigned char byte) { return byte == kSentinel; };
  unpoison(first_, std::size_t(end_ - first_));
  const bool before = std::all_of(first_, data_, is_sentinel);
  const bool after = std::all_of(data_ + bytes_, end_, is_sentinel);
  make_poison(first_, std::size_t(data_ - first_));
  make_poison(data_ + bytes_, std::size_t(end_ - data_) - bytes_);
  require(before, "simt: something wrote before the start of buffer '{}'", name_);
  require(after, "simt: something wrote past the end of buffer '{}'", name_);
}

}  // namespace ek::simt
