#include "engine/allocator.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/allocation_trace.h"
#include "kernels/error.h"

namespace ek {
namespace {

thread_local MemoryUse current_use = MemoryUse::other;

class Pool {
 public:
  void* take(std::size_t bytes, MemoryUse use) {
    std::lock_guard lock(mutex_);
    void* block = nullptr;
    auto& free_list = free_[bytes];
    if (!free_list.empty()) {
      block = free_list.back();
      free_list.pop_back();
    } else {
      block = std::aligned_alloc(64, bytes);
      if (!block) fail("allocator: {} bytes of memory are not to be had", bytes);
      stats_.reserved_bytes += std::int64_t(bytes);
      ++stats_.system_allocations;
    }
    count(use, std::int64_t(bytes));
    return block;
  }

  void give_back(void* block, std::size_t bytes, MemoryUse use) {
    std::lock_guard lock(mutex_);
    free_[bytes].push_back(block);
    count(use, -std::int64_t(bytes));
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return stats_;
  }

  void reset_peak() {
    std::lock_guard lock(mutex_);
    stats_.peak_bytes = stats_.live_bytes;
    stats_.peak_total_bytes = stats_.live_total_bytes;
  }

  void release() {
    std::lock_guard lock(mutex_);
    for (auto& [bytes, blocks] : free_) {
      for (void* block : blocks) std::free(block);
      stats_.reserved_bytes -= std::int64_t(bytes) * std::int64_t(blocks.size());
      blocks.clear();
    }
  }

 private:
  void count(MemoryUse use, std::int64_t bytes) {
    auto& live = stats_.live_bytes[std::size_t(use)];
    auto& peak = stats_.peak_bytes[std::size_t(use)];
    live += bytes;
    peak = std::max(peak, live);
    stats_.live_total_bytes += bytes;
    stats_.peak_total_bytes = std::max(stats_.peak_total_bytes, stats_.live_total_bytes);
  }

  std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;
  MemoryStats stats_;
};

// Never destroyed: tensors with static lifetime may still give memory back at exit.
Pool& pool() {
  static Pool* instance = new Pool;
  return *instance;
}

}  // namespace

std::string_view name_of(MemoryUse use) {
  constexpr std::array<std::string_view, memory_use_count> names{
      "other", "parameters", "activations", "gradients", "optimizer", "workspace", "data"};
  return names[std::size_t(use)];
}

// Eight classes per doubling keep the waste below 1/8; everything is a multiple of a cache line.
std::size_t allocated_bytes(std::size_t bytes) {
  constexpr std::size_t line = 64;
  bytes = std::max<std::size_t>(bytes, line);
  const std::size_t step = std::max(line, std::bit_floor(bytes) / 8);
  return (bytes + step - 1) / step * step;
}

MemoryScope::MemoryScope(MemoryUse use) : previous_(std::exchange(current_use, use)) {}
MemoryScope::~MemoryScope() {
  current_use = previous_;
}

std::shared_ptr<void> allocate(Device device, std::size_t bytes) {
  require(is_available(device), "allocator: device {} is not in this build", device.str());
  const std::size_t rounded = allocated_bytes(bytes);
  const MemoryUse use = current_use;
  void* block = pool().take(rounded, use);
  if (AllocationTrace* trace = AllocationTrace::current()) trace->allocated(block, bytes, use);
  return {block, [rounded, use](void* p) {
            if (AllocationTrace* trace = AllocationTrace::current()) trace->given_back(p);
            pool().give_back(p, rounded, use);
          }};
}

MemoryStats memory_stats() {
  return pool().stats();
}
void reset_memory_peak() {
  pool().reset_peak();
}
void release_free_memory() {
  pool().release();
}

}  // namespace ek
