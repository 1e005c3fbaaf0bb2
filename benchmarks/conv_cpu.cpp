// conv2d_* on the CPU by other ways: the plain OpenMP path and oneDNN's own primitive.
#include "benchmarks/conv_calls.h"
#include "kernels/cpu/conv/conv_plain.h"
#include "kernels/cpu/conv/conv_slices.h"
#include "kernels/cpu/conv/onednn_rate.h"

namespace ek::bench {
namespace {

using namespace kernels;

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

}  // namespace

template <class T>
Call plain_conv_call(const Conv2dShape& s, Conv2dPass pass, Operands& o) {
  return make_plain<T>(s, pass, o);
}
template Call plain_conv_call<float>(const Conv2dShape&, Conv2dPass, Operands&);
template Call plain_conv_call<bf16>(const Conv2dShape&, Conv2dPass, Operands&);

}  // namespace ek::bench
