#include "kernels/elementwise.h"

#include <cmath>
#include <type_traits>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/simd.h"

namespace ek::kernels {
namespace {

// The same-index aliasing that the header allows (y may be x) is safe under omp simd: no iteration
// reads what another one writes.
template <class T, class F>
void map(std::int64_t count, const T* x, T* y, F f) {
  cpu::for_blocks(count, cpu::kBlockElements, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) y[i] = f(x[i]);
  });
}

// f is called on lanes of the accumulation type (kernels/cpu/simd.h).
template <class T, class F>
void map2(std::int64_t count, const T* a, const T* b, T* y, F f) {
  cpu::for_blocks(count, cpu::kBlockElements, [=](std::int64_t begin, std::int64_t end) {
    cpu::for_lanes<T>(end - begin, [=](std::int64_t i, auto simd) {
      simd.store(f(simd.load(a + begin + i), simd.load(b + begin + i)), y + begin + i);
    });
  });
}

// exp of a number that is never positive: neither branch overflows.
template <class T>
T sigmoid(T x) {
  const T e = std::exp(-std::abs(x));
  return (x >= 0 ? T(1) : e) / (T(1) + e);
}

// Between bf16 and float, n elements at a time. Unlike the stores of computed activations this
// keeps denormal numbers on every machine.
template <int n>
void convert_lanes(const float* x, bf16* y) {
  cpu::round_to_bf16<n>(cpu::Simd<n>::load(x), y);
}
template <int n>
void convert_lanes(const bf16* x, float* y) {
  cpu::Simd<n>::store(cpu::Simd<n>::load(x), y);
}

template <class From, class To>
void convert_block(std::int64_t count, const From* x, To* y) {
  if constexpr (std::is_same_v<From, To>) {
    std::copy(x, x + count, y);
  } else if constexpr (std::is_same_v<Acc<From>, Acc<To>>) {
    cpu::for_lanes<float>(count, [=](std::int64_t i, auto simd) {
      convert_lanes<decltype(simd)::lanes>(x + i, y + i);
    });
  } else {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) y[i] = cpu::rounded<To>(cpu::widened(x[i]));
  }
}

}  // namespace

template <class B, class T>
void unary(Stream, Unary op, std::int64_t count, const T* x, T* y) {
  switch (op) {
    case Unary::negate:
      return map(count, x, y, [](T v) { return -v; });
    case Unary::exp:
      return map(count, x, y, [](T v) { return std::exp(v); });
    case Unary::log:
      return map(count, x, y, [](T v) { return std::log(v); });
    case Unary::rsqrt:
      return map(count, x, y, [](T v) { return T(1) / std::sqrt(v); });
    case Unary::sigmoid:
      return map(count, x, y, [](T v) { return sigmoid(v); });
    case Unary::relu:  // a NaN passes
      return map(count, x, y, [](T v) { return v < 0 ? T(0) : v; });
    case Unary::square:
      return map(count, x, y, [](T v) { return v * v; });
  }
}

template <class B, class T>
void binary(Stream, Binary op, std::int64_t count, const T* a, const T* b, T* y) {
  switch (op) {
    case Binary::add:
      return map2(count, a, b, y, [](auto u, auto v) { return u + v; });
    case Binary::subtract:
      return map2(count, a, b, y, [](auto u, auto v) { return u - v; });
    case Binary::multiply:
      return map2(count, a, b, y, [](auto u, auto v) { return u * v; });
    case Binary::divide:
      return map2(count, a, b, y, [](auto u, auto v) { return u / v; });
    case Binary::gate:
      return map2(count, a, b, y, [](auto u, auto v) { return v > 0 ? u : decltype(u){}; });
  }
}

template <class B, class T>
void affine(Stream, std::int64_t count, const Scalar& scale, double shift, const T* x, T* y) {
  map(count, x, y, [s = T(scale.value()), t = T(shift)](T v) { return s * v + t; });
}

template <class B, class T>
void add_scaled(Stream, std::int64_t count, const T* x, const Scalar& scale, const T* d, T* y) {
  map2(count, x, d, y, [s = T(scale.value())](auto u, auto v) { return u + s * v; });
}

template <class B, class T>
void fill(Stream, std::int64_t count, double value, T* y) {
  cpu::for_blocks(count, cpu::kBlockElements, [=](std::int64_t begin, std::int64_t end) {
    std::fill(y + begin, y + end, cpu::rounded<T>(value));
  });
}

template <class B, class From, class To>
void convert(Stream, std::int64_t count, const From* x, To* y) {
  cpu::for_blocks(count, cpu::kBlockElements, [=](std::int64_t begin, std::int64_t end) {
    convert_block(end - begin, x + begin, y + begin);
  });
}

template decltype(unary<Cpu, float>) unary<Cpu, float>;
template decltype(unary<Cpu, double>) unary<Cpu, double>;
template decltype(binary<Cpu, float>) binary<Cpu, float>;
template decltype(binary<Cpu, double>) binary<Cpu, double>;
template decltype(binary<Cpu, bf16>) binary<Cpu, bf16>;
template decltype(affine<Cpu, float>) affine<Cpu, float>;
template decltype(affine<Cpu, double>) affine<Cpu, double>;
template decltype(add_scaled<Cpu, float>) add_scaled<Cpu, float>;
template decltype(add_scaled<Cpu, double>) add_scaled<Cpu, double>;
template decltype(fill<Cpu, float>) fill<Cpu, float>;
template decltype(fill<Cpu, double>) fill<Cpu, double>;
template decltype(fill<Cpu, bf16>) fill<Cpu, bf16>;
template decltype(convert<Cpu, float, float>) convert<Cpu, float, float>;
template decltype(convert<Cpu, float, double>) convert<Cpu, float, double>;
template decltype(convert<Cpu, float, bf16>) convert<Cpu, float, bf16>;
template decltype(convert<Cpu, double, float>) convert<Cpu, double, float>;
template decltype(convert<Cpu, double, double>) convert<Cpu, double, double>;
template decltype(convert<Cpu, double, bf16>) convert<Cpu, double, bf16>;
template decltype(convert<Cpu, bf16, float>) convert<Cpu, bf16, float>;
template decltype(convert<Cpu, bf16, double>) convert<Cpu, bf16, double>;
template decltype(convert<Cpu, bf16, bf16>) convert<Cpu, bf16, bf16>;

}  // namespace ek::kernels
