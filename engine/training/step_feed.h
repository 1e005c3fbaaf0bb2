#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/memory/pinned.h"
#include "engine/tensor/number.h"

namespace ek {

// What changes from step to step, in memory of the device: the steps of a captured graph read it at
// fixed addresses, and the host fills it anew for the next so many steps and sends all of it in one
// transfer before each replay. A step has whole numbers (the number of the step), real ones (the
// learning rate), and for each stream of batches what its batch is made of: records of a resident
// data set and the positions of the sampler's sequence (data/resident.h).
class StepFeed {
 public:
  struct Layout {
    std::int64_t steps = 1;                  // that are sent together
    std::int64_t counts = 1, numbers = 1;    // of each step
    std::vector<std::int64_t> batches = {};  // size of each stream's batch
  };
  StepFeed(Device device, Layout layout);

  // What step `step` of the run reads, 0 <= step < steps, on the device: views whose addresses
  // stay.
  Tensor count(std::int64_t step, std::int64_t which = 0) const;   // int64 []
  Number number(std::int64_t step, std::int64_t which = 0) const;  // float64 []
  Tensor records(std::int64_t step, std::int64_t stream) const;    // int64 [B]
  Tensor positions(std::int64_t step, std::int64_t stream) const;  // int64 [B]

  // The host's side, for the next send(). Each must be set for every step.
  void set_count(std::int64_t step, std::int64_t which, std::int64_t value);
  void set_number(std::int64_t step, std::int64_t which, double value);
  void set_batch(std::int64_t step, std::int64_t stream, std::span<const std::int64_t> records,
                 std::span<const std::int64_t> positions);
  // One transfer, behind all that the device's queue holds; the host goes on. Error where something
  // was not set since the last one, and during a capture.
  void send();

  const Layout& layout() const { return layout_; }

 private:
  struct Place {
    std::int64_t begin, size;  // words of 8 bytes
  };
  Place place_of_count(std::int64_t step, std::int64_t which) const;
  Place place_of_number(std::int64_t step, std::int64_t which) const;
  Place place_of_batch(std::int64_t step, std::int64_t stream) const;  // records, then positions
  void check_step(std::int64_t step) const;
  void write(Place place, const void* words);

  Layout layout_;
  std::int64_t words_per_step_;
  Tensor words_;  // int64 [steps x words_per_step_]
  PinnedBuffers buffers_;
  std::vector<bool> set_;  // by word
};

}  // namespace ek
