#include "kernels/cpu/onednn_rate.h"

#include "kernels/error.h"

#ifdef EK_HAS_ONEDNN
#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "kernels/cpu/onednn.h"
#endif

namespace ek::kernels {

#ifdef EK_HAS_ONEDNN
namespace {

using dnnl::memory;
using Arguments = std::unordered_map<int, memory>;

// Memory of a layout, filled with numbers in [-1, 1): zeros and denormals would flatter or slow.
memory filled(const memory::desc& desc, bool bf16) {
  memory result(desc, onednn::engine());
  const auto number = [](std::size_t i) {
    return float((std::uint32_t(i) * 2654435761u) >> 8) * 0x1p-23f - 1.0f;
  };
  if (bf16) {
    auto* values = static_cast<std::uint16_t*>(result.get_data_handle());
    for (std::size_t i = 0; i < desc.get_size() / sizeof(std::uint16_t); ++i) {
      values[i] = std::uint16_t(std::bit_cast<std::uint32_t>(number(i)) >> 16);
    }
  } else {
    auto* values = static_cast<float*>(result.get_data_handle());
    for (std::size_t i = 0; i < desc.get_size() / sizeof(float); ++i) values[i] = number(i);
  }
  return result;
}

memory::dims weight_dims(const Conv2dShape& s) {
  const std::int64_t in_c = s.in_c / s.groups, out_c = s.out_c / s.groups;
  if (s.groups == 1) return {out_c, in_c, s.kernel_h, s.kernel_w};
  return {s.groups, out_c, in_c, s.kernel_h, s.kernel_w};
}

dnnl::primitive_attr adding() {
  dnnl::post_ops ops;
  ops.append_sum(1.0f);
  dnnl::primitive_attr attr;
  attr.set_post_ops(ops);
  return attr;
}

double best_ms(int repetitions, const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  call();  // warm-up
  double best = 0;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = Clock::now();
    call();
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    best = i == 0 ? ms : std::min(best, ms);
  }
  return best;
}

double measure(const Conv2dShape& s, Conv2dPass pass, bool bf16, int repetitions) {
  const auto type = bf16 ? memory::data_type::bf16 : memory::data_type::f32;
  const auto images = [&](std::int64_t h, std::int64_t w, std::int64_t c) {
    return memory::desc({s.batch, c, h, w}, type, memory::format_tag::nhwc);
  };
  const onednn::Convolution c{images(s.in_h, s.in_w, s.in_c),
                              {weight_dims(s), type, memory::format_tag::any},
                              images(s.out_h(), s.out_w(), s.out_c),
                              {s.stride_h, s.stride_w},
                              {s.pad_h, s.pad_w}};
  const memory x = filled(c.src, bf16), y = filled(c.dst, bf16);
  dnnl::stream stream(onednn::engine());
  const auto run = [&](const dnnl::primitive& primitive, const Arguments& arguments) {
    primitive.execute(stream, arguments);
    stream.wait();
  };
  const auto forward = onednn::forward(c, {});
  if (pass == Conv2dPass::backward_data) {
    const auto description = onednn::backward_data(c, {}, forward);
    const memory weights = filled(description.weights_desc(), bf16);
    const dnnl::convolution_backward_data primitive(description);
    return best_ms(repetitions, [&] {
      run(primitive, {{DNNL_ARG_DIFF_DST, y}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DIFF_SRC, x}});
    });
  }
  if (pass == Conv2dPass::backward_weights) {
    onednn::Convolution wide = c;
    wide.weights = {weight_dims(s), memory::data_type::f32, memory::format_tag::any};
    const auto description = onednn::backward_weights(wide, {}, forward);
    const memory gradient(description.diff_weights_desc(), onednn::engine());
    const dnnl::convolution_backward_weights primitive(description);
    return best_ms(repetitions, [&] {
      run(primitive,
          {{DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_DST, y}, {DNNL_ARG_DIFF_WEIGHTS, gradient}});
    });
  }
  const memory weights = filled(forward.weights_desc(), bf16);
  const Arguments arguments{{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, y}};
  const dnnl::convolution_forward first(forward);
  if (pass == Conv2dPass::forward) {
    return best_ms(repetitions, [&] { run(first, arguments); });
  }
  onednn::Convolution same = c;
  same.weights = forward.weights_desc();
  const dnnl::convolution_forward second(onednn::forward(same, adding()));
  return best_ms(repetitions, [&] {
    run(first, arguments);
    run(second, arguments);
  });
}

}  // namespace

std::optional<double> onednn_conv_ms(const Conv2dShape& shape, Conv2dPass pass, bool bf16,
                                     int repetitions) {
  require(repetitions >= 1, "onednn_conv_ms: expected at least 1 repetition, got {}", repetitions);
  try {
    return measure(shape, pass, bf16, repetitions);
  } catch (const dnnl::error& e) {
    if (e.status == dnnl_unimplemented || e.status == dnnl_invalid_arguments) return std::nullopt;
    fail("onednn_conv_ms: batch {}, {}x{}x{} to {} channels: {}", shape.batch, shape.in_h,
         shape.in_w, shape.in_c, shape.out_c, e.what());
  }
}

#else

std::optional<double> onednn_conv_ms(const Conv2dShape&, Conv2dPass, bool, int repetitions) {
  require(repetitions >= 1, "onednn_conv_ms: expected at least 1 repetition, got {}", repetitions);
  return std::nullopt;
}

#endif

}  // namespace ek::kernels
