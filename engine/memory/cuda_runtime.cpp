#include "engine/memory/cuda_runtime.h"

#include "kernels/base/error.h"

#ifdef EK_HAS_CUDA_DEVICE
#include <cuda_runtime_api.h>

#include <cstdlib>

#include <mutex>
#include <thread>
#include <vector>

#include "kernels/cuda/base/failure.h"

namespace ek::cuda {
namespace {

using kernels::cuda_target::check;

thread_local int current = -1;

std::string version(int number) {
  return fmt::format("{}.{}", number / 1000, number % 1000 / 10);
}

Gpus ask_driver() {
  int driver = 0, runtime = 0, count = 0;
  // Kernels are loaded now and not at their first launch, which may lie inside a capture or a
  // measurement. Whoever has set it otherwise is obeyed.
  setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver == 0) return {0, "no NVIDIA driver is installed"};
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return {count, {}};
  cudaGetLastError();  // forgotten, so that no later check finds it
  if (status == cudaErrorInsufficientDriver) {
    return {0, fmt::format("the driver is for CUDA {}, this build needs {}", version(driver),
                           version(runtime))};
  }
  return {0, status == cudaSuccess
                 ? std::string("the driver lists no GPU")
                 : fmt::format("{} ({})", cudaGetErrorString(status), cudaGetErrorName(status))};
}

struct Queue {
  cudaStream_t stream = nullptr;
  std::thread::id captured_by;  // no thread outside of captures
};

// One queue for each GPU, made at its first use and kept: memory may come back at exit. f(queue)
// runs under a lock.
template <class F>
auto with_queue(int gpu, F&& f) {
  static std::mutex mutex;
  static std::vector<Queue> queues;
  const std::lock_guard lock(mutex);
  if (queues.empty()) queues.resize(std::size_t(gpus().count));
  Queue& queue = queues.at(std::size_t(gpu));
  if (!queue.stream) {
    check(cudaStreamCreateWithFlags(&queue.stream, cudaStreamNonBlocking), "cudaStreamCreate");
  }
  require(queue.captured_by == std::thread::id() || queue.captured_by == std::this_thread::get_id(),
          "cuda: GPU {} is in a capture of another thread", gpu);
  return f(queue);
}

cudaStream_t queue_of(int gpu) {
  return with_queue(gpu, [](const Queue& queue) { return queue.stream; });
}

cudaStream_t used_queue(int gpu) {
  use(gpu);
  return queue_of(gpu);
}

// use() of a destructor: what fails shows in the calls that follow, whose status nobody reads.
void select_quietly(int gpu) noexcept {
  if (current == gpu || cudaSetDevice(gpu) != cudaSuccess) return;
  current = gpu;
}

void copy(cudaStream_t queue, void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  check(cudaMemcpyAsync(to, from, bytes, kind, queue), "cudaMemcpyAsync");
}

}  // namespace

const Gpus& gpus() {
  static const Gpus asked = ask_driver();
  return asked;
}

std::string name_of(int gpu) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, gpu), "cudaGetDeviceProperties");
  return properties.name;
}

std::string architecture_of(int gpu) {
  int major = 0, minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, gpu),
        "cudaDeviceGetAttribute");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, gpu),
        "cudaDeviceGetAttribute");
  return fmt::format("sm_{}{}", major, minor);
}

std::string toolkit() {
  return version(CUDART_VERSION);
}

void use(int gpu) {
  if (current == gpu) return;
  check(cudaSetDevice(gpu), "cudaSetDevice");
  current = gpu;
}

void* stream() {
  return current < 0 ? nullptr : queue_of(current);
}

void reserve_for_capture(int gpu, bool reserve) {
  with_queue(gpu, [&](Queue& queue) {
    queue.captured_by = reserve ? std::this_thread::get_id() : std::thread::id();
  });
}

void* allocate(int gpu, std::size_t bytes) {
  use(gpu);
  void* memory = nullptr;
  // A capture of this thread allows it: the queue is not concerned.
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  check(cudaThreadExchangeStreamCaptureMode(&mode), "cudaThreadExchangeStreamCaptureMode");
  const cudaError_t status = cudaMalloc(&memory, bytes);
  check(cudaThreadExchangeStreamCaptureMode(&mode), "cudaThreadExchangeStreamCaptureMode");
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(status, "cudaMalloc");
  return memory;
}

void release(int gpu, void* memory) {
  use(gpu);
  check(cudaFree(memory), "cudaFree");
}

