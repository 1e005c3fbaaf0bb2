#pragma once
#include <string_view>
#include <utility>

#include "engine/memory/cuda_runtime.h"
#include "engine/profile/profiler.h"
#include "engine/tensor/tensor.h"

namespace ek {

// Runs `call` with the GPU as this thread's. What CUDA reports, which may be the fault of an
// earlier kernel, gets the op and its shape in front. While the profiler is on the kernels are
// waited for, so that the time of an op's scope is that of its kernels.
template <class F>
void on_gpu(std::string_view op, Device device, const Shape* shape, F&& call) {
  try {
    cuda::use(device.index);
    call();
    if (profiler_on()) cuda::synchronise(device.index);
  } catch (const Error& error) {
    const std::string_view text = error.what();
    if (!text.starts_with("cuda: ")) throw;
    fail("{}{} on {}: {}", op, shape ? ", shape " + shape->str() : "", device.str(), text);
  }
}

// Calls f.template operator()<Backend>() for a device. The one place that knows which backends
// this build has; the others are refused by name. `shape` is for messages.
template <class F>
void dispatch_device(std::string_view op, Device device, F&& f,
                     [[maybe_unused]] const Shape* shape = nullptr) {
  switch (device.kind) {
    case Device::Kind::cpu:
      return f.template operator()<kernels::Cpu>();
    case Device::Kind::simt:
#ifdef EK_HAS_SIMT_DEVICE
      return f.template operator()<kernels::Simt>();
#endif
      break;
    case Device::Kind::cuda:
#ifdef EK_HAS_CUDA_DEVICE
      return on_gpu(op, device, shape, [&] { f.template operator()<kernels::Cuda>(); });
#endif
      break;
  }
  fail("{}: device {} is not in this build", op, device.str());
}

// Calls f.template operator()<Backend, T>() for the device and the floating-point type of `like`.
template <class F>
void dispatch_floating(std::string_view op, const Tensor& like, F&& f) {
  dispatch_device(
      op, like.device(),
      [&]<class B>() {
        switch (like.dtype()) {
          case DType::float32:
            return f.template operator()<B, float>();
          case DType::float64:
            return f.template operator()<B, double>();
          default:
            fail("{}: dtype {} is not supported (float32 and float64 are), shape {}", op,
                 name_of(like.dtype()), like.shape().str());
        }
      },
      &like.shape());
}

// The same for the ops that activations pass through, which also work on bfloat16.
template <class F>
void dispatch_activation(std::string_view op, const Tensor& like, F&& f) {
  if (like.dtype() != DType::bfloat16) return dispatch_floating(op, like, std::forward<F>(f));
  dispatch_device(
      op, like.device(), [&]<class B>() { f.template operator()<B, bf16>(); }, &like.shape());
}

// The queue that ops put their kernels on: that of the GPU that dispatch_device chose, which the
// other backends do not look at.
inline kernels::Stream current_stream() {
  return {cuda::stream()};
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
