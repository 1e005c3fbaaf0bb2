#include "kernels/cpu/conv/onednn_rate.h"

#include <algorithm>
#include <chrono>

#include "kernels/base/error.h"

#ifdef EK_HAS_ONEDNN
#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/cpu/conv/onednn.h"
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

// One set of operands after the other: `call` with each of the `sets` that `make` makes.
template <class Make, class Call>
std::function<void()> rotating(int sets, const Make& make, const Call& call) {
  std::vector<decltype(make())> operands;
  for (int i = 0; i < sets; ++i) operands.push_back(make());
  return [=, next = std::size_t(0)]() mutable {
    call(operands[next]);
    next = (next + 1) % operands.size();
  };
}

std::function<void()> conv_call(const Conv2dShape& s, Conv2dPass pass, bool bf16, int sets) {
  const auto type = bf16 ? memory::data_type::bf16 : memory::data_type::f32;
  const auto images = [&](std::int64_t h, std::int64_t w, std::int64_t c) {
    return memory::desc({s.batch, c, h, w}, type, memory::format_tag::nhwc);
  };
  const onednn::Convolution c{images(s.in_h, s.in_w, s.in_c),
                              {weight_dims(s), type, memory::format_tag::any},
                              images(s.out_h(), s.out_w(), s.out_c),
                              {s.stride_h, s.stride_w},
                              {s.pad_h, s.pad_w}};
  const auto x = [&] { return filled(c.src, bf16); };
  const auto y = [&] { return filled(c.dst, bf16); };
  const dnnl::stream stream(onednn::engine());
  const auto forward = onednn::forward(c, {});
  if (pass == Conv2dPass::backward_data) {
    const auto description = onednn::backward_data(c, {}, forward);
    const dnnl::convolution_backward_data primitive(description);
    const auto make = [&]() -> Arguments {
      return {{DNNL_ARG_DIFF_DST, y()},
              {DNNL_ARG_WEIGHTS, filled(description.weights_desc(), bf16)},
              {DNNL_ARG_DIFF_SRC, x()}};
    };
    return rotating(sets, make, [=](const Arguments& a) { run(primitive, stream, a); });
  }
  if (pass == Conv2dPass::backward_weights) {
    onednn::Convolution wide = c;
    wide.weights = {weight_dims(s), memory::data_type::f32, memory::format_tag::any};
    const auto description = onednn::backward_weights(wide, {}, forward);
    const dnnl::convolution_backward_weights primitive(description);
    const auto make = [&]() -> Arguments {
      return {{DNNL_ARG_SRC, x()},
              {DNNL_ARG_DIFF_DST, y()},
              {DNNL_ARG_DIFF_WEIGHTS, memory(description.diff_weights_desc(), onednn::engine())}};
    };
    return rotating(sets, make, [=](const Arguments& a) { run(primitive, stream, a); });
  }
  const dnnl::convolution_forward first(forward);
  const auto weights = [&] { return filled(forward.weights_desc(), bf16); };
  if (pass == Conv2dPass::forward) {
    const auto make = [&]() -> Arguments {
      return {{DNNL_ARG_SRC, x()}, {DNNL_ARG_WEIGHTS, weights()}, {DNNL_ARG_DST, y()}};
    };
    return rotating(sets, make, [=](const Arguments& a) { run(first, stream, a); });
  }
  onednn::Convolution same = c;
  same.weights = forward.weights_desc();
  const dnnl::convolution_forward second(onednn::forward(same, adding()));
  const auto make = [&]() -> std::array<Arguments, 2> {
    const memory dst = y();
    const auto product = [&]() -> Arguments {
      return {{DNNL_ARG_SRC, x()}, {DNNL_ARG_WEIGHTS, weights()}, {DNNL_ARG_DST, dst}};
    };
    return {product(), product()};
  };
  return rotating(sets, make, [=](const std::array<Arguments, 2>& a) {
    run(first, stream, a[0]);
    run(second, stream, a[1]);
  });
}

std::function<void()> matmul_call(const GemmShape& s, bool bf16, int sets) {
  const auto type = bf16 ? memory::data_type::bf16 : memory::data_type::f32;
  const auto matrix = [&](std::int64_t rows, std::int64_t columns, bool transposed) {
    const auto tag = transposed ? memory::format_tag::ba : memory::format_tag::ab;
    return memory::desc({rows, columns}, type, tag);
  };
  const auto a = matrix(s.m, s.k, s.transpose_a), b = matrix(s.k, s.n, s.transpose_b);
  const auto c = matrix(s.m, s.n, false);
  const dnnl::matmul primitive(onednn::matmul(a, b, c));
  const dnnl::stream stream(onednn::engine());
  const auto make = [&]() -> Arguments {
    return {{DNNL_ARG_SRC, filled(a, bf16)},
            {DNNL_ARG_WEIGHTS, filled(b, bf16)},
            {DNNL_ARG_DST, memory(c, onednn::engine())}};
  };
  return rotating(sets, make, [=](const Arguments& x) { run(primitive, stream, x); });
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

std::function<void()> onednn_conv_call(const Conv2dShape& shape, Conv2dPass pass, bool bf16,
                                       int sets) {
  const std::string what =
      fmt::format("convolution, batch {}, {}x{}x{} to {} channels", shape.batch, shape.in_h,
                  shape.in_w, shape.in_c, shape.out_c);
  return if_implemented(what, [&] { return conv_call(shape, pass, bf16, sets); });
}

std::function<void()> onednn_matmul_call(const GemmShape& shape, bool bf16, int sets) {
  return if_implemented(fmt::format("product {}x{}x{}", shape.m, shape.n, shape.k),
                        [&] { return matmul_call(shape, bf16, sets); });
}

#else

std::function<void()> onednn_conv_call(const Conv2dShape&, Conv2dPass, bool, int) {
  return {};
}
std::function<void()> onednn_matmul_call(const GemmShape&, bool, int) {
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
