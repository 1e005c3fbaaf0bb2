// The part of kernels/reduce.h that follows a shape: broadcast and its transpose, sum_to.
#include "kernels/reduce.h"

#include "kernels/base/error.h"
#include "kernels/cpu/blocks.h"

namespace ek::kernels {
namespace {

// A set of dimensions with strides into one of the two tensors, outermost first.
struct Axes {
  int rank = 0;
  std::array<std::int64_t, BroadcastShape::rank> extent{}, stride{};

  void push_front(std::int64_t new_extent, std::int64_t new_stride) {
    for (int d = rank++; d > 0; --d) {
      extent[d] = extent[d - 1];
      stride[d] = stride[d - 1];
    }
    extent[0] = new_extent;
    stride[0] = new_stride;
  }
  std::int64_t size() const {
    std::int64_t product = 1;
    for (int d = 0; d < rank; ++d) product *= extent[d];
    return product;
  }
  // Where element `index` of the row-major walk over these dimensions lies.
  std::int64_t offset(std::int64_t index) const {
    std::int64_t at = 0;
    for (int d = rank - 1; d > 0; --d) {
      at += index % extent[d] * stride[d];
      index /= extent[d];
    }
    return rank > 0 ? at + index * stride[0] : 0;
  }
};

// The large tensor with neighbouring dimensions of one kind taken together. The innermost run is
// apart: it is contiguous, and either kept (also contiguous in the small tensor) or summed.
struct Runs {
  bool inner_kept = true;
  std::int64_t inner = 1;
  Axes outer_in_small;  // all outer runs, strides into the small tensor (0 when summed)
  Axes kept, summed;    // the outer runs by kind, strides into the large tensor
  std::int64_t large_size = 1, small_size = 1;
};

Runs runs_of(const char* op, const BroadcastShape& shape) {
  Runs runs;
  bool inner_open = true, empty = true, last_kept = true;
  for (int d = BroadcastShape::rank - 1; d >= 0; --d) {
    const std::int64_t small = shape.small_shape[d], large = shape.large_shape[d];
    require(large >= 0 && (small == large || small == 1),
            "{}: dimension {} of the small tensor must be 1 or {}, but is {}", op, d, large, small);
    const std::int64_t large_stride = runs.large_size, small_stride = runs.small_size;
    runs.large_size *= large;
    runs.small_size *= small;
    if (large == 1) continue;
    const bool kept = small == large;
    if (empty) runs.inner_kept = kept;
    const bool same = empty || kept == last_kept;
    if (!same) inner_open = false;
    empty = false;
    last_kept = kept;
    if (inner_open) {
      runs.inner *= large;
      continue;
    }
    Axes& by_kind = kept ? runs.kept : runs.summed;
    if (same) {
      by_kind.extent[0] *= large;
      runs.outer_in_small.extent[0] *= large;
    } else {
      by_kind.push_front(large, large_stride);
      runs.outer_in_small.push_front(large, kept ? small_stride : 0);
    }
  }
  return runs;
}

constexpr std::int64_t kChunk = 256;      // columns of partial sums on the stack
constexpr std::int64_t kMaxBlocks = 64;   // partial sums of one output
constexpr std::int64_t kFewOutputs = 16;  // below this, the summed range is what is divided
constexpr std::int64_t kPiece = 4096;     // elements of a contiguous sum

// Blocks that a sum over `count` items of `width` elements is divided into.
std::int64_t blocks_for(std::int64_t outputs, std::int64_t count, std::int64_t width) {
  if (outputs >= kFewOutputs) return 1;
  return std::clamp<std::int64_t>(count * width / cpu::kBlockElements, 1, kMaxBlocks);
}

template <class T>
double sum_contiguous(const T* x, std::int64_t count) {
  constexpr int lanes = 16;
  double lane[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
#pragma omp simd
    for (int l = 0; l < lanes; ++l) lane[l] += double(x[i + l]);
  }
  double sum = 0;
  for (; i < count; ++i) sum += double(x[i]);
  for (int l = 0; l < lanes; ++l) sum += lane[l];
  return sum;
}

// The innermost run is kept: each output is a row of `inner` columns.
template <class T>
void sum_columns(const Runs& runs, const T* large, T* small, T scale) {
  const std::int64_t chunks = cpu::block_count(runs.inner, kChunk), outputs = runs.kept.size();
  const std::int64_t terms = runs.summed.size();
  const std::int64_t blocks = blocks_for(outputs * chunks, terms, std::min(runs.inner, kChunk));
  const auto add_block = [&](std::int64_t task, std::int64_t block, double* sums) {
    const std::int64_t column = task % chunks * kChunk;
    const std::int64_t width = std::min(kChunk, runs.inner - column);
    const T* from = large + runs.kept.offset(task / chunks) + column;
    std::fill(sums, sums + width, 0.0);
    for (std::int64_t t = block * terms / blocks; t < (block + 1) * terms / blocks; ++t) {
      const T* row = from + runs.summed.offset(t);
#pragma omp simd
      for (std::int64_t c = 0; c < width; ++c) sums[c] += double(row[c]);
    }
  };
  const auto store = [&](std::int64_t task, const double* sums) {
    const std::int64_t column = task % chunks * kChunk;
    T* to = small + task / chunks * runs.inner + column;
    std::transform(sums, sums + std::min(kChunk, runs.inner - column), to,
                   [scale](double sum) { return scale * T(sum); });
  };
  if (blocks == 1) {
    cpu::for_item_blocks(outputs * chunks, terms * std::min(runs.inner, kChunk),
                         [&](std::int64_t begin, std::int64_t end) {
                           double sums[kChunk];
                           for (std::int64_t task = begin; task < end; ++task) {
                             add_block(task, 0, sums);
                             store(task, sums);
                           }
                         });
    return;
  }
  double partial[kMaxBlocks][kChunk];
  for (std::int64_t task = 0; task < outputs * chunks; ++task) {
    cpu::for_blocks(blocks, 1,
                    [&](std::int64_t b, std::int64_t) { add_block(task, b, partial[b]); });
    const std::int64_t width = std::min(kChunk, runs.inner - task % chunks * kChunk);
    for (std::int64_t b = 1; b < blocks; ++b) {
      for (std::int64_t c = 0; c < width; ++c) partial[0][c] += partial[b][c];
    }
    store(task, partial[0]);
  }
}

// The innermost run is summed: each output is one number.
template <class T>
void sum_inner(const Runs& runs, const T* large, T* small, T scale) {
  const std::int64_t outputs = runs.kept.size(), pieces = cpu::block_count(runs.inner, kPiece);
  const std::int64_t terms = runs.summed.size() * pieces;
  const std::int64_t blocks = blocks_for(outputs, terms, std::min(runs.inner, kPiece));
  const auto sum_block = [&](std::int64_t output, std::int64_t block) {
    const T* from = large + runs.kept.offset(output);
    double sum = 0;
    for (std::int64_t t = block * terms / blocks; t < (block + 1) * terms / blocks; ++t) {
      const std::int64_t at = t % pieces * kPiece;
      sum += sum_contiguous(from + runs.summed.offset(t / pieces) + at,
                            std::min(kPiece, runs.inner - at));
    }
    return sum;
  };
  if (blocks == 1) {
    cpu::for_item_blocks(outputs, runs.large_size / outputs,
                         [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t o = begin; o < end; ++o) {
                             small[o] = scale * T(sum_block(o, 0));
                           }
                         });
    return;
  }
  for (std::int64_t o = 0; o < outputs; ++o) {
    double partial[kMaxBlocks];
    cpu::for_blocks(blocks, 1, [&](std::int64_t b, std::int64_t) { partial[b] = sum_block(o, b); });
    double sum = 0;
    for (std::int64_t b = 0; b < blocks; ++b) sum += partial[b];
    small[o] = scale * T(sum);
  }
}

}  // namespace

template <class B, class T>
void broadcast(Stream, const BroadcastShape& shape, const T* small, T* large, double scale) {
  const Runs runs = runs_of("broadcast", shape);
  if (runs.large_size == 0) return;
  const std::int64_t piece = std::min(runs.inner, cpu::kBlockElements);
  const std::int64_t pieces = cpu::block_count(runs.inner, piece);
  const std::int64_t units = runs.large_size / runs.inner * pieces;
  cpu::for_item_blocks(units, piece, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t unit = begin; unit < end; ++unit) {
      const std::int64_t row = unit / pieces, at = unit % pieces * piece;
      const std::int64_t count = std::min(piece, runs.inner - at);
      const T* from = small + runs.outer_in_small.offset(row);
      T* to = large + row * runs.inner + at;
      if (runs.inner_kept) {
        std::transform(from + at, from + at + count, to, [by = T(scale)](T x) { return by * x; });
      } else {
        std::fill_n(to, count, T(scale) * *from);
      }
    }
  });
}

template <class B, class T>
void sum_to(Stream, const BroadcastShape& shape, const T* large, T* small, double scale) {
  const Runs runs = runs_of("sum_to", shape);
  if (runs.large_size == 0) {
    std::fill_n(small, runs.small_size, T(0));
  } else if (runs.inner_kept) {
    sum_columns(runs, large, small, T(scale));
  } else {
    sum_inner(runs, large, small, T(scale));
  }
}

template decltype(broadcast<Cpu, float>) broadcast<Cpu, float>;
template decltype(broadcast<Cpu, double>) broadcast<Cpu, double>;
template decltype(sum_to<Cpu, float>) sum_to<Cpu, float>;
template decltype(sum_to<Cpu, double>) sum_to<Cpu, double>;

}  // namespace ek::kernels
