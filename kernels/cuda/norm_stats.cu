// The statistics of batch normalisation; kernels/norm.h states the maths.
#include "kernels/cuda/norm_ops.cuh"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

// Deviations are taken from a pivot, the mean of up to four rows of the part, and corrected by
// their own mean: however far the mean is from zero nothing cancels, and a bad pivot costs at most
// a factor of rows / 4 in the accuracy of a part. Parts are merged with Chan's formula.
template <class T>
struct StatsOp {
  using Element = T;
  using A = Acc<T>;
  struct Channel {
    A pivot;
  };
  std::int64_t rows, width;
  const T* y;
  A *mean, *var;

  template <int N>
  __device__ void channels(std::int64_t c, std::int64_t begin, std::int64_t end,
                           Channel* channel) const {
    const std::int64_t count = end - begin, taps = count < 4 ? count : 4, step = count / taps;
    A sum[N] = {};
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const Values<N, T> of_row(y, (begin + tap * step) * width + c);
#pragma unroll
      for (int j = 0; j < N; ++j) sum[j] += of_row[j];
    }
#pragma unroll
    for (int j = 0; j < N; ++j) channel[j].pivot = sum[j] / A(taps);
  }
  template <int N>
  __device__ void run(std::int64_t i, const Channel* channel, A* first, A* second) const {
    const Values<N, T> of_y(y, i);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const A d = of_y[j] - channel[j].pivot;
      first[j] += d;
      second[j] += d * d;
    }
  }
  __device__ Moments part(const Channel& channel, std::int64_t count, A first, A second) const {
    const double shift = double(first) / double(count);
    const double m2 = double(second) - shift * double(first);
    return {double(channel.pivot) + shift, m2 < 0 ? 0 : m2};  // a NaN passes
  }
  __device__ Moments merge(double count, const Moments& a, double more, const Moments& b) const {
    const double delta = b.first - a.first, share = more / (count + more);
    return {a.first + delta * share, a.second + b.second + delta * delta * count * share};
  }
  __device__ void finish(std::int64_t c, const Moments& total) const {
    mean[c] = A(total.first);
    var[c] = A(total.second / double(rows));
  }
};

template <class T>
struct StatsJvpOp : Summing<Acc<T>> {
  using Element = T;
  using A = Acc<T>;
  struct Channel {
    A mean;
  };
  std::int64_t rows;
  const T* y;
  const A* mean;
  const T* y_tangent;
  A *mean_tangent, *var_tangent;

  template <int N>
  __device__ void channels(std::int64_t c, std::int64_t, std::int64_t, Channel* channel) const {
    const Values<N, A> of_mean(mean, c);
#pragma unroll
    for (int j = 0; j < N; ++j) channel[j] = {of_mean[j]};
  }
  template <int N>
  __device__ void run(std::int64_t i, const Channel* channel, A* first, A* second) const {
    const Values<N, T> of_y(y, i), tangent(y_tangent, i);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      first[j] += tangent[j];
      second[j] += (of_y[j] - channel[j].mean) * tangent[j];
    }
  }
  __device__ void finish(std::int64_t c, const Moments& sums) const {
    mean_tangent[c] = A(sums.first / double(rows));
    var_tangent[c] = A(2 * sums.second / double(rows));
  }
};

template <class T>
struct StatsVjpOp {
  using Element = T;
  using A = Acc<T>;
  struct Channel {
    A mean, constant, slope;
  };
  A share;  // 1 / rows
  const T* y;
  const A *mean, *dmean, *dvar;
  const T* dy_in;
  T* dy;

  template <int N>
  __device__ void channels(std::int64_t c, std::int64_t, std::int64_t, Channel* channel) const {
    const Values<N, A> of_mean(mean, c), of_dmean(dmean, c), of_dvar(dvar, c);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      channel[j] = {of_mean[j], of_dmean[j] * share, 2 * of_dvar[j] * share};
    }
  }
  template <int N>
  __device__ void run(std::int64_t i, const Channel* channel) const {
    const Values<N, T> of_y(y, i), added(dy_in, i);
    A sum[N];
#pragma unroll
    for (int j = 0; j < N; ++j) {
      sum[j] = added[j] + (channel[j].constant + channel[j].slope * (of_y[j] - channel[j].mean));
    }
    store_rounded<N>(sum, dy, i);
  }
};

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
std::size_t norm_workspace_bytes(std::int64_t rows, std::int64_t channels) {
  using namespace EK_TARGET;
  return RowParts(rows, channels).bytes();
}

template <class B, class T>
void channel_stats_forward(Stream stream, std::int64_t rows, std::int64_t channels, const T* y,
                           Acc<T>* mean, Acc<T>* var, Workspace workspace) {
  using namespace EK_TARGET;
  reduce_channels("channel_stats_forward", stream, rows, channels, aligned_to_16(y),
                  StatsOp<T>{rows, channels, y, mean, var}, workspace);
}

template <class B, class T>
void channel_stats_vjp(Stream stream, std::int64_t rows, std::int64_t channels, const T* y,
                       const Acc<T>* mean, const Acc<T>* dmean, const Acc<T>* dvar, const T* dy_in,
                       T* dy) {
  using namespace EK_TARGET;
  map_channels("channel_stats_vjp", stream, rows, channels,
               aligned_to_16(y, mean, dmean, dvar, dy_in, dy),
               StatsVjpOp<T>{Acc<T>(1 / double(rows)), y, mean, dmean, dvar, dy_in, dy});
}

template <class B, class T>
void channel_stats_jvp(Stream stream, std::int64_t rows, std::int64_t channels, const T* y,
                       const Acc<T>* mean, const T* y_tangent, Acc<T>* mean_tangent,
                       Acc<T>* var_tangent, Workspace workspace) {
  using namespace EK_TARGET;
  reduce_channels("channel_stats_jvp", stream, rows, channels, aligned_to_16(y, mean, y_tangent),
                  StatsJvpOp<T>{{}, rows, y, mean, y_tangent, mean_tangent, var_tangent},
                  workspace);
}

using EK_TARGET::Backend;
template decltype(norm_workspace_bytes<Backend, float>) norm_workspace_bytes<Backend, float>;
template decltype(norm_workspace_bytes<Backend, double>) norm_workspace_bytes<Backend, double>;
template decltype(norm_workspace_bytes<Backend, bf16>) norm_workspace_bytes<Backend, bf16>;
template decltype(channel_stats_forward<Backend, float>) channel_stats_forward<Backend, float>;
template decltype(channel_stats_forward<Backend, double>) channel_stats_forward<Backend, double>;
template decltype(channel_stats_forward<Backend, bf16>) channel_stats_forward<Backend, bf16>;
template decltype(channel_stats_vjp<Backend, float>) channel_stats_vjp<Backend, float>;
template decltype(channel_stats_vjp<Backend, double>) channel_stats_vjp<Backend, double>;
template decltype(channel_stats_vjp<Backend, bf16>) channel_stats_vjp<Backend, bf16>;
template decltype(channel_stats_jvp<Backend, float>) channel_stats_jvp<Backend, float>;
template decltype(channel_stats_jvp<Backend, double>) channel_stats_jvp<Backend, double>;
template decltype(channel_stats_jvp<Backend, bf16>) channel_stats_jvp<Backend, bf16>;

}  // namespace ek::kernels
