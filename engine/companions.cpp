#include "engine/companions.h"

#include "engine/allocator.h"

namespace ek {

std::shared_ptr<const void> Companions::get(std::uint64_t version, const Key& key, Device device,
                                            std::size_t bytes,
                                            const std::function<void(void*)>& make) {
  const std::lock_guard lock(mutex_);
  if (version != version_) made_.clear();
  version_ = version;
  if (const auto known = made_.find(key); known != made_.end()) return known->second;
  const MemoryScope scope(MemoryUse::workspace);
  std::shared_ptr<void> memory = allocate(device, bytes);
  make(memory.get());
  return made_[key] = std::move(memory);
}

}  // namespace ek
