// The gradient of a convolution's weights; kernels/conv.h states the maths. The versions:
//   plain   one thread, one weight; any shape and type
//   mma     tensor cores, float and bf16: conv_weights_mma.cuh. The rule takes it from 16 pixels on
#include "kernels/cuda/conv_weights.h"

#include "kernels/arguments.h"
#include "kernels/cuda/conv_plain.cuh"
#include "kernels/cuda/conv_weights_mma.cuh"
#include "kernels/cuda/scratch.h"
#include "kernels/cuda/team.cuh"
#include "kernels/versions.h"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

// One thread, one weight: the products of all pairs of pixels that it joins, in the order of the
// output's pixels. The teaching rung: every pixel is read once per weight, from the caches at best.
template <class T>
__global__ void __launch_bounds__(kItemThreads)
    gradient_plain(PlainShape s, std::int64_t weights, const T* x, const T* dy, Acc<T>* dweight) {
  for (std::int64_t w = first_item(); w < weights; w += all_items()) {
    const std::int64_t i = w % s.group_in_c, tap = w / s.group_in_c % (s.kernel_h * s.kernel_w);
    const std::int64_t o = w / s.group_in_c / (s.kernel_h * s.kernel_w);
    const std::int64_t channel = o / s.group_out_c * s.group_in_c + i;
    Acc<T> sum = 0;
    for (std::int64_t p = 0; p < s.batch * s.out_rows * s.out_columns; ++p) {
      const std::int64_t n = p / (s.out_rows * s.out_columns);
      const std::int64_t row = p / s.out_columns % s.out_rows, column = p % s.out_columns;
      const std::int64_t h = row * s.stride_h + tap / s.kernel_w - s.pad_h;
      const std::int64_t v = column * s.stride_w + tap % s.kernel_w - s.pad_w;
      if (h < 0 || h >= s.in_h || v < 0 || v >= s.in_w) continue;
      const T in = x[((n * s.in_h + h) * s.in_w + v) * s.in_c + channel];
      sum = std::fma(plain_factor(in, s.products), plain_factor(dy[p * s.out_c + o], s.products),
                     sum);
    }
    dweight[w] = sum;
  }
}

enum Version { plain, mma };  // as kernels/versions.cpp has them

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

template <class Product>
std::size_t partial_bytes(const Conv2dShape& s) {
  if (!serves<Product>(s)) return 0;
  return with_block(s, [&]<class Block>() {
    const GradientPlan p = gradient_plan<Product, Block>(s);
    return p.splits > 1 ? padded_bytes<float>(p.splits * p.weights) : std::size_t(0);
  });
}

template <class Product>
void run_mma(Stream stream, const Conv2dShape& s, const typename Product::Element* x,
             const typename Product::Element* dy, float* dweight, Workspace workspace) {
  with_block(s, [&]<class Block>() {
    GradientPlan p = gradient_plan<Product, Block>(s);
    p.packed_x &= aligned_to_16(x);
    p.packed_dy &= aligned_to_16(dy);
    Scratch scratch(workspace, "conv2d_backward_weights: expected a larger workspace");
    float* partials = p.splits > 1 ? scratch.take<float>(p.splits * p.weights) : dweight;
    const dim3 grid(unsigned(p.splits), unsigned(p.channel_blocks * p.tap_blocks),
                    unsigned(p.row_blocks * p.sets));
    launch<&gradient_mma<Product, Block>>(
        {grid, dim3(Block::threads), std::size_t(p.shared_bytes), stream}, p, x, dy, partials);
    if (p.splits == 1) return;
    const auto blocks = unsigned((p.weights + kSumWeights - 1) / kSumWeights);
    launch<&sum_splits>({dim3(blocks), dim3(kSumWeights * kSumThreads), 0, stream}, p.weights,
                        p.splits, partials, dweight);
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

template <class T>
bool takes_mma(const Conv2dShape& s) {
  constexpr std::int64_t worth_it = 16;
  const int named = named_version("conv2d_backward_weights");
  bool served = false;
  if constexpr (Products<T>::any) served = serves<typename Products<T>::Exact>(s);
  require_argument(named != mma || served || s.batch == 0,
                   "conv2d_backward_weights: version mma expected float or bf16, and images that "
                   "fit its tiles",
                   s.input_size());
  const bool wanted = s.output_size() / s.out_c >= worth_it;
  return served && (named < 0 ? wanted : named == mma);
}

}  // namespace

template <class T>
std::size_t backward_weights_workspace_bytes(const Conv2dShape& s) {
  if constexpr (Products<T>::any) {
    return partial_bytes<typename Products<T>::Exact>(s);
  } else {
    return 0;
  }
}
template decltype(backward_weights_workspace_bytes<float>) backward_weights_workspace_bytes<float>;
template decltype(backward_weights_workspace_bytes<double>)
    backward_weights_workspace_bytes<double>;
template decltype(backward_weights_workspace_bytes<bf16>) backward_weights_workspace_bytes<bf16>;

}  // namespace EK_TARGET

template <class B, class T>
void conv2d_backward_weights(Stream stream, const Conv2dShape& s, const T* x, const T* dy,
                             Acc<T>* dweight, Workspace workspace) {
  using namespace EK_TARGET;
  check_shape(s, "conv2d_backward_weights");
  if (takes_mma<T>(s)) {
    if constexpr (Products<T>::any) {
      s.products == FloatProducts::tf32
          ? run_mma<typename Products<T>::Rounded>(stream, s, x, dy, dweight, workspace)
          : run_mma<typename Products<T>::Exact>(stream, s, x, dy, dweight, workspace);
    }
    return;
  }
  launch<&gradient_plain<T>>(for_items(s.weight_size(), stream), PlainShape(s), s.weight_size(), x,
                             dy, dweight);
}

using EK_TARGET::Backend;
template decltype(conv2d_backward_weights<Backend, float>) conv2d_backward_weights<Backend, float>;
template decltype(conv2d_backward_weights<Backend, double>)
    conv2d_backward_weights<Backend, double>;
template decltype(conv2d_backward_weights<Backend, bf16>) conv2d_backward_weights<Backend, bf16>;

}  // namespace ek::kernels
