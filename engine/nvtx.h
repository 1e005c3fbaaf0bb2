#pragma once
#include <string_view>

#ifdef EK_HAS_CUDA_DEVICE
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

}  // namespace ek::nvtx
