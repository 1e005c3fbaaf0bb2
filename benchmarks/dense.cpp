// Matrix products of the classifier, the classification loss, segmented sums: all float32.
#include "benchmarks/backends.h"
#include "benchmarks/cases.h"
#include "kernels/base/error.h"
#include "kernels/cpu/conv/onednn_rate.h"
#include "kernels/cuda/vendor/vendor.h"
#include "kernels/gemm.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"

namespace ek::bench {
namespace {

using namespace kernels;

template <class B>
Call gemm_call(const GemmShape& s, Operands& o) {
  const Stream q = o.stream();
  const float *x = o.random<float>(s.m * s.k), *y = o.random<float>(s.k * s.n);
  float* z = o.random<float>(s.m * s.n);
  return [=] { gemm<B, float>(q, s, x, y, z); };
}

template <class B>
void add_gemm(GemmShape s, FloatProducts products, std::vector<Case>& cases) {
  s.products = products;
  const double a = double(s.m * s.k), b = double(s.k * s.n), c = double(s.m * s.n);
  Case ours{"gemm",
            fmt::format("{}x{}x{}{}{}", s.m, s.n, s.k, s.transpose_a ? ",ta" : "",
                        s.transpose_b ? ",tb" : ""),
            Precision::float32};
  ours.products = products;
  ours.flop = 2 * double(s.m * s.n) * double(s.k);
  ours.bytes = (a + b + c) * sizeof(float);
  ours.make = [s](Operands& o) { return gemm_call<B>(s, o); };
  cases.push_back(ours);
#ifdef EK_HAS_CUBLAS
  if constexpr (std::is_same_v<B, Cuda>) {
    Case theirs = ours;
    theirs.version = "cublas";
    theirs.make = [s](Operands& o) { return gemm_call<Vendor>(s, o); };
    cases.push_back(theirs);
  }
#endif
  if constexpr (std::is_same_v<B, Cpu>) {
    ours.version = "onednn";
    ours.make = [s, bytes = ours.bytes](Operands& o) {
      return onednn_matmul_call(s, false, o.external_sets(bytes));
    };
    cases.push_back(ours);
  }
}

// Losses and their gradient by the logits.
template <class B>
Case loss_case(std::int64_t rows, std::int64_t classes) {
  Case result{"softmax_cross_entropy", fmt::format("{}x{}", rows, classes), Precision::float32};
  result.bytes = 2 * double(rows * classes) * sizeof(float);
  result.make = [=](Operands& o) -> Call {
    const Stream q = o.stream();
    SoftmaxLoss<float> loss{.rows = rows, .classes = classes};
    loss.labels = o.indices(rows, classes);
    const float* logits = o.random<float>(rows * classes);
    const SoftmaxLossOutputs<float> out{.losses = o.random<float>(rows),
                                        .dlogits = o.random<float>(rows * classes)};
    return [=] { softmax_loss<B, float>(q, loss, logits, out); };
  };
  return result;
}

template <class B>
Case segment_case(std::int64_t count, std::int64_t width, std::int64_t segments) {
  Case result{"segment_sum", fmt::format("{}x{}to{}", count, width, segments), Precision::float32};
  result.bytes = double((count + segments) * width) * sizeof(float) + double(count) * 8;
  result.make = [=](Operands& o) -> Call {
    const Stream q = o.stream();
    const float* values = o.random<float>(count * width);
    const std::int64_t* index = o.indices(count, segments);
    float* out = o.random<float>(segments * width);
    return [=] { segment_sum<B, float>(q, count, width, segments, values, index, out); };
  };
  return result;
}

template <class B>
std::vector<Case> cases_of(std::int64_t batch) {
  std::vector<Case> cases;
  // The classifier: forward, backward data, backward weights; iNaturalist's; a yardstick.
  for (const GemmShape& s :
       {GemmShape{batch, 100, 64, false, true}, GemmShape{batch, 64, 100},
        GemmShape{100, 64, batch, true}, GemmShape{4 * batch, 8142, 2048, false, true},
        GemmShape{8 * batch, 8 * batch, 8 * batch}}) {
    for (const FloatProducts products : float_products<B>()) add_gemm<B>(s, products, cases);
  }
  cases.push_back(loss_case<B>(batch, 100));
  cases.push_back(loss_case<B>(batch, 1000));
  cases.push_back(loss_case<B>(4 * batch, 8142));
  cases.push_back(segment_case<B>(80 * batch, 1, 100));
  cases.push_back(segment_case<B>(8 * batch, 64, 100));
  return cases;
}

}  // namespace

std::vector<Case> dense_cases(const Device& device, std::int64_t batch) {
  return on_backend(device, [&]<class B>() { return cases_of<B>(batch); });
}

}  // namespace ek::bench
