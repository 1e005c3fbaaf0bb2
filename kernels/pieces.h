#pragma once
#include <cstdint>
#include <span>

#include "kernels/base/backend.h"

namespace ek::kernels {

// Many small tensors and one flat buffer, in one launch: gradients that are gathered, running
// statistics that move. T is float or double.
template <class T>
struct Piece {
  const T* from;              // [count], outside of the flat buffer
  std::int64_t begin, count;  // the elements of the flat buffer that it belongs to
  double factor = 1;
};

// flat[begin + i] = from[i] for every piece; factors play no part. Elements of no piece stay as
// they are; no two pieces share one.
template <class B, class T>
void gather_pieces(Stream stream, std::span<const Piece<T>> pieces, T* flat);

// y[begin + i] = keep x[begin + i] + factor from[i] for every piece; y may be x. A GPU may round
// the second product together with the sum.
template <class B, class T>
void blend_pieces(Stream stream, std::span<const Piece<T>> pieces, double keep, const T* x, T* y);

}  // namespace ek::kernels
