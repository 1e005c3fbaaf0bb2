#pragma once
// The convolution on tensor cores in its simplest form: a matrix product of pixels by channels
// whose left factor is never in memory (implicit GEMM). A block computes 128 outputs x up to 64
// channels; it gathers, for four k-steps at a time, what each output reads at the step's tap into
// shared memory, two tiles in turn. Weights come straight from the pack. It serves every shape:
// outputs are numbered through, so images and tiles need not match. What it teaches the next
// version: each pixel is fetched once for every tap.
#include "kernels/cuda/conv/conv_pieces.cuh"
#include "kernels/cuda/conv/conv_problem.cuh"

namespace ek::kernels::EK_TARGET {

struct MmaTile {
  static constexpr int kThreads = 128, kOutputs = 128, kBlocks = 4;  // blocks of 16 channels
  static constexpr int kSteps = 4;                                   // k-steps at a time
  static constexpr int kPieces = kSteps * kStepBytes / 16;           // of a row
  static constexpr int kPitch = kSteps * kStepBytes + 16;
  static constexpr int kRowsApart = kThreads / kPieces;  // a thread's rows of the tile

  struct Row {             // of an output
    std::int64_t in, out;  // its image, its first channel: elements from the start
    int h, w;              // where its first tap reads; far outside for none
  };
  Row rows[kOutputs];
  alignas(16) unsigned char values[2][kOutputs * kPitch];
};

// A k-step of all sources: number `index` of steps x taps each.
struct MmaStep {
  int source, step, tap, h, w;  // the tap in the pack, and its place from the first one

