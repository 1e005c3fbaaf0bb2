#include "kernels/pool.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/blocks.h"

namespace ek::kernels {
namespace {

// The part [begin, end) of the window at output position `out` that lies inside the image.
struct Range {
  std::int64_t begin, end;
};
Range window(std::int64_t out, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
             std::int64_t size) {
  const std::int64_t first = out * stride - pad;
  return {std::max<std::int64_t>(first, 0), std::min(first + kernel, size)};
}

// The outputs [begin, end) whose windows hold input position `in`.
Range windows_over(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                   std::int64_t out_size) {
  const std::int64_t last = (in + pad) / stride;
  const std::int64_t before = in + pad - kernel;  // windows that start here or earlier have ended
  const std::int64_t first = before < 0 ? 0 : before / stride + 1;
  return {first, std::min(last + 1, out_size)};
}

// One output pixel. The comparison also takes a NaN, and keeps the first one.
template <class T>
void max_pixel(const Pool2dShape& s, const T* x, std::int64_t image, Range rows, Range columns,
               T* y, std::int64_t* argmax) {
  const auto index_of = [&](std::int64_t row, std::int64_t column) {
    return ((image * s.in_h + row) * s.in_w + column) * s.channels;
  };
  const std::int64_t start = index_of(rows.begin, columns.begin);
  for (std::int64_t c = 0; c < s.channels; ++c) {
    y[c] = x[start + c];
    argmax[c] = start + c;
  }
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int64_t column = columns.begin; column < columns.end; ++column) {
      const std::int64_t from = index_of(row, column);
#pragma omp simd
      for (std::int64_t c = 0; c < s.channels; ++c) {
        const T v = x[from + c], best = y[c];
        const bool wins = v > best || (v != v && best == best);
        y[c] = wins ? v : best;
        argmax[c] = wins ? from + c : argmax[c];
      }
    }
  }
}

}  // namespace

template <class B, class T>
void max_pool2d_forward(Stream, const Pool2dShape& s, const T* x, T* y, std::int64_t* argmax) {
  const std::int64_t out_h = s.out_h(), out_w = s.out_w();
  const std::int64_t work = out_w * s.channels * s.kernel_h * s.kernel_w;
  cpu::for_item_blocks(s.batch * out_h, work, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t line = begin; line < end; ++line) {
      const Range rows = window(line % out_h, s.kernel_h, s.stride_h, s.pad_h, s.in_h);
      for (std::int64_t ow = 0; ow < out_w; ++ow) {
        const std::int64_t at = (line * out_w + ow) * s.channels;
        max_pixel(s, x, line / out_h, rows, window(ow, s.kernel_w, s.stride_w, s.pad_w, s.in_w),
                  y + at, argmax + at);
      }
    }
  });
}

template <class B, class T>
void max_pool2d_gather(Stream, std::int64_t count, const T* x, const std::int64_t* argmax, T* out) {
  cpu::for_blocks(count, cpu::kBlockElements, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) out[i] = x[argmax[i]];
  });
}

// By image: windows may overlap, but never between images, so no two threads add to one element.
template <class B, class T>
void max_pool2d_scatter(Stream, const Pool2dShape& s, const T* dy, const std::int64_t* argmax,
                        T* dx) {
  const std::int64_t in_size = s.in_h * s.in_w * s.channels;
  const std::int64_t out_size = s.out_h() * s.out_w() * s.channels;
  cpu::for_item_blocks(s.batch, in_size, [=](std::int64_t begin, std::int64_t end) {
    std::fill(dx + begin * in_size, dx + end * in_size, T(0));
    for (std::int64_t i = begin * out_size; i < end * out_size; ++i) dx[argmax[i]] += dy[i];
  });
}

