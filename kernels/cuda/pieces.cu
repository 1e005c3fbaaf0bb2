// One block works on up to 1024 elements of one piece. Pieces travel as kernel arguments, and a
// block looks its own up: there are few, and nothing has to lie in device memory first.
#include "kernels/pieces.h"

#include <algorithm>

#include "kernels/cuda/base/block_place.cuh"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kOfBlock = 1024;
constexpr int kMostPieces = 128;

template <class T>
struct Pieces {
  const T* from[kMostPieces];
  std::int64_t begin[kMostPieces], count[kMostPieces];
  T factor[kMostPieces];
  // One past: blocks of this launch up to the end of this piece, of all where there is none.
  int last_block[kMostPieces];
};
static_assert(sizeof(Pieces<double>) < 32000);  // what a kernel takes as arguments

template <class T>
struct Gather {
  __device__ T operator()(std::int64_t, T from, T) const { return from; }
};

template <class T>
struct Blend {
  T keep;
  const T* x;
  __device__ T operator()(std::int64_t i, T from, T factor) const {
    return keep * x[i] + factor * from;
  }
};

template <class T, class F>
__global__ void __launch_bounds__(kThreads) over_pieces(Pieces<T> pieces, F f, T* y) {
  int block = int(blockIdx.x);
  const int piece = part_of_block([&](int i) { return pieces.last_block[i]; }, kMostPieces, block);
  const std::int64_t end = std::min(pieces.count[piece], (block + 1) * kOfBlock);
  for (std::int64_t i = block * kOfBlock + threadIdx.x; i < end; i += kThreads) {
    const std::int64_t at = pieces.begin[piece] + i;
    y[at] = f(at, pieces.from[piece][i], pieces.factor[piece]);
  }
}

template <class T, class F>
void run(Stream stream, std::span<const Piece<T>> pieces, const F& f, T* y) {
  Pieces<T> some = {};
  int count = 0;
  std::int64_t blocks = 0;
  const auto flush = [&] {
    if (count == 0) return;
    std::fill(some.last_block + count, some.last_block + kMostPieces, int(blocks));
    launch<&over_pieces<T, F>>({dim3(unsigned(blocks)), dim3(kThreads), 0, stream}, some, f, y);
    count = 0;
    blocks = 0;
  };
  for (const Piece<T>& piece : pieces) {
    if (piece.count == 0) continue;
    const std::int64_t of_piece = (piece.count + kOfBlock - 1) / kOfBlock;
    if (count == kMostPieces || blocks + of_piece > 0x7FFFFFFF) flush();
    blocks += of_piece;
    some.from[count] = piece.from;
    some.begin[count] = piece.begin;
    some.count[count] = piece.count;
    some.factor[count] = T(piece.factor);
    some.last_block[count++] = int(blocks);
  }
  flush();
}

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void gather_pieces(Stream stream, std::span<const Piece<T>> pieces, T* flat) {
  using namespace EK_TARGET;
  run(stream, pieces, Gather<T>{}, flat);
}

template <class B, class T>
void blend_pieces(Stream stream, std::span<const Piece<T>> pieces, double keep, const T* x, T* y) {
  using namespace EK_TARGET;
  run(stream, pieces, Blend<T>{T(keep), x}, y);
}

using EK_TARGET::Backend;
template decltype(gather_pieces<Backend, float>) gather_pieces<Backend, float>;
template decltype(gather_pieces<Backend, double>) gather_pieces<Backend, double>;
template decltype(blend_pieces<Backend, float>) blend_pieces<Backend, float>;
template decltype(blend_pieces<Backend, double>) blend_pieces<Backend, double>;

}  // namespace ek::kernels
