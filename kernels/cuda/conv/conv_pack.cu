// Packs of convolution weights, one by one: conv_pack.cuh has the layout. Many at a time are
// weight_packs.cu's.
#include <algorithm>

#include "kernels/base/arguments.h"
#include "kernels/cuda/optim/weight_packs.cuh"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 1 << 16;

// One thread, one word of the pack.
template <class T>
__global__ void __launch_bounds__(kThreads)
    conv_pack(PackLayout l, FloatProducts products, const float* ohwi, std::uint32_t* pack) {
  const std::int64_t step = std::int64_t(gridDim.x) * kThreads;
  for (std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
       i < l.fragments() * kFragmentWords; i += step) {
    pack[i] = pack_word<T>(l, products, ohwi, i);
  }
}

}  // namespace
}  // namespace EK_TARGET

// Passes without a pack, and float64, whose plain kernels read the OHWI weights: 0.
template <class B, class T>
std::size_t conv2d_pack_bytes(const Conv2dShape& s, Conv2dPass pass) {
  using namespace EK_TARGET;
  check_shape(s, "conv2d_pack");
  if (std::is_same_v<T, double> || pass == Conv2dPass::backward_weights) return 0;
  const PackLayout layout(s, pass == Conv2dPass::backward_data, kStepChannels<T>);
  return std::size_t(layout.fragments()) * kFragmentWords * sizeof(std::uint32_t);
}

template <class B, class T>
void conv2d_pack(Stream stream, const Conv2dShape& s, Conv2dPass pass, const Acc<T>* ohwi,
                 void* pack) {
  using namespace EK_TARGET;
  const std::size_t bytes = conv2d_pack_bytes<B, T>(s, pass);
  require_argument(bytes > 0, "conv2d_pack: a pass and a type that read a pack expected",
                   std::int64_t(pass));
  if constexpr (!std::is_same_v<T, double>) {
    const PackLayout layout(s, pass == Conv2dPass::backward_data, kStepChannels<T>);
    const std::int64_t blocks =
        std::min((layout.fragments() * kFragmentWords + kThreads - 1) / kThreads, kMostBlocks);
    launch<&conv_pack<T>>({dim3(unsigned(blocks)), dim3(kThreads), 0, stream}, layout, s.products,
                          ohwi, static_cast<std::uint32_t*>(pack));
  }
}

using EK_TARGET::Backend;
template decltype(conv2d_pack_bytes<Backend, float>) conv2d_pack_bytes<Backend, float>;
template decltype(conv2d_pack_bytes<Backend, double>) conv2d_pack_bytes<Backend, double>;
template decltype(conv2d_pack_bytes<Backend, bf16>) conv2d_pack_bytes<Backend, bf16>;
template decltype(conv2d_pack<Backend, float>) conv2d_pack<Backend, float>;
template decltype(conv2d_pack<Backend, double>) conv2d_pack<Backend, double>;
template decltype(conv2d_pack<Backend, bf16>) conv2d_pack<Backend, bf16>;

}  // namespace ek::kernels
