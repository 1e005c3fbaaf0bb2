#include "engine/memory/allocator.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/graph/capture.h"
#include "engine/graph/launch_trace.h"
#include "engine/memory/allocation_trace.h"
#include "engine/memory/cuda_runtime.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

thread_local MemoryUse current_use = MemoryUse::other;

// One memory: that of the host or that of a GPU.
class Pool {
 public:
  explicit Pool(Device device) : device_(device) {}

  void* take(std::size_t bytes, MemoryUse use) {
    std::lock_guard lock(mutex_);
    void* block = take_uncounted(bytes);
    count(use, std::int64_t(bytes));
    return block;
  }

  void give_back(void* block, std::size_t bytes, MemoryUse use) {
    std::lock_guard lock(mutex_);
    free_[bytes].push_back(block);
    count(use, -std::int64_t(bytes));
  }

  // For a graph, which counts what it hands out.
  void* hold(std::size_t bytes) {
    std::lock_guard lock(mutex_);
    void* block = take_uncounted(bytes);
    stats_.graph_bytes += std::int64_t(bytes);
    return block;
  }
  void drop(void* block, std::size_t bytes) {
    std::lock_guard lock(mutex_);
    free_[bytes].push_back(block);
    stats_.graph_bytes -= std::int64_t(bytes);
  }
  void count_use(MemoryUse use, std::int64_t bytes) {
    std::lock_guard lock(mutex_);
    count(use, bytes);
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
    give_up_free();
  }

 private:
  void* take_uncounted(std::size_t bytes) {
    void* block = nullptr;
    auto& free_list = free_[bytes];
    if (!free_list.empty()) {
      block = free_list.back();
      free_list.pop_back();
    } else {
      block = ask_system(bytes);
      // Perhaps without the blocks that wait here in other sizes; no GPU frees during a capture.
      if (!block && !Capture::on(device_)) {
        give_up_free();
        block = ask_system(bytes);
      }
      if (!block) {
        fail("allocator: {} bytes of memory are not to be had on {}, where {} are in use", bytes,
             device_.str(), stats_.live_total_bytes);
      }
      stats_.reserved_bytes += std::int64_t(bytes);
      ++stats_.system_allocations;
    }
    return block;
  }

  // Large blocks in large pages, where the system has them: streams of tensors then look up fewer
  // addresses, which takes some 2 % off a training step.
  static void* host_memory(std::size_t bytes) {
#if defined(__linux__)
    constexpr std::size_t page_bytes = 2 << 20;
    if (bytes >= page_bytes) {
      const std::size_t whole = (bytes + page_bytes - 1) / page_bytes * page_bytes;
      void* block = std::aligned_alloc(page_bytes, whole);
      if (block) madvise(block, bytes / page_bytes * page_bytes, MADV_HUGEPAGE);
      return block;
    }
#endif
    return std::aligned_alloc(64, bytes);
  }

  void* ask_system(std::size_t bytes) {
    return device_.in_host_memory() ? host_memory(bytes) : cuda::allocate(device_.index, bytes);
  }

  void give_up_free() {
    for (auto& [bytes, blocks] : free_) {
      for (void* block : blocks) {
        if (device_.in_host_memory()) {
          std::free(block);
        } else {
          cuda::release(device_.index, block);
        }
      }
      stats_.reserved_bytes -= std::int64_t(bytes) * std::int64_t(blocks.size());
      blocks.clear();
    }
  }

  void count(MemoryUse use, std::int64_t bytes) {
    auto& live = stats_.live_bytes[std::size_t(use)];
    auto& peak = stats_.peak_bytes[std::size_t(use)];
    live += bytes;
    peak = std::max(peak, live);
    stats_.live_total_bytes += bytes;
    stats_.peak_total_bytes = std::max(stats_.peak_total_bytes, stats_.live_total_bytes);
  }

  Device device_;
  std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;
  MemoryStats stats_;
};

// Never destroyed: tensors with static lifetime may still give memory back at exit.
Pool& host_pool() {
  static Pool* instance = new Pool({});
  return *instance;
}

// Whether somebody has asked for memory of a GPU: before that, nobody asks the driver for any.
std::atomic<bool> gpu_pools_exist = false;

