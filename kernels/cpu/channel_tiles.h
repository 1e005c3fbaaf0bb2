#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/base/backend.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/simd.h"

namespace ek::kernels::cpu {

// Rows [begin, end) of channels [first, first + channels).
struct Patch {
  std::int64_t begin, end, first, channels, lanes;
  std::int64_t rows() const { return end - begin; }
};

// How the norm kernels walk a tensor [rows, channels] of T. Rows go in blocks: the unit of work of
// a thread, and the bound on how many numbers are added up in float. Within a block, memory is
// taken in contiguous runs, with one accumulator or coefficient per lane in a local array:
//   channels that divide kRegisterLanes    several rows make a run of kRegisterLanes
//   multiples of kRegisterLanes            a row is cut into patches of kRegisterLanes channels,
//                                          walked one after another
//   others up to 128                       several rows make a run of 129 to 256
//   others                                 the same with patches of up to 512 channels
// Lane l of a run belongs to channel l % (channels of the patch). In the first two cases the lanes
// of a run are a fixed few registers, and the compiler keeps the arrays in them.
template <class T>
struct ChannelTiles {
  static constexpr std::int64_t kRegisterLanes =
      (vector_bytes == 64 ? 4 : 2) * vector_lanes<Acc<T>>;
  static constexpr std::int64_t kLanes = 512;  // the most in a run

  ChannelTiles(std::int64_t rows, std::int64_t channels) : rows(rows), channels(channels) {
    const std::int64_t width = std::max<std::int64_t>(channels, 1);
    if (kRegisterLanes % width == 0) {
      rows_per_run = kRegisterLanes / width;
    } else if (width % kRegisterLanes == 0) {
      patch_channels = kRegisterLanes;
    } else if (width <= 128) {
      rows_per_run = std::int64_t(std::bit_floor(std::uint64_t(256 / width)));
    }
    block_rows = std::max<std::int64_t>(64, 16384 / width);
    block_rows -= block_rows % rows_per_run;
    blocks = std::max<std::int64_t>(block_count(rows, block_rows), 1);  // 0 rows: an empty block
  }

  std::int64_t begin_of(std::int64_t block) const { return block * block_rows; }
  std::int64_t rows_in(std::int64_t block) const {
    return std::min(block_rows, rows - begin_of(block));
  }

  // Calls body(patch) for the patches of one block, in the order of channels.
  template <class Body>
  void for_patches(std::int64_t block, const Body& body) const {
    const std::int64_t begin = begin_of(block), end = begin + rows_in(block);
    for (std::int64_t first = 0; first < channels; first += patch_channels) {
      const std::int64_t count = std::min(patch_channels, channels - first);
      body(Patch{begin, end, first, count, count * rows_per_run});
    }
  }

  // The same for all blocks: in parallel, or in order.
  template <class Body>
  void for_patches_in_parallel(const Body& body) const {
    parallel_for(blocks, [&](std::int64_t block) { for_patches(block, body); });
  }
  template <class Body>
  void for_patches_in_order(const Body& body) const {
    for (std::int64_t block = 0; block < blocks; ++block) for_patches(block, body);
  }

  // Calls body(i, lane, simd) for the elements of a patch, in order: simd (kernels/cpu/simd.h)
  // moves the elements that start at offset i of the tensor and at `lane` of the run.
  template <class Body>
  void for_elements(const Patch& patch, const Body& body) const {
    std::int64_t row = patch.begin;
    if (patch.lanes == kRegisterLanes) {
      for (; row + rows_per_run <= patch.end; row += rows_per_run) {
        const std::int64_t at = row * channels + patch.first;
        for_register_lanes([&](std::int64_t lane, auto simd) { body(at + lane, lane, simd); },
                           RegisterGroups());
      }
    }
    for (; row < patch.end; row += rows_per_run) {
      const std::int64_t at = row * channels + patch.first;
      const std::int64_t lanes = std::min(rows_per_run, patch.end - row) * patch.channels;
      for_lanes<T>(lanes, [&](std::int64_t lane, auto simd) { body(at + lane, lane, simd); });
    }
  }

  std::int64_t rows, channels;
  std::int64_t rows_per_run = 1, patch_channels = kLanes, block_rows, blocks;

 private:
  using RegisterGroups =
      std::make_integer_sequence<std::int64_t, kRegisterLanes / vector_lanes<Acc<T>>>;

  // Unrolled by the language: only with constant lanes do the arrays become registers.
  template <class Body, std::int64_t... group>
  static void for_register_lanes(const Body& body, std::integer_sequence<std::int64_t, group...>) {
    constexpr int n = int(vector_lanes<Acc<T>>);
    (body(group * n, Simd<n>()), ...);
  }
};

// One number of the accumulation type of T per lane.
template <class T>
struct Lanes {
  alignas(64) Acc<T> value[ChannelTiles<T>::kLanes];

  Acc<T>* operator+(std::int64_t lane) { return value + lane; }

  void clear(const Patch& patch) { std::fill(value, value + patch.lanes, Acc<T>(0)); }

  // lane l <- f(channel of l)
  template <class F>
  void set(const Patch& patch, const F& f) {
#pragma omp simd
    for (std::int64_t c = 0; c < patch.channels; ++c) value[c] = Acc<T>(f(patch.first + c));
    for (std::int64_t filled = patch.channels; filled < patch.lanes; filled *= 2) {
      const std::int64_t more = std::min(filled, patch.lanes - filled);
      std::memcpy(value + filled, value, std::size_t(more) * sizeof(Acc<T>));
    }
  }

  // sums[c] += the lanes of channel first + c of the patch, in the order of lanes, in double
  void fold(const Patch& patch, double* sums) const {
    for (std::int64_t at = 0; at < patch.lanes; at += patch.channels) {
#pragma omp simd
      for (std::int64_t c = 0; c < patch.channels; ++c) sums[c] += double(value[at + c]);
    }
  }
};

}  // namespace ek::kernels::cpu
