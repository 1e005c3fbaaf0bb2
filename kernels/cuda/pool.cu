// Pooling; kernels/pool.h states what each function computes. All are gathers: one thread
// owns an output and reads what belongs to it, so nothing is added atomically. The plain version
// owns one element (the teaching rung: it stays for tensors that do not allow packs), the tuned one
// a pack of 16 bytes of neighbouring channels; both run the same function objects.
#include "kernels/pool.h"

#include <algorithm>

#include "kernels/cuda/base/choice.cuh"
#include "kernels/cuda/optim/packs.cuh"
#include "kernels/math/long_sum.h"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 1 << 16;

// The part [begin, end) of the window at output position `out` that lies inside the image.
struct Range {
  std::int64_t begin, end;
};
__device__ Range window(std::int64_t out, std::int64_t kernel, std::int64_t stride,
                        std::int64_t pad, std::int64_t size) {
  const std::int64_t first = out * stride - pad, last = first + kernel;
  return {first > 0 ? first : 0, last < size ? last : size};
}

// The outputs [begin, end) whose windows hold input position `in`.
__device__ Range windows_over(std::int64_t in, std::int64_t kernel, std::int64_t stride,
                              std::int64_t pad, std::int64_t out_size) {
  const std::int64_t last = (in + pad) / stride + 1;
  const std::int64_t before = in + pad - kernel;  // windows that start here or earlier have ended
  return {before < 0 ? 0 : before / stride + 1, last < out_size ? last : out_size};
}

// Pixel number `pixel` of images of h x w.
struct Place {
  std::int64_t image, row, column;
  __device__ Place(std::int64_t pixel, std::int64_t h, std::int64_t w)
      : image(pixel / w / h), row(pixel / w % h), column(pixel % w) {}
};

// The shapes with what follows from them, which the host computes once.
struct Windows : Pool2dShape {
  std::int64_t out_rows, out_columns;
  Windows(const Pool2dShape& s) : Pool2dShape(s), out_rows(s.out_h()), out_columns(s.out_w()) {}

  // f(offset) for channel c of every pixel in the window of output pixel `out`, in row-major order.
  template <class F>
  __device__ void for_inputs(std::int64_t out, std::int64_t c, const F& f) const {
    const Place of(out, out_rows, out_columns);
    const Range rows = window(of.row, kernel_h, stride_h, pad_h, in_h);
    const Range columns = window(of.column, kernel_w, stride_w, pad_w, in_w);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      for (std::int64_t column = columns.begin; column < columns.end; ++column) {
        f(((of.image * in_h + row) * in_w + column) * channels + c);
      }
    }
  }
  // The same for the outputs whose windows hold input pixel `in`.
  template <class F>
  __device__ void for_outputs(std::int64_t in, std::int64_t c, const F& f) const {
    const Place of(in, in_h, in_w);
    const Range rows = windows_over(of.row, kernel_h, stride_h, pad_h, out_rows);
    const Range columns = windows_over(of.column, kernel_w, stride_w, pad_w, out_columns);
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      for (std::int64_t column = columns.begin; column < columns.end; ++column) {
        f(((of.image * out_rows + row) * out_columns + column) * channels + c);
      }
    }
  }
};
struct Subsampling : SubsampleShape {
  std::int64_t out_rows, out_columns, before;
  Subsampling(const SubsampleShape& s)
      : SubsampleShape(s), out_rows(s.out_h()), out_columns(s.out_w()), before(s.pad_before()) {}
};

// Each functor: run<N>(pixel, c) computes the channels [c, c + N) of output pixel `pixel`.

template <class T>
struct GlobalForward {
  std::int64_t pixels, channels;
  const T* x;
  Acc<T>* y;
  template <int N>
  __device__ void run(std::int64_t image, std::int64_t c) const {
    const T* from = x + image * pixels * channels + c;
    math::LongSum<Acc<T>> sums[N] = {};
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      const Pack<T, N> more = load_pack<N>(from + pixel * channels);
#pragma unroll
      for (int j = 0; j < N; ++j) sums[j].add(widened(more.values[j]));
    }
    Pack<Acc<T>, N> mean;
    const Acc<T> scale = Acc<T>(1) / Acc<T>(pixels);
#pragma unroll
    for (int j = 0; j < N; ++j) mean.values[j] = sums[j].value() * scale;
    store_pack<N>(y + image * channels + c, mean);
  }
};

