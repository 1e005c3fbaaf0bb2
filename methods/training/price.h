#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/memory/allocation_trace.h"
#include "methods/recipes/recipe.h"
#include "methods/session/experiment.h"
#include "methods/training/options.h"

namespace ek {

// What the memory of a training step grows with.
struct StepSizes {
  std::vector<std::int64_t> batches;  // of each stream
  std::int64_t eval_images = 0;       // handed to the network at once
};

// Does with these sizes what a run does: sets everything up (part 0 of the trace), then steps and
// evaluates (part 1), the batches included.
using PriceTrial = std::function<void(const StepSizes& sizes, AllocationTrace& trace)>;

// The peaks of part 1 at `sizes`. Up to 32 images of a kind the trial is run as it is. Beyond that
// it is run at 16 and 32 of each kind in turn, each allocation is taken as affine in the
// sizes, and the sequence is played back with the sizes that it will have; so what the allocator
// rounds is rounded, and the moment of the peak may be another one than in the small trials. Where
// the sequences of two trials differ the peaks themselves are extrapolated. `device` says whose
// memory is meant. Workspaces that stop
// growing beyond 16 images come out right, those that stop later come out too large.
MemoryPeak predict_peak(const PriceTrial& trial, const StepSizes& sizes, Device device = {});

// The peak of tensor memory that a training run will reach, before it starts.
struct MemoryPrice {
  Device device;
  MemoryPeak peak;  // as memory_stats(device) counts
  StepSizes sizes;
  std::int64_t queue_bytes = 0;     // of that: batches waiting in the cpu's loaders
  std::int64_t resident_bytes = 0;  // of that: the images in a device's memory
  // Outside of the allocator, in the host's memory for the whole run: the images of the data set.
  std::int64_t data_set_bytes = 0;
};

// For what train() does with this experiment: steps, loader queues of `prefetch` batches (on the
// cpu) or resident images (on a device), evaluation in chunks. Steps in graphs have the peak of
// steps one by one. Runs on a state of its own on the experiment's device and draws
// the batches anew, so that nothing of the run changes; gives the memory back to the system.
MemoryPrice price_of(const Experiment& experiment, int prefetch);
MemoryPrice price_training(const Recipe& recipe, const TrainOptions& options);

// {"parameters": bytes, ...}, every category.
nlohmann::json bytes_by_use(const std::array<std::int64_t, memory_use_count>& bytes);

// A table for people: a line per category, the total, and what lies outside.
std::string price_table(const MemoryPrice& price);
// "512.3 MiB (activations 470.1, gradients 3.6, ...)", largest first.
std::string peak_line(const MemoryPeak& peak);

}  // namespace ek
