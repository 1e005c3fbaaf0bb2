#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "engine/tensor/device.h"

namespace ek {

// Memory of a device that one owner has for itself: large chunks, divided best fit, neighbours
// joined again. What it gives for a sequence of requests follows from the sequence alone: the same
// sequence on another arena lies at the same places of its chunks. Thread-safe.
class Arena {
 public:
  explicit Arena(Device device) : device_(device) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Aligned to 256 bytes, not initialised.
  void* take(std::size_t bytes);
  // What was taken before and may be taken again.
  void give_back(void* block);

  // Of all chunks, used or not.
  std::int64_t held_bytes() const;
  // Where a block lies: chunk and offset in bytes. For blocks that are taken.
  struct Place {
    std::size_t chunk = 0, offset = 0;
    bool operator==(const Place&) const = default;
  };
  Place place_of(const void* block) const;
  // Whether it is a block that is taken.
  bool has(const void* block) const;

 private:
  struct Chunk {
    std::shared_ptr<void> memory;
    std::size_t bytes;
  };
  struct Taken {
    Place place;
    std::size_t bytes;
  };
  // Free ranges by place, so that neighbours are found.
  using Ranges = std::map<std::pair<std::size_t, std::size_t>, std::size_t>;
  void add_chunk(std::size_t bytes);

  Device device_;
  mutable std::mutex mutex_;
  std::vector<Chunk> chunks_;
  Ranges free_;
  std::unordered_map<const void*, Taken> taken_;
};

}  // namespace ek
