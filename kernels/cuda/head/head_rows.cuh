#pragma once
// The fused kernels of the classification head, for float32 and bf16 images: a team, a warp or a
// block of threads, works on one sample from its pixels to its loss, or on one class, and keeps
// sums and logits in shared memory.
#include "kernels/cuda/base/add_rows.cuh"
#include "kernels/cuda/softmax_row.cuh"
#include "kernels/head.h"

namespace ek::kernels::EK_TARGET {

struct FusedShape : HeadShape {
  float scale;  // 1 / pixels, which the host divides
  explicit FusedShape(const HeadShape& s) : HeadShape(s), scale(1.0f / float(s.pixels)) {}
};

// What a team keeps of its sample.
template <class TeamType>
struct HeadRow {
  // Of add_rows, whose parts have at most 8 columns a thread; then the features.
  static constexpr int most_channels = TeamType::threads > 128 ? 8 * TeamType::threads : 1024;
  static constexpr int most_classes = 32 * TeamType::threads;
  alignas(16) SharedArray<float, most_channels> sums;
  SharedArray<float, most_classes> logits;
};
template <class TeamType>
struct HeadRows {
  HeadRow<TeamType> of_team[TeamType::teams_per_block];
};

// Adds the N values at `from`, times `factor`.
template <int N, class T>
__device__ void add_pack(Pack<float, N>& sum, float factor, const T* from) {
  const Pack<T, N> pack = load_pack<N>(from);
#pragma unroll
  for (int j = 0; j < N; ++j)
    sum.values[j] = std::fma(factor, widened(pack.values[j]), sum.values[j]);
}

// The mean over the pixels of one image, 0 where that is null: to `sums`, and to `features` in
// global memory.
template <class TeamType, class T>
__device__ void mean_of_pixels(const FusedShape& s, const T* image, float* sums, float* features) {
  constexpr int N = 16 / int(sizeof(T));
  const int channels = int(s.channels);
  const float scale = s.scale;
  add_rows<TeamType, N>(
      image ? s.pixels : 0, channels, sums,
      [=](std::int64_t pixel, int c, Pack<float, N>& sum) {
        add_pack<N>(sum, 1.0f, image + pixel * channels + c);
      },
      [=](int c, float total) { features[c] = sums[c] = total * scale; });
}

// By fused multiply-adds in the order of the channels, as gemm.cu's kernels for float add.
__device__ inline float inner_product(const float* a, const float* b, int channels) {
  float sum = 0;
  for (int c = 0; c < channels; c += 4) {
    const Pack<float, 4> x = load_pack<4>(a + c), y = load_pack<4>(b + c);
#pragma unroll
    for (int j = 0; j < 4; ++j) sum = std::fma(x.values[j], y.values[j], sum);
  }
  return sum;
}

// Without the second bound the compiler spills registers to fit more blocks than there is shared
// memory for.
template <class TeamType, class T>
__global__ void __launch_bounds__(TeamType::block_threads, 512 / TeamType::block_threads)
    forward_fused(FusedShape s, const T* x, HeadWeights<float> weights, SoftmaxLoss<float> loss,
                  math::SoftmaxShares<float> shares, bool with_loss, float* features, float* logits,
                  SoftmaxLossOutputs<float> out) {
  HeadRow<TeamType>& mine = shared_memory<HeadRows<TeamType>>().of_team[TeamType::place()];
  const int channels = int(s.channels), classes = int(s.classes);
  const std::int64_t i = TeamType::first_row();
  if (i >= s.batch) return;
  mean_of_pixels<TeamType>(s, x + i * s.pixels * channels, &mine.sums[0], features + i * channels);
  for (int k = TeamType::rank(); k < classes; k += TeamType::threads) {
    const float z =
        inner_product(&mine.sums[0], weights.weight + std::int64_t(k) * channels, channels);
    mine.logits[k] = weights.bias ? z + weights.bias[k] : z;
    logits[i * classes + k] = mine.logits[k];
  }
  TeamType::sync();
  if (with_loss) {
    check_label(loss, i);
    auto row = math::softmax_row(loss, shares, logits, i);
    row.logits = &mine.logits[0];
    team_softmax_loss<TeamType>(loss, shares, row, i, out);
  }
}

// A team, a sample: its feature gradient, and that spread over its pixels.
template <class TeamType, class T>
__global__ void __launch_bounds__(TeamType::block_threads)
    backward_fused(FusedShape s, const float* weight, const float* dlogits, float* dfeatures,
                   T* dx) {
  constexpr int N = 16 / int(sizeof(T));
  HeadRow<TeamType>& mine = shared_memory<HeadRows<TeamType>>().of_team[TeamType::place()];
  float* sums = &mine.sums[0];
  const int channels = int(s.channels), packs = channels / N;
  const float scale = s.scale;
  const std::int64_t i = TeamType::first_row();
  if (i >= s.batch) return;
  add_rows<TeamType, 4>(
      s.classes, channels, sums,
      [=](std::int64_t k, int c, Pack<float, 4>& sum) {
        add_pack<4>(sum, dlogits[i * s.classes + k], weight + k * channels + c);
      },
      [=](int c, float total) {
        dfeatures[i * channels + c] = total;
        sums[c] = scale * total;
      });
  if (!dx) return;
  T* image = dx + i * s.pixels * channels;
  for (std::int64_t j = TeamType::rank(); j < s.pixels * packs; j += TeamType::threads) {
    store_pack<N>(image + j * N, narrowed_pack<T>(load_pack<N>(sums + j % packs * N)));
  }
}

// A team, a class: its row of the weight gradient, summed over the batch.
template <class TeamType>
__global__ void __launch_bounds__(TeamType::block_threads)
    weight_gradients_fused(FusedShape s, const float* features, const float* dlogits,
                           float* dweight, float* dbias) {
  HeadRow<TeamType>& mine = shared_memory<HeadRows<TeamType>>().of_team[TeamType::place()];
  const int channels = int(s.channels);
  const std::int64_t k = TeamType::first_row();
  if (k >= s.classes) return;
  add_rows<TeamType, 4>(
      s.batch, channels, &mine.sums[0],
      [=](std::int64_t i, int c, Pack<float, 4>& sum) {
        add_pack<4>(sum, dlogits[i * s.classes + k], features + i * channels + c);
      },
      [=](int c, float total) { dweight[k * channels + c] = total; });
  if (!dbias) return;
  float sum = 0;
  for (std::int64_t i = TeamType::rank(); i < s.batch; i += TeamType::threads) {
    sum += dlogits[i * s.classes + k];
  }
  sum = TeamType::template reduce<Sum>(sum);
  if (TeamType::rank() == 0) dbias[k] = sum;
}

template <class TeamType, class T>
__global__ void __launch_bounds__(TeamType::block_threads)
    jvp_fused(FusedShape s, const float* weight, const float* features, const float* dlogits,
              HeadTangents<T> tangents, HeadTangentOutputs<T> out) {
  HeadRow<TeamType>& mine = shared_memory<HeadRows<TeamType>>().of_team[TeamType::place()];
  const int channels = int(s.channels), classes = int(s.classes);
  const float *along_weight = tangents.weights.weight, *along_bias = tangents.weights.bias;
  const std::int64_t i = TeamType::first_row();
  if (i >= s.batch) return;
  const T* image = tangents.x ? tangents.x + i * s.pixels * channels : nullptr;
  mean_of_pixels<TeamType>(s, image, &mine.sums[0], out.features + i * channels);
  float slope = 0;
  for (int k = TeamType::rank(); k < classes; k += TeamType::threads) {
    const std::int64_t row = std::int64_t(k) * channels;
    float z = inner_product(&mine.sums[0], weight + row, channels);
    if (along_weight) z += inner_product(features + i * channels, along_weight + row, channels);
    if (along_bias) z += along_bias[k];
    out.logits[i * classes + k] = z;
    if (dlogits) slope += dlogits[i * classes + k] * z;
  }
  if (!dlogits) return;
  slope = TeamType::template reduce<Sum>(slope);
  if (TeamType::rank() == 0) out.slopes[i] = slope;
}

}  // namespace ek::kernels::EK_TARGET
