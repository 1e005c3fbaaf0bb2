#include "engine/training/companions.h"

#include <utility>

#include "engine/graph/capture.h"
#include "engine/memory/allocator.h"

namespace ek {
namespace {

// What a graph makes it makes again at each replay; what was made outside it would not.
std::uint64_t present_capture() {
  const Capture* capture = Capture::current();
  return capture ? capture->id() : 0;
}

}  // namespace

std::shared_ptr<const void> Companions::get(std::uint64_t version, const Key& key, Device device,
                                            std::size_t bytes,
                                            const std::function<void(void*)>& make) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t capture_id = present_capture();
  if (version != version_ || capture_id != capture_id_) made_.clear();
  version_ = version;
  capture_id_ = capture_id;
  if (const auto known = made_.find(key); known != made_.end()) return known->second;
  const MemoryScope scope(MemoryUse::workspace);
  std::shared_ptr<void> memory = allocate(device, bytes);
  make(memory.get());
  return made_[key] = std::move(memory);
}

Companions::Made Companions::take(std::uint64_t version) {
  const std::lock_guard lock(mutex_);
  Made taken = std::exchange(made_, {});
  if (version != version_ || capture_id_ != present_capture()) return {};
  std::erase_if(taken, [](const auto& entry) { return entry.second.use_count() > 1; });
  return taken;
}

void Companions::put(std::uint64_t version, Made made) {
  const std::lock_guard lock(mutex_);
  version_ = version;
  capture_id_ = present_capture();
  made_ = std::move(made);
}

void Companions::clear() {
  const std::lock_guard lock(mutex_);
  made_.clear();
  spare_.reset();
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
  const std::uint64_t capture_id = present_capture();
  const bool fits = keys == spare_keys_ && capture_id == spare_capture_id_;
  if (spare_ && spare_.use_count() == 1 && fits) return {spare_, false};
  const MemoryScope scope(MemoryUse::workspace);
  spare_ = allocate(device, bytes);
  spare_keys_ = keys;
  spare_capture_id_ = capture_id;
  return {spare_, true};
}

}  // namespace ek
