#pragma once
#include "engine/tensor/device.h"
#include "tests/catch.h"

// The host executor as a device of the engine. A build may lack it: a case that needs it begins
// with `if (!has_simt()) return;`, which says so in the output.
inline constexpr ek::Device simt{ek::Device::Kind::simt};

inline bool has_simt() {
  if (ek::is_available(simt)) return true;
  WARN("this build has no simt device");
  return false;
}
