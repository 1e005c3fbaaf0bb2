#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/memory/allocator.h"
#include "engine/memory/arena.h"
#include "kernels/base/error.h"

// What the rest of the engine sees of a capture that goes on in its thread; engine/graph/graph.h is
// the way in.
namespace ek {

struct Storage;

// How many nodes of each kind, and the kernels by name, in the order of the queue.
struct GraphContents {
  std::int64_t copies = 0, fills = 0;
  std::vector<std::string> kernels;
};

// Launches and what belongs to them on one kind of device: recorded between begin and end, run by
// replay. abandon() ends a recording that failed; the device is usable afterwards.
class GraphRecorder {
 public:
  virtual ~GraphRecorder() = default;
  virtual void begin() = 0;
  virtual GraphContents end() = 0;
  virtual void abandon() noexcept = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void zero(void* memory, std::size_t bytes) = 0;
  // Of memory that nobody may read any more (poison_freed_memory).
  virtual void poison(void* memory, std::size_t bytes) = 0;
  virtual void replay() = 0;
};
std::unique_ptr<GraphRecorder> simt_recorder();
std::unique_ptr<GraphRecorder> cuda_recorder(int gpu);

class Capture {
 public:
  // Makes itself this thread's; Error where there is one already.
  Capture(Device device, GraphRecorder& recorder, std::shared_ptr<Arena> arena);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  // This thread's, else null; the second only where it is that of `device`.
  static Capture* current();
  static Capture* on(Device device);

  // Never the same twice in a process, from 1 on.
  std::uint64_t id() const { return id_; }
  Device device() const { return device_; }
  GraphRecorder& recorder() { return recorder_; }

  std::shared_ptr<void> allocate(std::size_t bytes, MemoryUse use);
  // A block from before the capture that is given back during it: recorded kernels may use it.
  void keep(std::shared_ptr<void> block) { kept_.push_back(std::move(block)); }
  // A storage that recorded kernels write, so that each replay makes a new version of it.
  void written(const std::shared_ptr<Storage>& storage) { written_.push_back(storage); }
  // What the host counts along with the recorded work: called at each replay, not now.
  void at_replay(std::function<void()> count) { counts_.push_back(std::move(count)); }

 private:
  friend class Graph;
  std::uint64_t id_;
  Device device_;
  GraphRecorder& recorder_;
  std::shared_ptr<Arena> arena_;
  std::vector<std::shared_ptr<void>> kept_;
  std::vector<std::weak_ptr<Storage>> written_;
  std::vector<std::function<void()>> counts_;
};

// Error "graph: WHAT during capture" while this thread captures on `device`; what() is the text.
template <class What>
void refuse_in_capture(Device device, What&& what) {
  if (Capture::on(device)) fail("graph: {} during capture", what());
}

}  // namespace ek
