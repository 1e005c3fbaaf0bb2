#pragma once
#include <memory>

#include "engine/ops/common.h"
#include "engine/training/weight_packs.h"
#include "kernels/conv.h"

namespace ek::ops {

// Convolution weights as a pass of the kernels reads them: packed once for a version of their
// contents, and shared by every op that reads them (engine/training/companions.h). After the first
// time the pack is mostly there, written with the weights (engine/training/weight_packs.h).
class WeightPack {
 public:
  // weight: OHWI in Acc<T>, of the shape's sizes.
  template <class B, class T>
  static WeightPack of(const Tensor& weight, const kernels::Conv2dShape& g,
                       kernels::Conv2dPass pass) {
    using kernels::Conv2dPass;
    if (pass == Conv2dPass::tangent) pass = Conv2dPass::forward;  // they share packs
    WeightPack pack;
    const auto* ohwi = weight.data<kernels::Acc<T>>();
    const std::size_t bytes = kernels::conv2d_pack_bytes<B, T>(g, pass);
    if (bytes == 0) {
      pack.data_ = ohwi;
      return pack;
    }
    Storage& storage = *weight.storage();
    const Companions::Key key = pack_key(weight.offset(), dtype_of<T>, g, pass);
    pack.memory_ =
        storage.companions.get(storage.version, key, storage.device, bytes, [&](void* to) {
          const double elements = double(g.weight_size());
          ProfileScope profile(
              "conv2d_pack", [&] { return weight.shape().str(); }, 0,
              elements * sizeof(*ohwi) + double(bytes));
          kernels::conv2d_pack<B, T>(current_stream(), g, pass, ohwi, to);
        });
    pack.data_ = pack.memory_.get();
    return pack;
  }
  operator kernels::ConvPack() const { return {data_}; }

 private:
  std::shared_ptr<const void> memory_;
  const void* data_ = nullptr;
};

}  // namespace ek::ops
