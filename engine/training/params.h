#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor/number.h"
#include "engine/tensor/tensor.h"

namespace ek {

// An ordered map from name to tensor. Usually all tensors are views into one flat buffer, in order,
// so that a virtual step, an optimiser update, an all-reduce and a checkpoint are one pass each.
// Names are PyTorch's ("layer1.0.conv1.weight"); layouts are the engine's (OHWI). Never bfloat16:
// that is for activations, and refused here.
class Params {
 public:
  struct Entry {
    std::string name;
    Tensor tensor;
  };

  Params() = default;
  // Any tensors under distinct names; not flat unless they happen to be.
  explicit Params(std::vector<Entry> entries);

  // The same names and shapes over one fresh flat buffer, contents copied / zero.
  Params flattened(MemoryUse use = MemoryUse::parameters) const;
  Params zeros_like(MemoryUse use = MemoryUse::gradients) const;
  // Views of the same names and shapes into `flat` (as many elements as this has).
  Params over(const Tensor& flat) const;

  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  std::int64_t numel() const;
  DType dtype() const;
  Device device() const;  // of an empty one, the cpu
  const std::vector<Entry>& entries() const { return entries_; }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

  bool contains(std::string_view name) const;
  // Error with the nearest known name if there is none.
  const Tensor& operator[](std::string_view name) const;
  // First element of the tensor within the flat order.
  std::int64_t offset(std::string_view name) const;

  // The flat buffer, shape [numel()]; Error if the tensors are not views into one, in order.
  const Tensor& flat() const;
  bool is_flat() const { return flat_.defined(); }

  // keep * this + factor * towards for the named tensors, the rest unchanged, over one flat buffer
  // and in one pass: running statistics. Names are distinct; not recorded.
  struct Blend {
    std::string name;
    Tensor towards;
    double factor;
  };
  Params blended(double keep, const std::vector<Blend>& blends) const;

  Tensors tensors() const;
  // The same names with other tensors (same shapes, in order).
  Params with(const Tensors& tensors) const;
  // Entries whose name starts with `prefix` (all by default); views, not copies.
  Params only(std::string_view prefix) const;
  Params to(DType dtype) const;
  // Flat on another device; itself where it is flat there already.
  Params to(Device device) const;
  Params clone() const;

 private:
  std::vector<Entry> entries_;
  std::map<std::string, std::size_t, std::less<>> index_;
  Tensor flat_;
};

// Same names in the same order with the same shapes, or an Error that names the first difference.
void require_same_structure(const Params& a, const Params& b, std::string_view who);

// params + scale * direction: a virtual step. One pass over flat buffers; recorded tensor by tensor
// when an active tape tracks any of them.
Params add_scaled(const Params& params, const Number& scale, const Params& direction);
// Writes the values of `from` into the memory of `to`, where others (captured graphs, views) find
// them: a copy for flat buffers, else one a tensor. Same structure, dtype and device; Error while
// a tape holds one of them.
void assign(Params& to, const Params& from);
// Sum of products over all tensors, in float64, fixed order. Not recorded.
double dot(const Params& a, const Params& b);
double norm(const Params& a);

}  // namespace ek
