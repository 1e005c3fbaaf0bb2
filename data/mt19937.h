#pragma once
#include <cstdint>
#include <random>
#include <span>

namespace ek {

// The legacy NumPy generator, np.random.RandomState(seed): Mersenne Twister 19937 with 32-bit
// seeding. std::mt19937 seeds and tempers in the same way; what differs from the standard library
// is how a shuffle uses the outputs (docs/protocol.md).
class LegacyNumpy {
 public:
  explicit LegacyNumpy(std::uint32_t seed) : generator_(seed) {}

  std::uint32_t next() { return std::uint32_t(generator_()); }
  // Uniform in [0, last] by masked rejection.
  std::uint32_t up_to(std::uint32_t last);
  // np.random.shuffle, in place. Error for 2^32 values and more.
  void shuffle(std::span<std::int64_t> values);

 private:
  std::mt19937 generator_;
};

}  // namespace ek
