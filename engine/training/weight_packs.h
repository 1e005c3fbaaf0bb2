#pragma once
#include <cstdint>
#include <vector>

#include "engine/autodiff/fused.h"
#include "engine/tensor/dispatch.h"
#include "engine/tensor/tensor.h"
#include "engine/training/companions.h"
#include "kernels/weight_packs.h"

namespace ek {

// Packs of convolution weights (kernels/conv.h) are companions of the storage that holds the
// weights. The first reader makes a pack (engine/ops/weight_pack.h), and its key says all about it;
// from then on whoever writes the weights writes the packs as well, all of them in the launch that
// writes the weights. For float32 weights of a backend that fuses launches.

// The key of the pack of the weights at `offset`, an element of their storage; the shape's batch
// plays no part.
Companions::Key pack_key(std::int64_t offset, DType images, const kernels::Conv2dShape& shape,
                         kernels::Conv2dPass pass);

// The keys of the packs that a flat tensor's present contents have. Whatever has written the
// contents since, such as a graph, packs of these kinds can be made again by write_packs: all of
// them in one launch (and one more where there are some for float and some for bf16 images), rather
// than each by the first op that wants it. Nothing where there are no keys.
std::vector<Companions::Key> pack_keys(const Tensor& flat);
void write_packs(const Tensor& flat, const std::vector<Companions::Key>& keys);
// Gives back the memory of all packs of a flat tensor and of its copies. Before a capture, which
// otherwise keeps, as long as its graph lives, what it gives back of them but never uses.
void drop_packs(const Tensor& flat);

// The packs of the weights in a flat tensor, with memory, between being taken from or made for a
// storage and being its companions.
class PackSet {
 public:
  // Whether packs are written with tensors like this one. Otherwise the sets below are empty.
  static bool serves(const Tensor& flat);

  // Those that the storage of `flat` had of version `version`, which is about to be overwritten.
  static PackSet taken_from(const Tensor& flat, std::uint64_t version);
  // What `copy`, a new tensor of flat's size, needs to have packs of the same kinds as `flat` has
  // now: in memory that one copy after the other uses, `is_new` before the first.
  static PackSet for_copy(const Tensor& flat, const Tensor& copy);
  // The same for the forward packs of a direction in which the flat weights move (the tangent sweep
  // reads no others), in memory of its own.
  static PackSet for_direction(const Tensor& flat, const Tensor& direction);

  bool empty() const { return packs_.empty(); }
  bool is_new() const { return is_new_; }

  // Packs of these kinds for the flat tensor itself, in memory of their own.
  static PackSet of_kinds(const Tensor& flat, std::vector<Companions::Key> keys);

  // Calls step.operator()<T>(jobs) with the packs for images of T = float or bf16; should there be
  // both, those of bf16 are written after it from `weights`, the contents of the flat tensor.
  template <class B, class Step>
  void run(const Step& step, const float* weights) const;
  // Writes them all from the contents of the flat tensor.
  void write(const Tensor& flat) const;

  // They are companions of flat's present contents from now on.
  void attach_to(const Tensor& flat) &&;

 private:
  static PackSet made_for(const Tensor& to, std::vector<Companions::Key> keys,
                          const Tensor* spare_of);
  std::vector<kernels::PackJob> jobs(DType images) const;

  std::int64_t offset_ = 0;  // of the flat tensor in its storage
  Companions::Made packs_;
  bool is_new_ = false;
};

template <class B, class Step>
void PackSet::run(const Step& step, const float* weights) const {
  const auto floats = jobs(DType::float32), halves = jobs(DType::bfloat16);
  if (floats.empty()) return step.template operator()<bf16>(halves);
  step.template operator()<float>(floats);
  if (!halves.empty()) kernels::write_packs<B, bf16>(current_stream(), halves, weights);
}

}  // namespace ek
