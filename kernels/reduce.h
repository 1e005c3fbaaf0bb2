#pragma once
#include <array>
#include <cstdint>

#include "kernels/base/backend.h"

namespace ek::kernels {

// Broadcasting between a small tensor and a large one of the same rank: small_shape[d] is
// large_shape[d] or 1. Unused leading dimensions are 1.
struct BroadcastShape {
  static constexpr int rank = 6;
  std::array<std::int64_t, rank> small_shape, large_shape;
};

// large[...] = scale * small[...] with indices of extent-1 dimensions held at 0
template <class B, class T>
void broadcast(Stream stream, const BroadcastShape& shape, const T* small, T* large,
               double scale = 1);

// small = scale * sum of large over the dimensions where small has extent 1. Summed in a fixed
// order; the sum is rounded to T, then scaled by T(scale).
template <class B, class T>
void sum_to(Stream stream, const BroadcastShape& shape, const T* large, T* small, double scale = 1);

// out[i] = values[index[i]] for rows of `width`: values [count_values, width], out [count, width].
// T may also be int64.
template <class B, class T>
void take_rows(Stream stream, std::int64_t count, std::int64_t width, const T* values,
               const std::int64_t* index, T* out);

// out[s] = sum of rows i with index[i] = s, in the order of i: out [segments, width]. More than 128
// rows are added up in float64 (docs/precision.md).
template <class B, class T>
void segment_sum(Stream stream, std::int64_t count, std::int64_t width, std::int64_t segments,
                 const T* values, const std::int64_t* index, T* out);

// out[i] = values[i, index[i]];  values [rows, columns]
template <class B, class T>
void pick(Stream stream, std::int64_t rows, std::int64_t columns, const T* values,
          const std::int64_t* index, T* out);

// out [rows, columns] = values[i] at column index[i], zero elsewhere: the transpose of pick.
template <class B, class T>
void place(Stream stream, std::int64_t rows, std::int64_t columns, const T* values,
           const std::int64_t* index, T* out);

// prediction[i] = index of the first maximum of row i; a row that holds a NaN gives -1.
template <class B, class T>
void argmax_rows(Stream stream, std::int64_t rows, std::int64_t columns, const T* values,
                 std::int64_t* prediction);

// correct[c], total[c] (both [classes], added to, not cleared): samples of class c that were
// predicted right, and all of them.
template <class B>
void count_correct(Stream stream, std::int64_t rows, const std::int64_t* prediction,
                   const std::int64_t* labels, std::int64_t* correct, std::int64_t* total);

}  // namespace ek::kernels
