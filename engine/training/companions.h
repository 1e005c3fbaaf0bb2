#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/tensor/device.h"

namespace ek {

// What has been derived from the contents of a storage and is worth keeping while they last: the
// packs of convolution weights. Made at the first request, shared by all later ones,
// forgotten when the storage dies or a newer version of its contents is asked for; or handed over
// to whoever writes the contents, and taken back as companions of the new ones. Safe to use from
// several threads, as long as none writes the contents.
class Companions {
 public:
  using Key = std::array<std::int64_t, 16>;
  using Made = std::map<Key, std::shared_ptr<void>>;

  // The companion of these bytes under `key`; make(memory) fills it. It counts as workspace. The
  // caller's handle keeps it alive. A capture (engine/graph/graph.h) shares none with what is
  // outside it.
  std::shared_ptr<const void> get(std::uint64_t version, const Key& key, Device device,
                                  std::size_t bytes, const std::function<void(void*)>& make);

  // The companions of this version, to be written with the contents: those that nobody else holds.
  // None is left here.
  Made take(std::uint64_t version);
  // Makes these the companions of `version`, which is new.
  void put(std::uint64_t version, Made made);
  // Gives back all memory: companions, and what spare() keeps.
  void clear();
  // The keys of the companions of this version, in order.
  std::vector<Key> keys(std::uint64_t version);

  // Memory for the companions of copies of the contents, one copy at a time: the block of the last
  // copy if it had the same keys and is given back, so that it lies at the same address and holds
  // what was written there; else a new one, and `is_new`.
  struct Spare {
    std::shared_ptr<void> memory;
    bool is_new;
  };
  Spare spare(const std::vector<Key>& keys, Device device, std::size_t bytes);

 private:
  std::mutex mutex_;
  std::uint64_t version_ = 0, capture_id_ = 0;
  Made made_;
  std::vector<Key> spare_keys_;
  std::uint64_t spare_capture_id_ = 0;
  std::shared_ptr<void> spare_;
};

}  // namespace ek