  __device__ MmaStep(int index, int steps, const ConvAxis& rows, const ConvAxis& columns,
                     int kernel_w) {
    const int taps = rows.taps * columns.taps;
    source = index / (steps * taps);
    step = index / taps % steps;
    h = index % taps / columns.taps;
    w = index % taps % columns.taps;
    tap = rows.tap(h) * kernel_w + columns.tap(w);
  }
};

// The row of output `m` of the class; of none beyond the last one.
__device__ inline MmaTile::Row mma_row(const ConvProblem& p, const ConvAxis& rows,
                                       const ConvAxis& columns, std::int64_t m) {
  constexpr int nowhere = -(1 << 30);
  const std::int64_t n = m / columns.count / rows.count;
  if (n >= p.batch) return {0, -1, nowhere, nowhere};
  const int i = int(m / columns.count % rows.count), j = int(m % columns.count);
  const std::int64_t out = (n * p.out_h + rows.position(i)) * p.out_w + columns.position(j);
  return {n * p.in_h * p.in_w * p.in_c, out * p.out_c, rows.from + i * rows.by,
          columns.from + j * columns.by};
}

template <class T>
__device__ void store_pair(T* to, float first, float second, int valid, bool vectors) {
  if (vectors && valid >= 2) {
    store_vec(to, narrowed_pack<T>(Pack<float, 2>{{first, second}}));
    return;
  }
  if (valid >= 1) to[0] = narrowed<T>(first);
  if (valid >= 2) to[1] = narrowed<T>(second);
}

// Grid: x tiles of outputs, y groups x tiles of channels, z classes.
template <class Atom>
__global__ void __launch_bounds__(MmaTile::kThreads)
    conv_mma(ConvProblem p, ConvSources<typename Atom::Element> sources,
             typename Atom::Element* out) {
  using T = typename Atom::Element;
  using Tile = MmaTile;
  Tile& tile = shared_memory<Tile>();
  const ConvAxis rows = p.rows(int(blockIdx.z)), columns = p.columns(int(blockIdx.z));
  const std::int64_t outputs = std::int64_t(p.batch) * rows.count * columns.count;
  const std::int64_t first_output = std::int64_t(blockIdx.x) * Tile::kOutputs;
  if (first_output >= outputs) return;
  const int column_tiles = (p.pack.blocks + Tile::kBlocks - 1) / Tile::kBlocks;
  const int group = int(blockIdx.y) / column_tiles;
  const int first_block = int(blockIdx.y) % column_tiles * Tile::kBlocks;
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const bool idle = first_output + warp * 32 >= outputs;  // the warp fetches for the others alone

  tile.rows[thread] = mma_row(p, rows, columns, first_output + thread);
  __syncthreads();

  const int total = sources.count * p.pack.steps * rows.taps * columns.taps;
  const int piece = thread % Tile::kPieces;
  Piece<T> pieces[Tile::kPieces];
  const auto fetch = [&](int first) {  // of the k-steps from `first` on
    const int index = first + piece / 2;
    const MmaStep step(index < total ? index : 0, p.pack.steps, rows, columns, p.kernel_w);
    const int c = step.step * kStepChannels<T> + piece % 2 * kPieceChannels<T>;
    const T* image = sources[step.source].image + group * p.pack.in_c + c;
    const int valid = index < total ? p.pack.in_c - c : 0;
#pragma unroll
    for (int i = 0; i < Tile::kPieces; ++i) {
      const Tile::Row row = tile.rows[thread / Tile::kPieces + i * Tile::kRowsApart];
      const int h = row.h + step.h, w = row.w + step.w;
      const bool inside = h >= 0 && h < p.in_h && w >= 0 && w < p.in_w;
      const std::int64_t at = inside ? row.in + (std::int64_t(h) * p.in_w + w) * p.in_c : 0;
      pieces[i] = load_piece(image + at, inside ? valid : 0, p.in_vectors);
      round_piece<Atom>(pieces[i]);
    }
  };

  FragmentSums sums[2][Tile::kBlocks] = {};
  int now = 0;
  if (total > 0) fetch(0);
  for (int first = 0; first < total; first += Tile::kSteps) {
    unsigned char* values = tile.values[now];
#pragma unroll
    for (int i = 0; i < Tile::kPieces; ++i) {
      const int row = thread / Tile::kPieces + i * Tile::kRowsApart;
      store_vec(values + row * Tile::kPitch + piece * 16, pieces[i]);
    }
    __syncthreads();
    if (first + Tile::kSteps < total) fetch(first + Tile::kSteps);
    for (int k = 0; k < Tile::kSteps && first + k < total && !idle; ++k) {
      const MmaStep step(first + k, p.pack.steps, rows, columns, p.kernel_w);
      const unsigned char* row =
          values + (warp * 32 + lane % 16) * Tile::kPitch + k * kStepBytes + lane / 16 * 16;
      const typename Atom::Pixels upper(row), lower(row + 16 * Tile::kPitch);
#pragma unroll
      for (int b = 0; b < Tile::kBlocks; ++b) {
        if (first_block + b >= p.pack.blocks) break;
        const typename Atom::Weights weights(
            sources[step.source].pack +
            p.pack.fragment(group, first_block + b, step.step, step.tap) * kFragmentWords);
        Atom::multiply(sums[0][b], upper, weights);
        Atom::multiply(sums[1][b], lower, weights);
      }
    }
    now ^= 1;
  }

#pragma unroll
  for (int i = 0; i < 4; ++i) {  // the lane's four rows
    const Tile::Row row = tile.rows[warp * 32 + lane / 4 + 8 * i];
    if (row.out < 0) continue;
#pragma unroll
    for (int b = 0; b < 2 * Tile::kBlocks; ++b) {
      const int o = (first_block + b / 2) * kBlockColumns + b % 2 * 8 + lane % 4 * 2;
      const float* pair = &sums[i / 2][b / 2][b % 2][i % 2 * 2];
      store_pair(out + row.out + group * p.pack.out_c + o, pair[0], pair[1], p.pack.out_c - o,
                 p.out_vectors);
    }
  }
}

}  // namespace ek::kernels::EK_TARGET
