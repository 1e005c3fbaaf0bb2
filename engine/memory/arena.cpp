#include "engine/memory/arena.h"

#include <algorithm>

#include "engine/memory/allocator.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

constexpr std::size_t alignment_bytes = 256;
constexpr std::size_t smallest_chunk_bytes = std::size_t(1) << 20;

}  // namespace

// At least half of what there is already, so that there are few of them.
void Arena::add_chunk(std::size_t bytes) {
  std::size_t held = 0;
  for (const Chunk& chunk : chunks_) held += chunk.bytes;
  const std::size_t size = allocated_bytes(std::max({bytes, held / 2, smallest_chunk_bytes}));
  chunks_.push_back({hold_memory(device_, size), size});
  free_[{chunks_.size() - 1, 0}] = size;
}

void* Arena::take(std::size_t bytes) {
  const std::size_t size =
      (std::max<std::size_t>(bytes, 1) + alignment_bytes - 1) / alignment_bytes * alignment_bytes;
  const std::lock_guard lock(mutex_);
  const auto best = [&] {
    auto found = free_.end();
    for (auto range = free_.begin(); range != free_.end(); ++range) {
      if (range->second < size) continue;
      if (found == free_.end() || range->second < found->second) found = range;
    }
    return found;
  };
  auto range = best();
  if (range == free_.end()) {
    add_chunk(size);
    range = best();
  }
  const auto [chunk, offset] = range->first;
  const std::size_t left = range->second - size;
  free_.erase(range);
  if (left > 0) free_[{chunk, offset + size}] = left;
  void* block = static_cast<std::byte*>(chunks_[chunk].memory.get()) + offset;
  taken_[block] = {{chunk, offset}, size};
  return block;
}

void Arena::give_back(void* block) {
  const std::lock_guard lock(mutex_);
  const auto known = taken_.find(block);
  require(known != taken_.end(), "arena: a block was given back that it does not have");
  auto [place, size] = known->second;
  taken_.erase(known);
  const auto next = free_.find({place.chunk, place.offset + size});
  if (next != free_.end()) {
    size += next->second;
    free_.erase(next);
  }
  const auto after = free_.lower_bound({place.chunk, place.offset});
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    const auto [chunk, offset] = before->first;
    if (chunk == place.chunk && offset + before->second == place.offset) {
      before->second += size;
      return;
    }
  }
  free_[{place.chunk, place.offset}] = size;
}

std::int64_t Arena::held_bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t held = 0;
  for (const Chunk& chunk : chunks_) held += chunk.bytes;
  return std::int64_t(held);
}

Arena::Place Arena::place_of(const void* block) const {
  const std::lock_guard lock(mutex_);
  const auto known = taken_.find(block);
  require(known != taken_.end(), "arena: a block was asked for that it does not have");
  return known->second.place;
}

bool Arena::has(const void* block) const {
  const std::lock_guard lock(mutex_);
  return taken_.contains(block);
}

}  // namespace ek
