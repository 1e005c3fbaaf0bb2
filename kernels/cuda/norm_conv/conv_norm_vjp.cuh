#pragma once
// The cotangents of norm_conv's input on the convolution of conv_halo.cuh, run backward: a prologue
// that adds to the cotangent of the output what comes through its statistics, and an epilogue that
// takes the gradient of the activation through ReLU and normalisation while it is in shared memory.
#include "kernels/cuda/norm_conv/conv_norm.cuh"

namespace ek::kernels::EK_TARGET {

// dout + dmean / rows + 2 dvar (out - mean) / rows, as channel_stats_vjp computes and rounds it;
// dout alone where the statistics have no cotangent. Its owner stores it where `stored` is not
// null, for a weight gradient in a launch of its own to read.
template <class T>
struct StatsPrologue {
  static constexpr bool kIdentity = false;
  static constexpr int kWidth = kPieceChannels<T>, kResidentBlocks = 4;
  const T* out;  // null: no statistics
  const float *mean, *dmean, *dvar;
  float share;  // 1 / rows
  T* stored;

  template <int N>
  struct Channels {
    float mean[N], constant[N], slope[N];
  };

  template <int N>
  __device__ Channels<N> channels(int, int channel) const {
    Channels<N> of = {};
    if (out == nullptr) return of;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      of.mean[i] = mean[channel + i];
      of.constant[i] = of_channel(dmean, channel + i) * share;
      of.slope[i] = 2 * of_channel(dvar, channel + i) * share;
    }
    return of;
  }
  template <int N>
  __device__ void operator()(const Channels<N>& of, Pack<T, N>& values, std::int64_t at, int,
                             bool owned) const {
    if (out == nullptr) return;
    add(of, values, load_pack<N>(out + at));
    if (owned && stored) store_pack<N>(stored + at, values);
  }
  template <int N>
  __device__ static void add(const Channels<N>& of, Pack<T, N>& values, const Pack<T, N>& of_out) {
    Pack<float, N> sum;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      sum.values[i] = widened(values.values[i]) +
                      (of.constant[i] + of.slope[i] * (widened(of_out.values[i]) - of.mean[i]));
    }
    values = narrowed_pack<T>(sum);
  }
};

// From the sums of g and of g (y - mean), as norm_act_vjp has it.
struct MergeCotangentSums : MergeSums {
  const float *var, *gamma;
  double eps;
  float *dmean, *dvar, *dgamma, *dbeta;

  __device__ void finish(int c, double, double, const double (&sums)[2]) const {
    const double r = 1 / std::sqrt(double(var[c]) + eps);
    const double scale = double(gamma[c]) * r, of_gamma = r * sums[1];
    dbeta[c] = float(sums[0]);
    dgamma[c] = float(of_gamma);
    dmean[c] = float(-scale * sums[0]);
    dvar[c] = float(-0.5 * scale * r * of_gamma);
  }
};

// With d the gradient of the activation that the tile holds, rounded to T:
//
//   g = mask (d + dact)     mask = act > 0 (1 without ReLU), act as stored
//   dshortcut = g     dy = gamma g / sqrt(var + eps)
//
// and of each channel the sums of g and of g (y - mean) over the tile, from which the last block
// makes the cotangents of mean, var, gamma and beta. A thread stays with its piece of channels: it
// sums in registers over its pixels, in order; then come the lanes of a warp, in a tree, and the
// warps.
template <class T>
struct ActivationEpilogue : TilePairs {
  static constexpr bool kIdentity = false, kStores = true;
  static constexpr int kMostChannels = 32;  // of a tile
  MergeCotangentSums rule;
  NormConvInput<T> input;
  const T* act;   // null: computed again from y
  const T* dact;  // null: zero
  T *dy, *dshortcut;
  float eps;
  bool relu, vectors;

  struct WarpSums {
    SharedArray<float, kHaloWarps * kMostChannels> first, second;
  };

  // What is read of a pixel beside the tile. The mask's is act, or the shortcut that it takes to
  // compute act again.
  template <int N>
  struct Loaded {
    Pack<T, N> y, of_mask, more;
  };
  template <int N>
  __device__ Loaded<N> load(std::int64_t at) const {
    Loaded<N> loaded = {};
    loaded.y = load_pack<N>(input.y + at);
    const T* const of_mask = act ? act : input.shortcut;
    if (relu && of_mask) loaded.of_mask = load_pack<N>(of_mask + at);
    if (dact) loaded.more = load_pack<N>(dact + at);
    return loaded;
  }

