#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "benchmarks/machine/place.h"
#include "kernels/base/backend.h"

namespace ek::bench {

// Where benchmarks take their operands from. All of them are random, outputs too: never zeros,
// which would flatter some machines, and never denormal numbers, which would slow them. Pointers
// are aligned to 256 bytes and hold until the next reset().
class Operands {
 public:
  // Cases are asked for calls until they have taken the footprint.
  Operands(Place& place, std::size_t footprint_bytes, std::uint64_t seed);
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

  // The queue of the calls.
  kernels::Stream stream() { return place_.stream(); }
  // All of the memory that operands are taken from, filled with numbers: nothing is taken now.
  void* whole_footprint();
  // For calls that own their operands: how many sets of `bytes` they are to have, so that no second
  // call is wanted.
  int external_sets(double bytes);
  void reset() {
    used_ = external_ = 0;
    workspaces_.clear();
  }

 private:
  struct Scratch {
    std::shared_ptr<void> memory;
    std::size_t bytes;
  };
  // Room for `bytes`, and a copy of them there.
  void* take(const void* values, std::size_t bytes);
  template <class T>
  T* tiled(const std::vector<T>& from, std::int64_t count);

  Place& place_;
  std::size_t footprint_bytes_;
  std::shared_ptr<void> memory_;
  std::vector<std::byte> staging_;  // an operand on its way
  std::vector<Scratch> workspaces_;
  std::vector<float> numbers_;  // a period of random numbers, and the same as bf16
  std::vector<bf16> rounded_;
  std::size_t used_ = 0, external_ = 0;
  std::uint32_t taken_ = 0;
};

}  // namespace ek::bench