template <class T>
struct GlobalBackward {
  std::int64_t pixels, channels;
  const Acc<T>* dy;
  T* dx;
  template <int N>
  __device__ void run(std::int64_t pixel, std::int64_t c) const {
    Pack<Acc<T>, N> share = load_pack<N>(dy + pixel / pixels * channels + c);
    const Acc<T> scale = Acc<T>(1) / Acc<T>(pixels);
#pragma unroll
    for (int j = 0; j < N; ++j) share.values[j] *= scale;
    store_pack<N>(dx + pixel * channels + c, narrowed_pack<T>(share));
  }
};

// Packs need pad_before and in_c to be multiples of N, so that a pack is copied or zero as a whole.
template <class T>
struct SubsampleForward {
  Subsampling s;
  const T* x;
  T* y;
  template <int N>
  __device__ void run(std::int64_t pixel, std::int64_t c) const {
    const Place to(pixel, s.out_rows, s.out_columns);
    const std::int64_t in_c = c - s.before;
    const std::int64_t in_row = to.image * s.in_h + to.row * s.stride;
    Pack<T, N> values = {};
    if (in_c >= 0 && in_c < s.in_c) {
      values = load_pack<N>(x + (in_row * s.in_w + to.column * s.stride) * s.in_c + in_c);
    }
    store_pack<N>(y + pixel * s.out_c + c, values);
  }
};

template <class T>
struct SubsampleBackward {
  Subsampling s;
  const T* dy;
  T* dx;
  template <int N>
  __device__ void run(std::int64_t pixel, std::int64_t c) const {
    const Place to(pixel, s.in_h, s.in_w);
    Pack<T, N> values = {};
    if (to.row % s.stride == 0 && to.column % s.stride == 0) {
      const std::int64_t out_row = to.image * s.out_rows + to.row / s.stride;
      const std::int64_t from = out_row * s.out_columns + to.column / s.stride;
      values = load_pack<N>(dy + from * s.out_c + s.before + c);
    }
    store_pack<N>(dx + pixel * s.in_c + c, values);
  }
};

// The comparison also takes a NaN, and keeps the first one.
template <class T>
struct MaxForward {
  Windows s;
  const T* x;
  T* y;
  std::int64_t* argmax;
  template <int N>
  __device__ void run(std::int64_t pixel, std::int64_t c) const {
    Pack<T, N> best = {};
    std::int64_t chosen[N] = {};
    bool first = true;
    s.for_inputs(pixel, c, [&](std::int64_t at) {
      const Pack<T, N> values = load_pack<N>(x + at);
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const T v = values.values[j], b = best.values[j];
        if (!first && !(v > b || (v != v && b == b))) continue;
        best.values[j] = v;
        chosen[j] = at + j;
      }
      first = false;
    });
    store_pack<N>(y + pixel * s.channels + c, best);
#pragma unroll
    for (int j = 0; j < N; ++j) argmax[pixel * s.channels + c + j] = chosen[j];
  }
};

// dx of an element: dy of those windows over it that chose it, in row-major order.
template <class T>
struct MaxScatter {
  Windows s;
  const T* dy;
  const std::int64_t* argmax;
  T* dx;
  template <int N>
  __device__ void run(std::int64_t pixel, std::int64_t c) const {
    Pack<T, N> sum = {};
    s.for_outputs(pixel, c, [&](std::int64_t from) {
      const Pack<T, N> values = load_pack<N>(dy + from);
#pragma unroll
      for (int j = 0; j < N; ++j) {
        if (argmax[from + j] == pixel * s.channels + c + j) sum.values[j] += values.values[j];
      }
    });
    store_pack<N>(dx + pixel * s.channels + c, sum);
  }
};

template <class T>
struct AvgForward {
  Windows s;
  const T* x;
  T* y;
  template <int N>
  __device__ void run(std::int64_t pixel, std::int64_t c) const {
    math::LongSum<T> sums[N] = {};
    s.for_inputs(pixel, c, [&](std::int64_t from) {
      const Pack<T, N> more = load_pack<N>(x + from);
#pragma unroll
      for (int j = 0; j < N; ++j) sums[j].add(more.values[j]);
    });
    Pack<T, N> mean;
    const T scale = T(1) / T(s.kernel_h * s.kernel_w);
#pragma unroll
    for (int j = 0; j < N; ++j) mean.values[j] = sums[j].value() * scale;
    store_pack<N>(y + pixel * s.channels + c, mean);
  }
};

