#include "engine/graph/capture.h"

#include <atomic>

namespace ek {
namespace {

constinit thread_local Capture* of_thread = nullptr;

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> counter{1};
  return counter.fetch_add(1);
}

}  // namespace

Capture::Capture(Device device, GraphRecorder& recorder, std::shared_ptr<Arena> arena)
    : id_(next_id()), device_(device), recorder_(recorder), arena_(std::move(arena)) {
  require(of_thread == nullptr, "graph: a capture of {} during capture", device.str());
  of_thread = this;
}

Capture::~Capture() {
  of_thread = nullptr;
}

Capture* Capture::current() {
  return of_thread;
}

Capture* Capture::on(Device device) {
  return of_thread && of_thread->device_ == device ? of_thread : nullptr;
}

std::shared_ptr<void> Capture::allocate(std::size_t bytes, MemoryUse use) {
  const std::size_t counted = allocated_bytes(bytes);
  void* block = arena_->take(counted);
  count_memory(device_, use, std::int64_t(counted));
  return {block, [arena = arena_, device = device_, counted, use, id = id_](void* p) {
            count_memory(device, use, -std::int64_t(counted));
            Capture* capture = on(device);
            if (capture && capture->id_ == id && poison_freed_memory()) {
              capture->recorder_.poison(p, counted);
            }
            arena->give_back(p);
          }};
}

}  // namespace ek
