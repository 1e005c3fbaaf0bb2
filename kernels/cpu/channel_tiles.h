#pragma once
#include <algorithm>
#include <cstdint>

namespace ek::kernels::cpu {

// How the norm kernels walk a tensor [rows, channels]. Rows go in blocks, the unit of work of a
// thread. Within a block, memory is taken in contiguous runs of up to kLanes elements, with one
// accumulator or coefficient per lane in a local array:
//   up to 128 channels  several rows make one run, so that 16 channels still fill the SIMD
//   registers 129..512            one row is a run above               a row is cut into spans of
//   up to 512 channels, walked one after another
// Lane l of a run belongs to channel l % (channels of the span).
struct ChannelTiles {
  static constexpr std::int64_t kLanes = 512;

  ChannelTiles(std::int64_t rows, std::int64_t channels) : rows(rows), channels(channels) {
    if (channels <= 128) rows_per_run = 256 / std::max<std::int64_t>(channels, 1);
    block_rows = std::max<std::int64_t>(64, 32768 / std::max<std::int64_t>(channels, 1));
    block_rows -= block_rows % rows_per_run;
    blocks = (rows + block_rows - 1) / block_rows;
    spans = (channels + kLanes - 1) / kLanes;
  }

  struct Span {
    std::int64_t first, channels, lanes;
  };
  Span span(std::int64_t s) const {
    const std::int64_t first = s * kLanes, count = std::min(kLanes, channels - first);
    return {first, count, count * rows_per_run};
  }

  std::int64_t rows_in(std::int64_t block) const {
    return std::min(block_rows, rows - block * block_rows);
  }

  // Calls body(offset, lanes) for the runs of the span in the block, in order.
  template <class Body>
  void for_runs(std::int64_t block, const Span& span, const Body& body) const {
    const std::int64_t begin = block * block_rows, end = begin + rows_in(block);
    for (std::int64_t row = begin; row < end; row += rows_per_run) {
      const std::int64_t taken = std::min(rows_per_run, end - row);
      body(row * channels + span.first, taken * span.channels);
    }
  }

  // Calls body(block, span) for all of them, in parallel over blocks.
  template <class Body>
  void for_blocks(const Body& body) const {
#pragma omp parallel for schedule(static) if (blocks > 1)
    for (std::int64_t block = 0; block < blocks; ++block) {
      for (std::int64_t s = 0; s < spans; ++s) body(block, span(s));
    }
  }

  std::int64_t rows, channels;
  std::int64_t rows_per_run = 1, block_rows, blocks, spans;
};

// One value per lane.
template <class T>
struct Lanes {
  alignas(64) T value[ChannelTiles::kLanes];

  T& operator[](std::int64_t lane) { return value[lane]; }
  const T& operator[](std::int64_t lane) const { return value[lane]; }

  void clear(const ChannelTiles::Span& span) { std::fill(value, value + span.lanes, T(0)); }

  // lane l <- f(channel of l)
  template <class F>
  void set(const ChannelTiles::Span& span, const F& f) {
    for (std::int64_t c = 0; c < span.channels; ++c) value[c] = T(f(span.first + c));
    for (std::int64_t l = span.channels; l < span.lanes; ++l) value[l] = value[l - span.channels];
  }

  // sums[c] = sum over the lanes of channel first + c, in the order of lanes, in double
  void fold(const ChannelTiles::Span& span, double* sums) const {
    for (std::int64_t c = 0; c < span.channels; ++c) sums[c] = double(value[c]);
    for (std::int64_t at = span.channels; at < span.lanes; at += span.channels) {
      for (std::int64_t c = 0; c < span.channels; ++c) sums[c] += double(value[at + c]);
    }
  }
};

}  // namespace ek::kernels::cpu
