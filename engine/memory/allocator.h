#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "engine/tensor/device.h"

namespace ek {

// What memory is used for; statistics are kept per category. The category of an allocation is that
// of the innermost MemoryScope of its thread.
enum class MemoryUse : std::uint8_t {
  other,
  parameters,
  activations,
  gradients,
  optimizer,
  workspace,
  data
};
inline constexpr int memory_use_count = 7;
std::string_view name_of(MemoryUse use);

class MemoryScope {
 public:
  explicit MemoryScope(MemoryUse use);
  ~MemoryScope();
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

 private:
  MemoryUse previous_;
};

struct MemoryStats {
  std::array<std::int64_t, memory_use_count> live_bytes{}, peak_bytes{};  // peak of each category
  std::int64_t live_total_bytes = 0;
  std::int64_t peak_total_bytes = 0;  // highest sum at one moment
  std::int64_t reserved_bytes = 0;    // held from the system, free blocks included
  std::int64_t graph_bytes = 0;  // of those: that graphs have for themselves (engine/graph/graph.h)
  std::int64_t system_allocations = 0;  // calls to the system; constant in a steady state
};

// Blocks of memory, aligned to 64 bytes on the host, which is also the simt device's, and to 256 on
// a GPU; recycled by size class: after the first steps a training loop asks the system for nothing.
// Thread-safe. The memory is not initialised.
std::shared_ptr<void> allocate(Device device, std::size_t bytes);
// What a request takes in fact: at most an eighth more, in whole cache lines.
std::size_t allocated_bytes(std::size_t bytes);
// Of the memory that the device uses: that of the host, or that of a GPU.
MemoryStats memory_stats(Device device = {});
// Of all memories.
void reset_memory_peak();
// Gives free blocks back to the system, those of all memories.
void release_free_memory();

// Fills what is given back on the simt device with 0xFF bytes, which are NaN and no index of
// anything, so that whoever still reads it shows; inside a graph at the place of the queue where it
// is given back. Off, unless the environment has EK_POISON_FREED=1 or a caller says so. Returns
// what was in force.
bool poison_freed_memory();
bool poison_freed_memory(bool on);

// For an Arena: memory that counts as reserved and as a graph's, not as live; and what its owner
// hands out of it, which does.
std::shared_ptr<void> hold_memory(Device device, std::size_t bytes);
void count_memory(Device device, MemoryUse use, std::int64_t bytes);

// Between any two memories; recorded where both are those of a device whose work is captured (and
// refused where one is the host's). The host may read and overwrite its side at once; what a GPU
// alone sees is put on its queue.
void copy_memory(Device to_device, void* to, Device from_device, const void* from,
                 std::size_t bytes);
void zero_memory(Device device, void* memory, std::size_t bytes);

}  // namespace ek
