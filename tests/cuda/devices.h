#pragma once
#include "engine/tensor/device.h"
#include "tests/catch.h"
#include "tests/simt_device.h"

// The devices that the cases here run on. A case for a GPU has the tag [.gpu], so that it runs only
// when asked for, and begins with require_gpu(): without one it fails and never counts as passed.
inline constexpr ek::Device gpu{ek::Device::Kind::cuda};

inline void require_gpu() {
  if (!ek::is_available(gpu)) FAIL(ek::why_unavailable(gpu));
}
