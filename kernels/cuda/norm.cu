// Batch normalisation; kernels/norm.h states the maths. Here is what happens to one element, and
// what a channel needs for it; channel_rows.cuh has the schedules: plain maps where channels or
// pointers do not allow packs of 16 bytes, plain reductions up to 32 rows, tuned ones otherwise.
#include "kernels/norm.h"

#include "kernels/cuda/channel_rows.cuh"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

template <class T>
__device__ T rsqrt_var(T var, double eps) {
  return T(1) / std::sqrt(var + T(eps));
}

// N values from offset i on in the accumulation type; zeros where there is no tensor.
template <int N, class T>
struct Values {
  Acc<T> values[N];

  __device__ Values(const T* from, std::int64_t i) {
    if (from == nullptr) {
#pragma unroll
      for (int j = 0; j < N; ++j) values[j] = 0;
      return;
    }
    const Pack<T, N> pack = load_pack<N>(from + i);
#pragma unroll
    for (int j = 0; j < N; ++j) values[j] = widened(pack.values[j]);
  }
  __device__ Acc<T> operator[](int j) const {
    return values[j];
  }
};

template <int N, class T>
__device__ void store_rounded(const Acc<T> (&values)[N], T* to, std::int64_t i) {
  Pack<T, N> pack;
#pragma unroll
  for (int j = 0; j < N; ++j) pack.values[j] = narrowed<T>(values[j]);
  store_pack<N>(to + i, pack);
}

// ---- statistics ----

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

// Reductions that are sums.
template <class A>
struct Summing {
  template <class Channel>
  __device__ Moments part(const Channel&, std::int64_t, A first, A second) const {
    return {double(first), double(second)};
  }
  __device__ Moments merge(double, const Moments& a, double, const Moments& b) const {
    return {a.first + b.first, a.second + b.second};
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

// ---- normalisation ----

// (y - mean) is formed first: folding mean into the shift would cancel when |mean| >> std.
template <class T>
struct ActOp {
  using Element = T;
  using A = Acc<T>;
  struct Channel {
    A mean, scale, beta;
  };
  NormParams<T> params;
  const T *y, *shortcut;
  T* act;

  template <int N>
  __device__ void channels(std::int64_t c, std::int64_t, std::int64_t, Channel* channel) const {
    const Values<N, A> mean(params.mean, c), var(params.var, c), gamma(params.gamma, c),
        beta(params.beta, c);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      channel[j] = {mean[j], gamma[j] * rsqrt_var(var[j], params.eps), beta[j]};
    }
  }
  template <int N>
  __device__ void run(std::int64_t i, const Channel* channel) const {
    const Values<N, T> of_y(y, i), added(shortcut, i);
    A v[N];
#pragma unroll
    for (int j = 0; j < N; ++j) {
      v[j] = (of_y[j] - channel[j].mean) * channel[j].scale + channel[j].beta + added[j];
      if (params.relu && v[j] < 0) v[j] = 0;  // a NaN passes
    }
    store_rounded<N>(v, act, i);
  }
};

// The per-channel sums are sum g and sum g (y - mean), xhat without its factor r.
template <class T>
struct ActVjpOp : Summing<Acc<T>> {
  using Element = T;
  using A = Acc<T>;
  struct Channel {
    A mean, scale;
  };
  NormParams<T> params;
  const T *y, *act, *dact;
  NormActCotangents<T> out;

  template <int N>
  __device__ void channels(std::int64_t c, std::int64_t, std::int64_t, Channel* channel) const {
    const Values<N, A> mean(params.mean, c), var(params.var, c), gamma(params.gamma, c);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      channel[j] = {mean[j], gamma[j] * rsqrt_var(var[j], params.eps)};
    }
  }
  template <int N>
  __device__ void run(std::int64_t i, const Channel* channel, A* first, A* second) const {
    const Values<N, T> of_y(y, i), of_dact(dact, i), of_act(params.relu ? act : nullptr, i);
    A g[N], dy[N];
#pragma unroll
    for (int j = 0; j < N; ++j) {
      g[j] = !params.relu || of_act[j] > 0 ? of_dact[j] : A(0);
      first[j] += g[j];
      second[j] += g[j] * (of_y[j] - channel[j].mean);
      dy[j] = channel[j].scale * g[j];
    }
    if (out.dshortcut) store_rounded<N>(g, out.dshortcut, i);
    store_rounded<N>(dy, out.dy, i);
  }
  __device__ void finish(std::int64_t c, const Moments& sums) const {
    const double r = rsqrt_var(double(params.var[c]), params.eps);
    const double scale = double(params.gamma[c]) * r, dgamma = r * sums.second;
    if (out.dbeta) out.dbeta[c] = A(sums.first);
    if (out.dgamma) out.dgamma[c] = A(dgamma);
    if (out.dmean) out.dmean[c] = A(-scale * sums.first);
    if (out.dvar) out.dvar[c] = A(-0.5 * scale * r * dgamma);
  }
};

// Everything per channel folds into act' = mask (a y' + b + c (y - mean) + shortcut') with
//   a = gamma r     b = beta' - a mean'     c = (gamma' - 1/2 a r var') r
template <class T>
struct ActJvpOp {
  using Element = T;
  using A = Acc<T>;
  struct Channel {
    A mean, a, b, c;
  };
  NormParams<T> params;
  const T *y, *act;
  NormActTangents<T> tangents;
  T* act_tangent;

