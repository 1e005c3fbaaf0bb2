#pragma once
#include <string_view>

#include "engine/tensor/device.h"

#ifdef EK_HAS_CUDA_DEVICE
#include <cuda_profiler_api.h>
#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <cstring>
#endif

namespace ek::nvtx {

// A named range of this thread on the time line of NVIDIA's profilers, from push to pop; without
// such a tool next to nothing, and nothing at all in builds without CUDA. The name, PREFIX + NAME,
// is cut after 127 bytes.
inline void push([[maybe_unused]] std::string_view prefix,
                 [[maybe_unused]] std::string_view name = {}) {
#ifdef EK_HAS_CUDA_DEVICE
  char text[128];
  const std::size_t first = std::min(prefix.size(), sizeof text - 1);
  const std::size_t second = std::min(name.size(), sizeof text - 1 - first);
  if (first > 0) std::memcpy(text, prefix.data(), first);
  if (second > 0) std::memcpy(text + first, name.data(), second);
  text[first + second] = 0;
  nvtxRangePushA(text);
#endif
}

inline void pop() {
#ifdef EK_HAS_CUDA_DEVICE
  nvtxRangePop();
#endif
}

// While it lives, NVIDIA's profilers collect where they were told to wait for it (`ncu
// --profile-from-start off`, `nsys profile --capture-range cudaProfilerApi`). What the device is to
// be seen doing must have ended before. Does nothing on other devices.
class Collection {
 public:
  explicit Collection(Device device) : device_(device) {
#ifdef EK_HAS_CUDA_DEVICE
    if (device_.kind == Device::Kind::cuda) cudaProfilerStart();
#endif
  }
  ~Collection() {
#ifdef EK_HAS_CUDA_DEVICE
    if (device_.kind == Device::Kind::cuda) cudaProfilerStop();
#endif
  }
  Collection(const Collection&) = delete;
  Collection& operator=(const Collection&) = delete;

 private:
  [[maybe_unused]] Device device_;
};

}  // namespace ek::nvtx