template <class T>
struct AvgBackward {
  Windows s;
  const T* dy;
  T* dx;
  template <int N>
  __device__ void run(std::int64_t pixel, std::int64_t c) const {
    const T scale = T(1) / T(s.kernel_h * s.kernel_w);
    math::LongSum<T> sums[N] = {};
    s.for_outputs(pixel, c, [&](std::int64_t from) {
      const Pack<T, N> more = load_pack<N>(dy + from);
#pragma unroll
      for (int j = 0; j < N; ++j) sums[j].add(more.values[j]);
    });
    Pack<T, N> share;
#pragma unroll
    for (int j = 0; j < N; ++j) share.values[j] = scale * sums[j].value();
    store_pack<N>(dx + pixel * s.channels + c, share);
  }
};

template <class T>
struct Gather {
  const T* x;
  const std::int64_t* argmax;
  T* out;
  template <int N>
  __device__ void run(std::int64_t i, std::int64_t) const {
    out[i] = x[argmax[i]];
  }
};

// One thread, N channels of one output pixel: N = 1 is the plain version.
template <class Op, int N>
__global__ void __launch_bounds__(kThreads)
    pool_kernel(std::int64_t pixels, std::int64_t channels, Op op) {
  const std::int64_t groups = channels / N, threads = std::int64_t(gridDim.x) * blockDim.x;
  for (std::int64_t i = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < pixels * groups;
       i += threads) {
    op.template run<N>(i / groups, i % groups * N);
  }
}

template <int N, class Op>
void run_pool(Stream stream, std::int64_t pixels, std::int64_t channels, const Op& op) {
  const std::int64_t pieces = pixels * (channels / N);
  if (pieces == 0) return;
  const std::int64_t blocks = std::min((pieces + kThreads - 1) / kThreads, kMostBlocks);
  launch<&pool_kernel<Op, N>>({dim3(unsigned(blocks)), dim3(kThreads), 0, stream}, pixels, channels,
                              op);
}

// Packs where `packed` says that all tensors allow them.
template <class T, class Op>
void pool(const char* function, Stream stream, std::int64_t pixels, std::int64_t channels,
          bool packed, const Op& op) {
  constexpr int N = 16 / int(sizeof(T));
  if (tuned(function, "pool: expected channels and addresses of whole 16 bytes for 'packed'",
            packed && channels % N == 0)) {
    run_pool<N>(stream, pixels, channels, op);
  } else {
    run_pool<1>(stream, pixels, channels, op);
  }
}

template <class T>
bool packed_channels(const SubsampleShape& s) {
  constexpr std::int64_t N = 16 / sizeof(T);
  return s.in_c % N == 0 && s.out_c % N == 0 && s.pad_before() % N == 0;
}

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void max_pool2d_forward(Stream stream, const Pool2dShape& s, const T* x, T* y,
                        std::int64_t* argmax) {
  using namespace EK_TARGET;
  pool<T>("max_pool2d_forward", stream, s.batch * s.out_h() * s.out_w(), s.channels,
          aligned_to_16(x, y), MaxForward<T>{s, x, y, argmax});
}

template <class B, class T>
void max_pool2d_gather(Stream stream, std::int64_t count, const T* x, const std::int64_t* argmax,
                       T* out) {
  using namespace EK_TARGET;
  run_pool<1>(stream, count, 1, Gather<T>{x, argmax, out});
}

template <class B, class T>
void max_pool2d_scatter(Stream stream, const Pool2dShape& s, const T* dy,
                        const std::int64_t* argmax, T* dx) {
  using namespace EK_TARGET;
  pool<T>("max_pool2d_scatter", stream, s.batch * s.in_h * s.in_w, s.channels,
          aligned_to_16(dy, dx), MaxScatter<T>{s, dy, argmax, dx});
}

template <class B, class T>
void avg_pool2d_forward(Stream stream, const Pool2dShape& s, const T* x, T* y) {
  using namespace EK_TARGET;
  pool<T>("avg_pool2d_forward", stream, s.batch * s.out_h() * s.out_w(), s.channels,
          aligned_to_16(x, y), AvgForward<T>{s, x, y});
}

