#pragma once
// The matrix product on tensor cores. As in the tiled kernel, panels of a and b come through
// registers to shared memory, the next ones while these are multiplied; but a warp multiplies
// fragments of 16 x 8 instead of a thread elements. What a thread brings is rounded to tf32 on its
// way, once; for float32's accuracy it is split when a fragment is read (tensor_products.cuh).
#include <algorithm>

#include "kernels/cuda/base/tensor_products.cuh"
#include "kernels/cuda/gemm_factor.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

// Two rows of warps, `across_` in each; a warp has row_tiles x column_tiles fragments.
template <int row_tiles_, int column_tiles_, int across_>
struct MmaTile {
  static constexpr int row_tiles = row_tiles_, column_tiles = column_tiles_, across = across_;
  static constexpr int rows = 2 * 16 * row_tiles, columns = across * 8 * column_tiles;
  static constexpr int threads = 64 * across;
  static constexpr int depth = 16;  // of k that lies in shared memory at a time
  static constexpr int a_pitch = product_pitch(rows), b_pitch = product_pitch(columns);
};
using SmallMmaTile = MmaTile<2, 4, 2>;  // 64 x 64
using LargeMmaTile = MmaTile<4, 4, 4>;  // 128 x 128

// Two of each factor, [k][row or column].
template <class Tile>
struct MmaPanels {
  alignas(16) SharedArray<float, Tile::depth * Tile::a_pitch> a[2];
  alignas(16) SharedArray<float, Tile::depth * Tile::b_pitch> b[2];
};

// A thread's elements of a panel of `size` rows or columns. Where neighbours in memory are
// neighbours in k, eight threads take 32 bytes of them, so that sectors are read whole and at most
// two threads meet at a bank of shared memory; else threads run along the rows.
template <class Tile, int size, int pitch>
struct MmaStrip {
  static constexpr int count = size * Tile::depth / Tile::threads;
  float values[count];

  __device__ static int k_of(bool k_inner, int j) {
    return k_inner ? int(threadIdx.x) % 8 + j % 2 * 8
                   : (int(threadIdx.x) + j * Tile::threads) / size;
  }
  __device__ static int i_of(bool k_inner, int j) {
    return k_inner ? int(threadIdx.x) / 8 + j / 2 * (Tile::threads / 8)
                   : (int(threadIdx.x) + j * Tile::threads) % size;
  }
  __device__ void load(const Factor<float>& f, std::int64_t k, std::int64_t i) {
#pragma unroll
    for (int j = 0; j < count; ++j) {
      values[j] = f.or_zero(k + k_of(f.k_inner, j), i + i_of(f.k_inner, j));
    }
  }
  template <bool rounds>
  __device__ void store(const Factor<float>& f, SharedArray<float, Tile::depth * pitch>& panel) {
#pragma unroll
    for (int j = 0; j < count; ++j) {
      const float v = rounds ? std::bit_cast<float>(to_tf32(values[j])) : values[j];
      panel[k_of(f.k_inner, j) * pitch + i_of(f.k_inner, j)] = v;
    }
  }
};

template <class Tile>
using MmaSums = float[Tile::row_tiles][Tile::column_tiles][4];

// The first row and column of the warp's fragments in the tile.
template <class Tile>
__device__ int warp_row() {
  return int(threadIdx.x) / 32 / Tile::across * 16 * Tile::row_tiles;
}
template <class Tile>
__device__ int warp_column() {
  return int(threadIdx.x) / 32 % Tile::across * 8 * Tile::column_tiles;
}

template <class Product, class Tile>
__device__ void add_panels(const float* a, const float* b, MmaSums<Tile>& sums) {
  // Each step of split products has sums of its own: with all steps in one block of instructions
  // the compiler would spill.
  constexpr bool split = std::is_same_v<Product, SplitProduct>;
#pragma unroll(split ? 1 : Tile::depth / Product::depth)
  for (int k = 0; k < Tile::depth; k += Product::depth) {
    typename Product::A rows[Tile::row_tiles];
#pragma unroll
    for (int r = 0; r < Tile::row_tiles; ++r) {
      rows[r].load(a + k * Tile::a_pitch + warp_row<Tile>() + 16 * r, Tile::a_pitch);
    }
    const typename Product::Rows steps(b + k * Tile::b_pitch, Tile::b_pitch);
#pragma unroll
    for (int c = 0; c < Tile::column_tiles; ++c) {
      typename Product::B columns;
      columns.load(steps, warp_column<Tile>() + 8 * c);
#pragma unroll
      for (int r = 0; r < Tile::row_tiles; ++r) Product::multiply(sums[r][c], rows[r], columns);
    }
  }
}

// The sums of the pieces so far.
template <class Tile, bool pieces>
struct PieceTotals {};
template <class Tile>
struct PieceTotals<Tile, true> {
  double values[Tile::row_tiles][Tile::column_tiles][4] = {};

