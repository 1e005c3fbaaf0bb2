#pragma once
// The convolution on tensor cores as small channel counts want it. A block brings the pixels under
// its tile of outputs, with their halo, into shared memory once and uses them for all taps; there
// the prologue is applied and they are rounded. Weights follow by the same way, as fragments. A
// fragment of one input row serves the up to three output rows that it is a tap of (multiply_3x3),
// so a load of 16 pixels feeds 6 N products; sums stay in registers, and leave through shared
// memory, in whole pieces and as the epilogue wants them.
#include "kernels/cuda/conv/conv_fusion.cuh"

namespace ek::kernels::EK_TARGET {

// The pixels of a block, on their way to shared memory.
template <class Atom, class Prologue>
struct HaloLoader {
  using T = typename Atom::Element;
  const ConvProblem& p;
  const HaloPlan& plan;
  const HaloPlace& place;
  // Of a column of the halo: twice its first element in image row 0, and one more where the tile
  // owns the column; -1 outside the image.
  const std::int64_t* table;
  const Prologue& prologue;

  // Of the tiles whose halo holds input i the one whose outputs lie on it; see covers_input.
  __device__ static bool owns(int i, int first, int size, const ConvAxis& axis) {
    return i >= first * axis.by && (i < (first + size) * axis.by || first + size >= axis.count);
  }

  // Run by all threads, before a barrier.
  __device__ static void fill(std::int64_t* table, const ConvProblem& p, const HaloPlace& place) {
    const HaloExtent& e = place.extent;
    for (int i = int(threadIdx.x); i < e.row_pixels; i += kHaloThreads) {
      const int n = place.first_image + i / e.image_columns, rest = i % e.image_columns;
      const int column = rest % e.phase_columns * place.w.by + rest / e.phase_columns;
      const int w = place.w.from + place.first_column * place.w.by + column;
      const bool inside = n < p.batch && w >= 0 && w < p.in_w;
      const std::int64_t at =
          (std::int64_t(n) * p.in_h * p.in_w + w) * p.in_c + place.group * p.pack.in_c;
      table[i] = inside ? 2 * at + owns(w, place.first_column, place.tile_columns, place.w) : -1;
    }
  }

  // The first channel, within the group, of the thread's pieces of a chunk.
  __device__ int channel(int chunk) const {
    return chunk * plan.steps * kStepChannels<T> +
           int(threadIdx.x) % (2 * plan.steps) * kPieceChannels<T>;
  }

  // visit(to, at, channel, owned): the thread's pieces of a chunk, their place in shared memory and
  // the first element in the image, or -1 outside.
  template <class Visit>
  __device__ void for_pieces(int chunk, unsigned char* pixels, const Visit& visit) const {
    const int pieces = 2 * plan.steps, piece = int(threadIdx.x) % pieces, c = channel(chunk);
    const int apart = kHaloThreads / pieces;
    int column = int(threadIdx.x) / pieces, row = 0;
    unsigned char* to = pixels + column * plan.pitch + piece * 16;
    const int first_h = place.h.from + place.first_row * place.h.by;
    const std::int64_t row_size = std::int64_t(p.in_w) * p.in_c;
    while (true) {
      while (column >= place.extent.row_pixels) {
        column -= place.extent.row_pixels;
        ++row;
      }
      if (row >= place.extent.rows) break;
      const int h = first_h + row;
      const std::int64_t of_column = h >= 0 && h < p.in_h ? table[column] : -1;
      const bool owned = place.first_of_channels && (of_column & 1) != 0 &&
                         owns(h, place.first_row, plan.tile_rows, place.h);
      visit(to, of_column < 0 ? -1 : (of_column >> 1) + h * row_size + c, c, owned);
      column += apart;
      to += apart * plan.pitch;
    }
  }

