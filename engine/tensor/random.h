#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/math/philox.h"

namespace ek {

// What random numbers are drawn for; a part of the counter, so that two uses never share a draw.
enum class Purpose : std::uint32_t {
  init = 1,
  shuffle = 2,
  sampler = 3,
  augment = 4,
  meta_shuffle = 5,
  meta_augment = 6,
  split = 7,
  synthetic = 8,
  test = 9,
};

// A stream of random numbers that can be entered anywhere: block `n` of the stream named by
// (seed, purpose, epoch, view) is one Philox call, the same whatever was drawn before and by whom.
// Draws at one position: block(position)[0..3], or the helpers with an index.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, Purpose purpose, std::uint32_t epoch = 0, std::uint32_t view = 0)
      : seed_(seed), purpose_(std::uint32_t(purpose)), epoch_(epoch), view_(view) {}

  std::array<std::uint32_t, 4> block(std::uint64_t position) const;
  double uniform(std::uint64_t index) const;                            // [0, 1), 53 bits
  double normal(std::uint64_t index) const;                             // Box-Muller, float64
  std::uint64_t below(std::uint64_t index, std::uint64_t bound) const;  // bias below bound * 2^-64
  // Fisher-Yates; draw i of the shuffle is at index `first + i`.
  void shuffle(std::span<std::int64_t> values, std::uint64_t first = 0) const;
  std::vector<std::int64_t> permutation(std::int64_t count) const;

 private:
  std::uint64_t seed_;
  std::uint32_t purpose_, epoch_, view_;
};

}  // namespace ek
