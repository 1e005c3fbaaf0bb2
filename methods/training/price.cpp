#include "methods/training/price.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/autodiff/tape.h"
#include "methods/evaluation/predict.h"
#include "methods/session/checkpoint.h"
#include "methods/session/session.h"

namespace ek {
namespace {

using Events = std::vector<AllocationTrace::Event>;

constexpr int steps_part = 1;
constexpr std::int64_t small = 16, large = 32;  // images of a trial

// The sizes of all kinds, one after the other.
std::vector<std::int64_t*> axes_of(StepSizes& sizes) {
  std::vector<std::int64_t*> axes;
  for (std::int64_t& batch : sizes.batches) axes.push_back(&batch);
  axes.push_back(&sizes.eval_images);
  return axes;
}

Events events_of(const PriceTrial& trial, const StepSizes& sizes, Device device) {
  AllocationTrace trace(device);
  trial(sizes, trace);
  return trace.events();
}

bool same_sequence(const Events& a, const Events& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) {
    return x.block == y.block && x.use == y.use && x.part == y.part &&
           (x.bytes < 0) == (y.bytes < 0);
  });
}

// One axis of the extrapolation: what a trial with more images of one kind gave, and how often the
// difference to the base counts.
struct Slope {
  Events events;
  double factor;
};

std::int64_t beyond(std::int64_t base, double change) {
  return std::max<std::int64_t>(0, std::llround(double(base) + change));
}

MemoryPeak extrapolated_peaks(const Events& base, const std::vector<Slope>& slopes) {
  const MemoryPeak at_base = replay(base, steps_part);
  std::array<double, memory_use_count> change{};
  double total_change = 0;
  for (const Slope& slope : slopes) {
    const MemoryPeak peak = replay(slope.events, steps_part);
    for (std::size_t use = 0; use < change.size(); ++use) {
      change[use] += slope.factor * double(peak.by_use[use] - at_base.by_use[use]);
    }
    total_change += slope.factor * double(peak.total - at_base.total);
  }
  MemoryPeak result{.by_use = {}, .total = beyond(at_base.total, total_change)};
  for (std::size_t use = 0; use < change.size(); ++use) {
    result.by_use[use] = beyond(at_base.by_use[use], change[use]);
  }
  return result;
}

// Two steps, since the first one makes the optimiser's state; then, while the batches are still
// there, an evaluation and what a checkpoint is made of.
void try_training(const Experiment& experiment, const StepSizes& sizes, AllocationTrace& trace) {
  State state = experiment.initial_state();
  trace.next_part();
  const Step step = make_step(experiment, 0, sizes.batches);
  for (int i = 0; i < 2; ++i) run_step(experiment, state, step);

  {
    NoRecording off;
    const std::vector<std::int64_t> records(std::size_t(sizes.eval_images), 0);
    const Batch chunk = whole(experiment.source.train, records, experiment.eval_transform,
                              activation_dtype(experiment.precision), experiment.device);
    experiment.method->infer(state, chunk.images());
  }
  checkpoint_tensors(state, Scope::everything);
}

// What a batch takes from the allocator.
std::int64_t batch_bytes(const StreamSpec& spec, std::int64_t count) {
  const std::size_t images = std::size_t(count * spec.images->image_bytes()) * size_of(spec.dtype);
  const std::size_t index = std::size_t(count) * sizeof(std::int64_t);  // labels, records
  return std::int64_t(spec.views.size() * allocated_bytes(images) + 2 * allocated_bytes(index));
}

std::int64_t resident_bytes(const ImageSet& images) {
  return std::int64_t(images.pixels.size() + images.coarse.size() +
                      images.labels.size() * sizeof(std::int64_t));
}

std::string mebibytes(std::int64_t bytes) {
  return fmt::format("{:.1f}", double(bytes) / 1048576);
}

std::vector<MemoryUse> largest_first(const MemoryPeak& peak) {
  std::vector<MemoryUse> uses;
  for (int use = 0; use < memory_use_count; ++use) uses.push_back(MemoryUse(use));
  std::ranges::stable_sort(uses, std::ranges::greater{},
                           [&](MemoryUse use) { return peak.by_use[std::size_t(use)]; });
  return uses;
}

}  // namespace