template <class B, class T>
void avg_pool2d_backward(Stream stream, const Pool2dShape& s, const T* dy, T* dx) {
  using namespace EK_TARGET;
  pool<T>("avg_pool2d_backward", stream, s.batch * s.in_h * s.in_w, s.channels,
          aligned_to_16(dy, dx), AvgBackward<T>{s, dy, dx});
}

template <class B, class T>
void global_avg_pool_forward(Stream stream, std::int64_t batch, std::int64_t pixels,
                             std::int64_t channels, const T* x, Acc<T>* y) {
  using namespace EK_TARGET;
  pool<T>("global_avg_pool_forward", stream, batch, channels, aligned_to_16(x, y),
          GlobalForward<T>{pixels, channels, x, y});
}

template <class B, class T>
void global_avg_pool_backward(Stream stream, std::int64_t batch, std::int64_t pixels,
                              std::int64_t channels, const Acc<T>* dy, T* dx) {
  using namespace EK_TARGET;
  pool<T>("global_avg_pool_backward", stream, batch * pixels, channels, aligned_to_16(dy, dx),
          GlobalBackward<T>{pixels, channels, dy, dx});
}

template <class B, class T>
void subsample_pad_forward(Stream stream, const SubsampleShape& s, const T* x, T* y) {
  using namespace EK_TARGET;
  pool<T>("subsample_pad_forward", stream, s.batch * s.out_h() * s.out_w(), s.out_c,
          aligned_to_16(x, y) && packed_channels<T>(s), SubsampleForward<T>{s, x, y});
}

template <class B, class T>
void subsample_pad_backward(Stream stream, const SubsampleShape& s, const T* dy, T* dx) {
  using namespace EK_TARGET;
  pool<T>("subsample_pad_backward", stream, s.batch * s.in_h * s.in_w, s.in_c,
          aligned_to_16(dy, dx) && packed_channels<T>(s), SubsampleBackward<T>{s, dy, dx});
}

using EK_TARGET::Backend;
template decltype(max_pool2d_forward<Backend, float>) max_pool2d_forward<Backend, float>;
template decltype(max_pool2d_forward<Backend, double>) max_pool2d_forward<Backend, double>;
template decltype(max_pool2d_gather<Backend, float>) max_pool2d_gather<Backend, float>;
template decltype(max_pool2d_gather<Backend, double>) max_pool2d_gather<Backend, double>;
template decltype(max_pool2d_scatter<Backend, float>) max_pool2d_scatter<Backend, float>;
template decltype(max_pool2d_scatter<Backend, double>) max_pool2d_scatter<Backend, double>;
template decltype(avg_pool2d_forward<Backend, float>) avg_pool2d_forward<Backend, float>;
template decltype(avg_pool2d_forward<Backend, double>) avg_pool2d_forward<Backend, double>;
template decltype(avg_pool2d_backward<Backend, float>) avg_pool2d_backward<Backend, float>;
template decltype(avg_pool2d_backward<Backend, double>) avg_pool2d_backward<Backend, double>;
template decltype(global_avg_pool_forward<Backend, float>) global_avg_pool_forward<Backend, float>;
template decltype(global_avg_pool_forward<Backend, double>)
    global_avg_pool_forward<Backend, double>;
template decltype(global_avg_pool_forward<Backend, bf16>) global_avg_pool_forward<Backend, bf16>;
template decltype(global_avg_pool_backward<Backend, float>)
    global_avg_pool_backward<Backend, float>;
template decltype(global_avg_pool_backward<Backend, double>)
    global_avg_pool_backward<Backend, double>;
template decltype(global_avg_pool_backward<Backend, bf16>) global_avg_pool_backward<Backend, bf16>;
template decltype(subsample_pad_forward<Backend, float>) subsample_pad_forward<Backend, float>;
template decltype(subsample_pad_forward<Backend, double>) subsample_pad_forward<Backend, double>;
template decltype(subsample_pad_forward<Backend, bf16>) subsample_pad_forward<Backend, bf16>;
template decltype(subsample_pad_backward<Backend, float>) subsample_pad_backward<Backend, float>;
template decltype(subsample_pad_backward<Backend, double>) subsample_pad_backward<Backend, double>;
template decltype(subsample_pad_backward<Backend, bf16>) subsample_pad_backward<Backend, bf16>;

}  // namespace ek::kernels
