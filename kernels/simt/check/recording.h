#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "kernels/simt/runtime.h"

// Launches that are kept instead of run, which is what a stream capture does on a GPU.
namespace ek::simt {

// A copy of all that a launch says, to be run as often as wanted on the same addresses.
class RecordedLaunch {
 public:
  explicit RecordedLaunch(const LaunchInfo& launch);
  // Under the options of the calling OS thread at that time. Throws Error as run_launch does.
  void run() const;
  // "map_kernel<float>"
  std::string title() const;

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  LaunchInfo launch_;
  std::vector<Line> arguments_;
};

// While it lives, launches of this OS thread are checked, handed to `keep` and not run. They do
// not nest.
class LaunchRecorder {
 public:
  explicit LaunchRecorder(std::function<void(RecordedLaunch)> keep);
  ~LaunchRecorder();
  LaunchRecorder(const LaunchRecorder&) = delete;
  LaunchRecorder& operator=(const LaunchRecorder&) = delete;

  // For run_launch: the one of this thread, else null.
  static LaunchRecorder* current();
  void take(const LaunchInfo& launch) { keep_(RecordedLaunch(launch)); }

 private:
  std::function<void(RecordedLaunch)> keep_;
};

}  // namespace ek::simt