MemoryPeak predict_peak(const PriceTrial& trial, const StepSizes& sizes, Device device) {
  StepSizes base = sizes, wanted = sizes;
  for (std::int64_t* axis : axes_of(base)) {
    if (*axis > large) *axis = small;
  }
  Events events = events_of(trial, base, device);
  std::vector<Slope> slopes;
  bool alike = true;
  for (std::size_t axis = 0; axis < axes_of(wanted).size(); ++axis) {
    const std::int64_t size = *axes_of(wanted)[axis];
    if (size <= large) continue;
    StepSizes more = base;
    *axes_of(more)[axis] = large;
    slopes.push_back(
        {events_of(trial, more, device), double(size - small) / double(large - small)});
    alike = alike && same_sequence(events, slopes.back().events);
  }
  if (!alike) return extrapolated_peaks(events, slopes);
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].bytes < 0) continue;
    double change = 0;
    for (const Slope& slope : slopes) {
      change += slope.factor * double(slope.events[i].bytes - events[i].bytes);
    }
    events[i].bytes = beyond(events[i].bytes, change);
  }
  return replay(events, steps_part);
}

MemoryPrice price_of(const Experiment& experiment, int prefetch) {
  const std::int64_t evaluated =
      std::max(experiment.source.test.count(), std::int64_t(experiment.split.meta_index.size()));
  MemoryPrice price;
  price.device = experiment.device;
  price.sizes.eval_images = std::min(default_chunk(experiment.device), evaluated);
  for (const NamedStream& stream : experiment.streams) {
    price.sizes.batches.push_back(draw_batch(stream.spec, 0).of_step.count);
  }
  price.peak = predict_peak([&](const StepSizes& sizes,
                                AllocationTrace& trace) { try_training(experiment, sizes, trace); },
                            price.sizes, experiment.device);
  if (experiment.device != Device{}) {
    for (const ImageSet* images : {&experiment.source.train, &experiment.source.test}) {
      price.resident_bytes +=
          std::int64_t(allocated_bytes(images->pixels.size()) +
                       allocated_bytes(images->labels.size() * sizeof(std::int64_t)));
    }
  } else if (prefetch > 0) {
    // Beside the batches of the step each loader holds its queue and the batch that it is making.
    for (std::size_t i = 0; i < experiment.streams.size(); ++i) {
      price.queue_bytes += batch_bytes(experiment.streams[i].spec, price.sizes.batches[i]);
    }
    price.queue_bytes *= prefetch + 1;
  }
  price.peak.by_use[std::size_t(MemoryUse::data)] += price.queue_bytes + price.resident_bytes;
  price.peak.total += price.queue_bytes + price.resident_bytes;
  price.data_set_bytes =
      resident_bytes(experiment.source.train) + resident_bytes(experiment.source.test);
  release_free_memory();
  return price;
}

MemoryPrice price_training(const Recipe& recipe, const TrainOptions& options) {
  return price_of(Experiment(recipe, options.data, options.precision, options.device,
                             load_inputs(options.inputs, options.precision, options.device)),
                  options.prefetch);
}

nlohmann::json bytes_by_use(const std::array<std::int64_t, memory_use_count>& bytes) {
  nlohmann::json json;
  for (int use = 0; use < memory_use_count; ++use) {
    json[std::string(name_of(MemoryUse(use)))] = bytes[std::size_t(use)];
  }
  return json;
}

std::string price_table(const MemoryPrice& price) {
  std::string text = fmt::format("predicted peak of tensor memory{}, batch {}, evaluation in {}\n",
                                 price.device.in_host_memory() ? "" : " of " + price.device.str(),
                                 fmt::join(price.sizes.batches, " + "), price.sizes.eval_images);
  for (const MemoryUse use : largest_first(price.peak)) {
    text += fmt::format(
        "  {:<12} {:>9} MiB{}\n", name_of(use), mebibytes(price.peak.by_use[std::size_t(use)]),
        use != MemoryUse::data ? std::string()
        : price.device == Device{}
            ? fmt::format("  ({} waiting in the loaders)", mebibytes(price.queue_bytes))
            : fmt::format("  ({} of the data set)", mebibytes(price.resident_bytes)));
  }
  text +=
      fmt::format("  {:<12} {:>9} MiB  at one moment; the peaks of the categories may lie apart\n",
                  "total", mebibytes(price.peak.total));
  text += fmt::format("outside of it\n  {:<12} {:>9} MiB\n", "data set",
                      mebibytes(price.data_set_bytes));
  return text;
}

std::string peak_line(const MemoryPeak& peak) {
  std::vector<std::string> parts;
  for (const MemoryUse use : largest_first(peak)) {
    parts.push_back(fmt::format("{} {}", name_of(use), mebibytes(peak.by_use[std::size_t(use)])));
  }
  return fmt::format("{} MiB ({})", mebibytes(peak.total), fmt::join(parts, ", "));
}

}  // namespace ek
