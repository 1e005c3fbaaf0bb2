#include "engine/companions.h"

#include <utility>

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

Companions::Made Companions::take(std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  Made taken = std::exchange(made_, {});
  if (version != version_) return {};
  std::erase_if(taken, [](const auto& entry) { return entry.second.use_count() > 1; });
  return taken;
}

void Companions::put(std::uint64_t version, Made made) {
  const std::lock_guard lock(mutex_);
  version_ = version;
  made_ = std::move(made);
}

std::vector<Companions::Key> Companions::keys(std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  std::vector<Key> keys;
  if (version != version_) return keys;
  for (const auto& [key, memory] : made_) keys.push_back(key);
  return keys;
}

Companions::Spare Companions::spare(const std::vector<Key>& keys, Device device,
                                    std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (spare_ && spare_.use_count() == 1 && keys == spare_keys_) return {spare_, false};
  const MemoryScope scope(MemoryUse::workspace);
  spare_ = allocate(device, bytes);
  spare_keys_ = keys;
  return {spare_, true};
}

}  // namespace ek
