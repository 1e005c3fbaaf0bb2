#pragma once
#include <string_view>
#include <utility>

#include "engine/tensor.h"

namespace ek {

// Calls f.template operator()<Backend, T>() for the device and the floating-point type of `like`.
// The one place that knows which backends and types this build has; the rest is refused by name.
template <class F>
void dispatch_floating(std::string_view op, const Tensor& like, F&& f) {
  require(like.device().kind == Device::Kind::cpu, "{}: device {} is not in this build", op,
          like.device().str());
  switch (like.dtype()) {
    case DType::float32:
      return f.template operator()<kernels::Cpu, float>();
    case DType::float64:
      return f.template operator()<kernels::Cpu, double>();
    default:
      fail("{}: dtype {} is not supported (float32 and float64 are), shape {}", op,
           name_of(like.dtype()), like.shape().str());
  }
}

// The same for the ops that activations pass through, which also work on bfloat16.
template <class F>
void dispatch_activation(std::string_view op, const Tensor& like, F&& f) {
  if (like.dtype() == DType::bfloat16 && like.device().kind == Device::Kind::cpu) {
    return f.template operator()<kernels::Cpu, bf16>();
  }
  dispatch_floating(op, like, std::forward<F>(f));
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
