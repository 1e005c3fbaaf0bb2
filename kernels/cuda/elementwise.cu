#include "kernels/elementwise.h"

#include <algorithm>

#include "kernels/cuda/base/choice.cuh"
#include "kernels/cuda/optim/packs.cuh"

// One thread, one element, is the teaching rung: it stays for outputs that may lie anywhere. The
// tuned kernel moves 16 bytes a thread and access; both apply the same function objects.
namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 1 << 16;  // each then works on several pieces

template <Unary op>
struct UnaryOp {
  template <class T>
  __device__ T operator()(T x) const {
    if constexpr (op == Unary::negate) return -x;
    if constexpr (op == Unary::exp) return std::exp(x);
    if constexpr (op == Unary::log) return std::log(x);
    if constexpr (op == Unary::rsqrt) return T(1) / std::sqrt(x);
    if constexpr (op == Unary::relu) return x < 0 ? T(0) : x;  // a NaN passes
    if constexpr (op == Unary::square) return x * x;
    if constexpr (op == Unary::sigmoid) {
      const T e = std::exp(-std::abs(x));  // never overflows
      return (x >= 0 ? T(1) : e) / (T(1) + e);
    }
  }
};

template <Binary op>
struct BinaryOp {
  template <class T>
  __device__ T operator()(T a, T b) const {
    if constexpr (op == Binary::add) return a + b;
    if constexpr (op == Binary::subtract) return a - b;
    if constexpr (op == Binary::multiply) return a * b;
    if constexpr (op == Binary::divide) return a / b;
    if constexpr (op == Binary::gate) return b > 0 ? a : T(0);
  }
};

template <class T>
struct Affine {
  T scale, shift;
  __device__ T operator()(T x) const { return scale * x + shift; }
};

template <class T>
struct AddScaled {
  T scale;
  __device__ T operator()(T x, T d) const { return x + scale * d; }
};

// The same with a scale that may lie in memory: loaded() reads it, once a thread.
template <class T>
struct AffineBy {
  Scalar scale;
  T shift;
};
template <class T>
struct AddScaledBy {
  Scalar scale;
};
template <class T>
__device__ Affine<T> loaded(const AffineBy<T>& f) {
  return {T(f.scale.value()), f.shift};
}
template <class T>
__device__ AddScaled<T> loaded(const AddScaledBy<T>& f) {
  return {T(f.scale.value())};
}
template <class F>
__device__ F loaded(const F& f) {
  return f;
}

struct Identity {
  template <class T>
  __device__ T operator()(T x) const {
    return x;
  }
};

template <class T>
struct Constant {
  T value;
  __device__ T operator()() const { return value; }
};

