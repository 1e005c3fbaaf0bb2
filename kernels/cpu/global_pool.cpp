// The pooling that needs no window: global average, and the subsampling shortcut.
#include <algorithm>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/simd.h"
#include "kernels/pool.h"

namespace ek::kernels {

namespace {

// Sum of the lanes at `from`, pixel after pixel: up to 64 in a row, more by halves down to 16, so
// that the error grows with the logarithm of their number.
template <class T, class Simd>
auto sum_of_pixels(Simd simd, const T* from, std::int64_t pixels, std::int64_t channels) {
  constexpr std::int64_t in_a_row = 64, leaf = 16;
  if (pixels <= in_a_row) {
    auto sum = simd.load(from);
    for (std::int64_t pixel = 1; pixel < pixels; ++pixel) {
      sum += simd.load(from + pixel * channels);
    }
    return sum;
  }
  // Halves of leaves: their partial sums wait on a stack, as the bits of a binary counter.
  decltype(simd.load(from)) waiting[64];
  int depth = 0;
  const std::int64_t leaves = (pixels + leaf - 1) / leaf;
  for (std::int64_t i = 0; i < leaves; ++i) {
    const T* at = from + i * leaf * channels;
    const std::int64_t count = std::min(leaf, pixels - i * leaf);
    auto sum = simd.load(at);
    for (std::int64_t pixel = 1; pixel < count; ++pixel) sum += simd.load(at + pixel * channels);
    for (std::int64_t bits = i; bits & 1; bits >>= 1) sum = waiting[--depth] + sum;
    waiting[depth++] = sum;
  }
  auto total = waiting[--depth];
  while (depth > 0) total = waiting[--depth] + total;
  return total;
}

}  // namespace

template <class B, class T>
void global_avg_pool_forward(Stream, std::int64_t batch, std::int64_t pixels, std::int64_t channels,
                             const T* x, Acc<T>* y) {
  const Acc<T> scale = Acc<T>(1) / Acc<T>(pixels);
  cpu::for_item_blocks(batch, pixels * channels, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t image = begin; image < end; ++image) {
      cpu::for_lanes<T>(channels, [=](std::int64_t c, auto simd) {
        const T* from = x + image * pixels * channels + c;
        simd.store(sum_of_pixels(simd, from, pixels, channels) * scale, y + image * channels + c);
      });
    }
  });
}

template <class B, class T>
void global_avg_pool_backward(Stream, std::int64_t batch, std::int64_t pixels,
                              std::int64_t channels, const Acc<T>* dy, T* dx) {
  const Acc<T> scale = Acc<T>(1) / Acc<T>(pixels);
  cpu::for_item_blocks(batch, pixels * channels, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t pixel = begin * pixels; pixel < end * pixels; ++pixel) {
      const Acc<T>* from = dy + pixel / pixels * channels;
      cpu::for_lanes<T>(channels, [=](std::int64_t c, auto simd) {
        simd.store(scale * simd.load(from + c), dx + pixel * channels + c);
      });
    }
  });
}

template <class B, class T>
void subsample_pad_forward(Stream, const SubsampleShape& s, const T* x, T* y) {
  const std::int64_t out_h = s.out_h(), out_w = s.out_w(), before = s.pad_before();
  cpu::for_item_blocks(s.batch * out_h, out_w * s.out_c, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t line = begin; line < end; ++line) {
      const std::int64_t in_line = line / out_h * s.in_h + line % out_h * s.stride;
      T* to_line = y + line * out_w * s.out_c;
      std::fill(to_line, to_line + out_w * s.out_c, T{});
      for (std::int64_t column = 0; column < out_w; ++column) {
        const T* from = x + (in_line * s.in_w + column * s.stride) * s.in_c;
        std::copy(from, from + s.in_c, to_line + column * s.out_c + before);
      }
    }
  });
}

template <class B, class T>
void subsample_pad_backward(Stream, const SubsampleShape& s, const T* dy, T* dx) {
  const std::int64_t out_h = s.out_h(), out_w = s.out_w();
  cpu::for_item_blocks(
      s.batch * s.in_h, s.in_w * s.in_c, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t line = begin; line < end; ++line) {
          T* to_line = dx + line * s.in_w * s.in_c;
          std::fill(to_line, to_line + s.in_w * s.in_c, T{});
          const std::int64_t row = line % s.in_h;
          if (row % s.stride != 0) continue;
          const std::int64_t out_line = line / s.in_h * out_h + row / s.stride;
          for (std::int64_t column = 0; column < out_w; ++column) {
            const T* from = dy + (out_line * out_w + column) * s.out_c + s.pad_before();
            std::copy(from, from + s.in_c, to_line + column * s.stride * s.in_c);
          }
        }
      });
}

template decltype(global_avg_pool_forward<Cpu, float>) global_avg_pool_forward<Cpu, float>;
template decltype(global_avg_pool_forward<Cpu, double>) global_avg_pool_forward<Cpu, double>;
template decltype(global_avg_pool_forward<Cpu, bf16>) global_avg_pool_forward<Cpu, bf16>;
template decltype(global_avg_pool_backward<Cpu, float>) global_avg_pool_backward<Cpu, float>;
template decltype(global_avg_pool_backward<Cpu, double>) global_avg_pool_backward<Cpu, double>;
template decltype(global_avg_pool_backward<Cpu, bf16>) global_avg_pool_backward<Cpu, bf16>;
template decltype(subsample_pad_forward<Cpu, float>) subsample_pad_forward<Cpu, float>;
template decltype(subsample_pad_forward<Cpu, double>) subsample_pad_forward<Cpu, double>;
template decltype(subsample_pad_forward<Cpu, bf16>) subsample_pad_forward<Cpu, bf16>;
template decltype(subsample_pad_backward<Cpu, float>) subsample_pad_backward<Cpu, float>;
template decltype(subsample_pad_backward<Cpu, double>) subsample_pad_backward<Cpu, double>;
template decltype(subsample_pad_backward<Cpu, bf16>) subsample_pad_backward<Cpu, bf16>;

}  // namespace ek::kernels
