#include "kernels/cpu/onednn_rate.h"

#include <algorithm>
#include <chrono>

#include "kernels/error.h"

#ifdef EK_HAS_ONEDNN
#include <bit>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "kernels/cpu/onednn.h"
#endif

namespace ek::kernels {
namespace {

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

}  // namespace

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

void run(const dnnl::primitive& primitive, dnnl::stream stream, const Arguments& arguments) {
  primitive.execute(stream, arguments);
  stream.wait();
}

std::function<void()> conv_call(const Conv2dShape& s, Conv2dPass pass, bool bf16) {
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
  const dnnl::stream stream(onednn::engine());
  const auto forward = onednn::forward(c, {});
  if (pass == Conv2dPass::backward_data) {
    const auto description = onednn::backward_data(c, {}, forward);
    const memory weights = filled(description.weights_desc(), bf16);
    const dnnl::convolution_backward_data primitive(description);
    const Arguments arguments{
        {DNNL_ARG_DIFF_DST, y}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DIFF_SRC, x}};
    return [=] { run(primitive, stream, arguments); };
  }
  if (pass == Conv2dPass::backward_weights) {
    onednn::Convolution wide = c;
    wide.weights = {weight_dims(s), memory::data_type::f32, memory::format_tag::any};
    const auto description = onednn::backward_weights(wide, {}, forward);
    const memory gradient(description.diff_weights_desc(), onednn::engine());
    const dnnl::convolution_backward_weights primitive(description);
    const Arguments arguments{
        {DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_DST, y}, {DNNL_ARG_DIFF_WEIGHTS, gradient}};
    return [=] { run(primitive, stream, arguments); };
  }
  const memory weights = filled(forward.weights_desc(), bf16);
  const Arguments arguments{{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, y}};
  const dnnl::convolution_forward first(forward);
  if (pass == Conv2dPass::forward) return [=] { run(first, stream, arguments); };
  onednn::Convolution same = c;
  same.weights = forward.weights_desc();
  const dnnl::convolution_forward second(onednn::forward(same, adding()));
  const memory other_x = filled(c.src, bf16), other_weights = filled(same.weights, bf16);
  const Arguments others{
      {DNNL_ARG_SRC, other_x}, {DNNL_ARG_WEIGHTS, other_weights}, {DNNL_ARG_DST, y}};
  return [=] {
    run(first, stream, arguments);
    run(second, stream, others);
  };
}

std::function<void()> matmul_call(const GemmShape& s, bool bf16) {
  const auto type = bf16 ? memory::data_type::bf16 : memory::data_type::f32;
  const auto matrix = [&](std::int64_t rows, std::int64_t columns, bool transposed) {
    const auto tag = transposed ? memory::format_tag::ba : memory::format_tag::ab;
    return memory::desc({rows, columns}, type, tag);
  };
  const memory a = filled(matrix(s.m, s.k, s.transpose_a), bf16);
  const memory b = filled(matrix(s.k, s.n, s.transpose_b), bf16);
  const memory c(matrix(s.m, s.n, false), onednn::engine());
  const dnnl::matmul primitive(onednn::matmul(a.get_desc(), b.get_desc(), c.get_desc()));
  const dnnl::stream stream(onednn::engine());
  const Arguments arguments{{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}};
  return [=] { run(primitive, stream, arguments); };
}

// What `make` returns; empty where oneDNN has nothing. `what` describes the shape in errors.
template <class Make>
std::function<void()> if_implemented(const std::string& what, const Make& make) {
  try {
    return make();
  } catch (const dnnl::error& e) {
    if (e.status == dnnl_unimplemented || e.status == dnnl_invalid_arguments) return {};
    fail("oneDNN: {}: {}", what, e.what());
  }
}

}  // namespace

std::function<void()> onednn_conv_call(const Conv2dShape& shape, Conv2dPass pass, bool bf16) {
  const std::string what =
      fmt::format("convolution, batch {}, {}x{}x{} to {} channels", shape.batch, shape.in_h,
                  shape.in_w, shape.in_c, shape.out_c);
  return if_implemented(what, [&] { return conv_call(shape, pass, bf16); });
}

std::function<void()> onednn_matmul_call(const GemmShape& shape, bool bf16) {
  return if_implemented(fmt::format("product {}x{}x{}", shape.m, shape.n, shape.k),
                        [&] { return matmul_call(shape, bf16); });
}

#else

std::function<void()> onednn_conv_call(const Conv2dShape&, Conv2dPass, bool) {
  return {};
}
std::function<void()> onednn_matmul_call(const GemmShape&, bool) {
  return {};
}

#endif

std::optional<double> onednn_conv_ms(const Conv2dShape& shape, Conv2dPass pass, bool bf16,
                                     int repetitions) {
  require(repetitions >= 1, "onednn_conv_ms: expected at least 1 repetition, got {}", repetitions);
  const std::function<void()> call = onednn_conv_call(shape, pass, bf16);
  if (!call) return std::nullopt;
  return best_ms(repetitions, call);
}

}  // namespace ek::kernels