std::vector<Pool*>& gpu_pools() {
  static auto* all = [] {
    auto* made = new std::vector<Pool*>;
    for (int gpu = 0; gpu < cuda::gpus().count; ++gpu) {
      made->push_back(new Pool({Device::Kind::cuda, gpu}));
    }
    gpu_pools_exist = true;
    return made;
  }();
  return *all;
}

Pool& pool(Device device) {
  return device.in_host_memory() ? host_pool() : *gpu_pools().at(std::size_t(device.index));
}

std::atomic<bool>& poisons() {
  static std::atomic<bool> on = [] {
    const char* set = std::getenv("EK_POISON_FREED");
    return set && std::string_view(set) == "1";
  }();
  return on;
}

// What becomes of a block when its last user is gone.
struct GiveBack {
  Pool& to;
  Device device;
  std::size_t bytes;
  MemoryUse use;

  void operator()(void* block) const {
    if (Capture* capture = Capture::on(device)) {
      return capture->keep(std::shared_ptr<void>(block, *this));
    }
    if (AllocationTrace* trace = AllocationTrace::current()) trace->given_back(block);
    if (device.kind == Device::Kind::simt && poison_freed_memory()) {
      std::memset(block, 0xFF, bytes);
    }
    to.give_back(block, bytes, use);
  }
};

template <class F>
void for_each_pool(F&& f) {
  f(host_pool());
  if (!gpu_pools_exist) return;
  for (Pool* gpu : gpu_pools()) f(*gpu);
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
  require(is_available(device), "allocator: device {} is not here: {}", device.str(),
          why_unavailable(device));
  const std::size_t rounded = allocated_bytes(bytes);
  const MemoryUse use = current_use;
  if (Capture* capture = Capture::on(device)) return capture->allocate(bytes, use);
  Pool& from = pool(device);
  void* block = from.take(rounded, use);
  AllocationTrace* trace = AllocationTrace::current();
  if (trace && trace->sees(device)) trace->allocated(block, bytes, use);
  return {block, GiveBack{from, device, rounded, use}};
}

bool poison_freed_memory() {
  return poisons().load(std::memory_order_relaxed);
}
bool poison_freed_memory(bool on) {
  return poisons().exchange(on);
}

std::shared_ptr<void> hold_memory(Device device, std::size_t bytes) {
  Pool& from = pool(device);
  return {from.hold(bytes), [&from, bytes](void* block) { from.drop(block, bytes); }};
}

void count_memory(Device device, MemoryUse use, std::int64_t bytes) {
  pool(device).count_use(use, bytes);
}

MemoryStats memory_stats(Device device) {
  require(is_available(device), "memory_stats: device {} is not here: {}", device.str(),
          why_unavailable(device));
  return pool(device).stats();
}
void reset_memory_peak() {
  for_each_pool([](Pool& each) { each.reset_peak(); });
}
void release_free_memory() {
  for_each_pool([](Pool& each) { each.release(); });
}

void copy_memory(Device to_device, void* to, Device from_device, const void* from,
                 std::size_t bytes) {
  if (bytes == 0) return;
  if (Capture* capture = Capture::current()) {
    if (to_device == from_device && to_device == capture->device()) {
      return capture->recorder().copy(to, from, bytes);
    }
    const auto text = [&] {
      return fmt::format("a copy of {} bytes from {} to {}", bytes, from_device.str(),
                         to_device.str());
    };
    refuse_in_capture(from_device, text);
    refuse_in_capture(to_device, text);
  }
  const bool to_host = to_device.in_host_memory(), from_host = from_device.in_host_memory();
  LaunchTrace::note_copy(to_device, from_device);
  if (to_host && from_host) {
    std::memcpy(to, from, bytes);
  } else if (from_host) {
    cuda::copy_to_gpu(to_device.index, to, from, bytes);
  } else if (to_host) {
    cuda::copy_to_host(to, from_device.index, from, bytes);
  } else if (to_device == from_device) {
    cuda::copy_within(to_device.index, to, from, bytes);
  } else {
    cuda::copy_between(to_device.index, to, from_device.index, from, bytes);
  }
}

void zero_memory(Device device, void* memory, std::size_t bytes) {
  if (bytes == 0) return;
  if (Capture* capture = Capture::on(device)) return capture->recorder().zero(memory, bytes);
  LaunchTrace::note_fill(device);
  if (device.in_host_memory()) {
    std::memset(memory, 0, bytes);
  } else {
    cuda::zero(device.index, memory, bytes);
  }
}

}  // namespace ek
