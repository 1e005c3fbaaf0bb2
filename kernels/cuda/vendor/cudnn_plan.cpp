#include "kernels/cuda/vendor/cudnn_plan.h"

#include <climits>
#include <list>

namespace ek::kernels::vendor {
namespace {

// cuDNN's older interface, which serves every pass, is marked as such.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

constexpr int kMostAlgorithms = 16;

template <class D>
Owned<D> create(const Conv2dShape& s, cudnnStatus_t (*make)(D*), cudnnStatus_t (*destroy)(D)) {
  D made = nullptr;
  check(make(&made), s, "a descriptor");
  return {made, destroy};
}

Owned<cudnnTensorDescriptor_t> images(const Conv2dShape& s, cudnnDataType_t type, std::int64_t c,
                                      std::int64_t h, std::int64_t w) {
  auto result = create(s, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor);
  check(cudnnSetTensor4dDescriptor(result.get(), CUDNN_TENSOR_NHWC, type, int(s.batch), int(c),
                                   int(h), int(w)),
        s, "cudnnSetTensor4dDescriptor");
  return result;
}

cudnnMathType_t math_of(const ConvPlan& plan) {
  if (plan.bf16) return CUDNN_TENSOR_OP_MATH;
  return plan.shape.products == FloatProducts::tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
}

// The first deterministic algorithm of a list in cuDNN's order, and its workspace.
template <class Performance>
void choose(ConvPlan& plan, const Performance* list, int count) {
  for (int i = 0; i < count; ++i) {
    const Performance& one = list[i];
    if (one.status != CUDNN_STATUS_SUCCESS || one.determinism != CUDNN_DETERMINISTIC) continue;
    if (one.mathType != math_of(plan) && math_of(plan) == CUDNN_FMA_MATH) continue;
    plan.algorithm = int(one.algo);
    plan.workspace_bytes = one.memory;
    check(cudnnSetConvolutionMathType(plan.convolution.get(), one.mathType), plan.shape,
          "cudnnSetConvolutionMathType");
    return;
  }
  check(CUDNN_STATUS_NOT_SUPPORTED, plan.shape, "no deterministic algorithm");
}

void choose(ConvPlan& plan) {
  const cudnnHandle_t handle = handle_on({});
  const auto x = plan.x.get(), y = plan.y.get();
  const auto w = plan.weight.get();
  const auto convolution = plan.convolution.get();
  int count = 0;
  if (plan.pass == Conv2dPass::backward_data) {
    cudnnConvolutionBwdDataAlgoPerf_t list[kMostAlgorithms];
    check(cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, w, y, convolution, x, kMostAlgorithms,
                                                      &count, list),
          plan.shape, "cudnnGetConvolutionBackwardDataAlgorithm_v7");
    return choose(plan, list, count);
  }
  if (plan.pass == Conv2dPass::backward_weights) {
    cudnnConvolutionBwdFilterAlgoPerf_t list[kMostAlgorithms];
    check(cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, x, y, convolution, w,
                                                        kMostAlgorithms, &count, list),
          plan.shape, "cudnnGetConvolutionBackwardFilterAlgorithm_v7");
    return choose(plan, list, count);
  }
  cudnnConvolutionFwdAlgoPerf_t list[kMostAlgorithms];
  check(cudnnGetConvolutionForwardAlgorithm_v7(handle, x, w, convolution, y, kMostAlgorithms,
                                               &count, list),
        plan.shape, "cudnnGetConvolutionForwardAlgorithm_v7");
  choose(plan, list, count);
}

ConvPlan make_plan(const Conv2dShape& s, Conv2dPass pass, bool bf16) {
  require(s.input_size() <= INT_MAX && s.output_size() <= INT_MAX,
          "cuDNN: images of fewer than 2^31 elements expected, got {}x{}x{}x{}", s.batch, s.in_h,
          s.in_w, s.in_c);
  const cudnnDataType_t type = bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  ConvPlan plan{s, pass, bf16};
  plan.x = images(s, type, s.in_c, s.in_h, s.in_w);
  plan.y = images(s, type, s.out_c, s.out_h(), s.out_w());
  plan.weight = create(s, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor);
  // NHWC for a filter is OHWI.
  check(cudnnSetFilter4dDescriptor(plan.weight.get(), type, CUDNN_TENSOR_NHWC, int(s.out_c),
                                   int(s.in_c / s.groups), int(s.kernel_h), int(s.kernel_w)),
        s, "cudnnSetFilter4dDescriptor");
  plan.convolution = create(s, cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor);
  check(cudnnSetConvolution2dDescriptor(plan.convolution.get(), int(s.pad_h), int(s.pad_w),
                                        int(s.stride_h), int(s.stride_w), 1, 1,
                                        CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
        s, "cudnnSetConvolution2dDescriptor");
  check(cudnnSetConvolutionGroupCount(plan.convolution.get(), int(s.groups)), s,
        "cudnnSetConvolutionGroupCount");
  check(cudnnSetConvolutionMathType(plan.convolution.get(), math_of(plan)), s,
        "cudnnSetConvolutionMathType");
  choose(plan);
  return plan;
}

#pragma GCC diagnostic pop

}  // namespace

void check(cudnnStatus_t status, const Conv2dShape& s, const char* op) {
  require(status == CUDNN_STATUS_SUCCESS,
          "{} of images {}x{}x{}x{}, weights {}x{}x{}x{}, stride {}x{}: cuDNN: {}", op, s.batch,
          s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w, s.in_c / s.groups, s.stride_h,
          s.stride_w, cudnnGetErrorString(status));
}

cudnnHandle_t handle_on(Stream stream) {
  thread_local const Owned<cudnnHandle_t> handle = [] {
    cudnnHandle_t made = nullptr;
    const cudnnStatus_t status = cudnnCreate(&made);
    require(status == CUDNN_STATUS_SUCCESS, "cuDNN: cudnnCreate: {}", cudnnGetErrorString(status));
    return Owned<cudnnHandle_t>(made, cudnnDestroy);
  }();
  const cudnnStatus_t status =
      cudnnSetStream(handle.get(), static_cast<cudaStream_t>(stream.native));
  require(status == CUDNN_STATUS_SUCCESS, "cuDNN: cudnnSetStream: {}", cudnnGetErrorString(status));
  return handle.get();
}

const ConvPlan& plan_for(const Conv2dShape& shape, Conv2dPass pass, bool bf16) {
  thread_local std::list<ConvPlan> plans;
  for (const ConvPlan& plan : plans) {
    if (plan.shape == shape && plan.pass == pass && plan.bf16 == bf16) return plan;
  }
  return plans.emplace_back(make_plan(shape, pass, bf16));
}

}  // namespace ek::kernels::vendor
