#pragma once
#include <type_traits>

#include "engine/tensor/device.h"
#include "kernels/base/backend.h"

namespace ek {

// Whether the engine gives a backend its work in few launches: packs of weights written by the
// kernel that writes the weights, a head or a Difficulty-Net pass as one kernel. On a GPU a launch
// has its cost however little it does, which is most of what small tensors cost. The CPU has no
// launches: it composes plain passes, packs what is read when it is read, and its bits are those of
// the composition.
template <class B>
inline constexpr bool fuses_launches = !std::is_same_v<B, kernels::Cpu>;

inline bool fuses_launches_on(Device device) {
  return device.kind != Device::Kind::cpu;
}

}  // namespace ek