  // N elements of a pixel, at element `at`: stores dy and dshortcut, and adds to the sums.
  template <int N>
  __device__ void add(const NormChannels<N>& of, const Loaded<N>& loaded, const T* gradient,
                      std::int64_t at, float* first, float* second) const {
    Pack<T, N> mask = loaded.of_mask;
    if (relu && act == nullptr) {
      Pack<float, N> added;
#pragma unroll
      for (int i = 0; i < N; ++i) added.values[i] = widened(loaded.of_mask.values[i]);
      mask = of.activation(loaded.y, added, true);
    }
    const Pack<T, N> d = load_pack<N>(gradient);
    Pack<float, N> to_y, to_shortcut;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const bool passes = !relu || widened(mask.values[i]) > 0;
      const float g = passes ? widened(d.values[i]) + widened(loaded.more.values[i]) : 0.0f;
      first[i] += g;
      second[i] += g * (widened(loaded.y.values[i]) - of.mean[i]);
      to_y.values[i] = of.scale[i] * g;
      to_shortcut.values[i] = g;
    }
    store_pack<N>(dy + at, narrowed_pack<T>(to_y));
    if (dshortcut) store_pack<N>(dshortcut + at, narrowed_pack<T>(to_shortcut));
  }

  // The tile's channels c .. c + N of every pixel that is the thread's. Loads of several pixels are
  // on their way together: stores, which might lie on what is read, would hold them back.
  template <int N>
  __device__ void add_pixels(const StoredTile<T>& tile, int pieces, int c, float* first,
                             float* second) const {
    constexpr int at_once = 16 / kPieceChannels<T>;
    NormChannels<N> of;
    of.load(input, eps, tile.first_channel + c);
    const int apart = kHaloThreads / pieces;
    for (int pixel = int(threadIdx.x) / pieces; pixel < tile.pixels; pixel += at_once * apart) {
      Loaded<N> loaded[at_once] = {};
      std::int64_t at[at_once];
#pragma unroll
      for (int i = 0; i < at_once; ++i) {
        const int one = pixel + i * apart;
        at[i] = one < tile.pixels && tile.exists(one) ? tile.at(one) + c : -1;
        if (at[i] >= 0) loaded[i] = load<N>(at[i]);
      }
#pragma unroll
      for (int i = 0; i < at_once; ++i) {
        if (at[i] < 0) continue;
        const T* const gradient = tile.values + (pixel + i * apart) * tile.pitch + c;
        add(of, loaded[i], gradient, at[i], first, second);
      }
    }
  }

  __device__ void operator()(const StoredTile<T>& tile) const {
    constexpr int size = kPieceChannels<T>;
    EK_SHARED(sums, WarpSums);
    const int pieces = tile.width / size, c = int(threadIdx.x) % pieces * size;
    float first[size] = {}, second[size] = {};
    if (vectors && c < tile.channels) {
      add_pixels<size>(tile, pieces, c, first, second);
    } else {
#pragma unroll
      for (int i = 0; i < size; ++i) {
        if (c + i < tile.channels) add_pixels<1>(tile, pieces, c + i, first + i, second + i);
      }
    }
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
#pragma unroll
    for (int i = 0; i < size; ++i) {
      for (int distance = 16; distance >= pieces; distance /= 2) {
        first[i] += __shfl_down_sync(0xFFFFFFFF, first[i], distance);
        second[i] += __shfl_down_sync(0xFFFFFFFF, second[i], distance);
      }
      if (lane >= pieces) continue;
      sums.first[warp * kMostChannels + c + i] = first[i];
      sums.second[warp * kMostChannels + c + i] = second[i];
    }
    __syncthreads();
    const int own = int(threadIdx.x);
    float total[2] = {0, 0};
    for (int i = 0; i < kHaloWarps && own < tile.width; ++i) {
      total[0] += sums.first[i * kMostChannels + own];
      total[1] += sums.second[i * kMostChannels + own];
    }
    store(tile, total[0], total[1]);
    merge(tile, rule);
  }
};

}  // namespace ek::kernels::EK_TARGET
