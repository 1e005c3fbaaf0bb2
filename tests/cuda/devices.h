#pragma once
#include "engine/device.h"
#include "tests/catch.h"

// The devices that the cases here run on. A case for a GPU has the tag [.gpu], so that it runs only
// when asked for, and begins with require_gpu(): without one it fails and never counts as passed.
inline constexpr ek::Device gpu{ek::Device::Kind::cuda};
inline constexpr ek::Device simt{ek::Device::Kind::simt};

inline void require_gpu() {
  if (!ek::is_available(gpu)) FAIL(ek::why_unavailable(gpu));
}

inline bool has_simt() {
  if (ek::is_available(simt)) return true;
  WARN("this build has no simt device");
  return false;
}