template <class B, class T>
void avg_pool2d_forward(Stream, const Pool2dShape& s, const T* x, T* y) {
  const std::int64_t out_h = s.out_h(), out_w = s.out_w(), channels = s.channels;
  const T scale = T(1) / T(s.kernel_h * s.kernel_w);
  const std::int64_t work = out_w * channels * s.kernel_h * s.kernel_w;
  cpu::for_item_blocks(s.batch * out_h, work, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> sums(static_cast<std::size_t>(channels));  // a window may be large
    for (std::int64_t out = begin * out_w; out < end * out_w; ++out) {
      const std::int64_t line = out / out_w;
      const Range rows = window(line % out_h, s.kernel_h, s.stride_h, s.pad_h, s.in_h);
      const Range columns = window(out % out_w, s.kernel_w, s.stride_w, s.pad_w, s.in_w);
      T* to = y + out * channels;
      double* sum = sums.data();
      std::fill(sum, sum + channels, 0.0);
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        for (std::int64_t column = columns.begin; column < columns.end; ++column) {
          const T* from = x + ((line / out_h * s.in_h + row) * s.in_w + column) * channels;
#pragma omp simd
          for (std::int64_t c = 0; c < channels; ++c) sum[c] += double(from[c]);
        }
      }
#pragma omp simd
      for (std::int64_t c = 0; c < channels; ++c) to[c] = T(sum[c]) * scale;
    }
  });
}

// Gathers: each input pixel sums over the windows that hold it.
template <class B, class T>
void avg_pool2d_backward(Stream, const Pool2dShape& s, const T* dy, T* dx) {
  const std::int64_t out_h = s.out_h(), out_w = s.out_w(), channels = s.channels;
  const T scale = T(1) / T(s.kernel_h * s.kernel_w);
  cpu::for_item_blocks(
      s.batch * s.in_h, s.in_w * channels, [&](std::int64_t begin, std::int64_t end) {
        std::vector<double> sums(static_cast<std::size_t>(channels));
        for (std::int64_t in = begin * s.in_w; in < end * s.in_w; ++in) {
          const std::int64_t line = in / s.in_w;
          const Range rows = windows_over(line % s.in_h, s.kernel_h, s.stride_h, s.pad_h, out_h);
          const Range columns = windows_over(in % s.in_w, s.kernel_w, s.stride_w, s.pad_w, out_w);
          T* to = dx + in * channels;
          double* sum = sums.data();
          std::fill(sum, sum + channels, 0.0);
          for (std::int64_t row = rows.begin; row < rows.end; ++row) {
            for (std::int64_t column = columns.begin; column < columns.end; ++column) {
              const T* from = dy + ((line / s.in_h * out_h + row) * out_w + column) * channels;
#pragma omp simd
              for (std::int64_t c = 0; c < channels; ++c) sum[c] += double(from[c]);
            }
          }
#pragma omp simd
          for (std::int64_t c = 0; c < channels; ++c) to[c] = scale * T(sum[c]);
        }
      });
}

template decltype(max_pool2d_forward<Cpu, float>) max_pool2d_forward<Cpu, float>;
template decltype(max_pool2d_forward<Cpu, double>) max_pool2d_forward<Cpu, double>;
template decltype(max_pool2d_gather<Cpu, float>) max_pool2d_gather<Cpu, float>;
template decltype(max_pool2d_gather<Cpu, double>) max_pool2d_gather<Cpu, double>;
template decltype(max_pool2d_scatter<Cpu, float>) max_pool2d_scatter<Cpu, float>;
template decltype(max_pool2d_scatter<Cpu, double>) max_pool2d_scatter<Cpu, double>;
template decltype(avg_pool2d_forward<Cpu, float>) avg_pool2d_forward<Cpu, float>;
template decltype(avg_pool2d_forward<Cpu, double>) avg_pool2d_forward<Cpu, double>;
template decltype(avg_pool2d_backward<Cpu, float>) avg_pool2d_backward<Cpu, float>;
template decltype(avg_pool2d_backward<Cpu, double>) avg_pool2d_backward<Cpu, double>;

}  // namespace ek::kernels
