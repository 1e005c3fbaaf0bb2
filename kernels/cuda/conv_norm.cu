// The fused norm_conv_forward: conv_norm.h. Its kernel is conv_halo.cuh with the prologue and the
// epilogue of conv_norm.cuh; here the statistics of the tiles are merged.
#include "kernels/cuda/conv_norm.h"

#include <algorithm>

#include "kernels/arguments.h"
#include "kernels/cuda/conv_halo_plan.cuh"
#include "kernels/cuda/conv_norm_run.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

constexpr int kThreads = 128;

// One warp, one channel: a lane merges every 32nd tile in order, then a tree over the lanes, by
// Chan's formula and in double.
__global__ void __launch_bounds__(kThreads)
    merge_moments(std::int64_t tiles, int channels, const TileMoments* moments, const int* counts,
                  float* mean, float* var) {
  const int lane = int(threadIdx.x) % 32;
  const int c = int(blockIdx.x) * (kThreads / 32) + int(threadIdx.x) / 32;
  if (c >= channels) return;
  double count = 0, of_mean = 0, m2 = 0;
  const auto merge = [&](double more, double more_mean, double more_m2) {
    if (more == 0) return;
    const double delta = more_mean - of_mean, share = more / (count + more);
    of_mean += delta * share;
    m2 += more_m2 + delta * delta * count * share;
    count += more;
  };
  for (std::int64_t tile = lane; tile < tiles; tile += 32) {
    const auto of = load_vec<TileMoments>(moments + tile * channels + c);
    merge(counts[tile], of.mean, of.m2);
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    const double more = __shfl_down_sync(0xFFFFFFFF, count, distance);
    const double more_mean = __shfl_down_sync(0xFFFFFFFF, of_mean, distance);
    const double more_m2 = __shfl_down_sync(0xFFFFFFFF, m2, distance);
    merge(more, more_mean, more_m2);
  }
  if (lane == 0) {
    mean[c] = float(of_mean);
    var[c] = float(m2 / count);
  }
}

template <class T>
ConvProblem problem_of(const NormConvShape& shape, const T* y, const T* out) {
  return conv_problem<T>(shape.conv, false, y, nullptr, out);
}

// The moments of the tiles, then their counts.
struct Partials {
  std::int64_t tiles, channels;
  std::size_t moments_bytes() const { return std::size_t(tiles * channels) * sizeof(TileMoments); }
  std::size_t bytes() const { return moments_bytes() + std::size_t(tiles) * sizeof(int); }
};

template <class T>
Partials partials_of(const NormConvShape& shape) {
  const ConvProblem p = problem_of<T>(shape, nullptr, nullptr);
  return {halo_plan<T>(p, 1).tiles(), shape.conv.out_c};
}

}  // namespace

template <class T>
bool fuses_norm_conv(const NormConvShape& shape, bool kept) {
  const ConvProblem p = problem_of<T>(shape, nullptr, nullptr);
  return halo_plan<T>(p, 1).shared_bytes <= kMostSharedBytes &&
         (!kept || !shape.normalizes || covers_input(p));
}

template <class T>
std::size_t fused_norm_conv_workspace_bytes(const NormConvShape& shape) {
  return partials_of<T>(shape).bytes();
}

template <class T>
void fused_norm_conv_forward(Stream stream, const NormConvShape& shape,
                             const NormConvInput<T>& input, ConvPack weight,
                             const NormConvOutput<T>& output, Workspace workspace) {
  const Conv2dShape& s = shape.conv;
  check_shape(s, "norm_conv_forward");
  const bool statistics = output.out_mean != nullptr;
  require_argument(s.batch > 0 || !statistics,
                   "norm_conv_forward: images for their statistics expected", s.batch);
  if (s.batch == 0) return;
  require_argument(fuses_norm_conv<T>(shape, output.act != nullptr),
                   "norm_conv_forward, fused: a shape that fuses_norm_conv names expected",
                   s.kernel_h);
  const Partials partials = partials_of<T>(shape);
  require_argument(!statistics || workspace.bytes >= partials.bytes(),
                   "norm_conv_forward, fused: a larger workspace expected",
                   std::int64_t(workspace.bytes));
  auto* moments = statistics ? static_cast<TileMoments*>(workspace.data) : nullptr;
  auto* counts = reinterpret_cast<int*>(static_cast<std::byte*>(workspace.data) +
                                        (statistics ? partials.moments_bytes() : 0));
  const ConvProblem p = problem_of<T>(shape, input.y, output.out);
  NormPrologue<T> prologue{input, float(shape.eps), shape.relu, shape.normalizes, output.act};
  // Vectors, for the tensors that the prologue meets as well.
  ConvProblem aligned = p;
  aligned.in_vectors = p.in_vectors && aligned_to_16(input.shortcut, output.act);
  const ConvSources<T> sources{
      {input.y, static_cast<const std::uint32_t*>(weight.data)}, {nullptr, nullptr}, 1};
  const MomentsEpilogue epilogue{moments, counts, int(s.out_c)};
  if constexpr (std::is_same_v<T, bf16>) {
    norm_convolve<Bf16Atom>(stream, aligned, sources, output.out, prologue, epilogue);
  } else if (s.products == FloatProducts::tf32) {
    norm_convolve<Tf32Atom>(stream, aligned, sources, output.out, prologue, epilogue);
  } else {
    norm_convolve<SplitAtom>(stream, aligned, sources, output.out, prologue, epilogue);
  }
  if (!statistics) return;
  launch<&merge_moments>({dim3(unsigned((s.out_c + 3) / 4)), dim3(kThreads), 0, stream},
                         partials.tiles, int(s.out_c), moments, counts, output.out_mean,
                         output.out_var);
}

template decltype(fuses_norm_conv<float>) fuses_norm_conv<float>;
template decltype(fuses_norm_conv<bf16>) fuses_norm_conv<bf16>;
template decltype(fused_norm_conv_workspace_bytes<float>) fused_norm_conv_workspace_bytes<float>;
template decltype(fused_norm_conv_workspace_bytes<bf16>) fused_norm_conv_workspace_bytes<bf16>;
template decltype(fused_norm_conv_forward<float>) fused_norm_conv_forward<float>;
template decltype(fused_norm_conv_forward<bf16>) fused_norm_conv_forward<bf16>;

}  // namespace ek::kernels::EK_TARGET
