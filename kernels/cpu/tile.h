#pragma once
#include <cstdint>
#include <cstring>

namespace ek::kernels::cpu {

// The register tile that the plain convolution and the plain matrix product are built from:
// tile_rows rows by `vectors` SIMD vectors of sums, which stay in registers over a whole dot
// product. The compiler's vector types keep it free of intrinsics; on AVX-512 the tile takes 16 of
// the 32 registers, on AVX2 12 of 16.
#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
inline constexpr int tile_rows = 8;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32;
inline constexpr int tile_rows = 6;
#else
inline constexpr int vector_bytes = 16;
inline constexpr int tile_rows = 6;
#endif

template <class T>
inline constexpr std::int64_t vector_lanes = vector_bytes / std::int64_t(sizeof(T));

template <class T, int vectors>
struct Tile {
  typedef T Vector __attribute__((vector_size(vector_bytes)));
  static constexpr std::int64_t width = vectors * vector_lanes<T>;

  Vector sum[tile_rows][vectors] = {};

  // sum[r][c] += a[r][i * a_step] * b[i * b_step + c], i = 0 .. count - 1 in this order.
  // Reads `width` elements of every row of b.
  void multiply_add(const T* const* a, std::int64_t a_step, const T* b, std::int64_t b_step,
                    std::int64_t count) {
    const T* row[tile_rows];
    for (int r = 0; r < tile_rows; ++r) row[r] = a[r];
    Vector local[tile_rows][vectors];
    std::memcpy(local, sum, sizeof local);
    for (std::int64_t i = 0; i < count; ++i) {
      Vector column[vectors];
      for (int v = 0; v < vectors; ++v) {
        std::memcpy(&column[v], b + i * b_step + v * vector_lanes<T>, sizeof(Vector));
      }
#pragma GCC unroll 8
      for (int r = 0; r < tile_rows; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) local[r][v] += row[r][i * a_step] * column[v];
      }
    }
    std::memcpy(sum, local, sizeof local);
  }

  // out[c] = sum[r][c], or += with `accumulate`, for the first `count` columns.
  void store(int r, T* out, std::int64_t count, bool accumulate) const {
    T values[width];
    std::memcpy(values, sum[r], sizeof values);
    if (accumulate) {
      for (std::int64_t c = 0; c < count; ++c) out[c] += values[c];
    } else {
      std::memcpy(out, values, std::size_t(count) * sizeof(T));
    }
  }
};

}  // namespace ek::kernels::cpu
