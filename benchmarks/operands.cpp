#include "benchmarks/operands.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/base/error.h"
#include "kernels/math/bf16.h"
#include "kernels/math/philox.h"

namespace ek::bench {
namespace {

constexpr std::size_t largest_set = 256 << 20;  // bytes of the operands of one call
constexpr int most_external_sets = 4096;
constexpr std::size_t alignment = 256;
constexpr std::size_t period = 1 << 18;  // elements: small enough to be copied from the cache

std::size_t aligned(std::size_t bytes, std::size_t to) {
  return (bytes + to - 1) / to * to;
}

}  // namespace

Operands::Operands(Place& place, std::size_t footprint_bytes, std::uint64_t seed)
    : place_(place),
      footprint_bytes_(footprint_bytes),
      memory_(place.allocate(footprint_bytes + largest_set)) {
  for (std::uint32_t i = 0; i < period / 4; ++i) {
    for (const std::uint32_t word :
         math::philox({i, 0, 0, 0}, {std::uint32_t(seed), std::uint32_t(seed >> 32)})) {
      numbers_.push_back(2 * math::unit_float(word) - 1);
    }
  }
  for (const float x : numbers_) rounded_.push_back(math::float_to_bf16(x));
}

void* Operands::take(const void* values, std::size_t bytes) {
  const std::size_t end = used_ + aligned(bytes, alignment);
  require(end <= footprint_bytes_ + largest_set,
          "ek-bench: operands of one call need more than {} MiB",
          (footprint_bytes_ + largest_set) >> 20);
  std::byte* piece = static_cast<std::byte*>(memory_.get()) + used_;
  place_.upload(piece, values, bytes);
  used_ = end;
  ++taken_;
  return piece;
}

// `count` elements from a period of them, starting somewhere else for every operand.
template <class T>
T* Operands::tiled(const std::vector<T>& from, std::int64_t count) {
  const std::size_t bytes = std::size_t(count) * sizeof(T);
  if (staging_.size() < bytes) staging_.resize(bytes);
  std::size_t start = (taken_ + 1) * std::size_t(7919) % from.size();
  for (std::size_t done = 0; done < std::size_t(count);) {
    const std::size_t run = std::min(std::size_t(count) - done, from.size() - start);
    std::memcpy(staging_.data() + done * sizeof(T), from.data() + start, run * sizeof(T));
    done += run;
    start = 0;
  }
  return static_cast<T*>(take(staging_.data(), bytes));
}

template <>
float* Operands::random<float>(std::int64_t count) {
  return tiled(numbers_, count);
}
template <>
bf16* Operands::random<bf16>(std::int64_t count) {
  return tiled(rounded_, count);
}
template <>
std::uint8_t* Operands::random<std::uint8_t>(std::int64_t count) {
  std::vector<std::uint8_t> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::uint8_t(128 * (1 + numbers_[(i + taken_ * 7919u) % period]));
  }
  return static_cast<std::uint8_t*>(take(values.data(), values.size()));
}

float* Operands::positive(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = 1 + numbers_[(i + taken_ * 7919u) % period] / 2;
  }
  return static_cast<float*>(take(values.data(), values.size() * sizeof(float)));
}

std::int64_t* Operands::indices(std::int64_t count, std::int64_t bound) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float unit = (1 + numbers_[(i + taken_ * 7919u) % period]) / 2;
    values[i] = std::min(std::int64_t(unit * float(bound)), bound - 1);
  }
  return static_cast<std::int64_t*>(take(values.data(), values.size() * sizeof(std::int64_t)));
}

void* Operands::whole_footprint() {
  reset();
  for (std::size_t done = 0; done < footprint_bytes_; done += largest_set) {
    const std::size_t bytes = std::min(largest_set, footprint_bytes_ - done);
    random<float>(std::int64_t(bytes / sizeof(float)));
  }
  reset();
  return memory_.get();
}

int Operands::external_sets(double bytes) {
  external_ = footprint_bytes_;
  return int(
      std::clamp(std::ceil(double(footprint_bytes_) / bytes), 1.0, double(most_external_sets)));
}

kernels::Workspace Operands::workspace(std::size_t bytes) {
  for (const Scratch& scratch : workspaces_) {
    if (scratch.bytes == bytes) return {scratch.memory.get(), bytes};
  }
  return {workspaces_.emplace_back(Scratch{place_.allocate(bytes), bytes}).memory.get(), bytes};
}

}  // namespace ek::bench
