#include "engine/memory/pinned.h"

#include <cstdlib>
#include <cstring>

#include "engine/graph/capture.h"
#include "engine/memory/cuda_runtime.h"

namespace ek {

PinnedBuffers::PinnedBuffers(Device device, std::size_t bytes) : device_(device), bytes_(bytes) {
  refuse_in_capture(device, [&] { return fmt::format("{} bytes of pinned memory", bytes); });
  for (Buffer& buffer : buffers_) {
    if (device.in_host_memory()) {
      buffer.memory = std::calloc(bytes, 1);
      require(buffer.memory != nullptr, "pinned: {} bytes of memory are not to be had", bytes);
    } else {
      buffer.memory = cuda::allocate_pinned(device.index, bytes);
      std::memset(buffer.memory, 0, bytes);
      buffer.event = cuda::make_event(device.index);
    }
  }
}

PinnedBuffers::~PinnedBuffers() {
  for (const Buffer& buffer : buffers_) {
    if (device_.in_host_memory()) {
      std::free(buffer.memory);
    } else {
      cuda::destroy_event(device_.index, buffer.event);
      cuda::release_pinned(device_.index, buffer.memory);
    }
  }
}

void* PinnedBuffers::begin() {
  const Buffer& buffer = buffers_[turn_];
  if (!begun_ && !device_.in_host_memory()) cuda::wait_for_event(device_.index, buffer.event);
  begun_ = true;
  return buffer.memory;
}

void PinnedBuffers::send(Tensor& to) {
  require(to.device() == device_ && to.bytes() == bytes_,
          "pinned: {} bytes for {} go to {} bytes on {}", bytes_, device_.str(), to.bytes(),
          to.device().str());
  refuse_in_capture(device_, [&] { return fmt::format("a transfer of {} bytes", bytes_); });
  const Buffer& buffer = buffers_[turn_];
  void* memory = to.mutable_raw("pinned transfer");
  if (device_.in_host_memory()) {
    std::memcpy(memory, buffer.memory, bytes_);
  } else {
    cuda::send_pinned(device_.index, memory, buffer.memory, bytes_);
    cuda::record_event(device_.index, buffer.event);
  }
  turn_ = 1 - turn_;
  begun_ = false;
}

}  // namespace ek
