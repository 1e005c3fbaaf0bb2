#pragma once
#include <string_view>
#include <utility>

#include "engine/tensor.h"

namespace ek {

// Calls f.template operator()<Backend>() for a device. The one place that knows which backends
// this build has; the others are refused by name.
template <class F>
void dispatch_device(std::string_view op, Device device, F&& f) {
  switch (device.kind) {
    case Device::Kind::cpu:
      return f.template operator()<kernels::Cpu>();
    case Device::Kind::simt:
#ifdef EK_HAS_SIMT_DEVICE
      return f.template operator()<kernels::Simt>();
#endif
    case Device::Kind::cuda:
      break;
  }
  fail("{}: device {} is not in this build", op, device.str());
}

// Calls f.template operator()<Backend, T>() for the device and the floating-point type of `like`.
template <class F>
void dispatch_floating(std::string_view op, const Tensor& like, F&& f) {
  dispatch_device(op, like.device(), [&]<class B>() {
    switch (like.dtype()) {
      case DType::float32:
        return f.template operator()<B, float>();
      case DType::float64:
        return f.template operator()<B, double>();
      default:
        fail("{}: dtype {} is not supported (float32 and float64 are), shape {}", op,
             name_of(like.dtype()), like.shape().str());
    }
  });
}

// The same for the ops that activations pass through, which also work on bfloat16.
template <class F>
void dispatch_activation(std::string_view op, const Tensor& like, F&& f) {
  if (like.dtype() != DType::bfloat16) return dispatch_floating(op, like, std::forward<F>(f));
  dispatch_device(op, like.device(), [&]<class B>() { f.template operator()<B, bf16>(); });
}

// The queue that ops put their kernels on.
inline kernels::Stream current_stream() {
  return {};
}

// Scratch memory for one kernel call; freed with the object.
class WorkspaceBuffer {
 public:
  WorkspaceBuffer(Device device, std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    MemoryScope scope(MemoryUse::workspace);
    memory_ = allocate(device, bytes);
  }
  operator kernels::Workspace() const { return {memory_.get(), bytes_}; }

 private:
  std::shared_ptr<void> memory_;
  std::size_t bytes_;
};

}  // namespace ek
