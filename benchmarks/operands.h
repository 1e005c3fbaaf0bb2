#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/backend.h"

namespace ek::bench {

// Memory that lives as long as the object, aligned to a page.
class Block {
 public:
  explicit Block(std::size_t bytes);
  std::byte* data() const { return static_cast<std::byte*>(memory_.get()); }
  std::size_t size() const { return bytes_; }

 private:
  std::unique_ptr<void, void (*)(void*)> memory_;
  std::size_t bytes_;
};

// Where benchmarks take their operands from. All of them are random, outputs too: never zeros,
// which would flatter some machines, and never denormal numbers, which would slow them. Pointers
// are aligned to 64 bytes and hold until the next reset().
class Operands {
 public:
  // Cases are asked for calls until they have taken the footprint.
  Operands(std::size_t footprint_bytes, std::uint64_t seed);
  bool is_full() const { return used_ + external_ >= footprint_bytes_; }

  // Uniform in [-1, 1), T = float or bf16; any byte with T = std::uint8_t.
  template <class T>
  T* random(std::int64_t count);
  // Uniform in [0.5, 1.5): variances and the like.
  float* positive(std::int64_t count);
  // Uniform in [0, bound).
  std::int64_t* indices(std::int64_t count, std::int64_t bound);
  // The same memory for every equal request: scratch is reused, as it is in a step.
  kernels::Workspace workspace(std::size_t bytes);

  // For calls that own their operands: how many sets of `bytes` they are to have, so that no second
  // call is wanted.
  int external_sets(double bytes);
  void reset() {
    used_ = external_ = 0;
    workspaces_.clear();
  }

 private:
  std::byte* take(std::size_t bytes);

  std::size_t footprint_bytes_;
  Block memory_;
  std::vector<Block> workspaces_;
  std::vector<float> numbers_;  // a period of random numbers, and the same as bf16
  std::vector<bf16> rounded_;
  std::size_t used_ = 0, external_ = 0;
  std::uint32_t taken_ = 0;
};

}  // namespace ek::bench
