// Matrix products of the classifier, the classification loss, segmented sums: all float32.
#include "benchmarks/cases.h"
#include "kernels/cpu/onednn_rate.h"
#include "kernels/error.h"
#include "kernels/gemm.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"

namespace ek::bench {
namespace {

using namespace kernels;

void add_gemm(const GemmShape& s, std::vector<Case>& cases) {
  const double a = double(s.m * s.k), b = double(s.k * s.n), c = double(s.m * s.n);
  Case ours{"gemm",
            fmt::format("{}x{}x{}{}{}", s.m, s.n, s.k, s.transpose_a ? ",ta" : "",
                        s.transpose_b ? ",tb" : ""),
            Precision::float32};
  ours.flop = 2 * double(s.m * s.n) * double(s.k);
  ours.bytes = (a + b + c) * sizeof(float);
  Case theirs = ours;
  ours.make = [s](Operands& o) -> Call {
    const float *x = o.random<float>(s.m * s.k), *y = o.random<float>(s.k * s.n);
    float* z = o.random<float>(s.m * s.n);
    return [=] { gemm<Cpu, float>({}, s, x, y, z); };
  };
  theirs.version = "onednn";
  theirs.make = [s, bytes = ours.bytes](Operands& o) {
    return onednn_matmul_call(s, false, o.external_sets(bytes));
  };
  cases.push_back(std::move(ours));
  cases.push_back(std::move(theirs));
}

// Losses and their gradient by the logits.
Case loss_case(std::int64_t rows, std::int64_t classes) {
  Case result{"softmax_cross_entropy", fmt::format("{}x{}", rows, classes), Precision::float32};
  result.bytes = 2 * double(rows * classes) * sizeof(float);
  result.make = [=](Operands& o) -> Call {
    SoftmaxLoss<float> loss{.rows = rows, .classes = classes};
    loss.labels = o.indices(rows, classes);
    const float* logits = o.random<float>(rows * classes);
    const SoftmaxLossOutputs<float> out{.losses = o.random<float>(rows),
                                        .dlogits = o.random<float>(rows * classes)};
    return [=] { softmax_loss<Cpu, float>({}, loss, logits, out); };
  };
  return result;
}

Case segment_case(std::int64_t count, std::int64_t width, std::int64_t segments) {
  Case result{"segment_sum", fmt::format("{}x{}to{}", count, width, segments), Precision::float32};
  result.bytes = double((count + segments) * width) * sizeof(float) + double(count) * 8;
  result.make = [=](Operands& o) -> Call {
    const float* values = o.random<float>(count * width);
    const std::int64_t* index = o.indices(count, segments);
    float* out = o.random<float>(segments * width);
    return [=] { segment_sum<Cpu, float>({}, count, width, segments, values, index, out); };
  };
  return result;
}

}  // namespace

std::vector<Case> dense_cases() {
  std::vector<Case> cases;
  // The classifier at batch 128: forward, backward data, backward weights. The last is a yardstick.
  for (const GemmShape& s : {GemmShape{128, 100, 64, false, true}, GemmShape{128, 64, 100},
                             GemmShape{100, 64, 128, true}, GemmShape{512, 8142, 2048, false, true},
                             GemmShape{1024, 1024, 1024}}) {
    add_gemm(s, cases);
  }
  cases.push_back(loss_case(128, 100));
  cases.push_back(loss_case(128, 1000));
  cases.push_back(loss_case(512, 8142));
  cases.push_back(segment_case(10000, 1, 100));
  cases.push_back(segment_case(1000, 64, 100));
  return cases;
}

}  // namespace ek::bench
