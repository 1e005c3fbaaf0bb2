#pragma once
// 16 bytes of one pixel's channels, on the way from an image to a tile in shared memory.
#include "kernels/cuda/conv/conv_atoms.cuh"

namespace ek::kernels::EK_TARGET {

// `valid` channels (none if it is negative) from `from` on, zeros behind them. `vectors`: pieces
// are aligned, and full or empty.
template <class T>
__device__ Piece<T> load_piece(const T* from, int valid, bool vectors) {
  constexpr int n = kPieceChannels<T>;
  if (vectors && valid >= n) return load_pack<n>(from);
  Piece<T> piece = {};
#pragma unroll
  for (int i = 0; i < n; ++i) {
    if (i < valid) piece.values[i] = from[i];
  }
  return piece;
}

template <class Atom, class T>
__device__ void round_piece(Piece<T>& piece) {
  if constexpr (Atom::kRounds) {
#pragma unroll
    for (T& value : piece.values) value = Atom::rounded(value);
  }
}

}  // namespace ek::kernels::EK_TARGET
