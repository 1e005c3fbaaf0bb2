#pragma once
#include <cstdint>

namespace ek::simt {

// Which thread (block) runs next where CUDA leaves it open.
enum class Order { forward, reverse, random };

// When an asynchronous copy happens; a device may do either, and results must agree. at_wait
// leaves poison in the destination until then.
enum class AsyncCopy { at_wait, at_issue };

// How an mma adds its products and the accumulator. hopper and ampere cut as published models of
// these devices do (kernels/simt/warp/mma.cpp); exact adds in double and rounds once; chain is a
// chain of float32 fma.
enum class MmaRounding { hopper, ampere, exact, chain };

struct Options {
  Order threads = Order::forward;
  Order blocks = Order::forward;
  std::uint64_t seed = 1;        // of the random orders
  unsigned resident_blocks = 1;  // blocks in flight, interleaved at every wait
  std::uint8_t poison = 0xFF;    // byte of shared memory and of copies not yet waited for
  AsyncCopy copies = AsyncCopy::at_wait;
  MmaRounding mma = MmaRounding::hopper;
};

// Those of the calling OS thread; a launch reads them when it starts.
Options& options();

// Sets the options for a scope.
class ScopedOptions {
 public:
  explicit ScopedOptions(const Options& set) : before_(options()) { options() = set; }
  ~ScopedOptions() { options() = before_; }
  ScopedOptions(const ScopedOptions&) = delete;
  ScopedOptions& operator=(const ScopedOptions&) = delete;

 private:
  Options before_;
};

}  // namespace ek::simt
