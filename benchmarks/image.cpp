// Passes over images: augmentation, pooling, the parameter-free shortcut, sums and conversions.
#include "benchmarks/cases.h"
#include "kernels/augment.h"
#include "kernels/elementwise.h"
#include "kernels/error.h"
#include "kernels/pool.h"

namespace ek::bench {
namespace {

using namespace kernels;

constexpr std::int64_t batch = 128;

// The augmentation of CIFAR: 4 pixels of padding, crop, flip, normalise.
template <class T>
Case augment_case() {
  constexpr std::int64_t image = 32 * 32 * 3;
  Case result{"augment", fmt::format("{}x32x32x3", batch), precision_of<T>()};
  result.bytes = double(batch * image) * (1 + sizeof(T));
  result.make = [](Operands& o) -> Call {
    AugmentSpec spec{.height = 32, .width = 32, .zero_pad = 4, .flip = true};
    spec.mean = {0.4914, 0.4822, 0.4465};
    spec.std = {0.2023, 0.1994, 0.2010};
    const std::uint8_t* images = o.random<std::uint8_t>(batch * image);
    const std::int64_t *index = o.indices(batch, batch), *positions = o.indices(batch, 1 << 20);
    T* out = o.random<T>(batch * image);
    return [=] { augment_images<Cpu, T>({}, spec, {}, batch, images, index, positions, out); };
  };
  return result;
}

template <class T>
Case global_pool_case(bool forward) {
  constexpr std::int64_t pixels = 64, channels = 64;
  Case result{forward ? "global_avg_pool_forward" : "global_avg_pool_backward",
              fmt::format("{}x8x8x{}", batch, channels), precision_of<T>()};
  result.bytes = double(batch * channels) * (double(pixels) * sizeof(T) + sizeof(float));
  result.make = [=](Operands& o) -> Call {
    T* x = o.random<T>(batch * pixels * channels);
    float* y = o.random<float>(batch * channels);
    if (forward) {
      return [=] { global_avg_pool_forward<Cpu, T>({}, batch, pixels, channels, x, y); };
    }
    return [=] { global_avg_pool_backward<Cpu, T>({}, batch, pixels, channels, y, x); };
  };
  return result;
}

// Bytes: forward reads one of four pixels, backward writes all of them.
template <class T>
Case subsample_case(std::int64_t size, std::int64_t in_c, std::int64_t out_c, bool forward) {
  const SubsampleShape s{batch, size, size, in_c, out_c};
  const std::int64_t large = batch * size * size * in_c, small = batch * s.out_h() * s.out_w();
  Case result{forward ? "subsample_forward" : "subsample_backward",
              fmt::format("{}x{}x{}x{}to{}", batch, size, size, in_c, out_c), precision_of<T>()};
  result.bytes = double(small * in_c + (forward ? small * out_c : large)) * sizeof(T);
  result.make = [=](Operands& o) -> Call {
    T *x = o.random<T>(large), *y = o.random<T>(small * out_c);
    if (forward) return [=] { subsample_pad_forward<Cpu, T>({}, s, x, y); };
    return [=] { subsample_pad_backward<Cpu, T>({}, s, y, x); };
  };
  return result;
}

constexpr std::int64_t elements = batch * 32 * 32 * 16;  // of the largest images of ResNet-32

template <class T>
Case binary_case(const char* family, Binary op) {
  Case result{family, fmt::format("{}", elements), precision_of<T>()};
  result.bytes = 3.0 * elements * sizeof(T);
  result.make = [=](Operands& o) -> Call {
    const T *a = o.random<T>(elements), *b = o.random<T>(elements);
    T* y = o.random<T>(elements);
    return [=] { binary<Cpu, T>({}, op, elements, a, b, y); };
  };
  return result;
}

// Named after the type that it converts from.
template <class From, class To>
Case convert_case(const char* direction) {
  Case result{"convert", fmt::format("{},{}", elements, direction), precision_of<From>()};
  result.bytes = double(elements) * (sizeof(From) + sizeof(To));
  result.make = [](Operands& o) -> Call {
    const From* x = o.random<From>(elements);
    To* y = o.random<To>(elements);
    return [=] { convert<Cpu, From, To>({}, elements, x, y); };
  };
  return result;
}

}  // namespace

std::vector<Case> image_cases() {
  std::vector<Case> cases{augment_case<float>(), augment_case<bf16>()};
  for (const bool forward : {true, false}) {
    cases.push_back(global_pool_case<float>(forward));
    cases.push_back(global_pool_case<bf16>(forward));
  }
  for (const bool forward : {true, false}) {
    cases.push_back(subsample_case<float>(32, 16, 32, forward));
    cases.push_back(subsample_case<bf16>(32, 16, 32, forward));
    cases.push_back(subsample_case<float>(16, 32, 64, forward));
    cases.push_back(subsample_case<bf16>(16, 32, 64, forward));
  }
  cases.push_back(binary_case<float>("add", Binary::add));
  cases.push_back(binary_case<bf16>("add", Binary::add));
  cases.push_back(binary_case<float>("gate", Binary::gate));
  cases.push_back(binary_case<bf16>("gate", Binary::gate));
  cases.push_back(convert_case<float, bf16>("to_bf16"));
  cases.push_back(convert_case<bf16, float>("to_float32"));
  return cases;
}

}  // namespace ek::bench
