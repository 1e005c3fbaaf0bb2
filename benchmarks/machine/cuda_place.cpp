#include "benchmarks/machine/place.h"
#ifdef EK_HAS_CUDA_DEVICE
#include <cuda_runtime_api.h>

#include <algorithm>

#include "benchmarks/machine/cuda_roof.h"
#include "engine/memory/cuda_runtime.h"
#include "kernels/base/error.h"
#include "kernels/cuda/base/failure.h"

namespace ek::bench {
namespace {

using kernels::cuda_target::check;

// A graph of at least so many calls, so that its own launch does not count, and of at most so many.
constexpr std::size_t kFewestCalls = 20, kMostCalls = 256;

class CudaPlace : public Place {
 public:
  explicit CudaPlace(int index) {
    cuda::use(index);
    name_ = cuda::name_of(index);
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
    check(cudaEventCreate(&begin_), "cudaEventCreate");
    check(cudaEventCreate(&end_), "cudaEventCreate");
  }
  ~CudaPlace() override {
    cudaEventDestroy(end_);
    cudaEventDestroy(begin_);
    cudaStreamDestroy(stream_);
  }
  CudaPlace(const CudaPlace&) = delete;
  CudaPlace& operator=(const CudaPlace&) = delete;

  std::string name() const override { return name_; }
  std::shared_ptr<void> allocate(std::size_t bytes) override {
    void* memory = nullptr;
    check(cudaMalloc(&memory, std::max<std::size_t>(bytes, 1)), "cudaMalloc");
    std::shared_ptr<void> owner(memory, cudaFree);
    check(cudaMemsetAsync(memory, 0, bytes, stream_), "cudaMemsetAsync");
    return owner;
  }
  void upload(void* to, const void* from, std::size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "cudaMemcpyAsync");
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  }
  kernels::Stream stream() override { return {stream_}; }

  std::function<double()> timer(const std::vector<Call>& calls) override {
    check(cudaStreamSynchronize(stream_), "a first call");
    const std::size_t count = std::clamp(calls.size(), kFewestCalls, kMostCalls);
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal),
          "cudaStreamBeginCapture");
    cudaGraph_t graph = nullptr;
    try {
      for (std::size_t i = 0; i < count; ++i) calls[i % calls.size()]();
    } catch (const Error&) {  // of a library that does what no capture allows: not for the next one
      cudaStreamEndCapture(stream_, &graph);
      if (graph) cudaGraphDestroy(graph);
      cudaGetLastError();
      throw;
    }
    check(cudaStreamEndCapture(stream_, &graph), "cudaStreamEndCapture");
    cudaGraphExec_t runnable = nullptr;
    const int status = cudaGraphInstantiate(&runnable, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "cudaGraphInstantiate");
    std::shared_ptr<CUgraphExec_st> owner(runnable, cudaGraphExecDestroy);
    return [this, owner, count] {
      const auto replay = [&] { check(cudaGraphLaunch(owner.get(), stream_), "cudaGraphLaunch"); };
      replay();  // so that the clock starts on a busy GPU, and the launch does not count
      return seconds_of(replay) / double(count);
    };
  }

  Roof measure_roof(void* memory, std::size_t bytes, double seconds) override {
    return measure_cuda_roof(memory, bytes, seconds, stream_,
                             [this](const Call& call) { return seconds_of(call); });
  }

 private:
  double seconds_of(const Call& call) {
    check(cudaEventRecord(begin_, stream_), "cudaEventRecord");
    call();
    check(cudaEventRecord(end_, stream_), "cudaEventRecord");
    check(cudaEventSynchronize(end_), "cudaEventSynchronize");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
    return double(milliseconds) / 1e3;
  }

  std::string name_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

}  // namespace

std::unique_ptr<Place> make_cuda_place(int index) {
  return std::make_unique<CudaPlace>(index);
}

}  // namespace ek::bench
#endif
