#include "engine/training/step_feed.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/error.h"

namespace ek {
namespace {

std::int64_t words_of(const StepFeed::Layout& layout) {
  require(layout.steps >= 1 && layout.counts >= 0 && layout.numbers >= 0,
          "step feed: {} steps of {} counts and {} numbers, expected 1 or more steps", layout.steps,
          layout.counts, layout.numbers);
  std::int64_t words = layout.counts + layout.numbers;
  for (const std::int64_t batch : layout.batches) {
    require(batch >= 1, "step feed: a batch of {}, expected 1 or more", batch);
    words += 2 * batch;
  }
  require(words >= 1, "step feed: nothing to feed");
  return words;
}

}  // namespace

StepFeed::StepFeed(Device device, Layout layout)
    : layout_(std::move(layout)),
      words_per_step_(words_of(layout_)),
      buffers_(device, std::size_t(layout_.steps * words_per_step_) * 8),
      set_(std::size_t(layout_.steps * words_per_step_)) {
  const MemoryScope scope(MemoryUse::data);
  words_ = Tensor::zeros({layout_.steps * words_per_step_}, DType::int64, device);
}

void StepFeed::check_step(std::int64_t step) const {
  require(step >= 0 && step < layout_.steps, "step feed: step {} of {}", step, layout_.steps);
}

StepFeed::Place StepFeed::place_of_count(std::int64_t step, std::int64_t which) const {
  check_step(step);
  require(which >= 0 && which < layout_.counts, "step feed: count {} of {}", which, layout_.counts);
  return {step * words_per_step_ + which, 1};
}

StepFeed::Place StepFeed::place_of_number(std::int64_t step, std::int64_t which) const {
  check_step(step);
  require(which >= 0 && which < layout_.numbers, "step feed: number {} of {}", which,
          layout_.numbers);
  return {step * words_per_step_ + layout_.counts + which, 1};
}

StepFeed::Place StepFeed::place_of_batch(std::int64_t step, std::int64_t stream) const {
  check_step(step);
  require(stream >= 0 && stream < std::int64_t(layout_.batches.size()),
          "step feed: stream {} of {}", stream, layout_.batches.size());
  std::int64_t begin = step * words_per_step_ + layout_.counts + layout_.numbers;
  for (std::int64_t i = 0; i < stream; ++i) begin += 2 * layout_.batches[std::size_t(i)];
  return {begin, layout_.batches[std::size_t(stream)]};
}

Tensor StepFeed::count(std::int64_t step, std::int64_t which) const {
  return words_.slice(place_of_count(step, which).begin, {});
}

Number StepFeed::number(std::int64_t step, std::int64_t which) const {
  return words_.slice(place_of_number(step, which).begin, {}).bits_as(DType::float64);
}

Tensor StepFeed::records(std::int64_t step, std::int64_t stream) const {
  const Place place = place_of_batch(step, stream);
  return words_.slice(place.begin, {place.size});
}

Tensor StepFeed::positions(std::int64_t step, std::int64_t stream) const {
  const Place place = place_of_batch(step, stream);
  return words_.slice(place.begin + place.size, {place.size});
}

void StepFeed::write(Place place, const void* words) {
  std::memcpy(static_cast<std::byte*>(buffers_.begin()) + place.begin * 8, words,
              std::size_t(place.size) * 8);
  std::fill_n(set_.begin() + place.begin, place.size, true);
}

void StepFeed::set_count(std::int64_t step, std::int64_t which, std::int64_t value) {
  write(place_of_count(step, which), &value);
}

void StepFeed::set_number(std::int64_t step, std::int64_t which, double value) {
  write(place_of_number(step, which), &value);
}

void StepFeed::set_batch(std::int64_t step, std::int64_t stream,
                         std::span<const std::int64_t> records,
                         std::span<const std::int64_t> positions) {
  const Place place = place_of_batch(step, stream);
  require(std::int64_t(records.size()) == place.size && records.size() == positions.size(),
          "step feed: {} records and {} positions for a batch of {}", records.size(),
          positions.size(), place.size);
  write(place, records.data());
  write({place.begin + place.size, place.size}, positions.data());
}

void StepFeed::send() {
  const auto missing = std::ranges::find(set_, false);
  require(missing == set_.end(), "step feed: something of step {} was not set",
          (missing - set_.begin()) / words_per_step_);
  buffers_.send(words_);
  set_.assign(set_.size(), false);
}

}  // namespace ek
