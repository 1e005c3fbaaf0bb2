#pragma once
#include <cstdint>
#include <span>

#include "kernels/conv.h"
#include "kernels/optim.h"

// Packs of many convolutions, written in one launch: after a step every convolution's weights are
// packed again, for each pass, and a launch apiece would cost more than the step. T is the type of
// the images (float or bf16; float64 is left to conv2d_pack); parameters are Acc<T>.
namespace ek::kernels {

// One pack of one convolution whose OHWI weights are part of a flat buffer.
struct PackJob {
  Conv2dShape shape;   // its batch does not matter
  Conv2dPass pass;     // forward (and tangent, which shares its pack) or backward_data
  std::int64_t begin;  // the element of the flat buffer where the weights start: any
  void* pack;          // conv2d_pack_bytes of it
};

// Throws Error, starting with `op`, unless each job is a pack that conv2d_pack can write of weights
// within the buffer's first `count` elements, and the weights of two jobs are the same elements or
// have none in common. For every backend.
void check_packs(std::span<const PackJob> jobs, std::int64_t count, const char* op);

// What conv2d_pack writes for every job.
template <class B, class T>
void write_packs(Stream stream, std::span<const PackJob> jobs, const Acc<T>* weights);

// sgd_step and adam_step (kernels/optim.h), after which each pack is what write_packs makes of the
// new parameters. Before, it must be what write_packs made of the old ones: a backend may write no
// more than what the step changes, which leaves frozen weights and a pack's filling zeros alone.
template <class B, class T>
void sgd_step_and_pack(Stream stream, const SgdSettings& settings,
                       std::span<const OptimSegment> segments, std::span<const PackJob> jobs,
                       const Acc<T>* gradient, Acc<T>* parameters, Acc<T>* momentum_buffer);

template <class B, class T>
void adam_step_and_pack(Stream stream, const AdamSettings& settings,
                        std::span<const OptimSegment> segments, std::span<const PackJob> jobs,
                        const Acc<T>* gradient, Acc<T>* parameters, Acc<T>* first_moment,
                        Acc<T>* second_moment);

// The virtual step of a bilevel method: y = x + scale d, `count` elements each, and the packs of y.
// The packs must have been written once, by write_packs and for any weights of the same jobs.
template <class B, class T>
void add_scaled_and_pack(Stream stream, std::int64_t count, std::span<const PackJob> jobs,
                         const Acc<T>* x, const Scalar& scale, const Acc<T>* d, Acc<T>* y);

}  // namespace ek::kernels
