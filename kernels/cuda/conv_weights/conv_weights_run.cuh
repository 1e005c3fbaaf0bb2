#pragma once
// Picks the block of conv_weights_mma.cuh for a shape, and launches it.
#include "kernels/cuda/base/scratch.h"
#include "kernels/cuda/conv_weights/conv_weights_mma.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

// run.operator()<Block>() with the block that fits the channels: registers for 36 to 72 sums a
// thread, of one tile of 16 output channels where there are not more, else of two, since each
// fragment of x serves all of them.
template <class Run>
auto with_block(const Conv2dShape& s, const Run& run) {
  const std::int64_t rows = groups_of_set(s) * (s.out_c / s.groups);
  if (s.kernel_h * s.kernel_w == 1) return run.template operator()<GradientBlock<1, 8, 2, 2>>();
  if (rows <= 16) return run.template operator()<GradientBlock<9, 2, 1, 1>>();
  if (rows <= 32) return run.template operator()<GradientBlock<9, 1, 2, 1>>();
  return run.template operator()<GradientBlock<9, 1, 2, 2>>();
}

// Whether the tensor-core version serves a shape: all but images, kernels or channels that exceed
// int, a grid or the shared memory.
template <class Product>
bool serves(const Conv2dShape& s) {
  constexpr std::int64_t most_blocks = 65535;  // of a grid's y and z
  return fits_gradient_plan(s) && with_block(s, [&]<class Block>() {
           const GradientPlan p = gradient_plan<Product, Block>(s);
           return p.shared_bytes <= kMostShared &&
                  std::int64_t(p.channel_blocks) * p.tap_blocks <= most_blocks &&
                  std::int64_t(p.row_blocks) * p.sets <= most_blocks;
         });
}

// Numbers that the splits leave.
template <class Block>
std::int64_t partials_of(const GradientPlan& p) {
  return std::int64_t(p.splits) * p.blocks_of_split() * Block::elements;
}

// Of workspace.
template <class Product>
std::size_t partial_bytes(const Conv2dShape& s) {
  if (!serves<Product>(s)) return 0;
  return with_block(s, [&]<class Block>() {
    const GradientPlan p = gradient_plan<Product, Block>(s);
    return p.splits > 1 ? padded_bytes<float>(partials_of<Block>(p)) : std::size_t(0);
  });
}

// `aligned`: what the prologue reads beside x is.
template <class Product, class Prologue>
void run_mma(Stream stream, const Conv2dShape& s, const typename Product::Element* x,
             const typename Product::Element* dy, float* dweight, Workspace workspace,
             const Prologue& prologue, bool aligned = true) {
  with_block(s, [&]<class Block>() {
    GradientPlan p = gradient_plan<Product, Block>(s);
    p.packed_x &= aligned && aligned_to_16(x);
    p.packed_dy &= aligned_to_16(dy);
    Scratch scratch(workspace, "conv2d_backward_weights: expected a larger workspace");
    float* partials = p.splits > 1 ? scratch.take<float>(partials_of<Block>(p)) : nullptr;
    const dim3 grid(unsigned(p.splits), unsigned(p.channel_blocks * p.tap_blocks),
                    unsigned(p.row_blocks * p.sets));
    launch<&gradient_mma<Product, Block, Prologue>>(
        {grid, dim3(Block::threads), std::size_t(p.shared_bytes), stream}, p, x, dy, partials,
        dweight, prologue);
  });
}

// The tensor-core product of a type and shape, where there is one.
template <class T>
struct Products {
  static constexpr bool any = false;
};
template <>
struct Products<float> {
  static constexpr bool any = true;
  using Exact = SplitProduct;
  using Rounded = Tf32Product;
};
template <>
struct Products<bf16> {
  static constexpr bool any = true;
  using Exact = Bf16Product;
  using Rounded = Bf16Product;
};

}  // namespace
}  // namespace ek::kernels::EK_TARGET
