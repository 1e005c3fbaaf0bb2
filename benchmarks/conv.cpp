// conv2d_*: the kernel, and on the CPU the plain OpenMP path and oneDNN's own primitive.
#include "benchmarks/backends.h"
#include "benchmarks/cases.h"
#include "benchmarks/conv_calls.h"
#include "kernels/cpu/conv/onednn_rate.h"
#include "kernels/cuda/vendor/vendor.h"

namespace ek::bench {
namespace {

using namespace kernels;

std::string family_of(Conv2dPass pass) {
  switch (pass) {
    case Conv2dPass::forward:
      return "conv2d_forward";
    case Conv2dPass::backward_data:
      return "conv2d_backward_data";
    case Conv2dPass::backward_weights:
      return "conv2d_backward_weights";
    case Conv2dPass::tangent:
      return "conv2d_tangent";
  }
  return "?";
}

template <class T>
double bytes_of(const Conv2dShape& s, Conv2dPass pass) {
  const double x = double(s.input_size()) * sizeof(T), y = double(s.output_size()) * sizeof(T);
  const double weights = double(s.weight_size());
  if (pass == Conv2dPass::tangent) return 2 * x + y + 2 * weights * sizeof(T);
  return x + y + weights * (pass == Conv2dPass::backward_weights ? sizeof(float) : sizeof(T));
}

template <class B, class T>
Call make_call(const Conv2dShape& s, Conv2dPass pass, Operands& o) {
  const Stream q = o.stream();
  const T* x = o.random<T>(s.input_size());
  T* y = o.random<T>(s.output_size());
  const Workspace workspace = conv_workspace<B, T>(o, s, pass);
  if (pass == Conv2dPass::backward_weights) {
    float* dweight = o.random<float>(s.weight_size());
    return [=] { conv2d_backward_weights<B, T>(q, s, x, y, dweight, workspace); };
  }
  const ConvPack weight = make_pack<B, T>(o, s, pass);
  if (pass == Conv2dPass::forward) {
    return [=] { conv2d_forward<B, T>(q, s, x, weight, y, workspace); };
  }
  if (pass == Conv2dPass::backward_data) {
    T* dx = const_cast<T*>(x);
    return [=] { conv2d_backward_data<B, T>(q, s, y, weight, dx, workspace); };
  }
  const T* x_tangent = o.random<T>(s.input_size());
  const ConvPack weight_tangent = make_pack<B, T>(o, s, pass);
  return [=] { conv2d_tangent<B, T>(q, s, x, weight, x_tangent, weight_tangent, y, workspace); };
}

template <class B, class T>
void add_cases(const Layer& layer, Conv2dPass pass, FloatProducts products,
               std::vector<Case>& cases) {
  Conv2dShape s = layer.shape;
  s.products = products;
  const double flop = s.flops() * (pass == Conv2dPass::tangent ? 2 : 1);
  const double bytes = bytes_of<T>(s, pass);
  const auto add = [&](std::string version, std::function<Call(Operands&)> make) {
    cases.push_back({family_of(pass), std::string(layer.name), precision_of<T>(),
                     std::move(version), flop, bytes, std::move(make), products});
  };
  add("evenkeel", [=](Operands& o) { return make_call<B, T>(s, pass, o); });
  if constexpr (std::is_same_v<B, Cpu>) {
    add("plain", [=](Operands& o) { return plain_conv_call<T>(s, pass, o); });
    add("onednn", [=](Operands& o) {
      const bool bf16_images = precision_of<T>() == Precision::bf16;
      return onednn_conv_call(s, pass, bf16_images, o.external_sets(bytes));
    });
  }
#ifdef EK_HAS_CUDNN
  if constexpr (std::is_same_v<B, Cuda>) {
    add("cudnn", [=](Operands& o) { return make_call<Vendor, T>(s, pass, o); });
  }
#endif
}

template <class B>
std::vector<Case> cases_of(std::int64_t batch) {
  std::vector<Case> cases;
  for (const Conv2dPass pass : {Conv2dPass::forward, Conv2dPass::backward_data,
                                Conv2dPass::backward_weights, Conv2dPass::tangent}) {
    for (const Layer& layer : resnet32_layers(batch)) {
      // No gradient of the images of the data set is ever wanted, and they have no tangent.
      if (layer.stem && (pass == Conv2dPass::backward_data || pass == Conv2dPass::tangent))
        continue;
      for (const FloatProducts products : float_products<B>()) {
        add_cases<B, float>(layer, pass, products, cases);
      }
      add_cases<B, bf16>(layer, pass, FloatProducts::exact, cases);
    }
  }
  return cases;
}

}  // namespace

std::vector<Case> conv_cases(const Device& device, std::int64_t batch) {
  return on_backend(device, [&]<class B>() { return cases_of<B>(batch); });
}

}  // namespace ek::bench
