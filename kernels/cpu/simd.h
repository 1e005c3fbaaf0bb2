#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/bf16_lanes.h"
#include "kernels/cpu/tile.h"  // vector_lanes

namespace ek::kernels::cpu {

// How a kernel that works element by element is written once for float, double and bf16: its body
// computes on `Values`, n lanes of the accumulation type, and touches memory through load and
// store, which convert where the tensor is bf16. Nothing needs alignment.
template <int n>
struct Simd {
  static constexpr int lanes = n;

  template <class T>
  using Values = typename LaneValues<Acc<T>, n>::type;

  template <class T>
  static Values<T> load(const T* from) {
    if constexpr (std::is_same_v<T, bf16>) {
      return load_bf16<n>(from);
    } else {
      Values<T> values;
      std::memcpy(&values, from, sizeof values);
      return values;
    }
  }

  template <class T>
  static void store(Values<T> values, T* to) {
    if constexpr (std::is_same_v<T, bf16>) {
      store_bf16<n>(values, to);
    } else {
      std::memcpy(to, &values, sizeof values);
    }
  }

  // *to += values, for accumulators
  template <class T>
  static void add(Values<T> values, T* to) {
    store(load(to) + values, to);
  }
};

// Calls body(i, simd) for the elements [0, count) in order: `simd` is a Simd of a whole register of
// Acc<T>, and Simd<1> for the rest.
template <class T, class Body>
inline void for_lanes(std::int64_t count, const Body& body) {
  constexpr int n = int(vector_lanes<Acc<T>>);
  std::int64_t i = 0;
  for (; i + n <= count; i += n) body(i, Simd<n>());
  for (; i < count; ++i) body(i, Simd<1>());
}

// One element in the type that it is computed with, and a number as a tensor of T holds it, rounded
// once.
template <class T>
inline Acc<T> widened(T value) {
  return Simd<1>::load(&value);
}
template <class T>
inline T rounded(double value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return math::double_to_bf16(value);
  } else {
    return T(value);
  }
}

}  // namespace ek::kernels::cpu