__device__ std::int64_t first_piece() {
  return std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ std::int64_t all_threads() {
  return std::int64_t(gridDim.x) * blockDim.x;
}

// y[i] = f(x[i]...)
template <class F, class To, class... From>
__global__ void __launch_bounds__(kThreads)
    map_plain(std::int64_t count, F given, To* y, const From*... x) {
  const auto f = loaded(given);
  for (std::int64_t i = first_piece(); i < count; i += all_threads()) {
    y[i] = narrowed<To>(f(widened(x[i])...));
  }
}

// The same, N elements at a time; the rest of fewer than N goes to the first threads, one each.
template <int N, class F, class To, class... From>
__global__ void __launch_bounds__(kThreads)
    map_packed(std::int64_t count, F given, To* y, const From*... x) {
  const auto f = loaded(given);
  const std::int64_t packs = count / N;
  const auto apply = [&](const Pack<From, N>&... inputs) {
    Pack<decltype(f(widened(inputs.values[0])...)), N> result;
#pragma unroll
    for (int j = 0; j < N; ++j) result.values[j] = f(widened(inputs.values[j])...);
    return narrowed_pack<To>(result);
  };
  for (std::int64_t i = first_piece(); i < packs; i += all_threads()) {
    store_pack<N>(y + i * N, apply(load_pack<N>(x + i * N)...));
  }
  const std::int64_t rest = packs * N + first_piece();
  if (rest < count) y[rest] = narrowed<To>(f(widened(x[rest])...));
}

template <class F, class To, class... From>
void map(const char* function, Stream stream, std::int64_t count, F f, To* y, const From*... x) {
  if (count == 0) return;
  constexpr int pack = 16 / int(std::min({sizeof(To), sizeof(From)...}));
  const bool packed =
      tuned(function, "elementwise: expected addresses of whole 16 bytes for 'packed'",
            aligned_to_16(y, x...));
  const std::int64_t pieces = packed ? (count + pack - 1) / pack : count;
  const std::int64_t blocks = std::min((pieces + kThreads - 1) / kThreads, kMostBlocks);
  const Launch shape{dim3(unsigned(blocks)), dim3(kThreads), 0, stream};
  if (packed) {
    launch<&map_packed<pack, F, To, From...>>(shape, count, f, y, x...);
  } else {
    launch<&map_plain<F, To, From...>>(shape, count, f, y, x...);
  }
}

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void unary(Stream stream, Unary op, std::int64_t count, const T* x, T* y) {
  using namespace EK_TARGET;
  switch (op) {
    case Unary::negate:
      return map("unary", stream, count, UnaryOp<Unary::negate>{}, y, x);
    case Unary::exp:
      return map("unary", stream, count, UnaryOp<Unary::exp>{}, y, x);
    case Unary::log:
      return map("unary", stream, count, UnaryOp<Unary::log>{}, y, x);
    case Unary::rsqrt:
      return map("unary", stream, count, UnaryOp<Unary::rsqrt>{}, y, x);
    case Unary::sigmoid:
      return map("unary", stream, count, UnaryOp<Unary::sigmoid>{}, y, x);
    case Unary::relu:
      return map("unary", stream, count, UnaryOp<Unary::relu>{}, y, x);
    case Unary::square:
      return map("unary", stream, count, UnaryOp<Unary::square>{}, y, x);
  }
}

template <class B, class T>
void binary(Stream stream, Binary op, std::int64_t count, const T* a, const T* b, T* y) {
  using namespace EK_TARGET;
  switch (op) {
    case Binary::add:
      return map("binary", stream, count, BinaryOp<Binary::add>{}, y, a, b);
    case Binary::subtract:
      return map("binary", stream, count, BinaryOp<Binary::subtract>{}, y, a, b);
    case Binary::multiply:
      return map("binary", stream, count, BinaryOp<Binary::multiply>{}, y, a, b);
    case Binary::divide:
      return map("binary", stream, count, BinaryOp<Binary::divide>{}, y, a, b);
    case Binary::gate:
      return map("binary", stream, count, BinaryOp<Binary::gate>{}, y, a, b);
  }
}

template <class B, class T>
void affine(Stream stream, std::int64_t count, const Scalar& scale, double shift, const T* x,
            T* y) {
  using namespace EK_TARGET;
  map("affine", stream, count, AffineBy<T>{scale, T(shift)}, y, x);
}

template <class B, class T>
void add_scaled(Stream stream, std::int64_t count, const T* x, const Scalar& scale, const T* d,
                T* y) {
  using namespace EK_TARGET;
  map("add_scaled", stream, count, AddScaledBy<T>{scale}, y, x, d);
}

template <class B, class T>
void fill(Stream stream, std::int64_t count, double value, T* y) {
  using namespace EK_TARGET;
  map("fill", stream, count, Constant<Acc<T>>{Acc<T>(value)}, y);
}

template <class B, class From, class To>
void convert(Stream stream, std::int64_t count, const From* x, To* y) {
  using namespace EK_TARGET;
  if constexpr (std::is_same_v<From, bf16> && std::is_same_v<To, bf16>) {
    // Bit for bit, which a way through float is not for every NaN.
    return map("convert", stream, count, Identity{}, reinterpret_cast<std::uint16_t*>(y),
               reinterpret_cast<const std::uint16_t*>(x));
  }
  map("convert", stream, count, Identity{}, y, x);
}

using EK_TARGET::Backend;
template decltype(unary<Backend, float>) unary<Backend, float>;
template decltype(unary<Backend, double>) unary<Backend, double>;
template decltype(binary<Backend, float>) binary<Backend, float>;
template decltype(binary<Backend, double>) binary<Backend, double>;
template decltype(binary<Backend, bf16>) binary<Backend, bf16>;
template decltype(affine<Backend, float>) affine<Backend, float>;
template decltype(affine<Backend, double>) affine<Backend, double>;
template decltype(add_scaled<Backend, float>) add_scaled<Backend, float>;
template decltype(add_scaled<Backend, double>) add_scaled<Backend, double>;
template decltype(fill<Backend, float>) fill<Backend, float>;
template decltype(fill<Backend, double>) fill<Backend, double>;
template decltype(fill<Backend, bf16>) fill<Backend, bf16>;
template decltype(convert<Backend, float, float>) convert<Backend, float, float>;
template decltype(convert<Backend, float, double>) convert<Backend, float, double>;
template decltype(convert<Backend, float, bf16>) convert<Backend, float, bf16>;
template decltype(convert<Backend, double, float>) convert<Backend, double, float>;
template decltype(convert<Backend, double, double>) convert<Backend, double, double>;
template decltype(convert<Backend, double, bf16>) convert<Backend, double, bf16>;
template decltype(convert<Backend, bf16, float>) convert<Backend, bf16, float>;
template decltype(convert<Backend, bf16, double>) convert<Backend, bf16, double>;
template decltype(convert<Backend, bf16, bf16>) convert<Backend, bf16, bf16>;

}  // namespace ek::kernels
