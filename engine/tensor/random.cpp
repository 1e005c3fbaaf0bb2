#include "engine/tensor/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace ek {

std::array<std::uint32_t, 4> RandomStream::block(std::uint64_t position) const {
  return math::philox(
      {std::uint32_t(position), std::uint32_t(position >> 32), purpose_ | (view_ << 16), epoch_},
      {std::uint32_t(seed_), std::uint32_t(seed_ >> 32)});
}

double RandomStream::uniform(std::uint64_t index) const {
  const auto bits = block(index);
  const std::uint64_t mantissa = (std::uint64_t(bits[0]) << 21) ^ (bits[1] >> 11);
  return double(mantissa) * 0x1p-53;
}

double RandomStream::normal(std::uint64_t index) const {
  const auto bits = block(index);
  // (0, 1] for the logarithm
  const double u = (double((std::uint64_t(bits[0]) << 21) ^ (bits[1] >> 11)) + 1) * 0x1p-53;
  const double v = double((std::uint64_t(bits[2]) << 21) ^ (bits[3] >> 11)) * 0x1p-53;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

std::uint64_t RandomStream::below(std::uint64_t index, std::uint64_t bound) const {
  const auto bits = block(index);
  const std::uint64_t wide = (std::uint64_t(bits[0]) << 32) | bits[1];
  return std::uint64_t((static_cast<unsigned __int128>(wide) * bound) >> 64);
}

void RandomStream::shuffle(std::span<std::int64_t> values, std::uint64_t first) const {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[below(first + i - 1, i)]);
  }
}

std::vector<std::int64_t> RandomStream::permutation(std::int64_t count) const {
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), std::int64_t(0));
  shuffle(values);
  return values;
}

}  // namespace ek
