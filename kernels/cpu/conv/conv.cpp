#include "kernels/conv.h"

#include <algorithm>
#include <type_traits>

#include "kernels/base/error.h"
#include "kernels/cpu/amx/amx_conv.h"
#include "kernels/cpu/conv/conv_onednn.h"
#include "kernels/cpu/conv/conv_plain.h"
#include "kernels/cpu/conv/conv_slices.h"
#include "kernels/cpu/scratch.h"

// The CPU convolution: float32 and bf16 by AMX tiles where they serve, through oneDNN where it is
// built in and has a good implementation, the rest through the plain path.
namespace ek::kernels {
namespace {

using cpu::ConvSlices;
using cpu::GradientSlices;
using cpu::Scratch;
using cpu::slice_threads;

void check(const Conv2dShape& s, const char* op) {
  check_shape(s, op);
  require(s.products == FloatProducts::exact, "{}: the CPU has exact products alone, got tf32", op);
}

// Slices of the plain path share out their images among the threads. The fewer the better then, but
// a bf16 slice is copied to float, and one slice bounds the copies.
template <class T>
ConvSlices<T> plan(const Conv2dShape& s, Conv2dPass pass) {
  ConvSlices<T> conv(s, pass, cpu::conv_slices(s.batch));
  if (!conv.uses_all_threads() || std::is_same_v<T, bf16>) return conv;
  return ConvSlices<T>(s, pass, {s.batch, 1});
}

template <class T>
std::size_t scratch_pieces(const ConvSlices<T>& conv) {
  return conv.uses_all_threads() ? 1 : std::size_t(slice_threads(conv.slices()));
}

// run(conv, slice, scratch) for all slices.
template <class T, class Run>
void for_slices(const Conv2dShape& s, Conv2dPass pass, const char* op, Workspace workspace,
                const Run& run) {
  if (s.batch == 0) return;
  const ConvSlices<T> conv = plan<T>(s, pass);
  const std::size_t bytes = conv.scratch_bytes();
  std::byte* scratch =
      Scratch(workspace, op).take<std::byte>(std::int64_t(scratch_pieces(conv) * bytes));
  if (conv.uses_all_threads()) {
    for (std::int64_t n = 0; n < conv.slices().count; ++n) run(conv, n, scratch);
  } else {
    cpu::for_each_slice(conv.slices(), [&](std::int64_t slice, int thread) {
      run(conv, slice, scratch + std::size_t(thread) * bytes);
    });
  }
}

std::int64_t x_image(const Conv2dShape& s) {
  return s.in_h * s.in_w * s.in_c;
}
std::int64_t y_image(const Conv2dShape& s) {
  return s.out_h() * s.out_w() * s.out_c;
}

}  // namespace

template <class B, class T>
std::size_t conv2d_pack_bytes(const Conv2dShape& s, Conv2dPass pass) {
  check(s, "conv2d_pack");
  if (pass == Conv2dPass::backward_weights) return 0;
  if constexpr (!std::is_same_v<T, double>) {
    if (const auto bytes = cpu::amx_pack_bytes<T>(s, pass)) return *bytes;
    if (const auto bytes = cpu::onednn_pack_bytes<T>(s, pass)) return *bytes;
  }
  return cpu::plain_pack_bytes<T>(s, pass);
}

template <class B, class T>
void conv2d_pack(Stream, const Conv2dShape& s, Conv2dPass pass, const Acc<T>* ohwi, void* pack) {
  const std::size_t bytes = conv2d_pack_bytes<B, T>(s, pass);
  require(bytes > 0, "conv2d_pack: a pass that reads a pack expected, got pass {}", int(pass));
  if constexpr (!std::is_same_v<T, double>) {
    if (cpu::amx_pack_bytes<T>(s, pass)) return cpu::amx_pack<T>(s, pass, ohwi, pack);
    if (cpu::onednn_pack_bytes<T>(s, pass)) return cpu::onednn_pack<T>(s, pass, ohwi, pack);
  }
  cpu::plain_pack<T>(s, pass, ohwi, static_cast<Acc<T>*>(pack));
}

template <class B, class T>
std::size_t conv2d_workspace_bytes(const Conv2dShape& s, Conv2dPass pass) {
  check(s, "conv2d");
  if (s.batch == 0) return 0;
  if (pass == Conv2dPass::backward_weights) {
    const GradientSlices<T> conv(s, cpu::gradient_slices(s.batch));
    return std::size_t(conv.slices().count * conv.partial_stride()) * sizeof(Acc<T>) +
           conv.sum_bytes() + std::size_t(slice_threads(conv.slices())) * conv.scratch_bytes();
  }
  const auto bytes = [&](Conv2dPass p) {
    const ConvSlices<T> conv = plan<T>(s, p);
    return scratch_pieces(conv) * conv.scratch_bytes();
  };
  // With one tangent null it is a forward pass.
  if (pass == Conv2dPass::tangent) return std::max(bytes(pass), bytes(Conv2dPass::forward));
  return bytes(pass);
}

template <class B, class T>
void conv2d_forward(Stream, const Conv2dShape& s, const T* x, ConvPack weight, T* y,
                    Workspace workspace) {
  check(s, "conv2d_forward");
  const auto run = [&](const ConvSlices<T>& conv, std::int64_t slice, std::byte* scratch) {
    const std::int64_t n = conv.slices().begin(slice);
    conv.forward(slice, x + n * x_image(s), weight, y + n * y_image(s), scratch);
  };
  for_slices<T>(s, Conv2dPass::forward, "conv2d_forward", workspace, run);
}

template <class B, class T>
void conv2d_backward_data(Stream, const Conv2dShape& s, const T* dy, ConvPack weight, T* dx,
                          Workspace workspace) {
  check(s, "conv2d_backward_data");
  const auto run = [&](const ConvSlices<T>& conv, std::int64_t slice, std::byte* scratch) {
    const std::int64_t n = conv.slices().begin(slice);
    conv.backward_data(slice, dy + n * y_image(s), weight, dx + n * x_image(s), scratch);
  };
  for_slices<T>(s, Conv2dPass::backward_data, "conv2d_backward_data", workspace, run);
}

template <class B, class T>
void conv2d_tangent(Stream stream, const Conv2dShape& s, const T* x, ConvPack weight,
                    const T* x_tangent, ConvPack weight_tangent, T* y_tangent,
                    Workspace workspace) {
  check(s, "conv2d_tangent");
  require(x_tangent || weight_tangent.data,
          "conv2d_tangent: at least one tangent expected, got none");
  if (!x_tangent) return conv2d_forward<B>(stream, s, x, weight_tangent, y_tangent, workspace);
  if (!weight_tangent.data) {
    return conv2d_forward<B>(stream, s, x_tangent, weight, y_tangent, workspace);
  }
  const auto run = [&](const ConvSlices<T>& conv, std::int64_t slice, std::byte* scratch) {
    const std::int64_t n = conv.slices().begin(slice);
    conv.tangent(slice, x + n * x_image(s), weight, x_tangent + n * x_image(s), weight_tangent,
                 y_tangent + n * y_image(s), scratch);
  };
  for_slices<T>(s, Conv2dPass::tangent, "conv2d_tangent", workspace, run);
}

template <class B, class T>
void conv2d_backward_weights(Stream, const Conv2dShape& s, const T* x, const T* dy, Acc<T>* dweight,
                             Workspace workspace) {
  check(s, "conv2d_backward_weights");
  if (s.batch == 0) {
    std::fill(dweight, dweight + s.weight_size(), Acc<T>(0));
    return;
  }
  const GradientSlices<T> conv(s, cpu::gradient_slices(s.batch));
  const std::size_t bytes = conv.scratch_bytes();
  Scratch pieces(workspace, "conv2d_backward_weights");
  Acc<T>* partials = pieces.take<Acc<T>>(conv.slices().count * conv.partial_stride());
  std::byte* sum_scratch = pieces.take<std::byte>(std::int64_t(conv.sum_bytes()));
  std::byte* scratch = pieces.take<std::byte>(slice_threads(conv.slices()) * std::int64_t(bytes));
  cpu::for_each_slice(conv.slices(), [&](std::int64_t slice, int thread) {
    const std::int64_t n = conv.slices().begin(slice);
    conv.compute(slice, x + n * x_image(s), dy + n * y_image(s), partials,
                 scratch + std::size_t(thread) * bytes);
  });
  conv.sum(partials, dweight, sum_scratch);
}

template decltype(conv2d_pack_bytes<Cpu, float>) conv2d_pack_bytes<Cpu, float>;
template decltype(conv2d_pack_bytes<Cpu, double>) conv2d_pack_bytes<Cpu, double>;
template decltype(conv2d_pack_bytes<Cpu, bf16>) conv2d_pack_bytes<Cpu, bf16>;
template decltype(conv2d_pack<Cpu, float>) conv2d_pack<Cpu, float>;
template decltype(conv2d_pack<Cpu, double>) conv2d_pack<Cpu, double>;
template decltype(conv2d_pack<Cpu, bf16>) conv2d_pack<Cpu, bf16>;
template decltype(conv2d_workspace_bytes<Cpu, float>) conv2d_workspace_bytes<Cpu, float>;
template decltype(conv2d_workspace_bytes<Cpu, double>) conv2d_workspace_bytes<Cpu, double>;
template decltype(conv2d_workspace_bytes<Cpu, bf16>) conv2d_workspace_bytes<Cpu, bf16>;
template decltype(conv2d_forward<Cpu, float>) conv2d_forward<Cpu, float>;
template decltype(conv2d_forward<Cpu, double>) conv2d_forward<Cpu, double>;
template decltype(conv2d_forward<Cpu, bf16>) conv2d_forward<Cpu, bf16>;
template decltype(conv2d_backward_data<Cpu, float>) conv2d_backward_data<Cpu, float>;
template decltype(conv2d_backward_data<Cpu, double>) conv2d_backward_data<Cpu, double>;
template decltype(conv2d_backward_data<Cpu, bf16>) conv2d_backward_data<Cpu, bf16>;
template decltype(conv2d_tangent<Cpu, float>) conv2d_tangent<Cpu, float>;
template decltype(conv2d_tangent<Cpu, double>) conv2d_tangent<Cpu, double>;
template decltype(conv2d_tangent<Cpu, bf16>) conv2d_tangent<Cpu, bf16>;
template decltype(conv2d_backward_weights<Cpu, float>) conv2d_backward_weights<Cpu, float>;
template decltype(conv2d_backward_weights<Cpu, double>) conv2d_backward_weights<Cpu, double>;
template decltype(conv2d_backward_weights<Cpu, bf16>) conv2d_backward_weights<Cpu, bf16>;

}  // namespace ek::kernels
