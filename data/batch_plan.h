#pragma once
#include <cstdint>
#include <string_view>

namespace ek {

// What happens at the end of an epoch whose length is no multiple of the batch size.
//   wrap  the next epoch continues the batch; every batch is full (default)
//   keep  the remainder is a batch of its own; a remainder of one joins the batch before it
//   drop  the remainder is left out
enum class LastBatch : std::uint8_t { wrap, keep, drop };
LastBatch parse_last_batch(std::string_view text);  // Error naming the three

// The draws of one step: positions [first, first + count) of the sampler's sequence.
struct StepDraw {
  std::int64_t first = 0, count = 0;
  std::int64_t epoch = 0;      // of the first position
  std::int64_t iteration = 0;  // within the epoch
  bool first_of_epoch = false;
};

// Which draws make up which step.
class BatchPlan {
 public:
  // Error unless both numbers are positive and, for drop, an epoch holds a batch.
  BatchPlan(std::int64_t epoch_length, std::int64_t batch_size, LastBatch last_batch);

  // keep, drop: the same in every epoch. wrap: steps that begin in epoch 0, the largest number
  // that any epoch has; use first_step_of_epoch to turn epochs into steps.
  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }
  // The first step of epoch `epoch` or, where a batch spans whole epochs, of a later one. Training
  // for E epochs is first_step_of_epoch(E) steps.
  std::int64_t first_step_of_epoch(std::int64_t epoch) const;
  StepDraw step(std::int64_t step) const;

  std::int64_t epoch_length() const { return epoch_length_; }
  std::int64_t batch_size() const { return batch_size_; }

 private:
  std::int64_t epoch_length_, batch_size_, steps_per_epoch_ = 0;
  LastBatch last_batch_;
};

// Batches that start afresh with every epoch of another plan: a meta set, drawn shuffled,
// reshuffled when exhausted, with a new pass at each training epoch.
// Iteration i of training epoch e draws positions start(e) + i m ... of the sampler, where start(e)
// is e times a whole number of the sampler's epochs, enough for the longest training epoch: with
// a shuffled sampler each (training epoch, pass) has its own permutation.
class RestartedPlan {
 public:
  RestartedPlan(const BatchPlan& train, std::int64_t epoch_length, std::int64_t batch_size);
  // The draws that go with training step `train_step`; epoch and iteration are the training ones.
  StepDraw step(std::int64_t train_step) const;

 private:
  BatchPlan train_;
  std::int64_t batch_size_, stride_;
};

}  // namespace ek
