#pragma once
// What the kernels of batch normalisation share. Each is an Op of channel_rows.cuh, which has the
// schedules: plain maps where channels or pointers do not allow packs of 16 bytes, plain reductions
// up to 32 rows, tuned ones otherwise.
#include "kernels/cuda/base/channel_rows.cuh"
#include "kernels/norm.h"

namespace ek::kernels::EK_TARGET {
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
  Pack<Acc<T>, N> pack;
#pragma unroll
  for (int j = 0; j < N; ++j) pack.values[j] = values[j];
  store_pack<N>(to + i, narrowed_pack<T>(pack));
}

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

}  // namespace
}  // namespace ek::kernels::EK_TARGET
