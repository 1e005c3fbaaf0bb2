// Passes over images: augmentation, pooling, the parameter-free shortcut, sums and conversions.
#include "benchmarks/backends.h"
#include "benchmarks/cases.h"
#include "kernels/augment.h"
#include "kernels/base/error.h"
#include "kernels/elementwise.h"
#include "kernels/pool.h"

namespace ek::bench {
namespace {

using namespace kernels;

// The augmentation of CIFAR: 4 pixels of padding, crop, flip, normalise.
template <class B, class T>
Case augment_case(std::int64_t batch) {
  constexpr std::int64_t image = 32 * 32 * 3;
  Case result{"augment", fmt::format("{}x32x32x3", batch), precision_of<T>()};
  result.bytes = double(batch * image) * (1 + sizeof(T));
  result.make = [=](Operands& o) -> Call {
    const Stream q = o.stream();
    AugmentSpec spec{.height = 32, .width = 32, .zero_pad = 4, .flip = true};
    spec.mean = {0.4914, 0.4822, 0.4465};
    spec.std = {0.2023, 0.1994, 0.2010};
    const std::uint8_t* images = o.random<std::uint8_t>(batch * image);
    const std::int64_t *index = o.indices(batch, batch), *positions = o.indices(batch, 1 << 20);
    T* out = o.random<T>(batch * image);
    return [=] { augment_images<B, T>(q, spec, {}, batch, images, index, positions, out); };
  };
  return result;
}

template <class B, class T>
Case global_pool_case(std::int64_t batch, bool forward) {
  constexpr std::int64_t pixels = 64, channels = 64;
  Case result{forward ? "global_avg_pool_forward" : "global_avg_pool_backward",
              fmt::format("{}x8x8x{}", batch, channels), precision_of<T>()};
  result.bytes = double(batch * channels) * (double(pixels) * sizeof(T) + sizeof(float));
  result.make = [=](Operands& o) -> Call {
    const Stream q = o.stream();
    T* x = o.random<T>(batch * pixels * channels);
    float* y = o.random<float>(batch * channels);
    if (forward) {
      return [=] { global_avg_pool_forward<B, T>(q, batch, pixels, channels, x, y); };
    }
    return [=] { global_avg_pool_backward<B, T>(q, batch, pixels, channels, y, x); };
  };
  return result;
}

// Bytes: forward reads one of four pixels, backward writes all of them.
template <class B, class T>
Case subsample_case(std::int64_t batch, std::int64_t size, std::int64_t in_c, std::int64_t out_c,
                    bool forward) {
  const SubsampleShape s{batch, size, size, in_c, out_c};
  const std::int64_t large = batch * size * size * in_c, small = batch * s.out_h() * s.out_w();
  Case result{forward ? "subsample_forward" : "subsample_backward",
              fmt::format("{}x{}x{}x{}to{}", batch, size, size, in_c, out_c), precision_of<T>()};
  result.bytes = double(small * in_c + (forward ? small * out_c : large)) * sizeof(T);
  result.make = [=](Operands& o) -> Call {
    const Stream q = o.stream();
    T *x = o.random<T>(large), *y = o.random<T>(small * out_c);
    if (forward) return [=] { subsample_pad_forward<B, T>(q, s, x, y); };
    return [=] { subsample_pad_backward<B, T>(q, s, y, x); };
  };
  return result;
}

// Elements of the largest images of ResNet-32.
constexpr std::int64_t image_elements = 32 * 32 * 16;

template <class B, class T>
Case binary_case(std::int64_t elements, const char* family, Binary op) {
  Case result{family, fmt::format("{}", elements), precision_of<T>()};
  result.bytes = 3.0 * double(elements) * sizeof(T);
  result.make = [=](Operands& o) -> Call {
    const Stream q = o.stream();
    const T *a = o.random<T>(elements), *b = o.random<T>(elements);
    T* y = o.random<T>(elements);
    return [=] { binary<B, T>(q, op, elements, a, b, y); };
  };
  return result;
}

// A function of one operand or of none.
template <class T, class F>
Case map_case(std::int64_t elements, const char* family, int operands, F run) {
  Case result{family, fmt::format("{}", elements), precision_of<T>()};
  result.bytes = (1.0 + operands) * double(elements) * sizeof(T);
  result.make = [=](Operands& o) -> Call {
    const Stream q = o.stream();
    const T* x = operands > 0 ? o.random<T>(elements) : nullptr;
    T* y = o.random<T>(elements);
    return [=] { run(q, elements, x, y); };
  };
  return result;
}

template <class B, class T>
Case fill_case(std::int64_t elements) {
  return map_case<T>(elements, "fill", 0, [](Stream q, std::int64_t count, const T*, T* y) {
    fill<B, T>(q, count, 0.5, y);
  });
}

// Named after the type that it converts from.
template <class B, class From, class To>
Case convert_case(std::int64_t elements, const char* direction) {
  Case result{"convert", fmt::format("{},{}", elements, direction), precision_of<From>()};
  result.bytes = double(elements) * (sizeof(From) + sizeof(To));
  result.make = [=](Operands& o) -> Call {
    const Stream q = o.stream();
    const From* x = o.random<From>(elements);
    To* y = o.random<To>(elements);
    return [=] { convert<B, From, To>(q, elements, x, y); };
  };
  return result;
}

template <class B>
std::vector<Case> cases_of(std::int64_t batch) {
  std::vector<Case> cases{augment_case<B, float>(batch), augment_case<B, bf16>(batch)};
  for (const bool forward : {true, false}) {
    cases.push_back(global_pool_case<B, float>(batch, forward));
    cases.push_back(global_pool_case<B, bf16>(batch, forward));
  }
  for (const bool forward : {true, false}) {
    cases.push_back(subsample_case<B, float>(batch, 32, 16, 32, forward));
    cases.push_back(subsample_case<B, bf16>(batch, 32, 16, 32, forward));
    cases.push_back(subsample_case<B, float>(batch, 16, 32, 64, forward));
    cases.push_back(subsample_case<B, bf16>(batch, 16, 32, 64, forward));
  }
  const std::int64_t elements = batch * image_elements;
  cases.push_back(binary_case<B, float>(elements, "add", Binary::add));
  cases.push_back(binary_case<B, bf16>(elements, "add", Binary::add));
  cases.push_back(binary_case<B, float>(elements, "gate", Binary::gate));
  cases.push_back(binary_case<B, bf16>(elements, "gate", Binary::gate));
  cases.push_back(map_case<float>(elements, "relu", 1, [](auto q, auto count, auto* x, auto* y) {
    unary<B, float>(q, Unary::relu, count, x, y);
  }));
  cases.push_back(map_case<float>(elements, "affine", 1, [](auto q, auto count, auto* x, auto* y) {
    affine<B, float>(q, count, 0.5, 1, x, y);
  }));
  cases.push_back(fill_case<B, float>(elements));
  cases.push_back(fill_case<B, bf16>(elements));
  cases.push_back(convert_case<B, float, bf16>(elements, "to_bf16"));
  cases.push_back(convert_case<B, bf16, float>(elements, "to_float32"));
  return cases;
}

}  // namespace

std::vector<Case> image_cases(const Device& device, std::int64_t batch) {
  return on_backend(device, [&]<class B>() { return cases_of<B>(batch); });
}

}  // namespace ek::bench
