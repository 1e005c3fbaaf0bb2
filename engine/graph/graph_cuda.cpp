// A graph of a GPU: what a stream capture of its queue has seen.
#include "engine/graph/capture.h"
#include "engine/memory/cuda_runtime.h"

#ifdef EK_HAS_CUDA_DEVICE
#include <cuda_runtime_api.h>
#include <cxxabi.h>

#include <cstdlib>

#include "kernels/cuda/base/failure.h"

namespace ek {
namespace {

using kernels::cuda_target::check;

// "map_kernel<float>" of a kernel's linker name.
std::string title_of(const char* symbol) {
  int status = 0;
  char* plain = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
  std::string text = status == 0 && plain ? plain : symbol;
  std::free(plain);
  for (const std::string_view part : {"void ", "ek::kernels::cuda_target::", "ek::kernels::",
                                      "ek::", "(anonymous namespace)::"}) {
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at)) {
      text.erase(at, part.size());
    }
  }
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {  // the parameters begin outside of all <>
    depth += text[i] == '<' ? 1 : text[i] == '>' ? -1 : 0;
    if (text[i] == '(' && depth == 0) text.resize(i);
  }
  return text;
}

// One queue makes a chain: each node has one that depends on it, but for the last.
std::vector<cudaGraphNode_t> chain_of(cudaGraph_t graph) {
  std::size_t roots = 0;
  check(cudaGraphGetRootNodes(graph, nullptr, &roots), "cudaGraphGetRootNodes");
  std::vector<cudaGraphNode_t> chain;
  if (roots == 0) return chain;
  require(roots == 1, "graph: a chain of nodes is expected, {} have nothing before them", roots);
  cudaGraphNode_t node = nullptr;
  check(cudaGraphGetRootNodes(graph, &node, &roots), "cudaGraphGetRootNodes");
  for (;;) {
    chain.push_back(node);
    const auto dependents = [&](cudaGraphNode_t* to, std::size_t* count) {
#if CUDART_VERSION >= 13000
      // An edge may carry data (a programmatic dependency does), which must not be left out.
      cudaGraphEdgeData data = {};
      check(cudaGraphNodeGetDependentNodes(node, to, to ? &data : nullptr, count), "cudaGraphNode");
#else
      check(cudaGraphNodeGetDependentNodes(node, to, count), "cudaGraphNode");
#endif
    };
    std::size_t count = 0;
    dependents(nullptr, &count);
    if (count == 0) return chain;
    require(count == 1, "graph: a chain of nodes is expected, {} follow one", count);
    cudaGraphNode_t next = nullptr;
    dependents(&next, &count);
    node = next;
  }
}

GraphContents contents_of(cudaGraph_t graph) {
  GraphContents contents;
  for (const cudaGraphNode_t node : chain_of(graph)) {
    cudaGraphNodeType type;
    check(cudaGraphNodeGetType(node, &type), "cudaGraphNodeGetType");
    if (type == cudaGraphNodeTypeMemcpy) {
      ++contents.copies;
    } else if (type == cudaGraphNodeTypeMemset) {
      ++contents.fills;
    } else if (type == cudaGraphNodeTypeKernel) {
      cudaKernelNodeParams kernel{};
      const char* symbol = nullptr;
      const bool named = cudaGraphKernelNodeGetParams(node, &kernel) == cudaSuccess &&
                         cudaFuncGetName(&symbol, kernel.func) == cudaSuccess;
      if (!named) cudaGetLastError();  // forgotten: names are for people, and some have none
      contents.kernels.push_back(named ? title_of(symbol) : "kernel without a name");
    }
  }
  return contents;
}

class CudaRecorder final : public GraphRecorder {
 public:
  explicit CudaRecorder(int gpu) : gpu_(gpu) {}
  ~CudaRecorder() override {
    if (!runs_) return;
    cuda::wait_quietly(gpu_);  // it may still run
    cudaGraphExecDestroy(runs_);
  }

  void begin() override {
    cuda::reserve_for_capture(gpu_, true);
    const cudaError_t status = cudaStreamBeginCapture(queue(), cudaStreamCaptureModeThreadLocal);
    if (status != cudaSuccess) cuda::reserve_for_capture(gpu_, false);
    check(status, "cudaStreamBeginCapture");
  }

  GraphContents end() override {
    cudaGraph_t graph = nullptr;
    const cudaError_t status = cudaStreamEndCapture(queue(), &graph);
    cuda::reserve_for_capture(gpu_, false);
    check(status, "cudaStreamEndCapture");
    const std::unique_ptr<CUgraph_st, void (*)(cudaGraph_t)> owner(
        graph, [](cudaGraph_t each) { cudaGraphDestroy(each); });
    GraphContents contents = contents_of(graph);
    check(cudaGraphInstantiate(&runs_, graph, 0), "cudaGraphInstantiate");
    return contents;
  }

  void abandon() noexcept override {
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(queue(), &graph);
    cuda::reserve_for_capture(gpu_, false);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();  // forgotten: what went wrong has been thrown already
  }

  void copy(void* to, const void* from, std::size_t bytes) override {
    cuda::copy_within(gpu_, to, from, bytes);
  }
  void zero(void* memory, std::size_t bytes) override { cuda::zero(gpu_, memory, bytes); }
  void poison(void*, std::size_t) override {}  // the simt device alone does this

  void replay() override { check(cudaGraphLaunch(runs_, queue()), "cudaGraphLaunch"); }

 private:
  cudaStream_t queue() const {
    cuda::use(gpu_);
    return static_cast<cudaStream_t>(cuda::stream());
  }

  int gpu_;
  cudaGraphExec_t runs_ = nullptr;
};

}  // namespace

std::unique_ptr<GraphRecorder> cuda_recorder(int gpu) {
  return std::make_unique<CudaRecorder>(gpu);
}

}  // namespace ek
#else
namespace ek {

std::unique_ptr<GraphRecorder> cuda_recorder(int) {
  fail("graph: {}", cuda::gpus().why_none);
}

}  // namespace ek
#endif
