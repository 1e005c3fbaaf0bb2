#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/batch_plan.h"
#include "data/images/dataset.h"
#include "data/sampler.h"
#include "engine/tensor/random.h"
#include "engine/tensor/tensor.h"
#include "kernels/augment.h"

namespace ek {

// A stream of augmented batches. Everything about batch `step` follows from this description and
// the step.
struct StreamSpec {
  const ImageSet* images = nullptr;  // must outlive the stream
  std::vector<std::int64_t> subset;  // records of `images`
  SamplerPtr sampler;                // draws from the subset
  std::int64_t batch_size = 0;
  std::string last_batch = "wrap";  // wrap | keep | drop
  std::uint64_t seed = 0;
  Purpose purpose = Purpose::augment;
  // A pipeline for each version of an image that a batch holds; versions differ by their draws
  // even where the pipeline is the same.
  std::vector<kernels::AugmentSpec> views{kernels::AugmentSpec{}};
  DType dtype = DType::float32;  // of the images, bfloat16 among them
  Device device;                 // where batches lie
  // Where given: batches go with the steps of that (training) plan and start a fresh pass with each
  // of its epochs, always full; last_batch is not used. See RestartedPlan.
  std::optional<BatchPlan> restart_with;
};

struct Batch {
  Tensors views;  // [B, height, width, 3] each
  Tensor labels;  // int64 [B]
  Tensor items;   // int64 [B], records of the image set

  const Tensor& images() const { return views.at(0); }
  std::int64_t size() const { return labels.numel(); }
  // Copied to another device (itself on the same): the one way by which batches reach a device.
  Batch to(Device device) const;
};

// The plan that a stream's steps follow when it has no restart_with.
BatchPlan batch_plan(const StreamSpec& spec);

// What a step's batch is made of: the records of the image set, and for each the position in the
// sampler's sequence, which its augmentation is drawn at.
struct BatchDraw {
  StepDraw of_step;
  std::vector<std::int64_t> records, positions;
};
// Error when the description does not fit together.
BatchDraw draw_batch(const StreamSpec& spec, std::int64_t step);
// Where the augmentation of the view-th version of a stream's images draws its random numbers: at
// positions, which are unique over all epochs and do not depend on batch boundaries, so that the
// epoch of the key stays 0.
kernels::AugmentKey augment_key(const StreamSpec& spec, int view);

// The batch of a step, made here and now. Error when the description does not fit together.
Batch make_batch(const StreamSpec& spec, std::int64_t step);

// The records of a set in the order given, for evaluation: usually with eval_spec, in chunks.
// With a spec that augments, draws are made at positions 0, 1, ... of seed 0.
Batch whole(const ImageSet& images, std::span<const std::int64_t> records,
            const kernels::AugmentSpec& augment, DType dtype = DType::float32, Device device = {});

// Batches first_step, first_step + 1, ... made ahead of time by a thread of its own. They are those
// of make_batch, whatever the prefetch depth. For one consumer; an exception of the thread is
// thrown by next() in its place. prefetch 0 makes each batch inside next().
class Loader {
 public:
  Loader(StreamSpec spec, std::int64_t first_step, int prefetch = 2);
  ~Loader();
  Loader(Loader&&) noexcept;
  Loader& operator=(Loader&&) noexcept;

  Batch next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ek
