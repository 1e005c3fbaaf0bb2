#pragma once
#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "engine/memory/allocator.h"

namespace ek {

// Whatever this thread allocates in one memory, that of the host or that of a GPU, and gives back
// while the trace lives, in order; what it had before is not seen. Traces nest: the innermost one
// sees. A step of training makes the same sequence at every batch size, only the sizes differ: so
// the sequence at two small batches tells the one at a large batch, and with it the memory that the
// large one will need.
class AllocationTrace {
 public:
  struct Event {
    std::int64_t block;  // number of the allocation, from 0 on
    std::int64_t bytes;  // asked for; -1 where the block is given back
    MemoryUse use;       // of an allocation
    int part;
  };

  // `of`: a device that uses the memory.
  explicit AllocationTrace(Device of = {});
  ~AllocationTrace();
  AllocationTrace(const AllocationTrace&) = delete;
  AllocationTrace& operator=(const AllocationTrace&) = delete;

  // The events from here on are of the next part; parts count from 0.
  void next_part() { ++part_; }
  const std::vector<Event>& events() const { return events_; }

  // For the allocator.
  bool sees(Device device) const;
  static AllocationTrace* current();
  void allocated(const void* block, std::size_t bytes, MemoryUse use);
  void given_back(const void* block);

 private:
  AllocationTrace* outer_;
  Device of_;
  std::vector<Event> events_;
  std::unordered_map<const void*, std::int64_t> live_;
  std::int64_t blocks_ = 0;
  int part_ = 0;
};

struct MemoryPeak {
  std::array<std::int64_t, memory_use_count> by_use{};
  std::int64_t total = 0;  // highest sum at one moment
};

// The allocator's peaks over the events of parts `from_part` and later, with what was allocated
// before still there: each size rounded up to its class, as memory_stats() counts.
MemoryPeak replay(const std::vector<AllocationTrace::Event>& events, int from_part);

}  // namespace ek