  template <int N>
  __device__ void channels(std::int64_t c, std::int64_t, std::int64_t, Channel* channel) const {
    const Values<N, A> mean(params.mean, c), var(params.var, c), gamma(params.gamma, c),
        mean_t(tangents.mean, c), var_t(tangents.var, c), gamma_t(tangents.gamma, c),
        beta_t(tangents.beta, c);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const A r = rsqrt_var(var[j], params.eps), a = gamma[j] * r;
      channel[j] = {mean[j], a, beta_t[j] - a * mean_t[j],
                    (gamma_t[j] - A(0.5) * a * r * var_t[j]) * r};
    }
  }
  template <int N>
  __device__ void run(std::int64_t i, const Channel* channel) const {
    const Values<N, T> of_y(y, i), y_t(tangents.y, i), added(tangents.shortcut, i),
        of_act(params.relu ? act : nullptr, i);
    A v[N];
#pragma unroll
    for (int j = 0; j < N; ++j) {
      v[j] = channel[j].b + channel[j].c * (of_y[j] - channel[j].mean) + channel[j].a * y_t[j] +
             added[j];
      if (params.relu && !(of_act[j] > 0)) v[j] = 0;
    }
    store_rounded<N>(v, act_tangent, i);
  }
};

template <class T>
bool aligned_params(const NormParams<T>& p) {
  return aligned_to_16(p.mean, p.var, p.gamma, p.beta);
}

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
  reduce_channels(stream, rows, channels, aligned_to_16(y),
                  StatsOp<T>{rows, channels, y, mean, var}, workspace);
}

template <class B, class T>
void channel_stats_vjp(Stream stream, std::int64_t rows, std::int64_t channels, const T* y,
                       const Acc<T>* mean, const Acc<T>* dmean, const Acc<T>* dvar, const T* dy_in,
                       T* dy) {
  using namespace EK_TARGET;
  map_channels(stream, rows, channels, aligned_to_16(y, mean, dmean, dvar, dy_in, dy),
               StatsVjpOp<T>{Acc<T>(1 / double(rows)), y, mean, dmean, dvar, dy_in, dy});
}

template <class B, class T>
void channel_stats_jvp(Stream stream, std::int64_t rows, std::int64_t channels, const T* y,
                       const Acc<T>* mean, const T* y_tangent, Acc<T>* mean_tangent,
                       Acc<T>* var_tangent, Workspace workspace) {
  using namespace EK_TARGET;
  reduce_channels(stream, rows, channels, aligned_to_16(y, mean, y_tangent),
                  StatsJvpOp<T>{{}, rows, y, mean, y_tangent, mean_tangent, var_tangent},
                  workspace);
}

template <class B, class T>
void norm_act_forward(Stream stream, const NormParams<T>& params, const T* y, const T* shortcut,
                      T* act) {
  using namespace EK_TARGET;
  map_channels(stream, params.rows, params.channels,
               aligned_params(params) && aligned_to_16(y, shortcut, act),
               ActOp<T>{params, y, shortcut, act});
}

template <class B, class T>
void norm_act_vjp(Stream stream, const NormParams<T>& params, const T* y, const T* act,
                  const T* dact, const NormActCotangents<T>& out, Workspace workspace) {
  using namespace EK_TARGET;
  reduce_channels(stream, params.rows, params.channels,
                  aligned_params(params) && aligned_to_16(y, act, dact, out.dy, out.dshortcut),
                  ActVjpOp<T>{{}, params, y, act, dact, out}, workspace);
}

template <class B, class T>
void norm_act_jvp(Stream stream, const NormParams<T>& params, const T* y, const T* act,
                  const NormActTangents<T>& tangents, T* act_tangent) {
  using namespace EK_TARGET;
  const bool aligned = aligned_params(params) && aligned_to_16(y, act, act_tangent) &&
                       aligned_to_16(tangents.y, tangents.shortcut, tangents.mean, tangents.var,
                                     tangents.gamma, tangents.beta);
  map_channels(stream, params.rows, params.channels, aligned,
               ActJvpOp<T>{params, y, act, tangents, act_tangent});
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
template decltype(norm_act_forward<Backend, float>) norm_act_forward<Backend, float>;
template decltype(norm_act_forward<Backend, double>) norm_act_forward<Backend, double>;
template decltype(norm_act_forward<Backend, bf16>) norm_act_forward<Backend, bf16>;
template decltype(norm_act_vjp<Backend, float>) norm_act_vjp<Backend, float>;
template decltype(norm_act_vjp<Backend, double>) norm_act_vjp<Backend, double>;
template decltype(norm_act_vjp<Backend, bf16>) norm_act_vjp<Backend, bf16>;
template decltype(norm_act_jvp<Backend, float>) norm_act_jvp<Backend, float>;
template decltype(norm_act_jvp<Backend, double>) norm_act_jvp<Backend, double>;
template decltype(norm_act_jvp<Backend, bf16>) norm_act_jvp<Backend, bf16>;

}  // namespace ek::kernels
