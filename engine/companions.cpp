#include "engine/companions.h"

#include "engine/allocator.h"
#include "engine/capture.h"

namespace ek {

std::shared_ptr<const void> Companions::get(std::uint64_t version, const Key& key, Device device,
                                            std::size_t bytes,
                                            const std::function<void(void*)>& make) {
  const std::lock_guard lock(mutex_);
  // What a graph makes it makes again at each replay; what was made outside it would not.
  const Capture* capture = Capture::on(device);
  const std::uint64_t capture_id = capture ? capture->id() : 0;
  if (version != version_ || capture_id != capture_id_) made_.clear();
  version_ = version;
  capture_id_ = capture_id;
  if (const auto known = made_.find(key); known != made_.end()) return known->second;
  const MemoryScope scope(MemoryUse::workspace);
  std::shared_ptr<void> memory = allocate(device, bytes);
  make(memory.get());
  return made_[key] = std::move(memory);
}

}  // namespace ek
