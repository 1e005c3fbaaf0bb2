#pragma once
#include <span>
#include <type_traits>

#include "engine/tensor/device.h"
#include "kernels/base/backend.h"
#include "kernels/base/error.h"
#include "kernels/base/float_products.h"

namespace ek::bench {

// f.template operator()<B>() with the tag of the device's backend. Error for one that this build
// does not have.
template <class F>
auto on_backend(const Device& device, F&& f) {
  switch (device.kind) {
    case Device::Kind::simt:
#ifdef EK_HAS_SIMT_DEVICE
      return f.template operator()<kernels::Simt>();
#else
      break;
#endif
    case Device::Kind::cuda:
#ifdef EK_HAS_CUDA_DEVICE
      return f.template operator()<kernels::Cuda>();
#else
      break;
#endif
    case Device::Kind::cpu:
      return f.template operator()<kernels::Cpu>();
  }
  fail("--device {}: this build has no kernels for it", device.str());
}

// The ways in which a backend multiplies float32.
template <class B>
std::span<const kernels::FloatProducts> float_products() {
  using kernels::FloatProducts;
  static constexpr FloatProducts all[] = {FloatProducts::exact, FloatProducts::tf32};
  return std::span(all).first(std::is_same_v<B, kernels::Cpu> ? 1 : 2);
}

}  // namespace ek::bench
