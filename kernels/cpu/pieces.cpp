#include "kernels/pieces.h"

#include <cstring>

namespace ek::kernels {

template <class B, class T>
void gather_pieces(Stream, std::span<const Piece<T>> pieces, T* flat) {
  for (const Piece<T>& piece : pieces) {
    std::memcpy(flat + piece.begin, piece.from, std::size_t(piece.count) * sizeof(T));
  }
}

// A few thousand elements in all: not worth a second thread. Built without contraction
// (kernels/CMakeLists.txt), so that the bits are those of three separate passes.
template <class B, class T>
void blend_pieces(Stream, std::span<const Piece<T>> pieces, double keep, const T* x, T* y) {
  const T kept = T(keep);
  for (const Piece<T>& piece : pieces) {
    const T factor = T(piece.factor);
    const T* old = x + piece.begin;
    T* out = y + piece.begin;
    for (std::int64_t i = 0; i < piece.count; ++i) out[i] = kept * old[i] + factor * piece.from[i];
  }
}

template decltype(gather_pieces<Cpu, float>) gather_pieces<Cpu, float>;
template decltype(gather_pieces<Cpu, double>) gather_pieces<Cpu, double>;
template decltype(blend_pieces<Cpu, float>) blend_pieces<Cpu, float>;
template decltype(blend_pieces<Cpu, double>) blend_pieces<Cpu, double>;

}  // namespace ek::kernels
