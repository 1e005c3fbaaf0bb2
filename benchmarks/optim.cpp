// One pass over the parameters of ResNet-32 for 100 classes.
#include "kernels/optim.h"

#include <array>

#include "benchmarks/backends.h"
#include "benchmarks/cases.h"
#include "kernels/base/error.h"
#include "kernels/elementwise.h"

namespace ek::bench {
namespace {

using namespace kernels;

constexpr std::int64_t parameters = 470004;
constexpr std::array<OptimSegment, 1> segments{{{0, parameters, 1, 5e-4}}};
constexpr double learning_rate = 1e-3;  // small: the numbers stay finite however often it runs

Case optim_case(const char* family, int buffers, std::function<Call(Operands&)> make) {
  Case result{family, fmt::format("{}", parameters), Precision::float32};
  result.bytes = double(buffers) * double(parameters) * sizeof(float);  // read or written
  result.make = std::move(make);
  return result;
}

template <class B>
Call sgd(Operands& o) {
  const Stream q = o.stream();
  const float* gradient = o.random<float>(parameters);
  float *values = o.random<float>(parameters), *momentum = o.random<float>(parameters);
  const SgdSettings settings{.lr = learning_rate, .momentum = 0.9, .nesterov = true};
  return [=] { sgd_step<B, float>(q, settings, segments, gradient, values, momentum); };
}

template <class B>
Call adam(Operands& o) {
  const Stream q = o.stream();
  const float* gradient = o.random<float>(parameters);
  float *values = o.random<float>(parameters), *first = o.random<float>(parameters),
        *second = o.positive(parameters);
  const AdamSettings settings{.lr = learning_rate, .step = 100};
  return [=] { adam_step<B, float>(q, settings, segments, gradient, values, first, second); };
}

template <class B>
Call virtual_step(Operands& o) {
  const Stream q = o.stream();
  const float *x = o.random<float>(parameters), *d = o.random<float>(parameters);
  float* y = o.random<float>(parameters);
  return [=] { add_scaled<B, float>(q, parameters, x, -learning_rate, d, y); };
}

template <class B>
std::vector<Case> cases_of(std::int64_t) {
  return {optim_case("sgd", 5, sgd<B>), optim_case("adam", 7, adam<B>),
          optim_case("add_scaled", 3, virtual_step<B>)};
}

}  // namespace

std::vector<Case> optim_cases(const Device& device, std::int64_t batch) {
  return on_backend(device, [&]<class B>() { return cases_of<B>(batch); });
}

}  // namespace ek::bench
