// Pooling by windows, on the largest images of ResNet-32.
#include "kernels/pool.h"

#include "benchmarks/backends.h"
#include "benchmarks/cases.h"
#include "kernels/base/error.h"

namespace ek::bench {
namespace {

using namespace kernels;

template <class B>
Call max_forward(const Pool2dShape& s, Operands& o) {
  const Stream q = o.stream();
  const float* x = o.random<float>(s.input_size());
  float* y = o.random<float>(s.output_size());
  std::int64_t* argmax = o.indices(s.output_size(), s.input_size());
  return [=] { max_pool2d_forward<B, float>(q, s, x, y, argmax); };
}

// The maxima are those of a forward pass.
template <class B>
Call max_scatter(const Pool2dShape& s, Operands& o) {
  const Stream q = o.stream();
  const float *x = o.random<float>(s.input_size()), *dy = o.random<float>(s.output_size());
  float *y = o.random<float>(s.output_size()), *dx = o.random<float>(s.input_size());
  std::int64_t* argmax = o.indices(s.output_size(), s.input_size());
  max_pool2d_forward<B, float>(q, s, x, y, argmax);
  return [=] { max_pool2d_scatter<B, float>(q, s, dy, argmax, dx); };
}

template <class B>
Call avg_forward(const Pool2dShape& s, Operands& o) {
  const Stream q = o.stream();
  const float* x = o.random<float>(s.input_size());
  float* y = o.random<float>(s.output_size());
  return [=] { avg_pool2d_forward<B, float>(q, s, x, y); };
}

template <class B>
Call avg_backward(const Pool2dShape& s, Operands& o) {
  const Stream q = o.stream();
  const float* dy = o.random<float>(s.output_size());
  float* dx = o.random<float>(s.input_size());
  return [=] { avg_pool2d_backward<B, float>(q, s, dy, dx); };
}

Case case_of(const char* family, const Pool2dShape& s, bool with_argmax,
             Call (*make)(const Pool2dShape&, Operands&)) {
  Case result{family,
              fmt::format("{}x{}x{}x{},k{}s{}", s.batch, s.in_h, s.in_w, s.channels, s.kernel_h,
                          s.stride_h),
              Precision::float32};
  result.bytes = double(s.input_size() + s.output_size()) * sizeof(float) +
                 (with_argmax ? double(s.output_size()) * sizeof(std::int64_t) : 0);
  result.make = [=](Operands& o) { return make(s, o); };
  return result;
}

}  // namespace

std::vector<Case> pool_cases(const Device& device, std::int64_t batch) {
  return on_backend(device, [&]<class B>() -> std::vector<Case> {
    const Pool2dShape overlapping{batch, 32, 32, 16, 3, 3, 2, 2, 1, 1};
    const Pool2dShape halves{batch, 32, 32, 16, 2, 2, 2, 2};
    return {case_of("max_pool2d_forward", overlapping, true, max_forward<B>),
            case_of("max_pool2d_scatter", overlapping, true, max_scatter<B>),
            case_of("avg_pool2d_forward", halves, false, avg_forward<B>),
            case_of("avg_pool2d_backward", halves, false, avg_backward<B>)};
  });
}

}  // namespace ek::bench
