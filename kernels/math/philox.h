#pragma once
#include <array>
#include <cstdint>

#ifdef __CUDACC__
#define EK_HOST_DEVICE __host__ __device__
#else
#define EK_HOST_DEVICE
#endif

namespace ek::math {

// Philox 4x32 with 10 rounds: a keyed bijection of 128-bit counters, so any draw can be computed
// on its own, in any order. Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy
// as 1, 2, 3" (2011).
EK_HOST_DEVICE inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                          std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = 0xD2511F53ull * counter[0];
    const std::uint64_t p1 = 0xCD9E8D57ull * counter[2];
    counter = {std::uint32_t(p1 >> 32) ^ counter[1] ^ key[0], std::uint32_t(p1),
               std::uint32_t(p0 >> 32) ^ counter[3] ^ key[1], std::uint32_t(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// Uniform in [0, 1) with 24 bits; uniform integer in [0, bound) (bound <= 2^16: bias below 2^-16).
EK_HOST_DEVICE inline float unit_float(std::uint32_t bits) {
  return float(bits >> 8) * 0x1p-24f;
}
EK_HOST_DEVICE inline std::uint32_t below(std::uint32_t bits, std::uint32_t bound) {
  return std::uint32_t((std::uint64_t(bits) * bound) >> 32);
}

}  // namespace ek::math