  // Adds `sums`, which are zero afterwards, or the totals where the piece is the last one.
  __device__ void take(MmaSums<Tile>& sums, bool last) {
#pragma unroll
    for (int r = 0; r < Tile::row_tiles; ++r) {
#pragma unroll
      for (int column = 0; column < Tile::column_tiles; ++column) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          values[r][column][i] += double(sums[r][column][i]);
          sums[r][column][i] = last ? float(values[r][column][i]) : 0.0f;
        }
      }
    }
  }
};

template <class Tile>
__device__ void store_sums(const MmaSums<Tile>& sums, std::int64_t top, std::int64_t left,
                           std::int64_t rows, std::int64_t columns, float* c) {
  const int g = int(threadIdx.x) % 32 / 4, t = int(threadIdx.x) % 4;
#pragma unroll
  for (int r = 0; r < Tile::row_tiles; ++r) {
#pragma unroll
    for (int column = 0; column < Tile::column_tiles; ++column) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const std::int64_t y = top + warp_row<Tile>() + 16 * r + g + i / 2 * 8;
        const std::int64_t x = left + warp_column<Tile>() + 8 * column + 2 * t + i % 2;
        if (y < rows && x < columns) c[y * columns + x] = sums[r][column][i];
      }
    }
  }
}

// Blocks that a multiprocessor's registers shall hold. More would spill.
template <class Product, class Tile, bool pieces>
constexpr int kResidentGemms = Tile::threads > 128                     ? 1
                               : pieces                                ? 2
                               : std::is_same_v<Product, SplitProduct> ? 3
                                                                       : 4;

// Tiles one after another for a block; the order of barriers is that of gemm_tiled. `pieces`: for a
// depth above kPieceDepth, in tiles whose sums find room twice.
template <class Product, class Tile, bool pieces>
__global__ void __launch_bounds__(Tile::threads, kResidentGemms<Product, Tile, pieces>)
    gemm_mma(Factor<float> a, Factor<float> b, float* c) {
  MmaPanels<Tile>& shared = shared_memory<MmaPanels<Tile>>();
  const std::int64_t tiles_x = (b.size + Tile::columns - 1) / Tile::columns;
  const std::int64_t tiles = (a.size + Tile::rows - 1) / Tile::rows * tiles_x;
  int now = 0;
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::int64_t top = tile / tiles_x * Tile::rows, left = tile % tiles_x * Tile::columns;
    MmaSums<Tile> sums = {};
    [[maybe_unused]] PieceTotals<Tile, pieces> totals;
    MmaStrip<Tile, Tile::rows, Tile::a_pitch> of_a;
    MmaStrip<Tile, Tile::columns, Tile::b_pitch> of_b;
    of_a.load(a, 0, top);
    of_b.load(b, 0, left);
    for (std::int64_t k = 0; k < a.depth; k += Tile::depth) {
      of_a.template store<Product::rounds>(a, shared.a[now]);
      of_b.template store<Product::rounds>(b, shared.b[now]);
      __syncthreads();
      if (k + Tile::depth < a.depth) {
        of_a.load(a, k + Tile::depth, top);
        of_b.load(b, k + Tile::depth, left);
      }
      add_panels<Product, Tile>(shared.a[now].values, shared.b[now].values, sums);
      now ^= 1;
      if constexpr (pieces) {
        const bool last = k + Tile::depth >= a.depth;
        if (last || (k + Tile::depth) % kPieceDepth == 0) totals.take(sums, last);
      }
    }
    store_sums<Tile>(sums, top, left, a.size, b.size, c);
  }
}

// Large tiles once there is one for every multiprocessor of a large GPU.
template <class Product>
void gemm_on_tensor_cores(Stream stream, const Factor<float>& a, const Factor<float>& b, float* c) {
  const auto run = [&]<class Tile, bool pieces>(Tile, std::bool_constant<pieces>) {
    constexpr std::int64_t most_blocks = 1 << 16;
    const std::int64_t tiles =
        (a.size + Tile::rows - 1) / Tile::rows * ((b.size + Tile::columns - 1) / Tile::columns);
    launch<&gemm_mma<Product, Tile, pieces>>({dim3(unsigned(std::min(tiles, most_blocks))),
                                              dim3(Tile::threads), sizeof(MmaPanels<Tile>), stream},
                                             a, b, c);
  };
  constexpr std::int64_t enough = 128;
  const std::int64_t large = (a.size + LargeMmaTile::rows - 1) / LargeMmaTile::rows *
                             ((b.size + LargeMmaTile::columns - 1) / LargeMmaTile::columns);
  if (a.depth > kPieceDepth) {
    run(SmallMmaTile{}, std::true_type{});
  } else if (large >= enough) {
    run(LargeMmaTile{}, std::false_type{});
  } else {
    run(SmallMmaTile{}, std::false_type{});
  }
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET
