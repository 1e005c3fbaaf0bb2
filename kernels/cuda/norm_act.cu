// Normalisation with shortcut and ReLU, and its derivatives; kernels/norm.h states the maths.
#include "kernels/cuda/norm_act.h"

#include "kernels/cuda/norm_ops.cuh"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

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
  const T *y, *act, *dact, *dact_more;
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
    const Values<N, T> of_y(y, i), of_dact(dact, i), more(dact_more, i),
        of_act(params.relu ? act : nullptr, i);
    A g[N], dy[N];
#pragma unroll
    for (int j = 0; j < N; ++j) {
      g[j] = !params.relu || of_act[j] > 0 ? of_dact[j] + more[j] : A(0);
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

template <class T>
void norm_act_vjp_of_sum(Stream stream, const NormParams<T>& params, const T* y, const T* act,
                         const T* dact, const T* dact_more, const NormActCotangents<T>& out,
                         Workspace workspace) {
  reduce_channels(
      "norm_act_vjp", stream, params.rows, params.channels,
      aligned_params(params) && aligned_to_16(y, act, dact, dact_more, out.dy, out.dshortcut),
      ActVjpOp<T>{{}, params, y, act, dact, dact_more, out}, workspace);
}
template decltype(norm_act_vjp_of_sum<float>) norm_act_vjp_of_sum<float>;
template decltype(norm_act_vjp_of_sum<double>) norm_act_vjp_of_sum<double>;
template decltype(norm_act_vjp_of_sum<bf16>) norm_act_vjp_of_sum<bf16>;

}  // namespace EK_TARGET

template <class B, class T>
void norm_act_forward(Stream stream, const NormParams<T>& params, const T* y, const T* shortcut,
                      T* act) {
  using namespace EK_TARGET;
  map_channels("norm_act_forward", stream, params.rows, params.channels,
               aligned_params(params) && aligned_to_16(y, shortcut, act),
               ActOp<T>{params, y, shortcut, act});
}

template <class B, class T>
void norm_act_vjp(Stream stream, const NormParams<T>& params, const T* y, const T* act,
                  const T* dact, const NormActCotangents<T>& out, Workspace workspace) {
  using namespace EK_TARGET;
  norm_act_vjp_of_sum<T>(stream, params, y, act, dact, nullptr, out, workspace);
}

template <class B, class T>
void norm_act_jvp(Stream stream, const NormParams<T>& params, const T* y, const T* act,
                  const NormActTangents<T>& tangents, T* act_tangent) {
  using namespace EK_TARGET;
  const bool aligned = aligned_params(params) && aligned_to_16(y, act, act_tangent) &&
                       aligned_to_16(tangents.y, tangents.shortcut, tangents.mean, tangents.var,
                                     tangents.gamma, tangents.beta);
  map_channels("norm_act_jvp", stream, params.rows, params.channels, aligned,
               ActJvpOp<T>{params, y, act, tangents, act_tangent});
}

using EK_TARGET::Backend;
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
