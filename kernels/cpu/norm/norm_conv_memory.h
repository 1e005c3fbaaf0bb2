#pragma once
#include "kernels/cpu/norm/norm_conv_slices.h"

namespace ek::kernels::cpu {

// What a pass takes from its workspace, in the order in which it takes it.
template <class T>
NormConvMemory norm_conv_memory(const NormConvShape& shape, NormConvPass pass,
                                const BatchSlices& slices) {
  const Conv2dShape& s = shape.conv;
  const auto conv_bytes = [&](Conv2dPass conv_pass) {
    return padded_bytes<char>(std::int64_t(ConvSlices<T>(s, conv_pass, slices).scratch_bytes()));
  };
  const std::size_t in = in_slice_bytes<T>(s, slices), out = out_slice_bytes<T>(s, slices);
  if (pass == NormConvPass::forward) {
    return {partials_bytes(slices, s.out_c), in + conv_bytes(Conv2dPass::forward)};
  }
  if (pass == NormConvPass::jvp) {
    return {partials_bytes(slices, s.out_c),
            2 * in + std::max(conv_bytes(Conv2dPass::forward), conv_bytes(Conv2dPass::tangent))};
  }
  const GradientSlices<T> weights(s, slices);
  const std::size_t shared = partials_bytes(slices, s.in_c) +
                             padded_bytes<Acc<T>>(slices.count * weights.partial_stride()) +
                             padded_bytes<char>(std::int64_t(weights.sum_bytes()));
  return {shared,
          2 * in + out + std::max(weights.scratch_bytes(), conv_bytes(Conv2dPass::backward_data))};
}

// The part of the workspace that threads work in.
class ThreadMemory {
 public:
  ThreadMemory(Scratch& scratch, const BatchSlices& slices, const NormConvMemory& memory)
      : bytes_(memory.thread_bytes),
        data_(scratch.take<std::byte>(std::int64_t(bytes_) * slice_threads(slices))) {}

  Scratch of(int thread) const {
    return {{data_ + std::size_t(thread) * bytes_, bytes_}, "norm_conv"};
  }

 private:
  std::size_t bytes_;
  std::byte* data_;
};

}  // namespace ek::kernels::cpu