  // Starts the copies of a chunk; without vectors, does all there is to do.
  __device__ void load(const T* image, int source, int chunk, unsigned char* pixels) const {
    for_pieces(chunk, pixels,
               [&](unsigned char* to, std::int64_t at, int c, [[maybe_unused]] bool owned) {
                 const int valid = at < 0 ? 0 : p.pack.in_c - c;
                 if (p.in_vectors) {
                   cp_async_16_or_zero(to, image + (valid > 0 ? at : 0), valid > 0);
                   return;
                 }
                 if constexpr (Prologue::kIdentity) {
                   Piece<T> values = load_piece(image + (valid > 0 ? at : 0), valid, false);
                   round_piece<Atom>(values);
                   store_vec(to, values);
                 } else {
#pragma unroll 1
                   for (int i = 0; i < kPieceChannels<T>; ++i) {
                     Pack<T, 1> one = {};
                     if (i < valid) {
                       one.values[0] = image[at + i];
                       const int channel = place.group * p.pack.in_c + c + i;
                       prologue(prologue.template channels<1>(source, channel), one, at + i, source,
                                owned);
                     }
                     reinterpret_cast<T*>(to)[i] = Atom::rounded(one.values[0]);
                   }
                 }
               });
  }

  // Behind the wait for the copies: each thread finishes its own pieces, in place.
  __device__ void transform(int source, int chunk, unsigned char* pixels) const {
    if (!p.in_vectors) return;
    if constexpr (!Prologue::kIdentity) {
      constexpr int width = Prologue::kWidth;
      if (channel(chunk) >= p.pack.in_c) return;
#pragma unroll 1
      for (int part = 0; part < kPieceChannels<T>; part += width) {
        const auto of = prologue.template channels<width>(
            source, place.group * p.pack.in_c + channel(chunk) + part);
        for_pieces(chunk, pixels, [&](unsigned char* to, std::int64_t at, int, bool owned) {
          if (at < 0) return;
          T* from = reinterpret_cast<T*>(to) + part;
          auto values = load_pack<width>(from);
          prologue(of, values, at + part, source, owned);
#pragma unroll
          for (T& value : values.values) value = Atom::rounded(value);
          store_pack<width>(from, values);
        });
      }
    } else if constexpr (Atom::kRounds) {
      for_pieces(chunk, pixels, [&](unsigned char* to, std::int64_t, int, bool) {
        auto values = load_vec<Piece<T>>(to);
        round_piece<Atom>(values);
        store_vec(to, values);
      });
    }
  }
};

// The fragments of a chunk of weights, in the order [block][k-step][tap of the class].
__device__ inline void load_weights(const ConvProblem& p, const HaloPlan& plan,
                                    const HaloPlace& place, const std::uint32_t* pack, int chunk,
                                    std::uint32_t* to) {
  const int taps = place.taps(), lane = int(threadIdx.x) % 32;
  for (int i = int(threadIdx.x) / 32; i < plan.blocks * plan.steps * taps; i += kHaloWarps) {
    const int block = place.first_block + i / taps / plan.steps;
    const int step = chunk * plan.steps + i / taps % plan.steps;
    const int tap =
        place.h.tap(i % taps / place.w.taps) * p.kernel_w + place.w.tap(i % taps % place.w.taps);
    const bool exists = block < p.pack.blocks && step < p.pack.steps;
    const std::int64_t fragment = exists ? p.pack.fragment(place.group, block, step, tap) : 0;
    cp_async_16_or_zero(to + i * kFragmentWords + lane * 4,
                        pack + fragment * kFragmentWords + lane * 4, exists);
  }
}

// sums += pixels x weights of one k-step, for a warp's M rows of 16 outputs and N blocks of
// channels. `pixels` is the lane's address for the warp's first row and first tap, `weights` the
// fragment of the first tap, from which the next block's is `next_block` words away. This is 3 x 3
// at stride 1: three weights are in registers while a fragment of pixels meets all of them. Only
// `rows` of the outputs exist. Split products have sums of their own for every step: with all of
// the taps in one block of instructions the compiler would have so many on their way that it
// spills. So for them columns are a loop, and rows past the image a branch.
template <class Atom, int M, int N>
__device__ __forceinline__ void multiply_3x3(const unsigned char* pixels, int pitch, int row_bytes,
                                             const std::uint32_t* weights, int next_block, int rows,
                                             FragmentSums (&sums)[M][N]) {
  constexpr bool kSplit = std::is_same_v<Atom, SplitAtom>;
#pragma unroll(kSplit ? 1 : 3)
  for (int w = 0; w < 3; ++w) {
    typename Atom::Weights b[3][N];
#pragma unroll
    for (int h = 0; h < 3; ++h) {
#pragma unroll
      for (int n = 0; n < N; ++n) {
        b[h][n] = typename Atom::Weights(weights + n * next_block + (3 * h + w) * kFragmentWords);
      }
    }
#pragma unroll
    for (int row = 0; row < M + 2; ++row) {
      if (kSplit && row > 1 && row >= rows + 2) break;
      const typename Atom::Pixels a(pixels + row * row_bytes + w * pitch);
#pragma unroll
      for (int h = 0; h < 3; ++h) {
        if (row - h < 0 || row - h >= M) continue;
#pragma unroll
        for (int n = 0; n < N; ++n) Atom::multiply(sums[row - h][n], a, b[h][n]);
      }
    }
  }
}

// The same for any taps and strides, one tap after the other.
template <class Atom, int M, int N>
__device__ __forceinline__ void multiply_taps(const HaloPlace& place, const unsigned char* pixels,
                                              int pitch, int row_bytes,
                                              const std::uint32_t* weights, int next_block,
                                              int rows, FragmentSums (&sums)[M][N]) {
  int phase = 0, column = 0;  // of the halo, for tap w: see HaloExtent
  for (int w = 0; w < place.w.taps; ++w) {
    const unsigned char* of_tap = pixels + (phase * place.extent.phase_columns + column) * pitch;
    for (int h = 0; h < place.h.taps; ++h) {
      typename Atom::Weights b[N];
#pragma unroll
      for (int n = 0; n < N; ++n) {
        b[n] = typename Atom::Weights(weights + n * next_block +
                                      (h * place.w.taps + w) * kFragmentWords);
      }
#pragma unroll
      for (int row = 0; row < M; ++row) {
        if (std::is_same_v<Atom, SplitAtom> && row > 0 && row >= rows) break;
        const typename Atom::Pixels a(of_tap + (row * place.h.by + h) * row_bytes);
#pragma unroll
        for (int n = 0; n < N; ++n) Atom::multiply(sums[row][n], a, b[n]);
      }
    }
    if (++phase == place.w.by) {
      phase = 0;
      ++column;
    }
  }
}

// The tile in shared memory to the image: pieces of 16 bytes, or single elements.
template <class T, int N>
__device__ void store_tile(const StoredTile<T>& tile, T* out, bool vectors) {
  constexpr int pieces = N * kBlockColumns / kPieceChannels<T>;
  for (int i = int(threadIdx.x); i < tile.pixels * pieces; i += kHaloThreads) {
    const int pixel = i / pieces, c = i % pieces * kPieceChannels<T>;
    if (c >= tile.channels || !tile.exists(pixel)) continue;
    T* to = out + tile.at(pixel) + c;
    const T* from = tile.values + pixel * tile.pitch + c;
    if (vectors) {
      store_vec(to, load_vec<Piece<T>>(from));
    } else {
      for (int j = 0; j < kPieceChannels<T> && c + j < tile.channels; ++j) to[j] = from[j];
    }
  }
}

// Blocks that a multiprocessor's registers shall hold. More would spill.
template <class Atom, bool k3x3, class Prologue>
constexpr int kResidentBlocks =
    !k3x3 || !std::is_same_v<Atom, SplitAtom> ? Prologue::kResidentBlocks : 3;

// All that the block at `block` has to do.
template <class Atom, int M, int N, bool k3x3, class Prologue, class Epilogue,
          class T = typename Atom::Element>
__device__ __forceinline__ void convolve_tile(const ConvProblem& p, const HaloPlan& plan,
                                              const ConvSources<T>& sources, T* out,
                                              const Prologue& prologue, const Epilogue& epilogue,
                                              const BlockPlace& block) {
  const HaloPlace place(p, plan, block);
  if (place.empty()) return;
  unsigned char* shared = &shared_memory<unsigned char>();
  auto* table = reinterpret_cast<std::int64_t*>(shared + plan.shared_bytes - plan.table_bytes);
  const HaloLoader<Atom, Prologue> loader{p, plan, place, table, prologue};
  loader.fill(table, p, place);
  __syncthreads();

  const auto pixels = [&](int buffer) {
    return shared + buffer * (plan.pixel_bytes + plan.weight_bytes);
  };
  const auto weights = [&](int buffer) {
    return reinterpret_cast<std::uint32_t*>(pixels(buffer) + plan.pixel_bytes);
  };
  const int total = place.taps() > 0 ? sources.count * plan.chunks : 0;
  const auto load = [&](int chunk, int buffer) {
    const ConvSource<T> source = sources[chunk / plan.chunks];
    load_weights(p, plan, place, source.pack, chunk % plan.chunks, weights(buffer));
    loader.load(source.image, chunk / plan.chunks, chunk % plan.chunks, pixels(buffer));
    cp_async_commit();
  };

  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  const bool idle = place.first_row + warp * M >= place.h.count;
  const int column = lane % kTileColumns;
  const int of_lane = (warp * M * place.h.by * place.extent.row_pixels +
                       (column >> plan.width_log) * place.extent.image_columns +
                       (column & ((1 << plan.width_log) - 1))) *
                          plan.pitch +
                      lane / 16 * 16;
  FragmentSums sums[M][N] = {};
  if (total > 0) load(0, 0);
  for (int chunk = 0; chunk < total; ++chunk) {
    const int now = chunk % plan.buffers;
    if (plan.buffers == 2 && chunk + 1 < total) {
      load(chunk + 1, 1 - now);
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    const int of_source = chunk % plan.chunks, left = p.pack.steps - of_source * plan.steps;
    loader.transform(chunk / plan.chunks, of_source, pixels(now));
    __syncthreads();
    if (!idle) {
      const int steps = left < plan.steps ? left : plan.steps, taps = place.taps();
      const int row_bytes = place.extent.row_pixels * plan.pitch;
      for (int k = 0; k < steps; ++k) {
        const unsigned char* of_step = pixels(now) + of_lane + k * kStepBytes;
        const std::uint32_t* fragments = weights(now) + k * taps * kFragmentWords;
        const int next_block = plan.steps * taps * kFragmentWords;
        if constexpr (k3x3) {
          multiply_3x3<Atom>(of_step, plan.pitch, row_bytes, fragments, next_block,
                             place.h.count - place.first_row - warp * M, sums);
        } else {
          multiply_taps<Atom>(place, of_step, plan.pitch, row_bytes, fragments, next_block,
                              place.h.count - place.first_row - warp * M, sums);
        }
      }
    }
    __syncthreads();
    if (plan.buffers == 1 && chunk + 1 < total) load(chunk + 1, 0);
  }

  T* values = reinterpret_cast<T*>(shared);
  constexpr int pitch = N * kBlockColumns + kStoredPadding;
#pragma unroll
  for (int i = 0; i < 2 * M; ++i) {  // half a fragment's rows
    T* row = values + ((warp * M + i / 2) * kTileColumns + lane / 4 + i % 2 * 8) * pitch;
#pragma unroll
    for (int j = 0; j < 2 * N; ++j) {
      const float* pair = &sums[i / 2][j / 2][j % 2][i % 2 * 2];
      const Pack<float, 2> both{{pair[0], pair[1]}};
      store_vec(row + j * 8 + lane % 4 * 2, narrowed_pack<T>(both));
    }
  }
  __syncthreads();
  const int first = place.first_block * kBlockColumns, left = p.pack.out_c - first;
  const StoredTile<T> tile{values,
                           pitch,
                           plan.tile_rows * kTileColumns,
                           N * kBlockColumns,
                           left < N * kBlockColumns ? left : N * kBlockColumns,
                           place.group * p.pack.out_c + first,
                           block,
                           p,
                           plan,
                           place};
  if constexpr (!Epilogue::kStores) store_tile<T, N>(tile, out, p.out_vectors);
  if constexpr (!Epilogue::kIdentity) epilogue(tile);
}

template <class Atom, int M, int N, bool k3x3, class Prologue, class Epilogue>
__global__ void __launch_bounds__(kHaloThreads, (kResidentBlocks<Atom, k3x3, Prologue>))
    conv_halo(ConvProblem p, HaloPlan plan, ConvSources<typename Atom::Element> sources,
              typename Atom::Element* out, Prologue prologue, Epilogue epilogue) {
  convolve_tile<Atom, M, N, k3x3>(p, plan, sources, out, prologue, epilogue, BlockPlace::in_grid());
}

}  // namespace ek::kernels::EK_TARGET
