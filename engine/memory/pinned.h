#pragma once
#include <array>
#include <cstddef>

#include "engine/tensor/tensor.h"

namespace ek {

// Where the host writes what a device is to get, again and again, without waiting for the device:
// two buffers in turn, of pinned memory for a GPU, each with an event that tells when it was read.
class PinnedBuffers {
 public:
  // Not during a capture: the driver gives the memory.
  PinnedBuffers(Device device, std::size_t bytes);
  ~PinnedBuffers();
  PinnedBuffers(const PinnedBuffers&) = delete;
  PinnedBuffers& operator=(const PinnedBuffers&) = delete;

  // The buffer to write into. Waits only where the last but one send() has not been read yet.
  void* begin();
  // Sends what begin() was filled with to `to`, of so many bytes, behind all that the device's
  // queue holds; one transfer. Error during a capture.
  void send(Tensor& to);

 private:
  struct Buffer {
    void* memory = nullptr;
    void* event = nullptr;
  };
  Device device_;
  std::size_t bytes_;
  std::array<Buffer, 2> buffers_;
  std::size_t turn_ = 0;
  bool begun_ = false;  // the buffer whose turn it is has been read, and may have been written to
};

}  // namespace ek
