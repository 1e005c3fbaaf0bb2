#pragma once
#include "data/loader.h"

namespace ek {

// An image set in the memory of a device, copied there once: a step then moves no pixels, only
// which records it wants.
struct ResidentImages {
  Tensor pixels;  // uint8 [count, height, width, 3]
  Tensor labels;  // int64 [count]
};
ResidentImages make_resident(const ImageSet& images, Device device);

// A batch made on the device of `images`, which must be spec's: spec's augmentation of `records` at
// `positions`, int64 [B] each in the memory of that device, and the labels by gather. Only
// launches, so that it can be captured (engine/graph/graph.h) with records and positions from a
// StepFeed. Records must be in range, which draw_batch sees to. Images have the bits of
// make_batch's on the CPU.
Batch resident_batch(const ResidentImages& images, const StreamSpec& spec, const Tensor& records,
                     const Tensor& positions);

// make_batch on the device of `images`: the draws of the step go there, the batch is made there.
Batch make_batch(const StreamSpec& spec, std::int64_t step, const ResidentImages& images);

}  // namespace ek
