#include "engine/memory/allocation_trace.h"

#include <algorithm>
#include <utility>

namespace ek {
namespace {

thread_local AllocationTrace* innermost = nullptr;

}  // namespace

AllocationTrace::AllocationTrace(Device of) : outer_(std::exchange(innermost, this)), of_(of) {}
AllocationTrace::~AllocationTrace() {
  innermost = outer_;
}

AllocationTrace* AllocationTrace::current() {
  return innermost;
}

bool AllocationTrace::sees(Device device) const {
  return device.in_host_memory() ? of_.in_host_memory() : device == of_;
}

void AllocationTrace::allocated(const void* block, std::size_t bytes, MemoryUse use) {
  live_[block] = blocks_;
  events_.push_back({blocks_++, std::int64_t(bytes), use, part_});
}

void AllocationTrace::given_back(const void* block) {
  const auto found = live_.find(block);
  if (found == live_.end()) return;  // older than the trace
  events_.push_back({found->second, -1, MemoryUse::other, part_});
  live_.erase(found);
}

MemoryPeak replay(const std::vector<AllocationTrace::Event>& events, int from_part) {
  struct Block {
    std::int64_t bytes;
    MemoryUse use;
  };
  std::unordered_map<std::int64_t, Block> live;
  std::array<std::int64_t, memory_use_count> now{};
  std::int64_t total = 0;
  MemoryPeak peak;
  bool counts = false;
  for (const AllocationTrace::Event& event : events) {
    if (!counts && event.part >= from_part) {
      counts = true;
      peak = {now, total};
    }
    const bool returns = event.bytes < 0;
    if (!returns) {
      live[event.block] = {std::int64_t(allocated_bytes(std::size_t(event.bytes))), event.use};
    }
    const Block block = live.at(event.block);
    const std::int64_t change = returns ? -block.bytes : block.bytes;
    if (returns) live.erase(event.block);
    now[std::size_t(block.use)] += change;
    total += change;
    if (!counts) continue;
    peak.by_use[std::size_t(block.use)] =
        std::max(peak.by_use[std::size_t(block.use)], now[std::size_t(block.use)]);
    peak.total = std::max(peak.total, total);
  }
  return peak;
}

}  // namespace ek
