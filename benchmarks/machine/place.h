#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks/machine/roof.h"
#include "engine/tensor/device.h"
#include "kernels/base/backend.h"

namespace ek::bench {

using Call = std::function<void()>;

// Where the operands of benchmarks lie, and how calls are timed there.
class Place {
 public:
  virtual ~Place() = default;
  virtual std::string name() const = 0;  // of the device, for people
  // Aligned to a page on the host, to 256 bytes on a GPU; zeros at first.
  virtual std::shared_ptr<void> allocate(std::size_t bytes) = 0;
  virtual void upload(void* to, const void* from, std::size_t bytes) = 0;
  virtual kernels::Stream stream() = 0;
  // A function that runs some of the calls, which have run once before, in turns, and returns the
  // seconds that one took. On the host each time the next call; on a GPU a graph of several calls
  // with their operands in rotation, which is what they cost inside a captured step.
  virtual std::function<double()> timer(const std::vector<Call>& calls) = 0;
  // What the device reaches: copies within `memory`, products; about `seconds` for each.
  virtual Roof measure_roof(void* memory, std::size_t bytes, double seconds) = 0;
};

// Error for a device that this build or machine does not have.
std::unique_ptr<Place> make_place(const Device& device);

// The GPU of that index: cuda_place.cpp.
std::unique_ptr<Place> make_cuda_place(int index);

}  // namespace ek::bench