void copy_to_gpu(int gpu, void* to, const void* from_host, std::size_t bytes) {
  const cudaStream_t queue = used_queue(gpu);
  copy(queue, to, from_host, bytes, cudaMemcpyHostToDevice);
  check(cudaStreamSynchronize(queue), "cudaStreamSynchronize");
}

void copy_to_host(void* to_host, int gpu, const void* from, std::size_t bytes) {
  const cudaStream_t queue = used_queue(gpu);
  copy(queue, to_host, from, bytes, cudaMemcpyDeviceToHost);
  check(cudaStreamSynchronize(queue), "cudaStreamSynchronize");
}

void copy_within(int gpu, void* to, const void* from, std::size_t bytes) {
  copy(used_queue(gpu), to, from, bytes, cudaMemcpyDeviceToDevice);
}

void copy_between(int to_gpu, void* to, int from_gpu, const void* from, std::size_t bytes) {
  synchronise(from_gpu);
  const cudaStream_t queue = used_queue(to_gpu);
  check(cudaMemcpyPeerAsync(to, to_gpu, from, from_gpu, bytes, queue), "cudaMemcpyPeerAsync");
  check(cudaStreamSynchronize(queue), "cudaStreamSynchronize");
}

void zero(int gpu, void* memory, std::size_t bytes) {
  check(cudaMemsetAsync(memory, 0, bytes, used_queue(gpu)), "cudaMemsetAsync");
}

void synchronise(int gpu) {
  check(cudaStreamSynchronize(used_queue(gpu)), "cudaStreamSynchronize");
}

void* allocate_pinned(int gpu, std::size_t bytes) {
  use(gpu);
  void* memory = nullptr;
  check(cudaMallocHost(&memory, bytes), "cudaMallocHost");
  return memory;
}

void release_pinned(int gpu, void* memory) noexcept {
  select_quietly(gpu);
  cudaFreeHost(memory);
}

void send_pinned(int gpu, void* to, const void* from_pinned, std::size_t bytes) {
  copy(used_queue(gpu), to, from_pinned, bytes, cudaMemcpyHostToDevice);
}

void* make_event(int gpu) {
  use(gpu);
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return event;
}

void wait_quietly(int gpu) noexcept {
  try {
    with_queue(gpu, [](const Queue& queue) {
      if (queue.captured_by == std::thread::id()) cudaStreamSynchronize(queue.stream);
    });
  } catch (const Error&) {  // in a capture of another thread
  }
}

void destroy_event(int gpu, void* event) noexcept {
  select_quietly(gpu);
  cudaEventSynchronize(static_cast<cudaEvent_t>(event));
  cudaEventDestroy(static_cast<cudaEvent_t>(event));
}

void record_event(int gpu, void* event) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(event), used_queue(gpu)), "cudaEventRecord");
}

void wait_for_event(int gpu, void* event) {
  use(gpu);
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(event)), "cudaEventSynchronize");
}

}  // namespace ek::cuda

#else

namespace ek::cuda {
namespace {

[[noreturn]] void none() {
  fail("cuda: {}", gpus().why_none);
}

}  // namespace

const Gpus& gpus() {
  static const Gpus none_here{0, "this build has no CUDA (EK_CUDA=ON)"};
  return none_here;
}

std::string name_of(int) {
  none();
}
std::string architecture_of(int) {
  none();
}
std::string toolkit() {
  return "";
}
void use(int) {
  none();
}
void* stream() {
  return nullptr;
}
void reserve_for_capture(int, bool) {
  none();
}
void* allocate(int, std::size_t) {
  none();
}
void release(int, void*) {
  none();
}
void copy_to_gpu(int, void*, const void*, std::size_t) {
  none();
}
void copy_to_host(void*, int, const void*, std::size_t) {
  none();
}
void copy_within(int, void*, const void*, std::size_t) {
  none();
}
void copy_between(int, void*, int, const void*, std::size_t) {
  none();
}
void zero(int, void*, std::size_t) {
  none();
}
void synchronise(int) {
  none();
}
void* allocate_pinned(int, std::size_t) {
  none();
}
void release_pinned(int, void*) noexcept {}
void send_pinned(int, void*, const void*, std::size_t) {
  none();
}
void* make_event(int) {
  none();
}
void destroy_event(int, void*) noexcept {}
void wait_quietly(int) noexcept {}
void record_event(int, void*) {
  none();
}
void wait_for_event(int, void*) {
  none();
}

}  // namespace ek::cuda
#endif
