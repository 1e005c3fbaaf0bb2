#pragma once
// Which instance of the joined cotangents of norm_conv (conv_norm_joined.cuh) serves a shape.
//
// Both kinds of blocks take the registers and the shared memory of whichever wants more, and each
// pair of tiles is an instance to compile. So there are three: 3 x 3 taps, with 16 channels at most
// on either side, with more on both, and with more than 32 behind.
#include "kernels/cuda/conv/conv_halo_plan.cuh"
#include "kernels/cuda/conv_weights/conv_weights_run.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

// Of the gradient's plan where dy has a prologue, which wants room for what it reads beside.
template <class Product, class Block>
std::int64_t joined_gradient_bytes(const GradientPlan& p) {
  constexpr std::int64_t size = sizeof(typename Product::Element);
  return p.shared_bytes + 2 * p.depth * Block::row_pitch * size;
}

// run.operator()<M, N, Block>() for the pair that serves a shape and the plan of its backward data;
// false where none does. Its answer is what run returns.
template <class Product, class Run>
bool with_joined(const Conv2dShape& s, const HaloPlan& plan, const Run& run) {
  if (s.kernel_h != 3 || s.kernel_w != 3 || !serves<Product>(s)) return false;
  return with_block(s, [&]<class Block>() {
    if constexpr (Block::taps == 9) {
      constexpr bool few = Block::rows <= 16;  // channels
      constexpr int m = few ? 4 : 2, n = few ? 1 : 2;
      const GradientPlan p = gradient_plan<Product, Block>(s);
      const bool fits = plan.shared_bytes <= kComfortable &&
                        joined_gradient_bytes<Product, Block>(p) <= kComfortable;
      if (few == (plan.blocks == 1) && fits) {
        return bool(run.template operator()<m, n, Block>());
      }
    }
    return false;
  });
}

struct ServedByAny {
  template <int M, int N, class Block>
  bool operator()() const {
    return true;
  }
};

}  // namespace
}  // namespace ek::kernels::EK_TARGET
