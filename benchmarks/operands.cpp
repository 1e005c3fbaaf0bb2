#include "benchmarks/operands.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/error.h"
#include "kernels/math/bf16.h"
#include "kernels/math/philox.h"

namespace ek::bench {
namespace {

constexpr std::size_t largest_set = 256 << 20;  // bytes of the operands of one call
constexpr int most_external_sets = 4096;
constexpr std::size_t period = 1 << 18;  // elements: small enough to be copied from the cache

std::size_t aligned(std::size_t bytes, std::size_t to) {
  return (bytes + to - 1) / to * to;
}

// `count` elements from a period of them, starting somewhere else for every operand.
template <class T>
void tile(const std::vector<T>& from, std::uint32_t operand, std::int64_t count, T* to) {
  std::size_t start = operand * std::size_t(7919) % from.size();
  for (std::size_t done = 0; done < std::size_t(count);) {
    const std::size_t run = std::min(std::size_t(count) - done, from.size() - start);
    std::memcpy(to + done, from.data() + start, run * sizeof(T));
    done += run;
    start = 0;
  }
}

}  // namespace

Block::Block(std::size_t bytes)
    : memory_(std::aligned_alloc(4096, aligned(std::max<std::size_t>(bytes, 1), 4096)), std::free),
      bytes_(bytes) {
  if (!memory_) throw std::bad_alloc();
}

Operands::Operands(std::size_t footprint_bytes, std::uint64_t seed)
    : footprint_bytes_(footprint_bytes), memory_(footprint_bytes + largest_set) {
  for (std::uint32_t i = 0; i < period / 4; ++i) {
    for (const std::uint32_t word :
         math::philox({i, 0, 0, 0}, {std::uint32_t(seed), std::uint32_t(seed >> 32)})) {
      numbers_.push_back(2 * math::unit_float(word) - 1);
    }
  }
  for (const float x : numbers_) rounded_.push_back(math::float_to_bf16(x));
}

std::byte* Operands::take(std::size_t bytes) {
  const std::size_t end = used_ + aligned(bytes, 64);
  require(end <= memory_.size(), "ek-bench: operands of one call need more than {} MiB",
          memory_.size() >> 20);
  std::byte* piece = memory_.data() + used_;
  used_ = end;
  ++taken_;
  return piece;
}

template <>
float* Operands::random<float>(std::int64_t count) {
  float* values = reinterpret_cast<float*>(take(std::size_t(count) * sizeof(float)));
  tile(numbers_, taken_, count, values);
  return values;
}
template <>
bf16* Operands::random<bf16>(std::int64_t count) {
  bf16* values = reinterpret_cast<bf16*>(take(std::size_t(count) * sizeof(bf16)));
  tile(rounded_, taken_, count, values);
  return values;
}
template <>
std::uint8_t* Operands::random<std::uint8_t>(std::int64_t count) {
  std::uint8_t* values = reinterpret_cast<std::uint8_t*>(take(std::size_t(count)));
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = std::uint8_t(128 * (1 + numbers_[(std::size_t(i) + taken_ * 7919u) % period]));
  }
  return values;
}

float* Operands::positive(std::int64_t count) {
  float* values = random<float>(count);
  for (std::int64_t i = 0; i < count; ++i) values[i] = 1 + values[i] / 2;
  return values;
}

std::int64_t* Operands::indices(std::int64_t count, std::int64_t bound) {
  std::int64_t* values =
      reinterpret_cast<std::int64_t*>(take(std::size_t(count) * sizeof(std::int64_t)));
  for (std::int64_t i = 0; i < count; ++i) {
    const float unit = (1 + numbers_[(std::size_t(i) + taken_ * 7919u) % period]) / 2;
    values[i] = std::min(std::int64_t(unit * float(bound)), bound - 1);
  }
  return values;
}

int Operands::external_sets(double bytes) {
  external_ = footprint_bytes_;
  return int(
      std::clamp(std::ceil(double(footprint_bytes_) / bytes), 1.0, double(most_external_sets)));
}

kernels::Workspace Operands::workspace(std::size_t bytes) {
  for (const Block& block : workspaces_) {
    if (block.size() == bytes) return {block.data(), bytes};
  }
  return {workspaces_.emplace_back(bytes).data(), bytes};
}

}  // namespace ek::bench
