#include "kernels/gemm.h"

#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/base/error.h"
#include "kernels/cpu/tile.h"
#ifdef EK_HAS_ONEDNN
#include <atomic>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/conv/onednn.h"
#endif

namespace ek::kernels {
namespace {

using cpu::Tile;
using cpu::tile_rows;

// A task owns block_rows rows by one tile width of c and runs through k in chunks; the piece of
// op(b) that it needs is packed on its stack, 16 KiB, zero beyond the last column. Each element of
// c is summed by one thread in the order of k.
constexpr std::int64_t block_rows = 64;
constexpr std::int64_t packed_bytes = 16384;

// Below some 100 000 multiply-adds waking the other threads costs more than they save.
bool worth_threads(const GemmShape& s) {
  return s.m * s.n * s.k > 100000;
}

// The factors as they are stored, with the distance between their rows in memory.
template <class T>
struct Operands {
  const T* a;
  std::int64_t lda;
  const T* b;
  std::int64_t ldb;
};

template <class T, int vectors>
void pack(const GemmShape& s, const Operands<T>& operands, std::int64_t column, std::int64_t from,
          std::int64_t count, T* packed) {
  constexpr std::int64_t width = Tile<T, vectors>::width;
  const std::int64_t columns = std::min(width, s.n - column);
  const std::int64_t ld = operands.ldb;
  const std::int64_t k_step = s.transpose_b ? 1 : ld, n_step = s.transpose_b ? ld : 1;
  for (std::int64_t i = 0; i < count; ++i) {
    const T* row = operands.b + (from + i) * k_step + column * n_step;
    for (std::int64_t c = 0; c < columns; ++c) packed[i * width + c] = row[c * n_step];
    for (std::int64_t c = columns; c < width; ++c) packed[i * width + c] = T(0);
  }
}

template <class T, int vectors>
void block(const GemmShape& s, const Operands<T>& operands, T* c, std::int64_t row,
           std::int64_t column) {
  constexpr std::int64_t width = Tile<T, vectors>::width;
  constexpr std::int64_t chunk = packed_bytes / std::int64_t(sizeof(T)) / width;
  alignas(64) T packed[chunk * width];
  const std::int64_t row_end = std::min(row + block_rows, s.m);
  const std::int64_t columns = std::min(width, s.n - column);
  const std::int64_t ld = operands.lda;
  const std::int64_t m_step = s.transpose_a ? 1 : ld, k_step = s.transpose_a ? ld : 1;
  for (std::int64_t from = 0; from < s.k; from += chunk) {
    const std::int64_t count = std::min(chunk, s.k - from);
    pack<T, vectors>(s, operands, column, from, count, packed);
    for (std::int64_t m = row; m < row_end; m += tile_rows) {
      const std::int64_t rows = std::min<std::int64_t>(tile_rows, row_end - m);
      const T* a_row[tile_rows];  // beyond the last row it is repeated and not stored
      for (int r = 0; r < tile_rows; ++r) {
        a_row[r] = operands.a + (m + std::min<std::int64_t>(r, rows - 1)) * m_step + from * k_step;
      }
      Tile<T, vectors> tile;
      tile.multiply_add(a_row, k_step, packed, width, count);
      for (int r = 0; r < rows; ++r) {
        tile.store(r, c + (m + r) * s.n + column, columns, from > 0);
      }
    }
  }
}

template <class T, int vectors>
void blocked(const GemmShape& s, const Operands<T>& operands, T* c) {
  constexpr std::int64_t width = Tile<T, vectors>::width;
#pragma omp parallel for collapse(2) schedule(dynamic, 1) if (worth_threads(s))
  for (std::int64_t row = 0; row < s.m; row += block_rows) {
    for (std::int64_t column = 0; column < s.n; column += width) {
      block<T, vectors>(s, operands, c, row, column);
    }
  }
}

#ifdef EK_HAS_ONEDNN
// oneDNN's product, twice as fast on large matrices as the loops above (it keeps its packed panels
// in memory of its own). It runs on slices of rows, each on one thread: what it does with several
// threads may depend on their number.
void onednn_multiply(const GemmShape& s, const Operands<float>& from, float* c) {
  const std::int64_t rows = std::max<std::int64_t>(16, cpu::block_count(s.m, 8 * 16) * 16);
  std::atomic<int> status = dnnl_success;
#pragma omp parallel for schedule(dynamic, 1) if (worth_threads(s))
  for (std::int64_t row = 0; row < s.m; row += rows) {
    const onednn::OneThread one;
    const float* a_rows = s.transpose_a ? from.a + row : from.a + row * from.lda;
    const int result =
        dnnl_sgemm(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', std::min(rows, s.m - row),
                   s.n, s.k, 1.0f, a_rows, from.lda, from.b, from.ldb, 0.0f, c + row * s.n, s.n);
    if (result != dnnl_success) status = result;
  }
  require(status == dnnl_success, "gemm: oneDNN failed with status {} for m {}, n {}, k {}",
          status.load(), s.m, s.n, s.k);
}
#endif

template <class T>
void multiply_piece(const GemmShape& s, const Operands<T>& from, T* c) {
#ifdef EK_HAS_ONEDNN
  if constexpr (std::is_same_v<T, float>) {
    if (s.m > 0 && s.n > 0) onednn_multiply(s, from, c);
    return;
  }
#endif
  if (s.n <= cpu::vector_lanes<T>) {
    blocked<T, 1>(s, from, c);
  } else {
    blocked<T, 2>(s, from, c);
  }
}

// Longer sums are taken in pieces of so many products, which are added up in double.
constexpr std::int64_t piece_depth = 1024;

template <class T>
void multiply(const GemmShape& s, const T* a, const T* b, T* c) {
  require(s.m >= 0 && s.n >= 0 && s.k >= 0, "gemm: sizes >= 0 expected, got m {}, n {}, k {}", s.m,
          s.n, s.k);
  require(s.products == FloatProducts::exact, "gemm: the CPU has exact products alone, got tf32");
  if (s.k == 0) {
    std::fill(c, c + s.m * s.n, T(0));
    return;
  }
  const std::int64_t lda = s.transpose_a ? s.m : s.k, ldb = s.transpose_b ? s.k : s.n;
  if (s.k <= piece_depth) return multiply_piece<T>(s, {a, lda, b, ldb}, c);

  std::vector<double> total(static_cast<std::size_t>(s.m * s.n));
  for (std::int64_t from = 0; from < s.k; from += piece_depth) {
    GemmShape piece = s;
    piece.k = std::min(piece_depth, s.k - from);
    multiply_piece<T>(
        piece,
        {a + from * (s.transpose_a ? lda : 1), lda, b + from * (s.transpose_b ? 1 : ldb), ldb}, c);
    for (std::size_t i = 0; i < total.size(); ++i) total[i] += double(c[i]);
  }
  for (std::size_t i = 0; i < total.size(); ++i) c[i] = T(total[i]);
}

}  // namespace

template <>
void gemm<Cpu, float>(Stream, const GemmShape& shape, const float* a, const float* b, float* c) {
  multiply(shape, a, b, c);
}
template <>
void gemm<Cpu, double>(Stream, const GemmShape& shape, const double* a, const double* b,
                       double* c) {
  multiply(shape, a, b, c);
}

}  // namespace ek::kernels
