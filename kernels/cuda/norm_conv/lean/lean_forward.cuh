#pragma once
// norm_conv_forward for the shapes of lean_tile.cuh: what conv_halo.cuh does with the prologue and
// the epilogue of conv_norm.cuh, in a third of the instructions. Pixels wait in registers, all of a
// batch asked for before the first is used; a channel's factors are computed once a block; and the
// statistics are taken of the sums where they are, in registers, by shuffles.
#include "kernels/cuda/conv/conv_halo.cuh"
#include "kernels/cuda/norm_conv/lean/lean_merge.cuh"
#include "kernels/cuda/norm_conv/lean/lean_run.cuh"

namespace ek::kernels::EK_TARGET {

template <class Tile>
struct LeanForwardShared {
  using T = typename Tile::T;
  static constexpr int stored_pitch = Tile::channels + kStoredPadding;
  static constexpr int stored_bytes = Tile::pixels * stored_pitch * int(sizeof(T));
  static constexpr int weight_at = Tile::pixel_bytes;
  static constexpr int loaded_bytes = Tile::pixel_bytes + Tile::weight_words * 4;
  // The outputs come where pixels and weights were.
  alignas(16)
      SharedArray<unsigned char, (stored_bytes > loaded_bytes ? stored_bytes : loaded_bytes)> bytes;
  alignas(16) SharedArray<float, Tile::pieces * kPieceChannels<T>> mean, scale, beta;
  alignas(16) SharedArray<float, Tile::warps_h * Tile::channels> sums, squares;
};

// The activation of a piece, rounded once; a NaN passes the ReLU.
template <class T, int N>
__device__ __forceinline__ Pack<T, N> lean_activation(const Pack<T, N>& y, const Pack<T, N>* added,
                                                      const NormChannels<N>& of) {
  Pack<float, N> v;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    v.values[i] = (widened(y.values[i]) - of.mean[i]) * of.scale[i] + of.beta[i];
    if (added) v.values[i] += widened(added->values[i]);
  }
  Pack<T, N> act;
  if constexpr (std::is_same_v<T, bf16>) {
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      const auto both = std::bit_cast<Pack<bf16, 2>>(relu_to_bf16x2(v.values[i], v.values[i + 1]));
      act.values[i] = both.values[0];
      act.values[i + 1] = both.values[1];
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) act.values[i] = v.values[i] < 0 ? 0.0f : v.values[i];
  }
  return act;
}

// Pixels to shared memory, normalised and rounded; act to its owner's place.
template <class Atom, bool kShortcut, class Tile, class Shared, class T>
__device__ __forceinline__ void load_lean_pixels(const Tile& tile, const LeanForward<T>& in,
                                                 Shared& shared) {
  // Where four blocks are resident a thread has 128 registers.
  constexpr int most = kShortcut && Tile::m == 4 ? 4 : 7;
  constexpr int n = kPieceChannels<T>, batches = (Tile::own + most - 1) / most;
  constexpr int at_once = (Tile::own + batches - 1) / batches;
  const T* const y = in.input.y + tile.origin;
  const T* const shortcut = kShortcut ? in.input.shortcut + tile.origin : nullptr;
  T* const act = in.act && blockIdx.y == 0 ? in.act + tile.origin : nullptr;
  NormChannels<n> of;
#pragma unroll
  for (int first = 0; first < Tile::own; first += at_once) {
    Piece<T> loaded[at_once] = {}, added[at_once] = {};
#pragma unroll
    for (int i = 0; i < at_once; ++i) {
      if (first + i >= Tile::own) continue;
      const auto place = tile.place(first + i);
      if (!place.inside) continue;
      loaded[i] = load_pack<n>(y + place.at);
      if constexpr (kShortcut) added[i] = load_pack<n>(shortcut + place.at);
    }
    if (first == 0) {  // while the first batch is on its way
      if (const int c = int(threadIdx.x); c < Tile::pieces * n) {
        NormChannels<1> one;
        one.load(in.input, in.eps, c);
        shared.mean[c] = one.mean[0];
        shared.scale[c] = one.scale[0];
        shared.beta[c] = one.beta[0];
      }
      __syncthreads();
      const auto mean = load_pack<n>(&shared.mean[Tile::channel()]),
                 scale = load_pack<n>(&shared.scale[Tile::channel()]),
                 beta = load_pack<n>(&shared.beta[Tile::channel()]);
#pragma unroll
      for (int i = 0; i < n; ++i) {
        of.mean[i] = mean.values[i];
        of.scale[i] = scale.values[i];
        of.beta[i] = beta.values[i];
      }
    }
#pragma unroll
    for (int i = 0; i < at_once; ++i) {
      if (first + i >= Tile::own) continue;
      const auto place = tile.place(first + i);
      if (!place.in_halo) continue;
      Piece<T> values = {};
      if (place.inside) {
        values = lean_activation(loaded[i], kShortcut ? &added[i] : nullptr, of);
        if (place.owned && act) store_pack<n>(act + place.at, values);
        round_piece<Atom>(values);
      }
      store_vec(&shared.bytes[place.pixel * Tile::pitch + Tile::channel() * int(sizeof(T))],
                values);
    }
  }
}

// Over the lanes that share a channel: those of equal lane % 4.
__device__ __forceinline__ float sum_of_rows(float x) {
#pragma unroll
  for (int distance = 4; distance < 32; distance *= 2) {
    x += __shfl_xor_sync(0xFFFFFFFF, x, distance);
  }
  return x;
}

template <class T, int Size, int C>
constexpr int kLeanResident = C == 16   ? 4
                              : C == 32 ? 3
                                        : 1;
template <int Size, int C>
constexpr int kLeanResident<float, Size, C> = C == 16   ? 3
                                              : C == 32 ? 2
                                                        : 1;

// Grid: x tiles, y tiles of channels.
template <class Atom, int Size, int C, bool kShortcut>
__global__ void __launch_bounds__((LeanTile<Atom, Size, C>::threads),
                                  (kLeanResident<typename Atom::Element, Size, C>))
    norm_conv_lean(LeanForward<typename Atom::Element> in) {
  using T = typename Atom::Element;
  using Tile = LeanTile<Atom, Size, C>;
  using Shared = LeanForwardShared<Tile>;
  constexpr int m = Tile::m, n = Tile::n;
  Shared& shared = shared_memory<Shared>();
  const Tile tile(blockIdx.x);
  const int lane = int(threadIdx.x) % 32, of_block = int(threadIdx.x) / 32;
  const int warp = of_block % Tile::warps_h, of_channels = of_block / Tile::warps_h;

  auto* const weights = reinterpret_cast<std::uint32_t*>(&shared.bytes[Shared::weight_at]);
  const std::uint32_t* const pack = in.pack + blockIdx.y * Tile::weight_words;
#pragma unroll
  for (int i = 0; i < Tile::weight_words / 4; i += Tile::threads) {
    const int word = (i + int(threadIdx.x)) * 4;
    if (word < Tile::weight_words) cp_async_16(weights + word, pack + word);
  }
  cp_async_commit();
  load_lean_pixels<Atom, kShortcut>(tile, in, shared);
  cp_async_wait<0>();
  __syncthreads();

  FragmentSums sums[m][n] = {};
  const int column = lane % kTileColumns;
  const unsigned char* const pixels =
      &shared.bytes[(warp * m * Tile::row_pixels + column / Tile::columns * Tile::image_columns +
                     column % Tile::columns) *
                        Tile::pitch +
                    lane / 16 * 16];
#pragma unroll 1
  for (int k = 0; k < Tile::steps; ++k) {
    multiply_3x3<Atom>(pixels + k * kStepBytes, Tile::pitch, Tile::row_bytes,
                       weights + of_channels * Tile::warp_words + k * 9 * kFragmentWords,
                       Tile::steps * 9 * kFragmentWords, m, sums);
  }

  // As stored, and the sums of that; a thread's channels are 8 j + 2 (lane % 4) and the next one.
  Pack<T, 2> stored[m][2 * n][2];
  float of_channel[2 * n][2] = {};
#pragma unroll
  for (int row = 0; row < m; ++row) {
#pragma unroll
    for (int j = 0; j < 2 * n; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float* const pair = &sums[row][j / 2][j % 2][half * 2];
        stored[row][j][half] = narrowed_pack<T>(Pack<float, 2>{{pair[0], pair[1]}});
        of_channel[j][0] += widened(stored[row][j][half].values[0]);
        of_channel[j][1] += widened(stored[row][j][half].values[1]);
      }
    }
  }
  const int own_channel = of_channels * Tile::warp_channels + lane % 4 * 2;
  const auto to_warps = [&](SharedArray<float, Tile::warps_h * Tile::channels>& to) {
#pragma unroll
    for (int j = 0; j < 2 * n; ++j) {
      const Pack<float, 2> both{{sum_of_rows(of_channel[j][0]), sum_of_rows(of_channel[j][1])}};
      if (lane < 4) store_vec(&to[warp * Tile::channels + j * 8 + own_channel], both);
    }
  };
  const auto over_warps = [&](const SharedArray<float, Tile::warps_h * Tile::channels>& of, int c) {
    const float two = of[c] + of[Tile::channels + c];
    if constexpr (Tile::warps_h == 2) {
      return two;
    } else {
      return two + (of[2 * Tile::channels + c] + of[3 * Tile::channels + c]);
    }
  };
  to_warps(shared.sums);
  __syncthreads();  // and nobody reads pixels any more

  constexpr float share = 1.0f / Tile::pixels;
  T* const values = reinterpret_cast<T*>(&shared.bytes[0]);
#pragma unroll
  for (int j = 0; j < 2 * n; ++j) {
    const int c = j * 8 + own_channel;
    const float mean[2] = {over_warps(shared.sums, c) * share,
                           over_warps(shared.sums, c + 1) * share};
    of_channel[j][0] = of_channel[j][1] = 0;
#pragma unroll
    for (int row = 0; row < m; ++row) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const float d = widened(stored[row][j][half].values[i]) - mean[i];
          of_channel[j][i] += d * d;
        }
        const int pixel = (warp * m + row) * kTileColumns + lane / 4 + half * 8;
        store_vec(values + pixel * Shared::stored_pitch + c, stored[row][j][half]);
      }
    }
  }
  to_warps(shared.squares);
  __syncthreads();

  constexpr int size = kPieceChannels<T>, out_pieces = Tile::channels / size;
  constexpr int apart = Tile::threads / out_pieces, own = Tile::pixels / apart;
  static_assert(apart % kTileColumns == 0 && Tile::pixels % apart == 0);
  const int first = int(threadIdx.x) / out_pieces, of_pixel = int(threadIdx.x) % out_pieces * size;
  const int x = first % kTileColumns;
  T* const out =
      in.out + tile.origin + blockIdx.y * Tile::channels +
      ((x / Tile::columns * Size + first / kTileColumns) * Size + x % Tile::columns) * C + of_pixel;
#pragma unroll
  for (int i = 0; i < own; ++i) {
    store_vec(out + i * (apart / kTileColumns) * Size * C,
              load_vec<Piece<T>>(values + (first + i * apart) * Shared::stored_pitch + of_pixel));
  }
  const int c = int(threadIdx.x);
  if (c < Tile::channels) {
    in.pairs[blockIdx.x * C + blockIdx.y * Tile::channels + c] = {
        over_warps(shared.sums, c) * share, over_warps(shared.squares, c)};
  }
  if (!last_of(launch_tickets() + blockIdx.y, gridDim.x)) return;
  merge_lean<C, Tile::channels, Tile::pixels, Tile::threads>(
      in.pairs, int(blockIdx.y) * Tile::channels, int(gridDim.x), in.rule);
}

template <class Atom, class T>
void norm_convolve_lean(Stream stream, const Conv2dShape& s, const LeanForward<T>& in) {
  with_lean_shape(s, [&]<class Shape>() {
    using Tile = LeanTile<Atom, Shape::size, Shape::channels>;
    using Shared = LeanForwardShared<Tile>;
    const auto tiles = unsigned(Tile::tiles(s.batch));
    const Launch shape{dim3(tiles, Tile::column_tiles), dim3(Tile::threads), sizeof(Shared),
                       stream};
    if (in.input.shortcut) {
      launch<&norm_conv_lean<Atom, Shape::size, Shape::channels, true>>(shape, in);
    } else {
      launch<&norm_conv_lean<Atom, Shape::size, Shape::channels, false>>(shape, in);
    }
  });
}

}  // namespace ek::kernels::EK_TARGET
