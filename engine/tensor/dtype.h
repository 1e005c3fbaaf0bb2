#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/base/backend.h"
#include "kernels/base/error.h"

namespace ek {

enum class DType : std::uint8_t { float32, float64, bfloat16, int64, uint8 };

constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return 4;
    case DType::float64:
      return 8;
    case DType::bfloat16:
      return 2;
    case DType::int64:
      return 8;
    case DType::uint8:
      return 1;
  }
  return 0;
}

constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "float32";
    case DType::float64:
      return "float64";
    case DType::bfloat16:
      return "bfloat16";
    case DType::int64:
      return "int64";
    case DType::uint8:
      return "uint8";
  }
  return "?";
}

constexpr bool is_floating(DType dtype) {
  return dtype == DType::float32 || dtype == DType::float64 || dtype == DType::bfloat16;
}

// The dtype of statistics, losses, sums and parameters beside tensors of `dtype` (kernels::Acc).
constexpr DType accumulation_dtype(DType dtype) {
  return dtype == DType::bfloat16 ? DType::float32 : dtype;
}

// The dtype that holds T.
template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::float32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::float64;
};
template <>
struct DTypeOf<bf16> {
  static constexpr DType value = DType::bfloat16;
};
template <>
struct DTypeOf<std::int64_t> {
  static constexpr DType value = DType::int64;
};
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::uint8;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace ek
