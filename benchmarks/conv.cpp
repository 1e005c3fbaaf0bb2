// conv2d_*: the public kernel, the plain OpenMP path and oneDNN's own primitive.
#include "benchmarks/cases.h"
#include "benchmarks/conv_calls.h"
#include "kernels/cpu/conv_plain.h"
#include "kernels/cpu/onednn_rate.h"

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

template <class T>
Call make_call(const Conv2dShape& s, Conv2dPass pass, Operands& o) {
  const T* x = o.random<T>(s.input_size());
  T* y = o.random<T>(s.output_size());
  const Workspace workspace = conv_workspace<T>(o, s, pass);
  if (pass == Conv2dPass::backward_weights) {
    float* dweight = o.random<float>(s.weight_size());
    return [=] { conv2d_backward_weights<Cpu, T>({}, s, x, y, dweight, workspace); };
  }
  const ConvPack weight = make_pack<T>(o, s, pass);
  if (pass == Conv2dPass::forward) {
    return [=] { conv2d_forward<Cpu, T>({}, s, x, weight, y, workspace); };
  }
  if (pass == Conv2dPass::backward_data) {
    T* dx = const_cast<T*>(x);
    return [=] { conv2d_backward_data<Cpu, T>({}, s, y, weight, dx, workspace); };
  }
  const T* x_tangent = o.random<T>(s.input_size());
  const ConvPack weight_tangent = make_pack<T>(o, s, pass);
  return [=] { conv2d_tangent<Cpu, T>({}, s, x, weight, x_tangent, weight_tangent, y, workspace); };
}

template <class T>
ConvPack make_plain_pack(const Conv2dShape& s, Conv2dPass pass, Operands& o) {
  const float* ohwi = o.random<float>(s.weight_size());
  const std::size_t bytes = cpu::plain_pack_bytes<T>(s, pass);
  if (bytes == 0) return {ohwi};
  float* pack = o.random<float>(std::int64_t(bytes / sizeof(float)));
  cpu::plain_pack<T>(s, pass, ohwi, pack);
  return {pack};
}

template <class T>
Call make_plain_gradient(const Conv2dShape& s, Operands& o) {
  const cpu::GradientSlices<T> conv(s, cpu::gradient_slices(s.batch), cpu::ConvPath::plain);
  const T* x = o.random<T>(s.input_size());
  const T* dy = o.random<T>(s.output_size());
  float* dweight = o.random<float>(s.weight_size());
  float* partials = o.random<float>(conv.slices().count * conv.partial_stride());
  const std::size_t bytes = conv.scratch_bytes();
  const std::size_t threads = std::size_t(cpu::slice_threads(conv.slices()));
  std::byte* scratch =
      static_cast<std::byte*>(o.workspace(threads * bytes + conv.sum_bytes()).data);
  return [=] {
    cpu::for_each_slice(conv.slices(), [&](std::int64_t slice, int thread) {
      const std::int64_t n = conv.slices().begin(slice);
      conv.compute(slice, x + n * (s.input_size() / s.batch), dy + n * (s.output_size() / s.batch),
                   partials, scratch + std::size_t(thread) * bytes);
    });
    conv.sum(partials, dweight, scratch + threads * bytes);
  };
}

// The plain path cuts a float32 batch into one slice, a bf16 batch as conv.cpp does; either way the
// threads share out each slice.
template <class T>
Call make_plain(const Conv2dShape& s, Conv2dPass pass, Operands& o) {
  if (pass == Conv2dPass::backward_weights) return make_plain_gradient<T>(s, o);
  const cpu::BatchSlices slices =
      sizeof(T) == sizeof(float) ? cpu::BatchSlices{s.batch, 1} : cpu::conv_slices(s.batch);
  const cpu::ConvSlices<T> conv(s, pass, slices, cpu::ConvPath::plain);
  T* x = o.random<T>(s.input_size());
  T* y = o.random<T>(s.output_size());
  const ConvPack weight = make_plain_pack<T>(s, pass, o);
  const bool tangent = pass == Conv2dPass::tangent;
  const T* x_tangent = tangent ? o.random<T>(s.input_size()) : nullptr;
  const ConvPack weight_tangent = tangent ? make_plain_pack<T>(s, pass, o) : ConvPack();
  std::byte* scratch = static_cast<std::byte*>(o.workspace(conv.scratch_bytes()).data);
  return [=] {
    for (std::int64_t slice = 0; slice < conv.slices().count; ++slice) {
      const std::int64_t n = conv.slices().begin(slice);
      T* images = x + n * (s.input_size() / s.batch);
      T* results = y + n * (s.output_size() / s.batch);
      if (pass == Conv2dPass::forward) {
        conv.forward(slice, images, weight, results, scratch);
      } else if (pass == Conv2dPass::backward_data) {
        conv.backward_data(slice, results, weight, images, scratch);
      } else {
        conv.tangent(slice, images, weight, x_tangent + n * (s.input_size() / s.batch),
                     weight_tangent, results, scratch);
      }
    }
  };
}

template <class T>
void add_cases(const Layer& layer, Conv2dPass pass, std::vector<Case>& cases) {
  const Conv2dShape s = layer.shape;
  const double flop = s.flops() * (pass == Conv2dPass::tangent ? 2 : 1);
  const double bytes = bytes_of<T>(s, pass);
  const auto add = [&](std::string version, std::function<Call(Operands&)> make) {
    cases.push_back({family_of(pass), std::string(layer.name), precision_of<T>(),
                     std::move(version), flop, bytes, std::move(make)});
  };
  add("evenkeel", [=](Operands& o) { return make_call<T>(s, pass, o); });
  add("plain", [=](Operands& o) { return make_plain<T>(s, pass, o); });
  add("onednn", [=](Operands& o) {
    const bool bf16_images = precision_of<T>() == Precision::bf16;
    return onednn_conv_call(s, pass, bf16_images, o.external_sets(bytes));
  });
}

}  // namespace

std::vector<Case> conv_cases() {
  std::vector<Case> cases;
  for (const Conv2dPass pass : {Conv2dPass::forward, Conv2dPass::backward_data,
                                Conv2dPass::backward_weights, Conv2dPass::tangent}) {
    for (const Layer& layer : resnet32_layers()) {
      // No gradient of the images of the data set is ever wanted, and they have no tangent.
      if (layer.stem && (pass == Conv2dPass::backward_data || pass == Conv2dPass::tangent))
        continue;
      add_cases<float>(layer, pass, cases);
      add_cases<bf16>(layer, pass, cases);
    }
  }
  return cases;
}

}  // namespace ek::bench
