#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/profile/profiler.h"
#include "engine/tensor/device.h"

namespace ek {

// What this thread puts on the queue of a device beside the CPU while the trace lives: kernels by
// name, copies and fills. On a GPU each would be a node of a captured step, which has its cost
// however little it does; so their number is held under a budget (docs/cuda.md). The kernels of the
// simt device are seen, which are those of a GPU; a GPU's own are not. Traces nest: the innermost
// one sees.
class LaunchTrace {
 public:
  struct Launch {
    std::string kernel;  // "map_kernel<float>", "copy", "fill", "copy to the host", ...
    Phase phase;
  };

  LaunchTrace();
  ~LaunchTrace();
  LaunchTrace(const LaunchTrace&) = delete;
  LaunchTrace& operator=(const LaunchTrace&) = delete;

  const std::vector<Launch>& launches() const { return launches_; }
  // Kernels, and copies and fills within the device, which are launches as well; without copies
  // from and to the host, which are no part of a captured step.
  std::int64_t count() const;
  // How often each name was launched.
  std::map<std::string, std::int64_t> by_kernel() const;
  // by_kernel() as lines "count  name", the most frequent first, and the sum.
  std::string table() const;

  // For the allocator.
  static void note_copy(Device to, Device from);
  static void note_fill(Device device);

 private:
  static void note(const char* kernel);

  LaunchTrace* outer_;
  void (*observer_before_)(const char*) = nullptr;
  std::vector<Launch> launches_;
};

}  // namespace ek
