#include "data/batch_plan.h"

#include "kernels/base/error.h"

namespace ek {
namespace {
std::int64_t ceil_divide(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}
}  // namespace

LastBatch parse_last_batch(std::string_view text) {
  if (text == "wrap") return LastBatch::wrap;
  if (text == "keep") return LastBatch::keep;
  if (text == "drop") return LastBatch::drop;
  fail("last_batch: expected wrap, keep or drop, got {}", text);
}

BatchPlan::BatchPlan(std::int64_t epoch_length, std::int64_t batch_size, LastBatch last_batch)
    : epoch_length_(epoch_length), batch_size_(batch_size), last_batch_(last_batch) {
  require(epoch_length >= 1, "batches: expected an epoch of at least 1 image, got {}",
          epoch_length);
  require(batch_size >= 1, "batches: batch_size: expected at least 1, got {}", batch_size);
  const std::int64_t full = epoch_length / batch_size, rest = epoch_length % batch_size;
  if (last_batch == LastBatch::wrap) {
    steps_per_epoch_ = ceil_divide(epoch_length, batch_size);
  } else if (last_batch == LastBatch::keep) {
    const bool joins = rest == 1 && full > 0;
    steps_per_epoch_ = full + (rest > 0 && !joins ? 1 : 0);
  } else {
    require(full > 0,
            "batches: last_batch drop: expected an epoch of at least one batch of {}, got "
            "{} images",
            batch_size, epoch_length);
    steps_per_epoch_ = full;
  }
}

std::int64_t BatchPlan::first_step_of_epoch(std::int64_t epoch) const {
  if (last_batch_ != LastBatch::wrap) return epoch * steps_per_epoch_;
  return ceil_divide(epoch * epoch_length_, batch_size_);
}

StepDraw BatchPlan::step(std::int64_t step) const {
  require(step >= 0, "batches: expected a step of 0 or more, got {}", step);
  StepDraw draw;
  if (last_batch_ == LastBatch::wrap) {
    draw.first = step * batch_size_;
    draw.count = batch_size_;
    draw.epoch = draw.first / epoch_length_;
    draw.iteration = step - first_step_of_epoch(draw.epoch);
  } else {
    draw.epoch = step / steps_per_epoch_;
    draw.iteration = step % steps_per_epoch_;
    const std::int64_t offset = draw.iteration * batch_size_;
    draw.first = draw.epoch * epoch_length_ + offset;
    draw.count = batch_size_;
    if (last_batch_ == LastBatch::keep && draw.iteration == steps_per_epoch_ - 1) {
      draw.count = epoch_length_ - offset;
    }
  }
  draw.first_of_epoch = draw.iteration == 0;
  return draw;
}

RestartedPlan::RestartedPlan(const BatchPlan& train, std::int64_t epoch_length,
                             std::int64_t batch_size)
    : train_(train), batch_size_(batch_size) {
  require(epoch_length >= 1 && batch_size >= 1,
          "meta batches: expected at least one image and a batch size of 1 or more, got {} and {}",
          epoch_length, batch_size);
  stride_ = epoch_length * ceil_divide(train.steps_per_epoch() * batch_size, epoch_length);
}

StepDraw RestartedPlan::step(std::int64_t train_step) const {
  StepDraw draw = train_.step(train_step);
  draw.first = draw.epoch * stride_ + draw.iteration * batch_size_;
  draw.count = batch_size_;
  return draw;
}

}  // namespace ek
