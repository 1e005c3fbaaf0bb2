#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "engine/device.h"

namespace ek {

// What has been derived from the contents of a storage and is worth keeping while they last: the
// packs of convolution weights (DESIGN 2.1). Made at the first request, shared by all later ones,
// forgotten when the storage dies or a newer version of its contents is asked for. Safe to use from
// several threads, as long as none writes the contents.
class Companions {
 public:
  using Key = std::array<std::int64_t, 16>;

  // The companion of these bytes under `key`; make(memory) fills it. It counts as workspace. The
  // caller's handle keeps it alive. A capture (engine/graph.h) shares none with what is outside it.
  std::shared_ptr<const void> get(std::uint64_t version, const Key& key, Device device,
                                  std::size_t bytes, const std::function<void(void*)>& make);

 private:
  std::mutex mutex_;
  std::uint64_t version_ = 0, capture_id_ = 0;
  std::map<Key, std::shared_ptr<const void>> made_;
};

}  // namespace ek
